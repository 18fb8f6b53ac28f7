"""Small steps on files: whole or not at all, nothing left over, errors in words."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.store import files, life


def other_volume(here: Path) -> Iterator[Path]:
    for name in ("/dev/shm", "/run", "/var/tmp", os.path.expanduser("~")):
        place = Path(name)
        if (
            place.is_dir()
            and os.access(place, os.W_OK)
            and place.stat().st_dev != (here.stat().st_dev)
        ):
            yield place


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another file system."""
    volume = next(other_volume(tmp_path), None)
    if volume is None:
        pytest.skip("one file system only")
    folder = volume / f"modelset-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_atomic_write_makes_the_folders_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "thing.json"
    files.write_atomic(path, b"one")
    files.write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert names(path.parent) == ["thing.json"]


def test_a_write_sweeps_what_a_dead_process_left_and_spares_a_living_one(
    tmp_path: Path, dead_pid: int
) -> None:
    here = life.machine()
    living = tmp_path / f".thing.{here}-{os.getppid()}-0.tmp"
    dead = [tmp_path / f".{name}.{here}-{dead_pid}-7.tmp" for name in ("thing", "other.thing")]
    theirs = [tmp_path / ".thing.what.tmp", tmp_path / f".thing.{dead_pid}"]
    for stale in (*dead, *theirs, living):
        stale.write_bytes(b"half")
    files.write_atomic(tmp_path / "thing", b"whole")
    assert names(tmp_path) == sorted([living.name, *(path.name for path in theirs), "thing"])


def test_a_write_that_cannot_be_finished_leaves_the_old_file_and_nothing_else(
    tmp_path: Path,
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(ModelSetError) as caught:
        files.write_atomic(target, b"x")
    assert str(target) in caught.value.failure.message
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelSetError) as caught:
        files.write_atomic(tmp_path / "file" / "thing", b"x")
    assert caught.value.failure.code == "store-not-writable"
    assert "MODELSET_MODELS_ROOT" in caught.value.failure.hint


def test_a_document_for_others_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files.write_json(tmp_path / "file" / "last.json", {"a": 1})
    files.write_json(tmp_path / "last.json", {"a": 1})
    text = (tmp_path / "last.json").read_text()
    assert json.loads(text) == {"a": 1}
    assert text.endswith("\n")


def test_a_full_disk_has_its_own_code(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    with (
        pytest.raises(ModelSetError) as caught,
        files.saying("write", tmp_path / "x"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert caught.value.failure.code == "disk-full"
    assert "resumes" in caught.value.failure.hint


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EFBIG, "disk-full"),
        (errno.EACCES, "store-not-writable"),
        (errno.EPERM, "store-not-writable"),
        (errno.EROFS, "store-not-writable"),
        (errno.ENOTDIR, "store-not-writable"),
        (errno.EIO, "store-read-error"),
        (errno.ELOOP, "store-read-error"),
    ],
)
def test_an_error_of_the_system_is_said_with_action_file_and_reason(number: int, code: str) -> None:
    error = files.translate(OSError(number, os.strerror(number)), "write", "/some/file")
    assert error.failure.code == code
    assert error.failure.message == f"cannot write /some/file: {os.strerror(number)}"
    assert error.failure.hint


def test_bytes_get_their_final_name_by_a_rename(tmp_path: Path) -> None:
    source, target = tmp_path / "a.part", tmp_path / "deep" / "down" / "a"
    source.write_bytes(b"verified")
    inode = source.stat().st_ino
    files.move(source, target)
    assert target.stat().st_ino == inode
    assert names(tmp_path) == ["deep"]


def test_across_volumes_the_bytes_are_copied_beside_their_name_first(
    tmp_path: Path, elsewhere: Path, dead_pid: int
) -> None:
    source, target = elsewhere / "a.part", tmp_path / "a"
    body = os.urandom(3_000_000)
    source.write_bytes(body)
    target.write_bytes(b"old")
    (tmp_path / f".a.{life.machine()}-{dead_pid}-0.tmp").write_bytes(b"of a killed move")
    files.move(source, target)
    assert target.read_bytes() == body
    assert names(tmp_path) == ["a"]
    assert names(elsewhere) == []
    assert files.volume_of(elsewhere) != files.volume_of(tmp_path)


def test_a_full_volume_is_left_as_it_was(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(reading: IO[bytes], writing: IO[bytes], size: int) -> None:
        writing.write(reading.read(size))
        raise OSError(errno.ENOSPC, "No space left on device")

    source = elsewhere / "a.part"
    source.write_bytes(b"verified")
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(ModelSetError) as caught:
        files.move(source, tmp_path / "a")
    assert caught.value.failure.code == "disk-full"
    assert names(tmp_path) == []
    assert source.read_bytes() == b"verified"


def test_moving_what_is_not_there_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError) as caught:
        files.move(tmp_path / "none", tmp_path / "a")
    assert caught.value.failure.code == "store-read-error"
    assert not (tmp_path / "a").exists()


def test_reading_tells_nothing_from_not_readable(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("é", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert files.read_text(tmp_path / "text") == "é"
    assert files.read_text(tmp_path / "none") is None
    for bad in (tmp_path / "bytes", tmp_path):
        with pytest.raises(ModelSetError) as caught:
            files.read_text(bad)
        assert caught.value.failure.code == "store-read-error"
        assert str(bad) in caught.value.failure.message


BODY = b"hello\n"
GIT = hashlib.sha1(b"blob 6\0hello\n", usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:" + hashlib.sha256(BODY).hexdigest(),
        "sha1:" + hashlib.sha1(BODY, usedforsecurity=False).hexdigest(),
        "md5:" + hashlib.md5(BODY, usedforsecurity=False).hexdigest(),
        "git-sha1:" + GIT,
        "git-sha1:ce013625030ba8dba906f756967f9e9ca394464a",  # `git hash-object` says so
    ],
)
def test_each_kind_of_digest_is_computed(tmp_path: Path, digest: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(BODY)
    hasher = files.hasher_for(Artifact("file", "https://example.org/", len(BODY), digest))
    files.feed(path, hasher.update)
    assert hasher.hexdigest() == digest.partition(":")[2]


def test_a_long_read_pauses_after_every_chunk(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * (files.CHUNK * 2 + 1))
    taken: list[int] = []
    pauses: list[int] = []
    files.feed(path, lambda data: taken.append(len(data)), pause=lambda: pauses.append(1))
    assert sum(taken) == files.CHUNK * 2 + 1
    assert len(pauses) == len(taken) == 3


def test_inside_is_judged_after_every_link_is_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "out").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "sub")
    assert files.is_inside(root, root / "sub" / "file")
    assert files.is_inside(root, root / "in" / "file")
    assert files.is_inside(root, root / "not-there" / "file")
    assert not files.is_inside(root, root / "out" / "file")
    assert not files.is_inside(root, root / ".." / "file")
    assert not files.is_inside(root, tmp_path / "root2")


def test_free_space_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b" / "c"
    assert files.existing_parent(deep) == tmp_path
    assert files.volume_of(deep) == tmp_path.stat().st_dev
    assert files.free_bytes(deep) > 0
    assert not deep.parent.exists()


def test_a_process_lives_or_not(dead_pid: int) -> None:
    assert life.is_alive(os.getpid())
    assert not life.is_alive(dead_pid)
