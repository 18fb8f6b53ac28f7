"""A whole file's last steps: hashed, flushed, placed; or found wrong."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.fakes import PatientGuard, SteppedWire, artifact_of

from modelset.core.errors import ModelSetError
from modelset.engine.budget import Budget
from modelset.engine.means import Means, Order, Places
from modelset.engine.run import Work, wait_for
from modelset.engine.verifier import Verifier
from modelset.store.claim import claim
from modelset.store.files import CHUNK
from modelset.store.partial import SYNC_BYTES, Partial

DATA = random.Random("verifier").randbytes(3 * CHUNK + 5)
ARTIFACT = artifact_of("https://packages.example.org/m.bin", DATA)


class Bench:
    """A claimed partial file, its verifier, and what was placed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.placed: list[bytes] = []
        self.names: list[list[str]] = []
        self.work = Work()
        self.guard = PatientGuard()
        self.refuses: ModelSetError | None = None
        partial = claim(folder, ARTIFACT)
        assert partial is not None
        self.partial: Partial = partial
        self.verifier = self.renewed()

    def renewed(self) -> Verifier:
        budget = Budget(1)
        means = Means(
            Places(SteppedWire(lambda get: iter(())), self.folder, {}, {}),
            self.guard, self.work, budget, budget.join(0), lambda count: None,
            lambda error, number, delay_s: None,
        )  # fmt: skip
        return Verifier(Order(ARTIFACT, lambda: False, self.put), means, self.partial)

    def put(self, source: Path | bytes, sha256: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        assert isinstance(source, Path)
        self.placed.append(source.read_bytes())
        self.names.append(sorted(path.name for path in self.folder.iterdir()))

    def write(self, data: bytes) -> None:
        part = self.partial.parts.take(len(data))
        assert part is not None
        self.partial.write(part, [data])
        self.partial.parts.drop(part)

    def advance(self) -> str:
        """Advance until it says something, for a bounded number of times."""
        for _ in range(100):
            if (state := self.verifier.advance()) != "working":
                return state
            wait_for(self.verifier.pending, 5)
        raise AssertionError("it goes on for ever")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench; its workers end with the test."""
    made = Bench(tmp_path / "downloads")
    yield made
    made.verifier.end()
    made.partial.release()
    made.work.end()


def test_right_bytes_are_placed_from_a_file_that_is_claimed_until_then(bench: Bench) -> None:
    bench.write(DATA[:CHUNK])
    bench.verifier.follow()
    bench.write(DATA[CHUNK:])
    assert bench.advance() == "placed"
    assert bench.placed == [DATA]
    assert bench.verifier.actual == bench.verifier.sha256 == hashlib.sha256(DATA).hexdigest()
    ((part, journal),) = [sorted(names, key=len) for names in bench.names]
    assert part.endswith(".part")
    assert journal.endswith(".json")
    assert list(bench.folder.iterdir()) == [], "the claim went once the file was in its place"


def test_wrong_bytes_are_never_placed_and_the_digest_is_told(bench: Bench) -> None:
    wrong = DATA[::-1]
    bench.write(wrong)
    assert bench.advance() == "wrong"
    assert bench.verifier.actual == hashlib.sha256(wrong).hexdigest()
    assert bench.placed == []


def test_after_a_restart_all_bytes_count_anew(bench: Bench) -> None:
    bench.write(DATA[::-1])
    assert bench.advance() == "wrong"
    bench.partial.restart()
    bench.verifier.restart()
    bench.write(DATA)
    assert bench.advance() == "placed"
    assert bench.placed == [DATA]


def test_a_restart_in_the_middle_of_hashing_does_not_spoil_the_next_digest(bench: Bench) -> None:
    bench.write(DATA[::-1][: 2 * CHUNK])
    bench.verifier.follow()
    bench.partial.restart()
    bench.verifier.restart()
    bench.write(DATA)
    assert bench.advance() == "placed"
    assert bench.placed == [DATA]


def test_a_failure_to_place_is_raised_and_the_claim_stays(bench: Bench) -> None:
    bench.refuses = ModelSetError("disk-full", "full")
    bench.write(DATA)
    with pytest.raises(ModelSetError) as caught:
        bench.advance()
    assert caught.value.failure.code == "disk-full"
    assert sorted(path.suffix for path in bench.folder.iterdir()) == [".json", ".part"]


def test_a_file_that_another_process_took_over_is_not_placed(bench: Bench) -> None:
    bench.write(DATA)
    journal = next(bench.folder.glob("*.json"))
    journal.rename(journal.with_name(journal.name.replace(".", ".feedfacecafe-1-1-", 1)))
    with pytest.raises(ModelSetError) as caught:
        bench.advance()
    assert caught.value.failure.code == "partial-taken"
    assert bench.placed == []


def test_the_disk_gets_a_large_file_on_the_way_and_a_small_one_at_the_end(bench: Bench) -> None:
    bench.write(DATA)
    bench.verifier.flush()
    assert not bench.partial.wants_sync
    assert bench.partial._durable == []
    bench.partial._unsynced = SYNC_BYTES
    assert bench.partial.wants_sync
    bench.verifier.flush()
    bench.verifier.end()
    assert bench.partial._durable == [(0, len(DATA))]
    assert not bench.partial.wants_sync


class SlowDisk:
    """A file whose bytes are about to be flushed until they may be."""

    def __init__(self, file: object) -> None:
        self._file = file
        self.began, self.go_on = threading.Event(), threading.Event()

    def fileno(self) -> int:
        if not self.began.is_set():
            self.began.set()
            assert self.go_on.wait(10)
        return self._file.fileno()  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_bytes_that_are_thrown_away_while_they_are_flushed_are_not_called_durable(
    bench: Bench,
) -> None:
    bench.write(DATA)
    disk = SlowDisk(bench.partial._file)
    bench.partial._file = disk  # type: ignore[assignment]
    bench.partial._unsynced = SYNC_BYTES
    bench.verifier.flush()
    assert disk.began.wait(10)
    bench.partial.restart()
    disk.go_on.set()
    bench.verifier.end()
    bench.partial.note()
    (journal,) = bench.folder.glob("*.json")
    known = json.loads(journal.read_text(encoding="ascii"))
    assert (known["spans"], known["durable"]) == ([], [])


def test_a_stop_ends_the_hashing(bench: Bench) -> None:
    bench.write(DATA)
    bench.guard.left = 0.0
    with pytest.raises(ModelSetError) as caught:
        bench.advance()
    assert caught.value.failure.code == "deadline"
    assert bench.placed == []


def test_pending_work_is_what_may_be_waited_for(bench: Bench) -> None:
    assert bench.verifier.pending == []
    bench.write(DATA)
    assert bench.verifier.advance() == "working"
    wait_for(bench.verifier.pending, 5)
    assert bench.advance() == "placed"
    assert bench.verifier.pending == []
