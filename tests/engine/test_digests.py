"""Many files are hashed side by side, told as one progress, and left at once when asked."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.events import Event, Moved, Started, ignore
from modelset.engine import digests
from modelset.engine.digests import in_order, read_all
from modelset.engine.guard import Stop
from modelset.store.digests import Job, Table, Wanted, doubt, unchanged
from modelset.store.registry import read_registry, remember

MB = 1024 * 1024


def job(number: int, size: int) -> Job:
    return Job(f"/{number}", "sha256", size, (1, number, size, 0))


def wanted(*paths: Path, algorithm: str = "sha256") -> Wanted:
    found = Wanted()
    for path in paths:
        assert found(str(path), algorithm) is None  # type: ignore[func-returns-value]
    return found


@pytest.mark.parametrize("hands", [1, 2, 7])
def test_every_digest_is_that_of_hashlib_whatever_the_number_of_hands(
    tmp_path: Path, hands: int
) -> None:
    sizes = [0, 1, MB - 1, MB, MB + 1, 9 * MB, *range(2, 60)]
    files = [tmp_path / f"{number}" for number in range(len(sizes))]
    for path, size in zip(files, sizes, strict=True):
        path.write_bytes(os.urandom(size))
    asked = Wanted()
    for path in files:
        for algorithm in ("sha256", "md5", "git-sha1"):
            asked(str(path), algorithm)
    events: list[Event] = []
    found = read_all(asked.jobs.values(), hands, events.append, Stop())
    table = Table(found)
    for path in files:
        data = path.read_bytes()
        assert table(str(path), "sha256") == hashlib.sha256(data).hexdigest()
        assert table(str(path), "md5") == hashlib.md5(data).hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data)
        assert table(str(path), "git-sha1") == blob.hexdigest()
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.bytes_total == 3 * sum(sizes)
    assert sum(event.delta for event in events if isinstance(event, Moved)) == 3 * sum(sizes)


def test_the_disk_is_read_in_its_order_but_what_would_end_last_begins_first() -> None:
    small = [job(number, 10) for number in (5, 3, 9, 1)]
    assert [row.state[1] for row in in_order(small * 5, 1)] == sorted([1, 3, 5, 9] * 5)
    mixed = [*small, job(7, 500), job(8, 900)]
    assert [row.state[1] for row in in_order(mixed, 2)] == [8, 7, 1, 3, 5, 9]


def test_small_files_are_read_while_other_hands_have_larger_ones() -> None:
    small = [job(number, 10) for number in (5, 3, 9, 1)]
    middle = [job(number, 100_000) for number in range(60, 20, -2)]
    rows = [*middle, *small]
    states = [row.state[1] for row in in_order(rows, 3)]
    assert states[:2] == [22, 24], "one each for all hands but one"
    assert states[2:6] == [1, 3, 5, 9]
    assert states[6:] == sorted(states[6:])
    assert sorted(states) == sorted(row.state[1] for row in rows)
    assert [row.state[1] for row in in_order(rows, 1)][:4] == [1, 3, 5, 9]
    assert [row.state[1] for row in in_order(small, 50)] == [1, 3, 5, 9]
    assert in_order([], 2) == []


def test_a_file_of_many_names_is_read_once(tmp_path: Path) -> None:
    file, link, second = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    file.write_bytes(b"abc")
    link.symlink_to("a")
    os.link(file, second)
    asked = wanted(file, link, second)
    assert len(asked.jobs) == 1
    assert len(wanted(tmp_path / "none").jobs) == 0


def test_what_goes_or_comes_between_the_looks_is_said_in_words_or_read_then(tmp_path: Path) -> None:
    gone, folder, late = tmp_path / "gone", tmp_path / "folder", tmp_path / "late"
    gone.write_bytes(b"abc")
    folder.mkdir()
    asked = wanted(gone, folder)
    gone.unlink()
    late.write_bytes(b"late")
    table = Table(read_all(asked.jobs.values(), 2, ignore, Stop()))
    assert "unreadable (No such file" in str(table(str(gone), "sha256"))
    assert "unreadable (Is a directory)" in str(table(str(folder), "sha256"))
    assert table(str(late), "sha256") == hashlib.sha256(b"late").hexdigest()


def test_nothing_to_read_is_no_work() -> None:
    events: list[Event] = []
    assert read_all([], 4, events.append, Stop()) == {}
    assert events == []


def test_a_stop_ends_it_at_once_in_the_middle_of_a_file(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with open(big, "wb") as stream:
        stream.truncate(40_000 * MB)  # holes: no disk is needed, but a minute of hashing
    stop = Stop()
    threading.Timer(0.3, stop.ask, ["stopped"]).start()
    began = time.monotonic()
    with pytest.raises(ModelSetError) as error:
        read_all(wanted(big).jobs.values(), 2, ignore, stop)
    assert error.value.failure.code == "stopped"
    assert time.monotonic() - began < 3
    for one in threading.enumerate():
        if one.name.startswith("modelset"):
            one.join(2)
            assert not one.is_alive()


def test_what_has_not_changed_is_believed_and_all_else_is_read(tmp_path: Path) -> None:
    same, grown, touched = tmp_path / "same", tmp_path / "grown", tmp_path / "touched"
    rows: list[dict[str, object]] = [{}, {"path": 7}, {"path": "\0"}, {"path": str(tmp_path / "x")}]
    for path in (same, grown, touched):
        path.write_bytes(b"abc")
        status = path.stat()
        rows.append({"path": str(path), "size": 3, "mtime_ns": status.st_mtime_ns})
    grown.write_bytes(b"abcd")
    os.utime(touched, ns=(1, 1))
    trusted = unchanged(rows)
    assert trusted == {(same.stat().st_dev, same.stat().st_ino)}
    asked = Wanted(trusted)
    for path in (same, grown, touched):
        asked(str(path), "sha256")
    assert {row.path for row in asked.jobs.values()} == {str(grown), str(touched)}
    assert Table({}, trusted)(str(same), "sha256") is None


def test_what_is_doubted_keeps_its_digest_and_is_believed_no_more(tmp_path: Path) -> None:
    row = {"path": str(tmp_path / "a"), "size": 3, "sha256": "0" * 64, "mtime_ns": 9}
    remember(tmp_path, {"a:b": {"files": [row]}, "c:d": {"files": [row]}, "odd:e": {"files": 7}})
    doubt(tmp_path, ["a:b", "none:x"])
    known = read_registry(tmp_path)
    assert known["a:b"]["files"] == [row | {"mtime_ns": 0}]
    assert known["c:d"]["files"] == [row]
    doubt(tmp_path, ["odd:e", "c:d"])
    assert "odd:e" not in read_registry(tmp_path)
    assert read_registry(tmp_path)["a:b"]["files"][0]["sha256"] == "0" * 64


def test_the_name_of_the_progress_is_no_model() -> None:
    assert ":" not in digests.NAME
