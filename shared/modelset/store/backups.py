"""Dated files of a project's state in a folder, of which only the newest stay."""

import contextlib
import hashlib
import os
import platform
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from modelset.core.values import dataclass
from modelset.store.files import saying

# What every state file begins with; more of it is not read, since it may be large.
_KIND = b'"modelset state"'
_HEAD = 64


@dataclass(frozen=True, slots=True)
class Thinned:
    """The backups that are gone, and those that are too old and could not be removed."""

    removed: tuple[Path, ...]
    left: tuple[Path, ...]


def tag_of(places: Mapping[str, Path]) -> str:
    """A name for this project on this machine, so that several can share one folder."""
    words = [platform.node(), *(str(places[name]) for name in sorted(places))]
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def free_name(folder: Path, tag: str, moment: str) -> Path:
    """A name for a backup of this moment that nobody has yet."""
    name, number = folder / f"modelset-{tag}-{moment}.json", 1
    while os.path.lexists(name):
        number += 1
        name = folder / f"modelset-{tag}-{moment}-{number}.json"
    return name


def thin_out(newest: Path, tag: str, keep: int) -> Thinned:
    """Remove all but the last `keep` backups beside the newest, which always stays.

    Only files of this project's own name that hold a state count; links and folders do not.
    """
    name = re.compile(rf"modelset-{tag}-(\d{{8}}T\d{{6}}Z)(?:-(\d+))?\.json")
    found = []
    with saying("look at", newest.parent):
        for entry in os.listdir(newest.parent):
            match = name.fullmatch(entry)
            path = newest.parent / entry
            if match and path != newest and _is_state(path):
                found.append((match[1], int(match[2] or 1), path))
    removed, left = [], []
    for _, _, path in sorted(found, reverse=True)[keep - 1 :]:
        # Some keep backups where nothing can be removed: the new one counts all the same.
        try:
            path.unlink(missing_ok=True)
            removed.append(path)
        except OSError:
            left.append(path)
    return Thinned(tuple(removed), tuple(left))


def _is_state(path: Path) -> bool:
    with contextlib.suppress(OSError):
        if stat.S_ISREG(path.lstat().st_mode):
            with open(path, "rb") as stream:
                return _KIND in stream.read(_HEAD)
    return False
