"""Hashing behind the frontier: every byte once, in a worker, however the bytes come."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.engine.digest import Digest, hashers
from modelset.engine.run import Work, wait_for
from modelset.store.files import CHUNK

DATA = random.Random("digest").randbytes(5 * CHUNK + 77)
SIZE = len(DATA)
SHA256 = hashlib.sha256(DATA).hexdigest()
GIT = hashlib.sha1(b"blob %d" % SIZE + bytes(1) + DATA).hexdigest()
URL = "https://packages.example.org/m.bin"


@pytest.fixture
def work() -> Iterator[Work]:
    """Return workers that end with the test."""
    made = Work()
    yield made
    made.end()


def artifact(digest: str = f"sha256:{SHA256}") -> Artifact:
    return Artifact("m.bin", URL, SIZE, digest)


def never() -> None:
    """A pause in which nothing happens."""


def settle(digest: Digest) -> None:
    if digest.job is not None:
        wait_for([digest.job], 10)
        assert digest.job.done()


def finish(digest: Digest, frontier: int = SIZE) -> None:
    """Follow up to a frontier until there is nothing more to do."""
    for _ in range(20):
        digest.follow(frontier)
        settle(digest)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (f"sha256:{SHA256}", SHA256),
        (f"sha1:{hashlib.sha1(DATA).hexdigest()}", hashlib.sha1(DATA).hexdigest()),
        (f"md5:{hashlib.md5(DATA).hexdigest()}", hashlib.md5(DATA).hexdigest()),
        (f"git-sha1:{GIT}", GIT),
    ],
)
def test_the_own_digest_and_the_sha256_come_of_the_same_bytes(
    name: str, own: str, tmp_path: Path, work: Work
) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    digest = Digest(artifact(name), path, work, never)
    finish(digest)
    assert digest.is_done
    assert digest.hexdigests() == (own, SHA256)


def test_for_a_sha256_the_bytes_are_hashed_only_once() -> None:
    own, sha256 = hashers(artifact())
    assert own is sha256
    own, sha256 = hashers(artifact(f"git-sha1:{GIT}"))
    assert own is not sha256


def test_bytes_behind_a_moving_frontier_are_hashed_while_the_rest_is_not_there(
    tmp_path: Path, work: Work
) -> None:
    path = tmp_path / "m"
    digest = Digest(artifact(), path, work, never)
    with open(path, "wb") as stream:
        for start in range(0, SIZE, 300_001):
            stream.write(DATA[start : start + 300_001])
            stream.flush()
            digest.follow(min(start + 300_001, SIZE))
            assert start + 300_001 >= SIZE or not digest.is_done
    finish(digest)
    assert digest.is_done
    assert digest.hexdigests() == (SHA256, SHA256)


def test_less_than_a_chunk_waits_for_more_except_at_the_end(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    digest = Digest(artifact(), path, work, never)
    finish(digest, CHUNK - 1)
    assert digest.job is None
    finish(digest, CHUNK)
    assert digest.job is not None
    first = digest.job
    finish(digest, CHUNK + 5)
    assert digest.job is first
    finish(digest, SIZE)
    assert digest.is_done


def test_every_byte_is_hashed_once_however_often_it_is_asked(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    digest = Digest(artifact(), path, work, never)
    finish(digest, 2 * CHUNK + 10)
    # What was hashed is not looked at again: other bytes there change nothing.
    with open(path, "r+b") as stream:
        stream.write(bytes(2 * CHUNK))
    finish(digest, 4 * CHUNK)
    finish(digest)
    assert digest.hexdigests() == (SHA256, SHA256)


def test_hashing_runs_in_a_worker_and_not_where_it_is_asked_for(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    threads: set[int] = set()
    digest = Digest(artifact(), path, work, lambda: threads.add(threading.get_ident()))
    finish(digest)
    assert digest.is_done
    assert threads
    assert threading.get_ident() not in threads


def test_a_file_that_shrinks_is_an_error_and_not_a_digest(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA[: 2 * CHUNK])
    digest = Digest(artifact(), path, work, never)
    with pytest.raises(ModelSetError) as caught:
        finish(digest)
    assert caught.value.failure.code == "store-read-error"
    assert str(path) in caught.value.failure.message


def test_a_file_that_is_gone_is_an_error_in_words(tmp_path: Path, work: Work) -> None:
    digest = Digest(artifact(), tmp_path / "m", work, never)
    with pytest.raises(ModelSetError) as caught:
        finish(digest)
    assert caught.value.failure.code == "store-read-error"


def test_a_pause_that_raises_ends_the_work(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)

    def stopped() -> None:
        raise ModelSetError("stopped", "stopped")

    digest = Digest(artifact(), path, work, stopped)
    with pytest.raises(ModelSetError) as caught:
        finish(digest)
    assert caught.value.failure.code == "stopped"


def waiting(entered: threading.Event, go: threading.Event) -> Callable[[], None]:
    def pause() -> None:
        entered.set()
        assert go.wait(10)

    return pause


def test_an_end_waits_for_the_worker_and_leaves_the_rest(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "m"
    path.write_bytes(DATA)
    entered, go = threading.Event(), threading.Event()
    digest = Digest(artifact(), path, work, waiting(entered, go))
    digest.follow(SIZE)
    assert entered.wait(10)
    timer = threading.Timer(0.1, go.set)
    timer.start()
    digest.end()
    timer.join()
    assert digest.job is not None
    assert digest.job.done()
    assert not digest.is_done
