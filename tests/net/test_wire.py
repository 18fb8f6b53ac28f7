"""The wire: redirects, addresses, clocks, and every fault in this project's own words."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, hang_up, redirect, silence
from tests.faults.origin import Answer, Origin, black_hole

from modelset.core.errors import ModelSetError
from modelset.core.ports import Get, Hop, Response
from modelset.engine.guard import RunGuard, Stop
from modelset.net.transfer import BUFFER, MOST_REDIRECTS, WireSettings
from modelset.net.wire import CurlWire

DATA = bytes_of("wire", MIB)
SECRET = {"Authorization": "Bearer s3cret"}


@dataclass(slots=True)
class Taking:
    """Lanes that hand out some addresses, and receivers that keep what comes."""

    urls: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    credential: Mapping[str, str] = field(default_factory=dict)
    allow_http: bool = False
    refuse: str = ""
    enough: float = float("inf")
    hop: Hop | None = None
    body_: bytearray = field(default_factory=bytearray)
    response: Response | None = None
    errors: list[ModelSetError | None] = field(default_factory=list)
    handed: int = 0

    def next(self) -> Get | None:
        if self.handed == len(self.urls):
            return None
        self.handed += 1
        url = self.urls[self.handed - 1]
        return Get(url, self, self.headers, self.credential, self.allow_http, hop=self.hop)

    def ended(self, get: Get, error: Exception | None) -> None:
        assert error is None or isinstance(error, ModelSetError)
        self.errors.append(error)

    def head(self, response: Response) -> bool:
        assert not self.body_ or len(self.urls) > 1, "the head comes before the body"
        self.response = response
        return True

    def body(self, pieces: list[bytes]) -> bool:
        self.body_ += b"".join(pieces)
        if self.refuse:
            raise ModelSetError("size-mismatch", self.refuse)
        return len(self.body_) < self.enough


def take(wire: CurlWire, url: str, *, timeout_s: float = 10.0, **other: object) -> Taking:
    """Perform one GET."""
    taking = Taking([url], **other)  # type: ignore[arg-type]
    wire.run(taking, RunGuard(Stop(), timeout_s))
    assert len(taking.errors) == 1
    return taking


def code_of(taking: Taking) -> str:
    error = taking.errors[0]
    return "" if error is None else error.failure.code


def test_a_body_comes_whole_with_its_status_and_its_headers_in_lower_case(
    wire: CurlWire, origin: Origin
) -> None:
    taken = take(wire, origin.serve("/m", File(DATA)))
    assert taken.errors == [None]
    assert bytes(taken.body_) == DATA
    assert taken.response is not None
    assert (taken.response.status, taken.response.headers["etag"]) == (200, '"one"')


def test_an_empty_body_still_has_a_head(wire: CurlWire, origin: Origin) -> None:
    taken = take(wire, origin.serve("/m", Status(404)))
    assert taken.errors == [None]
    assert taken.response is not None
    assert taken.response.status == 404


def test_a_redirect_is_followed_with_its_headers_and_without_the_credential(
    wire: CurlWire, origin: Origin, other: Origin
) -> None:
    there = other.serve("/there", File(DATA))
    origin.serve("/second", redirect(there))
    url = origin.serve("/first", redirect("second"))  # relative to the address itself
    taken = take(wire, url, headers={"Range": "bytes=9-"}, credential=SECRET)
    assert bytes(taken.body_) == DATA[9:]
    assert taken.response is not None
    assert taken.response.url == there
    assert [row.headers.get("authorization") for row in origin.requests] == ["Bearer s3cret"] * 2
    assert "authorization" not in other.requests[0].headers
    assert other.requests[0].headers["range"] == "bytes=9-"


def test_a_credential_does_not_come_back_to_an_origin_that_another_one_names(
    wire: CurlWire, origin: Origin, other: Origin
) -> None:
    # The path is chosen by a stranger, yet the place is the credential's own: it is sent there.
    origin.serve("/end", File(DATA))
    bounce = other.serve("/bounce", redirect(origin.url + "/end"))
    taken = take(wire, origin.serve("/start", redirect(bounce)), credential=SECRET)
    assert taken.errors == [None]
    assert "authorization" not in other.requests[0].headers
    assert {row.headers.get("host") for row in origin.requests} == {origin.url[7:]}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_every_kind_of_redirect_is_followed(status: int, wire: CurlWire, origin: Origin) -> None:
    origin.serve("/there", File(DATA))
    url = origin.serve("/here", Status(status, {"Location": "/there"}, text="moved"))
    taken = take(wire, url)
    assert bytes(taken.body_) == DATA, "the redirect's own body is not the file's"


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/mod\xc3\xa8le.bin", "/mod%C3%A8le.bin"),  # UTF-8, as it is on the wire
        ("/mod\xe8le.bin", "/mod%E8le.bin"),
        ("/a b.bin", "/a%20b.bin"),
        ("/%7Bsigned%7D|'?a=b%2Fc&d=[e]", "/%7Bsigned%7D|'?a=b%2Fc&d=[e]"),
    ],
)
def test_a_redirect_to_a_name_that_is_not_ascii_is_followed(
    location: str, asked: str, wire: CurlWire, origin: Origin
) -> None:
    origin.serve(asked.partition("?")[0], File(DATA))
    taken = take(wire, origin.serve("/m", Status(302, {"Location": location})))
    assert taken.errors == [None]
    assert bytes(taken.body_) == DATA
    found = origin.requests[1]
    assert "?".join(filter(None, (found.path, found.query))) == asked


@pytest.mark.parametrize(
    "location", ["http://[bad/x", "http://127.0.0.1:99999/x", "http://127.0.0.1:abc/x"]
)
def test_a_redirect_to_what_is_no_address_is_an_error_in_words(
    location: str, wire: CurlWire, origin: Origin
) -> None:
    taken = take(wire, origin.serve("/m", Status(302, {"Location": location})))
    assert code_of(taken) == "bad-response"
    assert str(taken.errors[0]) == f"{origin.url}/m redirects to what is no address"


def test_a_name_that_is_not_ascii_is_asked_for_in_utf_8(wire: CurlWire, origin: Origin) -> None:
    origin.serve("/mod%C3%A8le.bin", File(DATA))
    taken = take(wire, f"{origin.url}/mod\u00e8le.bin")
    assert bytes(taken.body_) == DATA


def test_a_redirect_loop_ends(wire: CurlWire, origin: Origin) -> None:
    taken = take(wire, origin.serve("/m", redirect("/m")))
    assert code_of(taken) == "bad-response"
    assert f"more than {MOST_REDIRECTS} redirects" in str(taken.errors[0])
    assert len(origin.requests) == MOST_REDIRECTS + 1


@pytest.mark.parametrize(
    "target", ["file:///etc/hostname", "ftp://127.0.0.1/m", "http://192.0.2.1/m", "gopher://a/m"]
)
def test_a_redirect_to_anything_insecure_is_refused(
    target: str, wire: CurlWire, origin: Origin
) -> None:
    began = time.monotonic()
    taken = take(wire, origin.serve("/m", redirect(target)))
    assert code_of(taken) == "address-refused"
    assert target in str(taken.errors[0])
    assert f"{origin.url}/m redirects there" in str(taken.errors[0])
    assert not taken.body_
    assert time.monotonic() - began < 0.3, "nobody was asked"


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/m", "http://127.example.org/m", "ftp://127.0.0.1/m", "file:///etc/hostname"],
)
def test_an_insecure_address_is_refused_before_anybody_is_asked(url: str, wire: CurlWire) -> None:
    began = time.monotonic()
    taken = take(wire, url)
    assert code_of(taken) == "address-refused"
    assert time.monotonic() - began < 0.3


def test_a_connection_is_kept_for_the_next_run(wire: CurlWire, origin: Origin) -> None:
    url = origin.serve("/m", File(DATA))
    for _ in range(3):
        assert take(wire, url).errors == [None]
    assert {request.connection for request in origin.requests} == {1}
    wire.close()
    assert take(wire, url).errors == [None]
    assert origin.requests[-1].connection == 2


def test_several_addresses_are_asked_side_by_side(wire: CurlWire, origin: Origin) -> None:
    slow = File(DATA[:4], piece=1, pause_s=0.1)
    taking = Taking([origin.serve(f"/{number}", slow) for number in range(4)])
    began = time.monotonic()
    wire.run(taking, RunGuard(Stop(), 10))
    assert time.monotonic() - began < 1.0
    assert taking.errors == [None] * 4
    assert len(taking.body_) == 16
    assert len({request.connection for request in origin.requests}) == 4


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (hang_up, "connection-lost"),
        (File(DATA, stop_at=MIB // 2, ending="reset"), "connection-lost"),
        (File(DATA, stop_at=MIB // 2, ending="close"), "body-truncated"),
        (File(DATA, stop_at=9), "stalled"),
        (silence, "stalled"),
        (File(DATA, piece=1, pause_s=0.2), "stalled"),
    ],
    ids=["hung-up", "reset", "closed-early", "stalled", "mute", "dripping"],
)
def test_a_fault_on_the_way_has_its_own_code(
    answer: Answer, code: str, wire: CurlWire, origin: Origin
) -> None:
    began = time.monotonic()
    taken = take(wire, origin.serve("/m", answer) + "?Signature=s3cret")
    assert code_of(taken) == code
    assert f"{origin.url}/m" in str(taken.errors[0])
    assert "s3cret" not in str(taken.errors[0])
    assert taken.errors[0] is not None
    assert taken.errors[0].kind.retry == "again"
    assert time.monotonic() - began < 4.0


def test_a_connect_that_is_never_answered_has_its_own_clock(wire: CurlWire) -> None:
    with black_hole() as url:
        began = time.monotonic()
        taken = take(wire, f"{url}/m")
        assert code_of(taken) == "connect-timeout"
        assert 0.3 < time.monotonic() - began < 1.5


def test_a_port_that_nobody_listens_on_is_no_network(wire: CurlWire) -> None:
    with socket.socket() as taken_port:
        taken_port.bind(("127.0.0.1", 0))
        taken = take(wire, f"http://127.0.0.1:{taken_port.getsockname()[1]}/m")
    assert code_of(taken) == "network-unreachable"
    assert taken.errors[0] is not None
    assert "--demo" in taken.errors[0].failure.hint


def test_a_receiver_that_refuses_ends_the_transfer_with_its_own_words(
    wire: CurlWire, origin: Origin
) -> None:
    url = origin.serve("/m", File(DATA * 16))
    taken = take(wire, url, refuse="too much")
    assert str(taken.errors[0]) == "too much"
    assert 0 < len(taken.body_) <= 11 * BUFFER, "what one look at the socket brings"
    assert take(wire, url).errors == [None], "the wire works on"


def interrupted(work: Callable[[Stop], None], after_s: float) -> tuple[str, float]:
    stop = Stop()
    timer = threading.Timer(after_s, stop.ask, ["terminated"])
    timer.start()
    began = time.monotonic()
    try:
        with pytest.raises(ModelSetError) as caught:
            work(stop)
    finally:
        timer.join()
    return caught.value.failure.code, time.monotonic() - began


@pytest.mark.parametrize("answer", [silence, File(DATA, stop_at=9)], ids=["mute", "stalled"])
def test_a_stop_is_noticed_in_the_middle_of_silence(
    answer: Answer, wire: CurlWire, origin: Origin
) -> None:
    taking = Taking([origin.serve("/m", answer)])
    code, took = interrupted(lambda stop: wire.run(taking, RunGuard(stop, 20)), 0.2)
    assert code == "terminated"
    assert 0.2 <= took < 0.7
    assert take(wire, origin.serve("/n", File(DATA))).errors == [None], "the wire works on"


def test_a_stop_is_noticed_while_a_connect_hangs() -> None:
    from modelset.net.transfer import WireSettings

    with black_hole() as url:
        wire = CurlWire(WireSettings(connect_s=30))
        taking = Taking([f"{url}/m"])
        code, took = interrupted(lambda stop: wire.run(taking, RunGuard(stop, 20)), 0.2)
        wire.close()
    assert code == "terminated"
    assert took < 0.7


def test_a_deadline_ends_a_transfer_that_never_stops_moving(wire: CurlWire, origin: Origin) -> None:
    steady = File(DATA, piece=8192, pause_s=0.05)
    began = time.monotonic()
    with pytest.raises(ModelSetError) as caught:
        take(wire, origin.serve("/m", steady), timeout_s=0.5)
    assert caught.value.failure.code == "deadline"
    assert 0.5 <= time.monotonic() - began < 0.8


@dataclass(slots=True)
class Bound:
    """A bound that only looks on."""

    bytes_a_second: float
    counts: list[int] = field(default_factory=list)

    def rate(self) -> float:
        return self.bytes_a_second

    def took(self, count: int) -> None:
        self.counts.append(count)

    def wait_s(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("bytes_a_second", "most"), [(20e3, 11 * 1024), (1e6, 100_000), (1e9, 11 * 16 * 1024), (0, MIB)]
)
def test_a_slow_link_is_looked_at_in_small_bites(
    bytes_a_second: float, most: int, origin: Origin
) -> None:
    bound = Bound(bytes_a_second)
    wire = CurlWire(WireSettings(), bound)
    try:
        taken = take(wire, origin.serve("/m", File(DATA)))
    finally:
        wire.close()
    assert bytes(taken.body_) == DATA
    assert sum(bound.counts) == MIB
    # The first look goes to libcurl's buffer for heads as well.
    assert max(bound.counts[1:]) <= most
    assert bound.counts[0] <= max(most, 64 * 1024)
