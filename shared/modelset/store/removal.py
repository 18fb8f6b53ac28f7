"""Removes what a clean has decided on: each file only while it is still the one that was seen."""

import contextlib
import os
from pathlib import Path

from modelset.core.clean import Name, Step
from modelset.store.files import saying
from modelset.store.owner import is_busy, owner
from modelset.store.stock import name_at, names_below


def remove(step: Step) -> bool:
    """Remove a step's names in their order, then its files, then folders that are empty; whether
    all of it has gone. What has changed since the look stays. Raises ModelSetError.

    Killed half-way, what is left is found by the next look.
    """
    item = step.item
    if item.kind == "partial":
        return _partial(item.names)
    if item.kind == "scratch" and any(is_busy(Path(top)) for top in item.tops):
        return False
    gone = [_unlink(name, is_lock=item.title.endswith(".lock")) for name in item.names]
    if all(gone):  # else somebody has put a name there again, which may lead to them
        gone += [_unlink(blob) for blob in step.blobs]
    for top in item.tops:
        _empty(top)
    return all(gone)


def _unlink(name: Name, *, is_lock: bool = False) -> bool:
    """Whether a file has gone: by its name, in its very folder, and if nobody put another there."""
    with saying("remove", name.path):
        folder = os.path.dirname(name.path)
        if os.path.realpath(folder) != os.path.normpath(folder):
            return not os.path.lexists(folder)
        now = name_at(name.path)
        if now is None:
            return not os.path.lexists(name.path)
        if (now.inode, now.size) != (name.inode, name.size):
            return False
        if is_lock and _is_locked(name.path):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name.path)
    return True


def _partial(names: tuple[Name, ...]) -> bool:
    """Take a partial file over, as whoever goes on with it does, and remove it."""
    journals = [Path(name.path) for name in names if name.path.endswith(".json")]
    if any(is_busy(path) for path in journals):
        return False
    mine = []
    for path in journals:
        own = path.with_name(f"{path.name.partition('.')[0]}.{owner()}.json")
        try:
            os.rename(path, own)
        except FileNotFoundError:
            return False  # somebody was faster, and goes on with it
        mine.append(own)
    gone = [_unlink(name) for name in names if not name.path.endswith(".json")]
    for own in mine:
        with saying("remove", own):
            own.unlink(missing_ok=True)
    return all(gone)


def _is_locked(path: str) -> bool:
    """Whether a process holds a file that stands for a lock."""
    try:
        import fcntl
    except ImportError:  # not on Windows, which lets nobody remove an open file
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _empty(top: str) -> None:
    """Remove a folder that holds nothing but folders."""
    with contextlib.suppress(OSError):
        if not os.path.islink(top) and not names_below(top):
            for parent, _, _ in os.walk(top, topdown=False):
                os.rmdir(parent)
