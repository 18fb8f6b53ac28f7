"""Who owns a partial file: a process named by machine, number and start in a journal's name."""

import contextlib
import itertools
import os
from functools import cache
from pathlib import Path

from modelset.store.files import is_alive

# After so long without a journal an owner on another machine counts as dead.
FOREIGN_S = 120.0

_claims = itertools.count()


def owner() -> str:
    """A new claim of the present process, for the name of a journal; its threads make several."""
    return f"{_process()}-{next(_claims)}"


@cache
def _process() -> str:
    pid = os.getpid()
    return f"{_machine()}-{pid}-{_started(pid)}"


def _owner_of(journal: Path) -> tuple[str, int, int] | None:
    words = journal.name.split(".")[-2].split("-")
    if len(words) != 4 or not (words[1].isdigit() and words[2].isdigit()):
        return None
    return words[0], int(words[1]), int(words[2])


def is_foreign(journal: Path) -> bool:
    """Whether a journal names an owner on another machine."""
    named = _owner_of(journal)
    return named is not None and named[0] != _machine()


def is_busy(journal: Path) -> bool:
    """Whether the owner that a journal names is at work, as far as can be told from here."""
    named = _owner_of(journal)
    if named is None:
        return False
    host, pid, started = named
    if host != _machine():
        with contextlib.suppress(OSError):
            return _file_clock(journal.parent) - journal.stat().st_mtime < FOREIGN_S
        return False
    with contextlib.suppress(Exception):
        return is_alive(pid) and abs(_started(pid) - started) <= 1
    return False


def _file_clock(folder: Path) -> float:
    """The time by the clock that stamps files here: on a shared store, the server's."""
    import tempfile  # here and below, because a check only counts and must start fast

    with tempfile.TemporaryFile(dir=folder) as stream:
        return os.fstat(stream.fileno()).st_mtime


@cache
def _machine() -> str:
    """A name for this machine and boot, and for the container that numbers the processes."""
    import hashlib
    import platform

    words = [platform.node()]
    with contextlib.suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
    with contextlib.suppress(OSError):
        words.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]


def _started(pid: int) -> int:
    import psutil  # here, because a check only looks and must start fast

    return int(psutil.Process(pid).create_time())
