"""One artifact's way here, over a wire that plays answers from memory."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.engine.fakes import MemoryWire, PatientGuard, Play, fail, play

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirror, Mirrors
from modelset.core.types import Artifact
from modelset.engine.budget import Budget
from modelset.engine.lanes import ModelLanes
from modelset.engine.means import Means, Order, Places
from modelset.engine.run import Work
from modelset.store.claim import claim
from modelset.store.journal import bytes_here

RIGHT = bytes(range(256)) * 64
WRONG = RIGHT[::-1]
HALF = len(RIGHT) // 2
SIZE = len(RIGHT)
URL = "https://packages.example.org/m.bin"
SHA256 = f"sha256:{hashlib.sha256(RIGHT).hexdigest()}"
REST = {"status": 206, "content_range": f"bytes {HALF}-{SIZE - 1}/{SIZE}"}


class Bench:
    """A downloads folder, a wire and a guard, and what was heard of the fetch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.guard = PatientGuard()
        self.moved: list[int] = []
        self.retried: list[str] = []
        self.wire = MemoryWire([])
        self.placed = b""

    def fetch(
        self,
        *answers: Play,
        digest: str = SHA256,
        mirrors: Mirrors | None = None,
        credentials: dict[str, str] | None = None,
        placed: bool = False,
        connections: int = 1,
    ) -> list[tuple[str, str]]:
        self.wire = MemoryWire(list(answers))
        work, budget = Work(), Budget(connections)
        share = budget.join(0)
        means = Means(
            Places(self.wire, self.folder, mirrors or {}, credentials or {}),
            self.guard,
            work,
            budget,
            share,
            self.moved.append,
            lambda error, number, delay_s: self.retried.append(error.failure.code),
        )
        artifact = Artifact("m.bin", URL, SIZE, digest)
        lanes = ModelLanes([Order(artifact, lambda: placed, self._put, in_memory=False)], means)
        try:
            while not lanes.is_done:
                self.wire.run(lanes, self.guard)
                lanes.pause()
        finally:
            lanes.close()
            work.end()
        assert not self.wire.answers, "fewer requests than expected"
        return lanes.sums

    def _put(self, source: Path | bytes, sha256: str) -> None:
        assert isinstance(source, Path)
        self.placed = source.read_bytes()

    def fails(self, *answers: Play, **other: object) -> str:
        with pytest.raises(ModelSetError) as caught:
            self.fetch(*answers, **other)  # type: ignore[arg-type]
        return caught.value.failure.code

    def right(self, *answers: Play, **other: object) -> None:
        self.placed = b""
        sums = self.fetch(*answers, **other)  # type: ignore[arg-type]
        assert self.placed == RIGHT
        assert [sha256 for _, sha256 in sums] == [hashlib.sha256(RIGHT).hexdigest()]
        assert not list(self.folder.iterdir())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return an empty bench."""
    return Bench(tmp_path)


def test_the_right_bytes_are_verified_and_counted(bench: Bench) -> None:
    bench.right(play(RIGHT))
    assert sum(bench.moved) == SIZE
    assert bench.retried == []
    get = bench.wire.gets[0]
    assert get.headers == {"Accept-Encoding": "identity"}
    assert (get.allow_http, get.allow_private) == (False, False)


@pytest.mark.parametrize(
    "digest",
    [
        f"md5:{hashlib.md5(RIGHT).hexdigest()}",
        f"sha1:{hashlib.sha1(RIGHT).hexdigest()}",
        f"git-sha1:{hashlib.sha1(b'blob %d' % SIZE + bytes(1) + RIGHT).hexdigest()}",
    ],
)
def test_every_kind_of_digest_is_known_and_gives_the_sha256_too(digest: str, bench: Bench) -> None:
    bench.right(play(RIGHT), digest=digest)
    assert bench.fails(play(WRONG), play(WRONG), digest=digest) == "digest-mismatch"


def test_a_break_continues_where_it_broke_with_the_tag_it_came_with(bench: Bench) -> None:
    bench.right(play(RIGHT[:HALF], breaks="connection-lost"), play(RIGHT[HALF:], **REST))
    assert bench.wire.ranges == ["", f"bytes={HALF}-"]
    assert bench.wire.gets[1].headers["If-Range"] == '"one"'
    assert bench.retried == ["connection-lost"]
    assert sum(bench.moved) == SIZE
    assert 0.25 <= sum(bench.guard.slept) <= 0.6


def test_a_weak_tag_is_not_sent_back(bench: Bench) -> None:
    bench.right(
        play(RIGHT[:HALF], etag='W/"one"', breaks="stalled"),
        play(RIGHT[HALF:], etag='W/"two"', **REST),
    )
    assert "If-Range" not in bench.wire.gets[1].headers


def test_a_quiet_end_that_came_too_early_is_a_break(bench: Bench) -> None:
    bench.right(play(RIGHT[:HALF]), play(RIGHT[HALF:], **REST))
    assert bench.retried == ["body-truncated"]


def test_an_earlier_run_s_bytes_are_read_once_and_the_rest_is_asked_for(bench: Bench) -> None:
    assert bench.fails(play(RIGHT[:HALF], breaks="access-denied")) == "access-denied"
    assert bytes_here(bench.folder) == {SHA256: HALF}
    bench.right(play(RIGHT[HALF:], **REST))
    assert bench.wire.ranges == [f"bytes={HALF}-"]


def test_a_whole_file_of_an_earlier_run_needs_no_request(bench: Bench) -> None:
    partial = claim(bench.folder, Artifact("m.bin", URL, SIZE, SHA256))
    assert partial is not None
    part = partial.parts.take(SIZE)
    assert part is not None
    partial.write(part, [RIGHT])
    partial.release()
    bench.right()
    assert bench.wire.gets == []


def test_progress_renews_the_tries(bench: Bench) -> None:
    step = SIZE // 16
    answers = [play(RIGHT[:step], breaks="connection-lost")]
    for start in range(step, SIZE, step):
        part = RIGHT[start : start + step]
        content = f"bytes {start}-{SIZE - 1}/{SIZE}"
        breaks = "connection-lost" if start + step < SIZE else ""
        answers.append(play(part, status=206, content_range=content, breaks=breaks))
    bench.right(*answers)
    assert len(bench.retried) == 15


def test_without_progress_the_tries_end(bench: Bench) -> None:
    assert bench.fails(*[fail("connection-lost")] * 5) == "connection-lost"
    assert len(bench.retried) == 4
    assert 0.25 + 0.5 + 1 + 2 <= sum(bench.guard.slept) <= 0.5 + 1 + 2 + 4 + 0.5
    assert not list(bench.folder.iterdir()), "nothing came, so nothing stays"


def test_the_same_bytes_again_and_again_are_no_progress(bench: Bench) -> None:
    short, gone = play(RIGHT[:HALF]), play(b"", status=416)
    assert bench.fails(short, gone, short, gone, short) in ("body-truncated", "connection-lost")


def test_no_network_is_tried_only_twice(bench: Bench) -> None:
    assert bench.fails(*[fail("network-unreachable")] * 2) == "network-unreachable"


@pytest.mark.parametrize("code", ["access-denied", "token-refused", "disk-full"])
def test_what_no_try_can_mend_is_not_tried_again(code: str, bench: Bench) -> None:
    assert bench.fails(fail(code)) == code


def test_the_next_mirror_is_asked_and_gets_only_what_it_may_have(bench: Bench) -> None:
    mirrors = {
        "https://packages.example.org/": (
            Mirror("https://one.example.net/"),
            Mirror("http://two.example.net/", credentials=True, allow_http=True),
        )
    }
    bench.right(
        fail("not-found"), fail("html-page"), play(RIGHT),
        mirrors=mirrors,
        credentials={"https://packages.example.org": {"Authorization": "Bearer s3cret"}},
    )  # fmt: skip
    assert [get.url for get in bench.wire.gets] == [
        "https://one.example.net/m.bin",
        "http://two.example.net/m.bin",
        URL,
    ]
    sent = [get.credential.get("Authorization") for get in bench.wire.gets]
    assert sent == [None, "Bearer s3cret", "Bearer s3cret"]
    assert [get.allow_http for get in bench.wire.gets] == [False, True, False]
    assert bench.retried == []


def test_wrong_bytes_are_set_aside_and_come_once_more(bench: Bench) -> None:
    bench.right(play(WRONG), play(RIGHT))
    assert bench.retried == ["digest-mismatch"]
    assert sum(bench.moved) == SIZE


def test_wrong_bytes_twice_are_an_error_that_names_everything(bench: Bench) -> None:
    with pytest.raises(ModelSetError) as caught:
        bench.fetch(play(WRONG), play(WRONG))
    assert caught.value.failure.code == "digest-mismatch"
    for word in ("m.bin", URL, hashlib.sha256(WRONG).hexdigest(), SHA256):
        assert word in caught.value.failure.message
    assert sum(bench.moved) == 0
    aside = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in aside] == [WRONG]
    assert bytes_here(bench.folder) == {}


def test_a_poisoned_half_of_one_mirror_does_not_spoil_the_other(bench: Bench) -> None:
    mirrors = {"https://packages.example.org/": (Mirror("https://bad.example.net/"),)}
    half = play(WRONG[:HALF], breaks="tls-failed")
    bench.right(half, play(RIGHT[HALF:], **REST), play(RIGHT), mirrors=mirrors)
    assert [get.url for get in bench.wire.gets][1:] == [URL, URL]
    assert bench.wire.ranges == ["", f"bytes={HALF}-", ""]


def test_a_file_that_somebody_else_has_placed_meanwhile_is_not_fetched(bench: Bench) -> None:
    assert bench.fetch(placed=True) == []
    assert bench.wire.gets == []
    assert not list(bench.folder.iterdir())


def test_a_file_that_another_claim_holds_is_waited_for_until_the_deadline(bench: Bench) -> None:
    held = claim(bench.folder, Artifact("m.bin", URL, SIZE, SHA256))
    assert held is not None
    bench.guard.left = 3.0
    assert bench.fails() == "deadline"
    assert sum(bench.guard.slept) >= 3.0
    held.release()
    bench.guard.left = 3.0
    bench.right(play(RIGHT))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (play(RIGHT + b"x"), "size-mismatch"),
        (play(b"", content_length="7"), "size-mismatch"),
        (play(b"", content_encoding="gzip"), "bad-response"),
        (play(b"", content_type="text/html; charset=utf-8"), "html-page"),
        (play(b"", status=204), "bad-response"),
        (play(b"", status=404), "not-found"),
        (play(b"", status=206), "bad-response"),
        (play(b"", status=206, content_range=f"bytes 1-{SIZE - 1}/{SIZE}"), "bad-response"),
    ],
)
def test_an_answer_that_cannot_be_the_file_is_refused_by_its_head(
    answer: Play, code: str, bench: Bench
) -> None:
    assert bench.fails(answer) == code


@pytest.mark.parametrize(
    "answer",
    [
        play(b"", content_type="text/html"),
        play(b"", status=206, content_range="bytes 9-10/11x"),
        play(b"", status=404),
        fail("tls-failed"),
    ],
    ids=["page", "odd-range", "404", "tls"],
)
def test_a_refused_answer_keeps_what_is_here(answer: Play, bench: Bench) -> None:
    bench.fails(play(RIGHT[:HALF], breaks="stalled"), answer)
    assert bytes_here(bench.folder) == {SHA256: HALF}


def test_an_object_of_another_size_is_a_change(bench: Bench) -> None:
    other = {"status": 206, "content_range": f"bytes {HALF}-{SIZE}/{SIZE + 1}"}
    code = bench.fails(play(RIGHT[:HALF], breaks="stalled"), play(b"", **other))
    assert code == "object-changed"
    assert sum(bench.moved) == 0


@pytest.mark.parametrize(
    ("tag", "code"), [('"one"', "digest-mismatch"), ('"two"', "object-changed")]
)
def test_a_whole_answer_to_a_range_is_a_change_where_its_tag_is_another(
    tag: str, code: str, bench: Bench
) -> None:
    broken = play(RIGHT[:HALF], breaks="connection-lost")
    wrong = play(WRONG, etag=tag)
    assert bench.fails(broken, wrong, wrong) == code


def test_an_owner_that_lost_its_claim_in_its_sleep_places_nothing(bench: Bench) -> None:
    def taken(get: object) -> None:
        play(RIGHT)(get)  # type: ignore[arg-type]
        journal = next(bench.folder.glob("*.json"))
        journal.rename(journal.with_name(journal.name.replace(".", ".feedfacecafe-1-1-", 1)))
        part = bench.folder / f"{SHA256.replace(':', '-')}.part"
        part.with_suffix(".copy").write_bytes(RIGHT[:9])
        part.with_suffix(".copy").replace(part)

    assert bench.fails(taken) == "partial-taken"
    (part,) = bench.folder.glob("*.part")
    assert part.read_bytes() == RIGHT[:9], "the other process's bytes stay"
