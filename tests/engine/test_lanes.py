"""The files of a model over several connections, on a wire that runs them step by step."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest
from tests.engine.fakes import MIB, Depot, Server, Step, SteppedWire, served

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirror
from modelset.core.ports import Get, Hop, Response
from modelset.engine.budget import FIRST_LEVEL, NEAR_PART, PART, Budget
from modelset.engine.fetch import LEAST

BIG = random.Random("big").randbytes(5 * PART + 12_345)
OLD = random.Random("old").randbytes(len(BIG))
URL = "https://packages.example.org/big.bin"
OTHER = "https://packages.example.org/other.bin"
FILES = {URL: BIG}


def good(get: Get) -> Iterator[Step]:
    return served(BIG, get)


def spans(wire: SteppedWire) -> list[tuple[int, int]]:
    """The ranges that were asked for, half-open."""
    pairs = (text.removeprefix("bytes=").split("-") for text in wire.ranges)
    return sorted((int(start), int(end) + 1 if end else len(BIG)) for start, end in pairs)


def assert_right(depot: Depot) -> None:
    """The file came, nothing was counted twice in the end, and nothing is left over."""
    assert depot.placed == FILES
    assert sum(depot.moved) == len(BIG)
    assert depot.left() == []
    assert set(depot.books) == {(0, 0, 0)}, "a lane is still counted"


def test_ranges_of_one_file_come_over_several_lanes_and_cover_it_once(depot: Depot) -> None:
    wire = SteppedWire(good)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert wire.most >= 4
    assert depot.retried == []
    asked = spans(wire)
    assert all(end - start <= PART for start, end in asked)
    assert asked[0][0] == 0
    # Halves taken over at the end begin inside another's range; gaps there are none.
    reached = 0
    for start, end in asked:
        assert start <= reached
        reached = max(reached, end)
    assert reached == len(BIG)
    assert [digest.partition(":")[2] for digest, _ in depot.sums] == [
        sha256 for _, sha256 in depot.sums
    ]


@pytest.mark.parametrize(
    ("waits", "parts"),
    [([0.0001], 2 * MIB), ([0.03], 6_000_000), ([1.0], PART), ([1.0, 0.03, 0.5], 6_000_000)],
    ids=["near", "between", "far", "the shortest counts"],
)
def test_the_longer_an_answer_takes_to_begin_the_larger_are_the_parts(
    waits: list[float], parts: int, depot: Depot
) -> None:
    depot.budget = Budget(2)  # more of them, and the end of the run made them smaller

    def answer(get: Get) -> Iterator[Step]:
        yield from served(BIG, get, wait_s=waits[min(len(wire.gets), len(waits)) - 1])

    wire = SteppedWire(answer)
    depot.bring(wire, FILES)
    assert_right(depot)
    sizes = [end - start for start, end in spans(wire)]
    assert sizes[0] == NEAR_PART, "before the first answer"
    assert sizes[len(waits) : len(waits) + 2] == [parts] * 2


def test_until_the_first_answer_one_lane_asks_alone(depot: Depot) -> None:
    running: list[int] = []

    def slow(get: Get) -> Iterator[Step]:
        if not running:
            running.append(1)
            for _ in range(5):
                yield None
                assert len(wire.gets) == 1, "it is not known yet whether ranges work"
        yield from good(get)

    wire = SteppedWire(slow)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert wire.most >= 4


def test_with_the_first_answer_the_other_lanes_begin_and_not_only_after_its_part(
    depot: Depot,
) -> None:
    seen: list[int] = []

    def slow(get: Get) -> Iterator[Step]:
        number = len(wire.gets)
        for step in served(BIG, get, piece=256 * 1024):
            if number == 1:
                seen.append(len(wire.gets))
            yield step

    wire = SteppedWire(slow)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert seen[0] == 1
    assert seen[4] >= 4, f"lanes while the first part came: {seen}"


def test_a_lane_that_is_refused_leaves_the_others_at_work_and_no_more_are_opened(
    depot: Depot,
) -> None:
    open_now = refused = 0

    def two_at_most(get: Get) -> Iterator[Step]:
        nonlocal open_now, refused
        if open_now == 2:
            refused += 1
            yield Response(403, {}, get.url)
            return
        open_now += 1
        try:
            yield from good(get)
        finally:
            open_now -= 1

    wire = SteppedWire(two_at_most)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert depot.retried == [], "none of this is a failed try"
    parts = 1 + len(range(NEAR_PART, len(BIG), PART))
    assert refused == min(FIRST_LEVEL, parts) - 2, "and never again"


def test_a_server_that_knows_no_ranges_is_asked_once(depot: Depot) -> None:
    wire = SteppedWire(lambda get: served(BIG, get, ranges=False))
    depot.bring(wire, FILES)
    assert_right(depot)
    assert len(wire.gets) == 1
    assert depot.moved[:1] == [MIB]
    assert min(depot.moved) > 0


@pytest.mark.parametrize("etag", ['"one"', '"other"'], ids=["same-tag", "other-tag"])
def test_a_whole_answer_to_a_later_range_ends_in_one_stream_and_right_bytes(
    etag: str, depot: Depot
) -> None:
    # Two servers behind one name; only the first of them knows ranges.
    def unequal(get: Get) -> Iterator[Step]:
        if len(wire.gets) == 1:
            return good(get)
        return served(BIG, get, ranges=False, etag=etag)

    wire = SteppedWire(unequal)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert depot.retried == []


def test_the_same_object_in_one_piece_does_not_end_the_lanes_that_bring_it(depot: Depot) -> None:
    def third_is_whole(get: Get) -> Iterator[Step]:
        return served(BIG, get, ranges=len(wire.gets) != 3)

    wire = SteppedWire(third_is_whole)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert min(depot.moved) > 0, "nothing that was here was thrown away"


class Signing:
    """A server that redirects to a signed address, which is good for some GETs."""

    def __init__(self, good_for: int, status: int = 403, host: str = "https://cdn.example.net"):
        self.good_for, self.status, self.host = good_for, status, host
        self.signed = self.used = self.refused = 0

    def __call__(self, get: Get) -> Iterator[Step]:
        if get.hop is None:
            self.signed += 1
            self.used = 1
            hop = Hop(f"{self.host}/big.bin?signature={self.signed}", 1, 0)
            yield from served(BIG, get, hop=hop)
            return
        self.used += 1
        if get.hop.url.endswith(f"={self.signed}") and self.used <= self.good_for:
            yield from served(BIG, get)
            return
        self.refused += 1
        yield Response(self.status, {}, get.hop.url, get.hop)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("host", ["https://cdn.example.net", "https://packages.example.org"])
def test_a_signed_address_that_has_expired_is_asked_for_again_at_no_cost(
    host: str, status: int, depot: Depot
) -> None:
    server = Signing(2, status, host)
    wire = SteppedWire(server)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert server.refused >= 2
    assert server.signed >= 2
    assert depot.retried == [], "an address that expires is no failed try"
    assert {get.url for get in wire.gets} == {URL}, "the canonical one is where a GET begins"


def test_a_signed_address_that_is_good_for_one_get_only_is_no_obstacle(depot: Depot) -> None:
    server = Signing(1)
    wire = SteppedWire(server)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert depot.retried == []
    assert server.refused <= server.signed


def test_a_signed_address_that_stays_good_is_resolved_once(depot: Depot) -> None:
    server = Signing(10**6)
    depot.bring(SteppedWire(server), FILES)
    assert_right(depot)
    assert server.signed == 1


def test_a_canonical_address_that_refuses_too_is_an_error_soon(depot: Depot) -> None:
    signing = Signing(1)

    def closing(get: Get) -> Iterator[Step]:
        if get.hop is None and len(wire.gets) > 1:
            yield Response(403, {}, get.url)
            return
        yield from signing(get)

    wire = SteppedWire(closing)
    assert depot.fails(wire, FILES).failure.code == "access-denied"
    assert len(wire.gets) < 20
    assert any(name.endswith(".part") for name in depot.left()), "what came is kept"


def test_a_server_that_gives_less_than_a_range_asks_for_is_asked_for_the_rest(
    depot: Depot,
) -> None:
    def at_most_a_mebibyte(get: Get) -> Iterator[Step]:
        first, _, end = get.headers["Range"].removeprefix("bytes=").partition("-")
        last = min(int(first) + MIB - 1, int(end or len(BIG) - 1))
        get.headers["Range"] = f"bytes={first}-{last}"  # type: ignore[index]
        return served(BIG, get, piece=128 * 1024)

    wire = SteppedWire(at_most_a_mebibyte)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert depot.retried == []
    assert len(wire.gets) >= len(BIG) // MIB


def test_idle_lanes_take_over_halves_from_the_slowest(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelset.engine.fetch._WORTH_S", 0.15)  # the fake's time is short
    data = BIG[:PART]

    def first_is_slow(get: Get) -> Iterator[Step]:
        return served(data, get, piece=32 * 1024 if len(wire.gets) == 1 else MIB)

    wire = SteppedWire(first_is_slow)
    depot.bring(wire, {URL: data})
    assert depot.placed == {URL: data}
    assert sum(depot.moved) == len(data)
    assert len(wire.gets) >= 3
    first = wire.gets[1].headers["Range"].removeprefix("bytes=").partition("-")[0]
    assert abs(int(first) - PART // 2) < MIB, "half of what was left"
    spent = sum(depot.guard.slept)
    assert spent < 0.25 * wire.step_s * len(data) / (32 * 1024), "the slow one did not do it all"
    assert depot.left() == []


def test_a_short_rest_is_not_worth_a_second_connection(depot: Depot) -> None:
    data = BIG[: 2 * LEAST]
    wire = SteppedWire(lambda get: served(data, get, piece=4096))
    depot.bring(wire, {URL: data})
    assert depot.placed == {URL: data}
    assert len(wire.gets) == 1


@pytest.mark.parametrize("if_range", [True, False], ids=["if-range", "if-range-ignored"])
def test_an_object_that_changes_in_the_middle_is_fetched_from_the_start(
    if_range: bool, depot: Depot
) -> None:
    def changing(get: Get) -> Iterator[Step]:
        if len(wire.gets) <= 4:
            yield from served(OLD, get)
            return
        if not if_range:
            get.headers.pop("If-Range", None)  # type: ignore[attr-defined]
        yield from served(BIG, get, etag='"two"')

    wire = SteppedWire(changing)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert min(depot.moved) < 0, "the old bytes are counted out again"


def two_edges(get: Get, number: int) -> Iterator[Step]:
    """A redirect to servers that do not hold the same object, and do not look at If-Range."""
    get.headers.pop("If-Range", None)  # type: ignore[attr-defined]
    hop = None if get.hop else Hop("https://cdn.example.net/big.bin", 1, 0)
    return served(BIG, get, hop=hop, etag=f'"{number % 2}"')


def cut_short(get: Get, number: int) -> Iterator[Step]:
    """A redirect to a server that has no more than the first third."""
    hop = get.hop or Hop("https://cdn.example.net/big.bin", 1, 0)
    first = int(get.headers["Range"].removeprefix("bytes=").partition("-")[0])
    if first > len(BIG) // 3:
        return iter([Response(416, {}, hop.url, hop)])
    return served(BIG, get, hop=hop)


@pytest.mark.parametrize("server", [two_edges, cut_short])
def test_another_object_behind_a_redirect_every_time_counts_as_a_try(
    server: Callable[[Get, int], Iterator[Step]], depot: Depot
) -> None:
    wire = SteppedWire(lambda get: server(get, len(wire.gets)))
    error = depot.fails(wire, FILES)
    assert error.failure.code == "connection-lost"
    assert 2 <= len(depot.retried) <= 8
    assert len(wire.gets) < 200


def test_after_another_object_behind_a_redirect_a_mirror_is_asked(depot: Depot) -> None:
    depot.mirrors = {"https://packages.example.org/": (Mirror("https://one.example.net/"),)}

    def changing(get: Get) -> Iterator[Step]:
        if get.url.startswith("https://one"):
            return served(BIG, get)
        return cut_short(get, 0)

    wire = SteppedWire(changing)
    depot.bring(wire, FILES)
    assert_right(depot)


def test_lanes_of_the_old_object_that_break_after_a_restart_do_not_use_up_its_tries(
    depot: Depot,
) -> None:
    depot.budget = Budget(8)
    old, new, changed = OLD * 2, BIG * 2, False

    def replaced(get: Get) -> Iterator[Step]:
        nonlocal changed
        if len(wire.gets) <= 9:  # by then there are eight lanes
            for step in served(old, get, piece=256 * 1024):
                if changed:
                    raise ModelSetError("connection-lost", "the server has started anew")
                yield step
            return
        changed = True
        get.headers.pop("If-Range", None)  # type: ignore[attr-defined]
        yield from served(new, get, etag='"two"')

    wire = SteppedWire(replaced)
    depot.bring(wire, {URL: new})
    assert depot.placed == {URL: new}
    assert len(depot.retried) <= 1


def test_when_one_of_two_files_fails_what_came_of_the_other_is_kept(depot: Depot) -> None:
    other = OLD[: 2 * PART]
    files = {URL: BIG, OTHER: other}

    def half_there(get: Get) -> Iterator[Step]:
        if get.url == OTHER:
            for _ in range(60):
                yield None
            yield Response(404, {}, get.url)
            return
        yield from served(BIG, get, piece=256 * 1024)

    assert depot.fails(SteppedWire(half_there), files).failure.code == "not-found"
    assert depot.placed == {}
    parts = [name for name in depot.left() if name.endswith(".part")]
    assert len(parts) == 1
    arrived = sum(depot.moved)
    assert arrived >= 4 * MIB

    both: Server = lambda get: served(files[get.url], get)  # noqa: E731
    depot.moved.clear()
    depot.bring(SteppedWire(both), files)
    assert depot.placed == files
    assert sum(depot.moved) == len(BIG) + len(other) - arrived, "the rest, and no byte more"
    assert depot.left() == []


def test_a_file_that_came_stays_placed_when_another_fails(depot: Depot) -> None:
    files = {URL: BIG, OTHER: OLD[:PART]}

    def big_is_gone(get: Get) -> Iterator[Step]:
        if get.url == OTHER:
            yield from served(files[OTHER], get)
            return
        while not depot.placed:
            time.sleep(0.001)  # it is placed by a worker, in real time
            yield None
        yield Response(404, {}, get.url)

    assert depot.fails(SteppedWire(big_is_gone), files).failure.code == "not-found"
    assert depot.placed == {OTHER: files[OTHER]}
    assert depot.left() == []


class Faulty:
    """A server with a few random faults, each of which some further request mends."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.left = rng, 3
        self.open = self.signature = 0
        self.piece = rng.choice((100_000, MIB))
        self.redirects = rng.random() < 0.5

    def __call__(self, get: Get) -> Iterator[Step]:
        fault = ""
        if self.left and self.rng.random() < 0.3:
            self.left -= 1
            fault = self.rng.choice(("503", "break", "early", "pause", "whole", "tag", "refused"))
        return self._answer(get, fault, self.rng.randrange(12))

    def _answer(self, get: Get, fault: str, after: int) -> Iterator[Step]:
        expired = get.hop is not None and not get.hop.url.endswith(f"={self.signature}")
        if expired or (fault == "refused" and self.open):
            yield Response(403, {}, (get.hop or get).url, get.hop)
            return
        if fault == "503":
            yield Response(503, {}, (get.hop or get).url, get.hop)
            return
        self.open += 1
        try:
            for count, step in enumerate(self._good(get, fault)):
                if count == after and fault == "break":
                    raise ModelSetError("connection-lost", "breaks")
                if count == after > 0 and fault == "early":
                    return
                if count == after and fault == "pause":
                    yield from [None] * 30
                yield step
        finally:
            self.open -= 1

    def _good(self, get: Get, fault: str) -> Iterator[Step]:
        hop = None
        if self.redirects and get.hop is None:
            self.signature += self.rng.random() < 0.3
            hop = Hop(f"https://cdn.example.net/big.bin?signature={self.signature}", 1, 0)
        etag = '"two"' if fault == "tag" else '"one"'
        return served(BIG, get, hop=hop, etag=etag, piece=self.piece, ranges=fault != "whole")


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_server_does_wrong_a_few_times_the_file_comes(seed: int, depot: Depot) -> None:
    rng = random.Random(f"lanes {seed}")
    depot.budget = Budget(rng.choice((1, 2, 4, 16)))
    server = Faulty(rng)
    depot.bring(SteppedWire(server), FILES)
    assert_right(depot)
    assert server.open == 0


