"""Lists of files with their digests, in the form of a wheel's RECORD."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from modelset.core.values import dataclass
from modelset.store.files import feed


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of a list."""

    path: str
    digest: str
    size: int


def record_rows(path: str) -> Iterator[Recorded]:
    """The files with a digest that a RECORD lists; nothing when it is missing or not readable."""
    import csv  # here and below, because a check without such lists must not pay for it

    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    for row in rows:
        if len(row) == 3 and row[1].startswith("sha256=") and row[2].isdigit():
            yield Recorded(row[0], row[1], int(row[2]))


def record_digest(path: str) -> str:
    """A file's sha256 as a RECORD writes it; nothing when it cannot be read."""
    try:
        return recorded(sha256_of(path))
    except OSError:
        return ""


def sha256_of(path: Path | str, pause: Callable[[], None] = lambda: None) -> str:
    """The sha256 of a file, in hex; raises OSError, and what `pause` does."""
    import hashlib

    hasher = hashlib.sha256()
    feed(path, hasher.update, pause=pause)
    return hasher.hexdigest()


def recorded(digest: str) -> str:
    """A sha256 in hex as a RECORD writes it; other words stay what they are."""
    import base64

    if " " in digest:
        return digest
    return "sha256=" + base64.urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")


def remove_record(path: str) -> None:
    """Take away a list that is damaged, so that its model no longer counts as whole."""
    with contextlib.suppress(OSError):
        os.unlink(path)
