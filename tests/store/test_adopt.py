"""Bytes of another program's get a name here: proved first, linked where that is safe."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.found import File, Taken
from modelset.core.types import Artifact
from modelset.store.adopt import opened, remove_originals

BODY = b"weights" * 1000


def artifact(body: bytes = BODY, algorithm: str = "sha256") -> Artifact:
    header = b"blob %d\0" % len(body) if algorithm == "git-sha1" else b""
    name = "sha1" if algorithm == "git-sha1" else algorithm
    digest = hashlib.new(name, header + body, usedforsecurity=False).hexdigest()
    return Artifact("w.bin", "https://example.org/w.bin", len(body), f"{algorithm}:{digest}")


def file(path: Path) -> File:
    stat = path.lstat()
    return File(path.name, str(path), stat.st_size, (stat.st_dev, stat.st_ino))


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    path = tmp_path / "theirs" / "w.bin"
    path.parent.mkdir()
    path.write_bytes(BODY)
    path.chmod(0o644)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "ours" / "deep" / "w.bin"


def put(theirs: Path, target: Path, *, copy: bool = False, guarded: bool = False) -> str:
    with opened(file(theirs), artifact()) as proven:
        assert proven is not None
        return proven.put(target, copy=copy, guarded=guarded)


@pytest.mark.parametrize("algorithm", ["sha256", "git-sha1", "sha1", "md5"])
def test_a_file_is_proved_by_whatever_digest_is_pinned(theirs: Path, algorithm: str) -> None:
    with opened(file(theirs), artifact(algorithm=algorithm)) as proven:
        assert proven is not None
        assert proven.sha256 == hashlib.sha256(BODY).hexdigest()


def test_other_bytes_are_no_candidate(theirs: Path, tmp_path: Path) -> None:
    for body in (BODY[:-1] + b"x", BODY + b"x", BODY[:-1], b""):
        theirs.write_bytes(body)
        with opened(file(theirs), artifact()) as proven:
            assert proven is None


def test_what_is_no_plain_file_is_no_candidate_and_is_not_waited_for(
    theirs: Path, tmp_path: Path
) -> None:
    known = file(theirs)
    pipe, link, folder = tmp_path / "pipe", tmp_path / "link", tmp_path / "folder"
    os.mkfifo(pipe)
    link.symlink_to(theirs)
    folder.mkdir()
    for path in (pipe, link, folder, tmp_path / "gone"):
        with opened(File("x", str(path), known.size, known.inode), artifact()) as proven:
            assert proven is None


def test_one_volume_holds_the_bytes_once_and_the_original_stays(theirs: Path, target: Path) -> None:
    before = theirs.stat()
    assert put(theirs, target) == "linked"
    assert target.samefile(theirs)
    assert theirs.read_bytes() == BODY
    assert (theirs.stat().st_mtime_ns, theirs.stat().st_mode) == (
        before.st_mtime_ns, before.st_mode,
    )  # fmt: skip
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]
    # Again, onto itself: neither is lost, and nothing is left over.
    assert put(theirs, target) == "linked"
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]


def test_what_lies_in_the_place_is_replaced_and_no_link_is_written_through(
    theirs: Path, target: Path, tmp_path: Path
) -> None:
    target.parent.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    target.symlink_to(precious)
    put(theirs, target)
    assert precious.read_bytes() == b"mine"
    assert not target.is_symlink()
    assert target.read_bytes() == BODY


def test_a_copy_is_a_file_of_its_own(theirs: Path, target: Path) -> None:
    assert put(theirs, target, copy=True) in ("copied", "cloned")
    assert not target.samefile(theirs)
    target.write_bytes(b"rewritten")
    assert theirs.read_bytes() == BODY


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_no_link_can_be_made_it_is_copied(
    theirs: Path, target: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*arguments: object, **options: object) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr("modelset.store.adopt.os.link", link)
    assert put(theirs, target) in ("copied", "cloned")
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]


def test_blocks_are_shared_where_the_file_system_can(
    theirs: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    asked = []

    def ioctl(there: int, request: int, here: int) -> int:
        asked.append(request)
        os.pwrite(there, BODY if len(asked) == 1 else BODY[:-1] + b"!", 0)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert put(theirs, target, copy=True) == "cloned"
    assert target.read_bytes() == BODY
    # What came out is read again: a file system may have changed it.
    with pytest.raises(ModelSetError):
        put(theirs, target.with_name("other"), copy=True)
    assert asked == [0x40049409] * 2
    assert [path.name for path in target.parent.iterdir()] == ["w.bin"]


@pytest.mark.parametrize(
    ("mode", "guarded", "way"),
    [
        (0o644, False, "linked"),
        (0o664, False, "linked"),
        (0o666, False, "copied"),
        (0o644, True, "linked"),
        (0o664, True, "copied"),
    ],
)
def test_what_others_may_change_is_copied(
    theirs: Path, target: Path, mode: int, guarded: bool, way: str
) -> None:
    theirs.chmod(mode)
    found = put(theirs, target, guarded=guarded)
    assert ("linked" if found == "linked" else "copied") == way
    assert theirs.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives a file to somebody")
def test_a_file_of_another_user_is_copied(theirs: Path, target: Path) -> None:
    os.chown(theirs, 4321, 4321)
    assert put(theirs, target) in ("copied", "cloned")
    assert target.stat().st_uid == os.geteuid()


def swap(path: Path, body: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(body)
    os.replace(new, path)


@pytest.mark.parametrize("change", [swap, Path.write_bytes])
def test_a_file_that_changes_after_it_was_read_is_not_linked(
    theirs: Path, target: Path, change: Callable[[Path, bytes], object]
) -> None:
    with opened(file(theirs), artifact()) as proven:
        assert proven is not None
        os.utime(theirs, ns=(1, 1))
        change(theirs, BODY[:-1] + b"!")
        with pytest.raises(ModelSetError) as caught:
            proven.put(target)
    assert "changed while it was read" in caught.value.failure.message
    assert list(target.parent.iterdir()) == []


def test_a_file_that_changes_while_it_is_copied_is_not_taken(theirs: Path, target: Path) -> None:
    with opened(file(theirs), artifact()) as proven:
        assert proven is not None
        theirs.write_bytes(BODY[:-1] + b"!")
        with pytest.raises(ModelSetError):
            proven.put(target, copy=True)
    assert list(target.parent.iterdir()) == []


def test_a_file_that_changes_while_it_is_read_is_no_candidate(theirs: Path) -> None:
    def touch() -> None:
        os.utime(theirs, ns=(1, 1))

    with opened(file(theirs), artifact(), touch) as proven:
        assert proven is None


def test_a_stop_is_noticed_between_chunks_and_leaves_nothing(theirs: Path, target: Path) -> None:
    stop = threading.Event()

    def pause() -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    with opened(file(theirs), artifact(), pause) as proven:
        assert proven is not None
        stop.set()
        with pytest.raises(KeyboardInterrupt):
            proven.put(target, copy=True)
    assert list(target.parent.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), opened(file(theirs), artifact(), pause):
        pass


def test_a_full_disk_is_said_and_leaves_nothing(
    theirs: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("modelset.store.adopt.os.fsync", fsync)
    with pytest.raises(ModelSetError) as caught:
        put(theirs, target, copy=True)
    assert caught.value.failure.code == "disk-full"
    assert list(target.parent.iterdir()) == []


def test_an_original_is_removed_only_while_it_is_the_same(theirs: Path, target: Path) -> None:
    with opened(file(theirs), artifact()) as proven:
        assert proven is not None
        taken = Taken("w.bin", len(BODY), proven.put(target), str(theirs), proven.state)
    swap(theirs, b"newer")
    assert remove_originals([taken], "") == 0
    assert theirs.read_bytes() == b"newer"
    os.replace(theirs, theirs.with_name("kept"))
    os.link(target, theirs)
    assert remove_originals([taken], "") == 1
    assert not theirs.exists()
    assert target.read_bytes() == BODY
    assert remove_originals([taken], "") == 0