def test_an_empty_file_and_one_of_a_single_byte_are_files_too(depot: Depot) -> None:
    files = {URL: b"", OTHER: b"x"}
    wire = SteppedWire(lambda get: served(files[get.url], get))
    depot.bring(wire, files, in_memory=False)
    assert depot.placed == files
    assert [get.url for get in wire.gets] == [OTHER]
    assert depot.left() == []


def test_files_one_after_the_other_keep_all_connections_at_work(depot: Depot) -> None:
    depot.budget = Budget(4)
    files = {f"{URL}.{number}": BIG[number : number + MIB] for number in range(40)}
    wire = SteppedWire(lambda get: served(files[get.url], get, piece=65536))
    depot.bring(wire, files)
    assert depot.placed == files
    assert wire.most == 4
    rounds = sum(one == wire.step_s for one in depot.guard.slept)
    assert rounds < 1.5 * 40 * 17 / 4
    assert depot.left() == []


def test_a_part_that_breaks_is_asked_for_again_from_where_it_broke(depot: Depot) -> None:
    broke: set[int] = set()

    def answer(get: Get, number: int) -> Iterator[Step]:
        start = int(get.headers["Range"].removeprefix("bytes=").partition("-")[0])
        for count, step in enumerate(served(BIG, get)):
            if number in (2, 3, 5) and count == 4:
                broke.add(start + 3 * MIB)
                raise ModelSetError("connection-lost", "breaks")
            yield step

    wire = SteppedWire(lambda get: answer(get, len(wire.gets)))
    depot.bring(wire, FILES)
    assert_right(depot)
    assert min(depot.moved) > 0
    assert len(broke) == 3
    assert broke <= {start for start, _ in spans(wire)}


