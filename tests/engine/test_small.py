"""Small files: received in memory, verified before they get a name, many at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from tests.engine.fakes import Depot, Server, Step, SteppedWire, artifact_of, served

from modelset.core.mirrors import Mirror
from modelset.core.ports import Get, Response
from modelset.engine.budget import Budget
from modelset.engine.small import SMALL, STREAMS
from modelset.store.partial import set_aside

HOST = "https://packages.example.org/"
URL = HOST + "config.json"
DATA = bytes(range(256)) * 16
WRONG = DATA[::-1]
FILES = {URL: DATA}


def many(count: int) -> dict[str, bytes]:
    return {f"{HOST}{number}.json": b"%06d" % number * 500 for number in range(count)}


def of(files: Mapping[str, bytes]) -> Server:
    """A server that has these files."""
    return lambda get: served(files[get.url], get)


def first(answer: Server, then: Server) -> Server:
    """A server that answers once in another way."""
    answers = [answer]
    return lambda get: (answers.pop() if answers else then)(get)


def assert_right(depot: Depot, files: Mapping[str, bytes] = FILES) -> None:
    assert depot.placed == files
    assert sum(depot.moved) == sum(map(len, files.values()))
    assert depot.left() == []
    assert set(depot.books) == {(0, 0, 0)}, "a lane is still counted"
    expected = {artifact_of(url, data).digest for url, data in files.items()}
    assert {digest for digest, _ in depot.sums} == expected
    assert all(digest == f"sha256:{sha256}" for digest, sha256 in depot.sums)


def test_a_small_file_is_one_get_without_a_partial_file(depot: Depot) -> None:
    seen: list[list[str]] = []

    def looking(get: Get) -> Iterator[Step]:
        for step in served(DATA, get, piece=100):
            seen.append(depot.left() if depot.folder.exists() else [])
            yield step

    wire = SteppedWire(looking)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert [get.headers for get in wire.gets] == [{"Accept-Encoding": "identity"}]
    assert wire.gets[0].shared
    assert len(seen) > 10
    assert set(map(tuple, seen)) == {()}, "nothing is on the disk before it is verified"


def test_the_largest_small_file_is_kept_in_memory_and_a_larger_one_is_not(depot: Depot) -> None:
    files = {HOST + "a": bytes(SMALL), HOST + "b": bytes(SMALL + 1)}
    wire = SteppedWire(of(files))
    depot.bring(wire, files)
    assert_right(depot, files)
    asked = [(get.url, get.shared) for get in wire.gets]
    assert asked == [(HOST + "b", False), (HOST + "a", True)], "more lanes wait for the largest"


def test_an_empty_file_is_a_file_too(depot: Depot) -> None:
    depot.bring(SteppedWire(of({URL: b""})), {URL: b""})
    assert depot.placed == {URL: b""}


def test_wrong_bytes_are_set_aside_and_come_once_more(depot: Depot) -> None:
    aside = f"quarantine/sha256-{hashlib.sha256(DATA).hexdigest()}"

    def second(get: Get) -> Iterator[Step]:
        assert depot.left() == [aside]
        assert (depot.folder / aside).read_bytes() == WRONG
        return served(DATA, get)

    wire = SteppedWire(first(lambda get: served(WRONG, get), second))
    depot.bring(wire, FILES)
    assert_right(depot)
    assert depot.retried == ["digest-mismatch"]


def test_wrong_bytes_twice_are_an_error_and_never_placed(depot: Depot) -> None:
    wire = SteppedWire(lambda get: served(WRONG, get))
    failure = depot.fails(wire, FILES).failure
    assert failure.code == "digest-mismatch"
    for word in ("config.json", URL, hashlib.sha256(WRONG).hexdigest(), artifact_of(URL, DATA).hex):
        assert word in failure.message
    assert depot.placed == {}
    assert len(wire.gets) == 2
    assert sum(depot.moved) == 0


def test_wrong_bytes_that_an_earlier_run_set_aside_go_when_the_right_ones_come(
    depot: Depot,
) -> None:
    set_aside(depot.folder, artifact_of(URL, DATA), WRONG)
    assert len(depot.left()) == 1
    depot.bring(SteppedWire(of(FILES)), FILES)
    assert_right(depot)


def longer(get: Get) -> Iterator[Step]:
    """A body without a length that goes on after the file's end."""
    yield Response(200, {}, get.url)
    for _ in range(100):
        yield DATA


def shorter(get: Get) -> Iterator[Step]:
    """A body that ends before the file does."""
    yield Response(200, {}, get.url)
    yield DATA[:-1]


