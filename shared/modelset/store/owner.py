"""Who owns a partial file: a process named by machine, number and start in a journal's name."""

import contextlib
import itertools
import os
import sys
from functools import cache
from pathlib import Path

from modelset.store.life import is_alive, is_recent, machine

_claims = itertools.count()


def owner() -> str:
    """A new claim of the present process, for the name of a journal; its threads make several."""
    return f"{_process()}-{next(_claims)}"


@cache
def _process() -> str:
    pid = os.getpid()
    return f"{machine()}-{pid}-{_started(pid)}"


def _owner_of(journal: Path) -> tuple[str, int, int] | None:
    words = journal.name.split(".")[-2].split("-")
    if len(words) != 4 or not (words[1].isdigit() and words[2].isdigit()):
        return None
    return words[0], int(words[1]), int(words[2])


def is_foreign(journal: Path) -> bool:
    """Whether a journal names an owner on another machine."""
    named = _owner_of(journal)
    return named is not None and named[0] != machine()


def is_busy(journal: Path) -> bool:
    """Whether the owner that a journal names is at work, as far as can be told from here."""
    named = _owner_of(journal)
    if named is None:
        return False
    host, pid, started = named
    if host != machine():
        return is_recent(journal)
    with contextlib.suppress(Exception):
        return is_alive(pid) and abs(_started(pid) - started) <= 1
    return False


def _started(pid: int) -> int:
    """When a process began, in seconds; on Linux since the machine did (proc(5), field 22), which
    no clock that is set meanwhile changes. Without psutil there: to load it takes longer than many
    a file.
    """
    if sys.platform == "linux":
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return int(fields[19]) // os.sysconf("SC_CLK_TCK")
    import psutil

    return int(psutil.Process(pid).create_time())