def test_a_model_without_a_connection_waits_and_notices_its_deadline(depot: Depot) -> None:
    depot.budget = Budget(1)
    assert depot.budget.take(depot.share_of(0)), "another model has the only one"
    depot.guard.left = 3.0
    steps = depot.steps(SteppedWire(good), FILES, 1)
    with pytest.raises(ModelSetError) as caught:
        alternate(steps, most=2000)
    assert caught.value.failure.code == "deadline"


def test_a_model_that_comes_late_gets_a_lane_of_one_that_has_all(depot: Depot) -> None:
    depot.budget = Budget(4)
    files = {OTHER: OLD[:MIB]}
    first = depot.steps(SteppedWire(lambda get: served(BIG, get, piece=65536)), FILES, 0)
    for _ in range(10):
        next(first)
    late = SteppedWire(lambda get: served(files[OTHER], get))
    alternate(first, depot.steps(late, files, 1, in_memory=False))
    assert list(depot.placed) == [OTHER, URL]
    assert depot.placed[URL] == BIG


def test_a_model_that_waits_for_a_retry_gets_its_lane_back(depot: Depot) -> None:
    depot.budget = Budget(4)
    files = {OTHER: OLD[:MIB]}

    def fails_once(get: Get) -> Iterator[Step]:
        if len(poor.gets) == 1:
            yield Response(503, {}, get.url)
            return
        yield from served(files[OTHER], get)

    poor = SteppedWire(fails_once)
    rich = SteppedWire(lambda get: served(BIG, get, piece=MIB if len(rich.gets) == 1 else 16384))
    models = depot.steps(rich, FILES, 0), depot.steps(poor, files, 1, in_memory=False)
    while rich.most < 4:
        next(models[0])
    alternate(*models, most=300)
    for model in models:
        model.close()
    assert depot.retried == ["server-error"]
    assert len(poor.gets) == 2, "after its half second the second try began"


def alternate(*models: Iterator[None], most: int = 100_000) -> None:
    """Bring models side by side, a step of each in turn."""
    going = list(models)
    while going and (most := most - 1) > 0:
        for model in list(going):
            try:
                next(model)
            except StopIteration:
                going.remove(model)
