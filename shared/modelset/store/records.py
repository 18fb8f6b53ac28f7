"""Lists of files with their digests, in the form of a wheel's RECORD."""

from collections.abc import Iterator

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
    """A file's sha256 as a RECORD writes it."""
    import base64
    import hashlib

    hasher = hashlib.sha256()
    try:
        feed(path, hasher.update)
    except OSError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=")
