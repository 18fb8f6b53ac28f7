"""Small safe steps on files: atomic writes, hashing, free space, and errors in words."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.store.temporary import beside

CHUNK = 1024 * 1024


class Hasher(Protocol):
    """What hashlib's objects offer."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in hex."""


@contextlib.contextmanager
def saying(action: str, path: Path | str) -> Iterator[None]:
    """Turn an OSError into a ModelSetError that names the action and the file."""
    try:
        yield
    except OSError as error:
        raise translate(error, action, path) from error


def translate(error: OSError, action: str, path: Path | str) -> ModelSetError:
    """The ModelSetError for an OSError."""
    words = f"cannot {action} {path}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ModelSetError(
            "disk-full", words, "free some space and run the same command again; it resumes"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
        return ModelSetError(
            "store-not-writable",
            words,
            "make the folder writable for this user, or set MODELSET_MODELS_ROOT to one that is",
        )
    return ModelSetError("store-read-error", words, "check the disk, then run the command again")


def hasher_for(artifact: Artifact) -> Hasher:
    """A hasher for the artifact's digest; git's kind hashes a header with the size first."""
    import hashlib  # here and below, because a quick check must start fast

    algorithm = artifact.digest.partition(":")[0]
    if algorithm == "git-sha1":
        return hashlib.sha1(b"blob %d\0" % artifact.size, usedforsecurity=False)
    if not artifact.is_exact:
        algorithm = "sha256"  # what will be pinned
    return hashlib.new(algorithm, usedforsecurity=False)


def feed(
    path: Path | str,
    take: Callable[[memoryview], None],
    *,
    pause: Callable[[], None] = lambda: None,
    start: int = 0,
    end: Callable[[], float] = lambda: float("inf"),
) -> int:
    """Hand a file on in chunks, from a byte on and up to an end that may move meanwhile; returns
    where it ended. `pause` is called after each chunk and may raise; a chunk is only good until
    `take` returns.
    """
    import mmap  # here, because a quick check reads no file whole and must start fast

    # On pages of its own: anywhere else, a digest takes half as long again.
    room = memoryview(mmap.mmap(-1, CHUNK))
    with open(path, "rb", buffering=0) as stream:
        stream.seek(start)
        while (want := min(CHUNK, end() - start)) > 0:
            count = stream.readinto(room[: int(want)])
            if not count:
                break
            take(room[:count])
            start += count
            pause()
    return start


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    descriptor = os.open(path, os.O_RDWR)  # Windows syncs nothing that is open for reading alone
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; a system without such a call does it by itself."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomic(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Give a file new contents, whole or not at all; raises ModelSetError.

    The temporary name carries the process, and names of dead processes are swept, so that a
    kill leaves nothing behind for longer than until the next write. What is not `durable` does
    not wait for the disk, and may be lost or empty after a power cut.
    """
    with saying("write", path):
        if not path.name:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(path)
        try:
            with open(temporary, "wb") as stream:
                stream.write(data)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if durable:
            sync_folder(path.parent)


def read_text(path: Path) -> str | None:
    """The text of a file, or None when there is none; raises ModelSetError."""
    with saying("read", path):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise OSError(errno.EINVAL, f"not text: {error.reason}") from error


def move(source: Path, target: Path) -> None:
    """Give verified bytes their final name; across volumes they are copied beside it first."""
    with saying("place", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy(source, target)
            source.unlink()
        sync_folder(target.parent)


def copy(source: Path, target: Path) -> None:
    """Give a name a file of its own with the same bytes, whole or not at all; raises
    ModelSetError.
    """
    import shutil

    with saying("place", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(target)
        try:
            with open(source, "rb") as reading, open(temporary, "wb") as writing:
                shutil.copyfileobj(reading, writing, CHUNK)
                writing.flush()
                os.fsync(writing.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(target.parent)


def is_there(path: Path) -> bool:
    """Whether there is a file or a folder of this name."""
    return path.exists()


def state_of(path: Path) -> tuple[int, int, int] | None:
    """Something that changes whenever a file does, or None when there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path lies in a folder once every link on the way is followed."""
    real = os.path.realpath(folder)
    return os.path.commonpath([real, os.path.realpath(path)]) == real


def inside(root: Path, path: str | Path) -> Path:
    """The path below the root; raises ModelSetError where a planted link would lead outside."""
    target = root / path
    if not is_inside(root, target.parent):
        raise ModelSetError(
            "store-not-writable",
            f"{target.parent} leads outside {root}",
            "remove the symbolic link that was put there",
        )
    return target


def existing_parent(path: Path) -> Path:
    """The nearest folder of a path that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def volume_of(path: Path) -> int:
    """A number that two paths on one volume share."""
    return existing_parent(path).stat().st_dev


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write to the path's volume."""
    import shutil

    return shutil.disk_usage(existing_parent(path)).free


def write_json(path: Path, document: object) -> None:
    """Leave a document behind for other programs; a folder that cannot be written is no error,
    because a check has to work on a read-only machine.
    """
    with contextlib.suppress(ModelSetError):
        write_atomic(path, (json.dumps(document) + "\n").encode(), durable=False)
