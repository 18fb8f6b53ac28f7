"""Looks at what a download stands on: volumes, limits, Python, libraries, sizes of folders."""

import contextlib
import importlib.metadata
import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from modelset.core.doctor import Volume
from modelset.core.values import dataclass

_PREFIX: Final = ".modelset-doctor-"
# So many names between two looks at the clock.
_BETWEEN: Final = 256


@dataclass(frozen=True, slots=True)
class Sized:
    """The files below a folder, each counted once; not `is_whole` when the time was up."""

    files: int
    size: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs; `is_managed` when the system forbids others to install into it."""

    version: str
    prefix: str
    is_own: bool
    is_managed: bool


def look_at_volume(folder: Path) -> Volume:
    """What can be done where a folder lies, tried in a folder that is gone again afterwards."""
    lies_in = nearest(folder)
    device, free = 0, 0
    with contextlib.suppress(OSError):
        device, free = lies_in.stat().st_dev, shutil.disk_usage(lies_in).free
    try:
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=lies_in))
    except OSError:
        return Volume(str(lies_in), device, free, is_writable=False)
    try:
        probe = own / "Probe"
        probe.write_bytes(b"x")
        skew = datetime.now(UTC).timestamp() - probe.stat().st_mtime
        return Volume(
            str(lies_in),
            device,
            free,
            is_writable=True,
            symlinks=_can(lambda: os.symlink("Probe", own / "symlink")),
            hard_links=_can(lambda: os.link(probe, own / "link")),
            locks=_can_lock(probe),
            is_case_sensitive=not (own / "pROBE").exists(),
            skew_s=skew,
        )
    except OSError:  # full, or gone read-only meanwhile
        return Volume(str(lies_in), device, free, is_writable=False)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def nearest(folder: Path) -> Path:
    """The nearest folder of a path that is there; a file in its place is what is there."""
    folder = folder.absolute()
    for path in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            if path.exists():
                return path
    return Path(folder.anchor)


def device_of(folder: Path) -> int:
    """A number that two folders on one volume share."""
    return nearest(folder).stat().st_dev


def can_write(folder: Path) -> bool:
    """Whether this user may make files in a folder, or the folder itself where it is missing."""
    place = nearest(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _can(step: Callable[[], object]) -> bool:
    try:
        step()
    except (OSError, NotImplementedError):
        return False
    return True


def _can_lock(path: Path) -> bool | None:
    """Whether a lock keeps a second one out; None where locks are of another kind."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    with open(path, "rb") as one, open(path, "rb") as other:
        try:
            fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def open_files() -> int | None:
    """How many files this process may have open, or None where nothing limits it."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else int(soft)


def temporary_folder() -> Path | None:
    """The folder for temporary files, or None when none can be written."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return None


def interpreter() -> Interpreter:
    """The Python that runs this."""
    is_own = sys.prefix != sys.base_prefix
    marker = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return Interpreter(
        "{}.{}.{}".format(*sys.version_info), sys.prefix, is_own, not is_own and marker.exists()
    )


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """The versions of the distributions that are here; nothing is imported."""
    found = {}
    for name in names:
        # What somebody has half removed has metadata of any form.
        with contextlib.suppress(importlib.metadata.PackageNotFoundError, OSError, ValueError):
            found[name] = str(importlib.metadata.version(name) or "")
    return found


def asked_for_by(distribution: str) -> tuple[str, ...]:
    """What an installed distribution requires, nothing when it is not installed."""
    try:
        return tuple(importlib.metadata.requires(distribution) or ())
    except importlib.metadata.PackageNotFoundError:
        return ()


def measure(folder: Path, has_time: Callable[[], bool], suffix: str = "") -> Sized:
    """The files below a folder whose names end in `suffix`; links are not followed."""
    seen: set[tuple[int, int]] = set()
    size, looked, waiting = 0, 0, [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                looked += 1
                if looked % _BETWEEN == 0 and not has_time():
                    return Sized(len(seen), size, False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and entry.name.endswith(suffix):
                    # Not the entry's own: on Windows that knows no number of the file.
                    stat = os.stat(entry.path, follow_symlinks=False)
                    if (stat.st_dev, stat.st_ino) not in seen:
                        seen.add((stat.st_dev, stat.st_ino))
                        size += stat.st_size
        if not has_time():
            return Sized(len(seen), size, not waiting)
    return Sized(len(seen), size, True)


def is_private(path: Path) -> bool:
    """Whether only its owner can read a file; true where there are no such rights."""
    try:
        return sys.platform == "win32" or not path.stat().st_mode & 0o077
    except OSError:
        return True


def certificates(path: str, is_folder: bool) -> int | None:
    """How many certificates a file holds, or a folder by their hashed names; None when it cannot
    be read.
    """
    try:
        if not is_folder:
            return Path(path).read_bytes().count(b"-----BEGIN CERTIFICATE-----")
        parts = [Path(part) for part in path.split(os.pathsep) if part]
        names = [name for part in parts for name in os.listdir(part)]
    except OSError:
        return None
    return sum(1 for name in names if len(name) > 9 and name[8] == "." and name[9:].isdigit())
