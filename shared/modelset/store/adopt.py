"""Gives other programs' files a second name here, once their bytes are proved; they stay theirs."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from modelset.core.errors import ModelSetError
from modelset.core.found import File, Taken, Way
from modelset.core.types import Artifact
from modelset.store.files import CHUNK, hasher_for, saying, sync_folder
from modelset.store.temporary import beside

# The request that lets two files share their blocks, where the file system can (linux/fs.h).
_FICLONE = 0x40049409
_MAY_OTHERS_WRITE = 0o022
# A text that names a model is never longer.
_LONGEST_TEXT = 1_000_000


class Proven:
    """A file whose bytes are those of an artifact, open for as long as it is needed."""

    def __init__(
        self, file: File, artifact: Artifact, stream: BinaryIO, pause: Callable[[], None]
    ) -> None:
        self.file, self._artifact, self._stream, self._pause = file, artifact, stream, pause
        self._before = os.fstat(stream.fileno())
        self._expected = artifact.hex
        self.sha256 = ""

    @property
    def state(self) -> tuple[int, int, int]:
        """What tells this very file, unchanged, from every other."""
        return _state(self._before)

    def is_right(self) -> bool:
        """Whether every byte is as pinned, or what it is when nobody says; reads the file."""
        if self._before.st_size != self._artifact.size:
            return False
        own, sha256 = hasher_for(self._artifact), hashlib.sha256()
        is_sha256 = self._artifact.digest.startswith(("sha256:", "first-use:"))
        for data in self._chunks():
            own.update(data)
            if not is_sha256:
                sha256.update(data)
        self.sha256 = own.hexdigest() if is_sha256 else sha256.hexdigest()
        if not self._artifact.is_exact:
            self._expected = self.sha256  # from now on
        is_same = _state(os.fstat(self._stream.fileno())) == self.state
        return is_same and own.hexdigest() == self._expected

    def put(self, target: Path, *, copy: bool = False, guarded: bool = False) -> Way:
        """Give the bytes a name here, whole or not at all; with `copy`, in a file of our own.

        The library refuses a file of a `guarded` layout that others may change. Raises
        ModelSetError.
        """
        with saying("place", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = beside(target)
            try:
                may_link = not copy and self._may_link(guarded)
                is_linked = may_link and self._link(temporary)
                way: Way = "linked" if is_linked else self._write(temporary)
                os.replace(temporary, target)
            finally:
                # A rename between two names of one file leaves both.
                temporary.unlink(missing_ok=True)
            sync_folder(target.parent)
        return way

    def _may_link(self, guarded: bool) -> bool:
        """Whether nobody but this user can change what is linked; another's file is copied."""
        if os.name != "posix":
            return True
        mask = _MAY_OTHERS_WRITE if guarded else 0o002
        return self._before.st_uid in (os.geteuid(), 0) and not self._before.st_mode & mask

    def _link(self, temporary: Path) -> bool:
        try:
            os.link(self.file.path, temporary, follow_symlinks=False)
        except (OSError, NotImplementedError):  # another volume, or not allowed
            return False
        if _state(os.lstat(temporary)) == self.state:
            return True
        temporary.unlink()
        raise self._changed()

    def _write(self, temporary: Path) -> Way:
        """New bytes or shared blocks; either way read again before they count."""
        hasher = hasher_for(self._artifact)
        with open(temporary, "x+b", buffering=0) as writing:
            is_clone = _clone(self._stream, writing)
            if is_clone:
                for data in _read(writing, self._pause):
                    hasher.update(data)
            else:
                for data in self._chunks():
                    hasher.update(data)
                    _write_all(writing, data)
            os.fsync(writing.fileno())
        if hasher.hexdigest() != self._expected:
            raise self._changed()
        return "cloned" if is_clone else "copied"

    def _chunks(self) -> Iterator[memoryview]:
        self._stream.seek(0)
        return _read(self._stream, self._pause)

    def _changed(self) -> ModelSetError:
        return ModelSetError(
            "store-read-error",
            f"{self.file.name} changed while it was read",
            "end the program that writes to it, then run the command again",
        )


@contextlib.contextmanager
def opened(
    file: File, artifact: Artifact, pause: Callable[[], None] = lambda: None
) -> Iterator[Proven | None]:
    """A candidate, open and read, or None when it is not what is pinned or cannot be read."""
    try:
        stream = open_plain(file.path)
    except OSError:
        yield None
        return
    with stream:
        proven = Proven(file, artifact, stream, pause)
        is_right = False
        with contextlib.suppress(OSError):
            is_right = proven.is_right()
        yield proven if is_right else None


def open_plain(path: str) -> BinaryIO:
    """A regular file, open for reading; raises OSError for a link, a pipe and all else, at once."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", path)
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def plain_text(path: str) -> str:
    """The beginning of a text file; raises OSError or ValueError."""
    with open_plain(path) as stream:
        return stream.read(_LONGEST_TEXT).decode()


def remove_originals(taken: Iterable[Taken], folder: str) -> int:
    """Take away other names, and what is then empty of a folder that held them; returns how many
    were taken away.
    """
    gone = sum([_remove(row) for row in taken])
    for path, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return gone


def _remove(taken: Taken) -> bool:
    with contextlib.suppress(OSError):
        if _state(os.lstat(taken.origin)) == taken.state:
            os.unlink(taken.origin)
            sync_folder(Path(taken.origin).parent)
            return True
    return False


def _state(status: os.stat_result) -> tuple[int, int, int]:
    # The size cannot change without the time; the inode's own time does when it is linked.
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _read(stream: BinaryIO, pause: Callable[[], None]) -> Iterator[memoryview]:
    room = memoryview(bytearray(CHUNK))
    while count := stream.readinto(room):  # type: ignore[attr-defined]
        yield room[:count]
        pause()


def _write_all(stream: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) :]


def _clone(source: BinaryIO, target: BinaryIO) -> bool:
    try:
        import fcntl

        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except (ImportError, OSError):
        return False
    return True
