"""Temporary names that tell who made them, so that what the dead left can be removed."""

import itertools
import os
import re
from functools import cache
from pathlib import Path

from modelset.store.life import is_alive, is_recent, machine

_counter = itertools.count()
# Characters of a name in the temporary names made from it: systems allow 255 bytes in all.
_STEM = 48
_NAME = re.compile(r"\..*\.([0-9a-f]{8})-(\d+)-\d+\.tmp", re.DOTALL)


def beside(path: Path) -> Path:
    """A temporary name next to a path, for this process and no other use of it; what dead
    processes left in the folder under such names is removed.
    """
    _sweep(path.parent)
    stem = path.name[:_STEM]
    return path.with_name(f".{stem}.{machine()}-{os.getpid()}-{next(_counter)}.tmp")


@cache  # once for each folder: a look at it for every file of thousands would take minutes
def _sweep(folder: Path) -> None:
    for name in os.listdir(folder):
        found = _NAME.fullmatch(name)
        if found and _is_left(folder / name, found[1], int(found[2])):
            (folder / name).unlink(missing_ok=True)


def _is_left(temporary: Path, host: str, pid: int) -> bool:
    """Whether nobody is at work on it any more, as far as can be told from here."""
    return not (is_alive(pid) if host == machine() else is_recent(temporary))
