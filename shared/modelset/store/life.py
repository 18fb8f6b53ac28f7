"""Whether somebody is still at work on a file: a process here, or one of another machine."""

import contextlib
import os
from functools import cache
from pathlib import Path

# After so long without a write a process on another machine counts as dead.
FOREIGN_S = 120.0


@cache
def machine() -> str:
    """A name for this machine and boot, and for the container that numbers the processes."""
    import zlib

    words = [_node(), boot()]
    with contextlib.suppress(OSError):
        words.append(os.readlink("/proc/self/ns/pid"))
    text = "\n".join(words)
    return f"{zlib.crc32(text.encode()):08x}"


@cache
def boot() -> str:
    """A name for the time since this machine started, empty where the system has none."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _node() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform  # slow to load, and a check must start fast

    return platform.node()


def is_recent(path: Path) -> bool:
    """Whether a file was written in the last minutes, by the clock that stamps files there: on a
    shared store, the server's.
    """
    import tempfile  # here, because a check only counts and must start fast

    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=path.parent) as stream:
        # In the future when that clock was set back: a sign of life for as long as in the past.
        return abs(os.fstat(stream.fileno()).st_mtime - path.stat().st_mtime) < FOREIGN_S
    return False


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs."""
    import psutil  # here, because check writes nothing and must start fast

    return bool(psutil.pid_exists(pid))
