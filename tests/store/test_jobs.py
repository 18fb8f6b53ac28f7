"""The jobs on the disk: one server at a time, kept over a kill, and clear when it cannot be."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.jobs import Job
from modelset.core.values import replace
from modelset.store.jobs import JobStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    opened = JobStore(tmp_path / "models" / "service")
    yield opened
    opened.close()


def job(name: str, **other: Any) -> Job:
    known = {"action": "verify", "options": {}, "state": "queued", "created": 1.0}
    return Job(name, **{**known, **other})


def fill(store: JobStore) -> None:
    for number in range(100):
        store.add(job(f"big {number}", result={"text": "x" * 20_000}))


def code_of(path: Path) -> ModelSetError:
    with pytest.raises(ModelSetError) as caught:
        JobStore(path)
    return caught.value


def test_what_was_put_in_comes_out(store: JobStore) -> None:
    text = "a 'quoted' \" text; drop table job; -- \x00 \U0001f642"
    one = job(
        "one",
        options={"keys": ["a:b"], "keep": 0, "category": text},
        started=1.5,
        ended=2.25,
        exit_code=4,
        failure={"code": "x", "message": text, "hint": ""},
        result={"models": [{"size": 2**53}]},
        state="failed",
    )
    store.add(one, "key '1'")
    assert store.get("one") == one
    assert store.by_idempotency("key '1'") == one
    assert store.get("' or 1=1 --") is None
    assert store.by_idempotency("") is None
    store.add(job("two"))
    store.add(job("three"))
    assert [row.id for row in store.all()] == ["three", "two", "one"]
    assert [row.id for row in store.all(state="queued", limit=1)] == ["three"]
    store.change(replace(one, state="succeeded", result=None))
    changed = store.get("one")
    assert changed is not None
    assert (changed.state, changed.result) == ("succeeded", None)
    assert [row.id for row in store.unfinished()] == ["two", "three"]


def test_events_keep_their_numbers_and_their_job(store: JobStore) -> None:
    store.add(job("one"))
    store.add(job("two"))
    for number in (1, 2, 1_000_001):
        store.add_event("one", number, {"event": "job", "number": number})
    store.add_event("two", 1, {"event": "other"})
    assert [number for number, _ in store.events("one")] == [1, 2, 1_000_001]
    assert store.events("two") == [(1, {"event": "other"})]
    assert store.events("none") == []


def test_the_oldest_that_are_over_are_forgotten_with_their_events(store: JobStore) -> None:
    for number in range(10):
        store.add(job(f"{number}", state="queued" if number == 2 else "succeeded"), f"key {number}")
        store.add_event(f"{number}", 1, {"event": "job"})
    store.forget(3)
    assert [row.id for row in store.all()] == ["9", "8", "7", "2"]
    assert store.events("1") == []
    assert store.events("9") != []
    assert store.by_idempotency("key 1") is None
    store.add(job("new"))
    assert store.all(limit=1)[0].id == "new"


def test_several_keys_may_stand_for_one_job(store: JobStore) -> None:
    store.add(job("one"), "first")
    store.name("second", "one")
    assert store.by_idempotency("first") == store.by_idempotency("second") == job("one")
    with pytest.raises(ModelSetError):
        store.add(job("two"), "second")
    assert store.get("two") is None, "a job whose key is another's is none"
    store.add(job("two"), "third")
    assert [row.id for row in store.all()] == ["two", "one"]


def test_the_keys_of_an_older_file_still_stand_for_their_jobs(tmp_path: Path) -> None:
    first = JobStore(tmp_path)
    first.add(job("one"))
    first.add(job("two"))
    first.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "jobs.sqlite", isolation_level=None)) as old:
        old.executescript(
            "drop table key; alter table job add column idempotency text;"
            "create unique index job_idempotency on job (idempotency);"
            "update job set idempotency = 'known' where id = 'two'; pragma user_version = 1;"
        )
    second = JobStore(tmp_path)
    assert second.by_idempotency("known") == job("two")
    second.add(job("three"), "new")
    assert second.by_idempotency("new") == job("three")
    second.close()
    third = JobStore(tmp_path)
    assert [row.id for row in third.all()] == ["three", "two", "one"]
    third.close()


def test_all_is_there_after_another_opening(tmp_path: Path) -> None:
    first = JobStore(tmp_path)
    first.add(job("one"), "key")
    first.add_event("one", 7, {"event": "job"})
    first.close()
    second = JobStore(tmp_path)
    assert second.get("one") == second.by_idempotency("key") == job("one")
    assert second.events("one") == [(7, {"event": "job"})]
    second.close()


def test_a_second_server_is_told_that_there_is_a_first(tmp_path: Path) -> None:
    first = JobStore(tmp_path / "models" / "service")
    error = code_of(tmp_path / "models" / "service")
    assert error.failure.code == "server-running"
    assert str(tmp_path / "models") in error.failure.message
    first.add(job("one"))  # and the first goes on
    first.close()
    JobStore(tmp_path / "models" / "service").close()


def test_a_killed_server_holds_nothing_and_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, pathlib\n"
        "from modelset.core.jobs import Job\nfrom modelset.store.jobs import JobStore\n"
        "store = JobStore(pathlib.Path(sys.argv[1]))\n"
        "for number in range(50):\n"
        "    store.add(Job(str(number), 'verify', {}, 'queued', 1.0))\n"
        "    store.add_event(str(number), 1, {'event': 'job'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "shared")},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    store = JobStore(tmp_path)
    assert len(store.unfinished()) == 50
    assert store.events("49") == [(1, {"event": "job"})]
    store.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    JobStore(tmp_path).close()
    path = tmp_path / "jobs.sqlite"
    base = sqlite3.connect(path)
    base.execute("pragma user_version = 3")
    base.commit()
    base.close()
    before = path.read_bytes()
    error = code_of(tmp_path)
    assert error.failure.code == "store-read-error"
    assert "a newer version" in error.failure.message
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 99])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(content)
    error = code_of(tmp_path)
    assert error.failure.code == "store-read-error"
    assert str(tmp_path / "jobs.sqlite") in error.failure.message
    assert "remove it" in error.failure.hint
    assert (tmp_path / "jobs.sqlite").read_bytes() == content


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "service").write_text("")
    error = code_of(tmp_path / "service")
    assert str(tmp_path / "service") in error.failure.message


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").mkdir()
    error = code_of(tmp_path)
    assert error.failure.code == "store-not-writable"
    assert "jobs.sqlite" in error.failure.message


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    store.add(job("one"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # A write beyond this fails in the system, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, limits[1]))
    try:
        with pytest.raises(ModelSetError) as caught:
            fill(store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert caught.value.failure.code in ("store-not-writable", "disk-full")
    assert "jobs.sqlite" in caught.value.failure.message
    kept = {row.id for row in store.all()}
    assert "one" in kept
    store.add(job("later"))
    store.close()
    again = JobStore(tmp_path)
    assert {row.id for row in again.all()} == kept | {"later"}
    again.close()