def page(get: Get) -> Iterator[Step]:
    """The page of a sign-in."""
    return served(b"<html>", get, content_type="text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("server", "code", "gets"),
    [
        (longer, "size-mismatch", 1),
        (lambda get: served(DATA + b"x", get), "size-mismatch", 1),
        (shorter, "body-truncated", 5),
        (page, "html-page", 1),
        (lambda get: served(DATA, get, content_encoding="gzip"), "bad-response", 1),
        (lambda get: iter([Response(404, {}, get.url)]), "not-found", 1),
        (lambda get: iter([Response(503, {}, get.url)]), "server-error", 5),
    ],
    ids=["longer", "length", "shorter", "page", "compressed", "gone", "503"],
)
def test_what_cannot_be_the_file_is_refused_and_nothing_stays(
    server: Server, code: str, gets: int, depot: Depot
) -> None:
    wire = SteppedWire(server)
    assert depot.fails(wire, FILES).failure.code == code
    assert len(wire.gets) == gets
    assert depot.placed == {}
    assert sum(depot.moved) == 0
    assert not depot.folder.exists() or depot.left() == []


@pytest.mark.parametrize("server", [longer, shorter, page], ids=["longer", "shorter", "page"])
def test_what_one_mirror_does_wrong_another_mends(server: Server, depot: Depot) -> None:
    depot.mirrors = {HOST: (Mirror("https://bad.example.net/"),)}

    def either(get: Get) -> Iterator[Step]:
        return server(get) if get.url.startswith("https://bad.") else served(DATA, get)

    wire = SteppedWire(either)
    depot.bring(wire, FILES)
    assert_right(depot)
    assert wire.gets[-1].url == URL


def test_more_small_files_than_connections_use_all_of_these_and_no_more(depot: Depot) -> None:
    depot.budget = Budget(4)
    files = many(50)
    wire = SteppedWire(of(files))
    depot.bring(wire, files)
    assert_right(depot, files)
    assert wire.most == 4
    assert Counter(get.url for get in wire.gets) == Counter(list(files)), "each is asked for once"


def test_files_that_fail_between_others_are_asked_for_again_and_all_come(depot: Depot) -> None:
    files = many(30)
    asked: Counter[str] = Counter()

    def every_third(get: Get) -> Iterator[Step]:
        asked[get.url] += 1
        if asked[get.url] == 1 and int(get.url.rpartition("/")[2].partition(".")[0]) % 3 == 0:
            return iter([Response(503, {}, get.url)])
        return served(files[get.url], get)

    depot.bring(SteppedWire(every_third), files)
    assert_right(depot, files)
    assert depot.retried == ["server-error"] * 10


def multiplexed(data: bytes, get: Get) -> Iterator[Step]:
    """An answer over HTTP/2."""
    yield Response(200, {}, get.url, multiplexed=True)
    yield data


def test_where_one_connection_carries_several_gets_the_files_share_it(depot: Depot) -> None:
    depot.budget = Budget(1)
    files = many(100)
    wire = SteppedWire(lambda get: multiplexed(files[get.url], get))
    depot.bring(wire, files)
    assert_right(depot, files)
    assert 10 < wire.most <= STREAMS


def test_a_small_file_that_is_looked_at_on_the_disk_shares_no_connection(depot: Depot) -> None:
    depot.budget = Budget(1)
    pickles = {f"{HOST}{number}.pkl": bytes([number]) * 900 for number in range(5)}
    files = {**pickles, **many(40)}
    wire = SteppedWire(lambda get: multiplexed(files[get.url], get))
    depot.bring(wire, files)
    assert_right(depot, files)
    assert wire.most > 10, "the others do"


def test_two_files_that_fail_on_a_shared_connection_do_not_lock_the_model_out(
    depot: Depot,
) -> None:
    depot.budget = Budget(1)
    depot.guard.left = 60.0
    files = many(20)

    def two_fail(get: Get) -> Iterator[Step]:
        if len(wire.gets) in (5, 9):
            return iter([Response(503, {"retry-after": str(len(wire.gets))}, get.url)])
        return multiplexed(files[get.url], get)

    wire = SteppedWire(two_fail)
    depot.bring(wire, files)
    assert_right(depot, files)


def test_a_small_file_that_is_in_its_place_already_is_not_asked_for(depot: Depot) -> None:
    depot.placed[URL] = DATA
    wire = SteppedWire(of(FILES))
    depot.bring(wire, FILES)
    assert wire.gets == []
    assert depot.sums == []


def test_a_credential_is_sent_to_its_own_origin(depot: Depot) -> None:
    depot.credentials = {HOST.rstrip("/"): {"Authorization": "Bearer s3cret"}}
    depot.mirrors = {HOST: (Mirror("https://one.example.net/"),)}

    def gone_there(get: Get) -> Iterator[Step]:
        if not get.url.startswith(HOST):
            return iter([Response(404, {}, get.url)])
        return served(DATA, get)

    wire = SteppedWire(gone_there)
    depot.bring(wire, FILES)
    assert [get.credential.get("Authorization") for get in wire.gets] == [None, "Bearer s3cret"]
