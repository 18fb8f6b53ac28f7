"""Xet with the real hf_xet, against a storage on loopback: bytes, ranges, tokens and failures."""

from __future__ import annotations

import functools
import importlib.util
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.faults.answers import MIB, File, Status, bytes_of
from tests.faults.origin import Answer, Exchange, Origin
from tests.net.xet_storage import (
    CHUNK,
    CHUNKS_OF_XORB,
    REPO,
    STORAGE_TOKEN,
    XetHub,
    digest,
    document,
)

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirror
from modelset.core.ports import Get, Guard, Lanes, Response, Wire
from modelset.core.types import Artifact
from modelset.engine.guard import RunGuard, Stop
from modelset.net.wire import CurlWire
from modelset.net.xet import XetSettings, XetWire, needs_xet
from modelset.net.xet_hub import HUB
from modelset.net.xet_process import CHILD
from modelset.store.scratch import scratch

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not in this environment"
)

DATA = bytes_of("xet", 14 * MIB + 4321)
XORB = CHUNK * CHUNKS_OF_XORB
QUICK = {
    "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1",
    "HF_XET_CLIENT_RETRY_BASE_DELAY": "50ms",
    "HF_XET_CLIENT_READ_TIMEOUT": "1s",
}


@dataclass(slots=True)
class Taking:
    """Lanes that hand out some GETs one after another, and the receiver of all of them."""

    urls: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    bytes_: bytearray = field(default_factory=bytearray)
    responses: list[Response] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)
    most: int = 1 << 40

    def next(self) -> Get | None:
        given = len(self.errors)
        if given == len(self.urls):
            return None
        plain = {name: text for name, text in self.headers.items() if name != "Authorization"}
        credential = {name: self.headers[name] for name in self.headers if name not in plain}
        return Get(self.urls[given], self, plain, credential)

    def ended(self, get: Get, error: Exception | None) -> None:
        self.errors.append(error)

    def head(self, response: Response) -> bool:
        self.responses.append(response)
        return True

    def body(self, pieces: list[bytes]) -> bool:
        assert self.responses, "the head comes before the body"
        self.bytes_ += b"".join(pieces)
        if len(self.bytes_) > self.most:
            raise ModelSetError("size-mismatch", "more than wanted")
        return True

    @property
    def code(self) -> str:
        """How the last GET ended."""
        error = self.errors[-1]
        assert error is None or isinstance(error, ModelSetError)
        return "" if error is None else error.failure.code


@pytest.fixture
def hub(origin: Origin) -> XetHub:
    """Return a Hub with one repository, empty."""
    return XetHub(origin)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """Return the folder for scratch folders, which has to be empty afterwards, as all children
    have to be gone."""
    folder = tmp_path / "downloads"
    yield folder
    assert not folder.exists() or list(folder.iterdir()) == []
    assert psutil.Process().children(recursive=True) == []


def xet(
    hub: XetHub,
    wire: Wire,
    cache: Path,
    *,
    command: Sequence[str] = CHILD,
    silence_s: float = 20.0,
    **environ: str,
) -> XetWire:
    """Return the wire under test, which reaches the fake Hub as a mirror."""
    return XetWire(
        wire,
        XetSettings({**QUICK, **environ}, silence_s=silence_s),
        mirrors={HUB: (Mirror(hub.base, credentials=True, only=True),)},
        scratch=functools.partial(scratch, cache),
        command=command,
    )


def take(wire: Wire, *urls: str, timeout_s: float = 30.0, **headers: str) -> Taking:
    """Perform GETs, one after another."""
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    taking = Taking(urls, sent)
    wire.run(taking, RunGuard(Stop(), timeout_s))
    assert len(taking.errors) == len(urls)
    return taking


def test_a_file_comes_whole_and_in_order_and_nothing_else_is_written(
    hub: XetHub, wire: CurlWire, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, here = hub.add("model.bin", DATA), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    taken = take(xet(hub, wire, cache), url)
    assert taken.errors == [None]
    assert digest(taken.bytes_) == digest(DATA)
    (response,) = taken.responses
    assert (response.status, response.url) == (200, url)
    assert response.headers["content-length"] == str(len(DATA))
    assert list(here.iterdir()) == []


def test_the_hubs_token_stays_with_the_hub(hub: XetHub, wire: CurlWire, cache: Path) -> None:
    url = hub.add("model.bin", DATA)
    assert take(xet(hub, wire, cache), url, Authorization="Bearer h0b").code == ""
    for request in hub.origin.requests:
        expected = None
        if request.path.startswith("/hf/"):
            expected = "Bearer h0b"
        elif "reconstructions" in request.path:
            expected = f"Bearer {STORAGE_TOKEN}"
        assert request.headers.get("authorization") == expected, request.path
    assert not [request for request in hub.origin.requests if "telemetry" in request.path]
    assert len(hub.origin.requests) > 5


def test_the_rest_of_a_file_is_asked_for_and_nothing_before_it(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    start = 2 * XORB + 3 * CHUNK + 12_345
    url = hub.add("model.bin", DATA)
    tag = f'"{hub.hash_of(DATA)}"'
    taken = take(xet(hub, wire, cache), url, Range=f"bytes={start}-", If_Range=tag)
    assert taken.errors == [None]
    assert digest(taken.bytes_) == digest(DATA[start:])
    (response,) = taken.responses
    assert response.status == 206
    assert response.headers["content-range"] == f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    assert response.headers["etag"] == tag
    for number in (0, 1):
        assert hub.origin.asked(hub.xorb_path(DATA, number)) == []
    assert hub.origin.sent(hub.xorb_path(DATA, 2)) < XORB - 2 * CHUNK


def test_a_range_in_the_middle_comes_exactly(hub: XetHub, wire: CurlWire, cache: Path) -> None:
    url = hub.add("model.bin", DATA)
    taken = take(xet(hub, wire, cache), url, Range=f"bytes={XORB - 5}-{XORB + 4}")
    assert taken.errors == [None]
    assert bytes(taken.bytes_) == DATA[XORB - 5 : XORB + 5]


def test_with_the_tag_of_another_object_the_file_comes_from_its_start(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    url = hub.add("model.bin", DATA)
    taken = take(xet(hub, wire, cache), url, Range="bytes=5-", If_Range='"another"')
    assert taken.responses[0].status == 200
    assert digest(taken.bytes_) == digest(DATA)


def test_a_range_behind_the_end_is_416_without_a_child(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    url = hub.add("model.bin", DATA)
    taken = take(xet(hub, wire, cache, command=("/nowhere",)), url, Range=f"bytes={len(DATA)}-")
    assert (taken.errors, taken.responses[0].status) == ([None], 416)


def test_what_the_hub_does_not_keep_in_xet_comes_over_the_ordinary_wire(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    hub.list_row({"path": "config.json", "size": 5})
    hub.origin.serve(f"/hf/{REPO}/resolve/{'c0ffee' * 6}beef/config.json", File(b"hello"))
    elsewhere = hub.origin.serve("/a.bin", File(b"other"))
    through = xet(hub, wire, cache, command=("/nowhere",))
    taken = take(through, hub.url("config.json"), elsewhere, hub.url("lost.bin"))
    assert bytes(taken.bytes_[:10]) == b"helloother"
    assert [row.status for row in taken.responses] == [200, 200, 404]


def test_a_folder_is_listed_once_and_a_token_asked_for_once(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    first, second = bytes_of("first", 250_000), bytes_of("second", 250_000)
    urls = hub.add("a.bin", first), hub.add("b c.bin", second)
    quoted = urls[1].replace(" ", "%20")
    taken = take(xet(hub, wire, cache), urls[0], quoted)
    assert bytes(taken.bytes_) == first + second
    assert len(hub.origin.asked(hub.listing_path)) == 1
    assert len(hub.origin.asked(hub.token_path)) == 1


def test_a_list_that_goes_on_over_pages_is_read_to_its_end(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    small = bytes_of("small", 1000)
    url = hub.add("sub/model.bin", small)
    pages = hub.listing_path + "/sub"
    link = {"Link": f'<{HUB}{pages.removeprefix("/hf/")}/two>; rel="next"'}
    hub.origin.serve(pages, document([{"path": "sub/other.bin", "size": 3}], link))
    hub.origin.serve(pages + "/two", document(hub.rows))
    assert bytes(take(xet(hub, wire, cache), url).bytes_) == small


def test_a_changed_byte_comes_through_unnoticed_so_the_digest_must_notice(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    small = bytes_of("small", CHUNK)
    url = hub.add("model.bin", small)
    length = CHUNK.to_bytes(3, "little")
    wrong = b"\0" + length + b"\0" + length + small[:-1] + bytes([small[-1] ^ 1])
    hub.origin.serve(hub.xorb_path(small, 0), File(wrong))
    taken = take(xet(hub, wire, cache), url)
    assert taken.errors == [None]
    assert len(taken.bytes_) == len(small)
    assert digest(taken.bytes_) != digest(small)


def test_an_expired_token_is_replaced_by_the_next_try(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    small = bytes_of("small", 1000)
    url = hub.add("model.bin", small)
    through = xet(hub, wire, cache)
    assert take(through, url).code == ""
    good = hub.reconstruct(small)
    hub.origin.serve(hub.token_path, hub.gives("newer"))

    def answer(exchange: Exchange) -> None:
        fresh = exchange.request.headers.get("authorization") == "Bearer newer"
        (good if fresh else Status(401))(exchange)

    hub.origin.serve(hub.reconstruction_path(small), answer)
    assert take(through, url).code == "connection-lost"
    again = take(through, url)
    assert (again.code, bytes(again.bytes_)) == ("", small)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "token-refused"), (404, "not-found"), (503, "server-error")]
)
def test_what_the_storage_refuses_has_its_own_code(
    hub: XetHub, wire: CurlWire, cache: Path, status: int, code: str
) -> None:
    url = hub.add("model.bin", b"0" * 1000)
    hub.origin.serve(hub.reconstruction_path(b"0" * 1000), Status(status))
    taken = take(xet(hub, wire, cache), url)
    assert (taken.code, bytes(taken.bytes_)) == (code, b"")


def test_a_storage_that_is_not_there_is_said_to_be_unreachable(
    hub: XetHub, wire: CurlWire, cache: Path
) -> None:
    url = hub.add("model.bin", b"0" * 1000)
    hub.origin.serve(hub.token_path, hub.gives("t", "http://127.0.0.1:9"))
    assert take(xet(hub, wire, cache), url).code == "network-unreachable"


@pytest.mark.parametrize("ending", ["hold", "reset", "close"])
def test_bytes_that_stop_coming_are_a_lost_connection_without_secrets(
    hub: XetHub, wire: CurlWire, cache: Path, ending: str
) -> None:
    url = hub.add("model.bin", DATA)
    fault = File(b"x" * (XORB + 320), stop_after=100_000, ending=ending)  # type: ignore[arg-type]
    hub.origin.serve(hub.xorb_path(DATA, 1), fault)
    taken = take(xet(hub, wire, cache), url)
    assert taken.code == "connection-lost"
    assert hub.origin.sent(hub.xorb_path(DATA, 1)) > 0
    assert bytes(taken.bytes_) == DATA[: len(taken.bytes_)]
    words = str(taken.errors[0])
    assert STORAGE_TOKEN not in words
    assert "s1gned" not in words


def test_a_receiver_that_refuses_ends_the_child(hub: XetHub, wire: CurlWire, cache: Path) -> None:
    url = hub.add("model.bin", DATA)
    taking = Taking([url], most=1000)
    xet(hub, wire, cache).run(taking, RunGuard(Stop(), 30))
    assert taking.code == "size-mismatch"


@pytest.mark.parametrize("code", ["deadline", "stopped"])
def test_a_deadline_and_a_stop_end_a_silent_transfer_within_a_second(
    hub: XetHub, wire: CurlWire, cache: Path, code: str
) -> None:
    url = hub.add("model.bin", DATA)
    hub.origin.serve(hub.xorb_path(DATA, 0), File(DATA, stop_after=4))
    stop, began = Stop(), time.monotonic()
    guard = RunGuard(stop, 1.5 if code == "deadline" else 60)
    if code == "stopped":
        hub.origin.serve(hub.xorb_path(DATA, 1), _asks_to_stop(stop))
    through = xet(hub, wire, cache, HF_XET_CLIENT_READ_TIMEOUT="60s")
    with pytest.raises(ModelSetError) as raised:
        through.run(Taking([url]), guard)
    assert raised.value.failure.code == code
    assert time.monotonic() - began < 3.0
    assert hub.origin.asked(hub.xorb_path(DATA, 0))


def _asks_to_stop(stop: Stop) -> Answer:
    def answer(exchange: Exchange) -> None:
        stop.ask("stopped")
        exchange.hold()

    return answer


@dataclass(slots=True)
class Told:
    """A wire that answers from a table, and remembers what it was asked."""

    answers: Mapping[str, tuple[Mapping[str, str], bytes]]
    asked: list[Get] = field(default_factory=list)

    def run(self, lanes: Lanes, guard: Guard) -> None:
        while (get := lanes.next()) is not None:
            self.asked.append(get)
            headers, content = self.answers[get.url]
            get.receiver.head(Response(200, headers, get.url))
            get.receiver.body([content])
            lanes.ended(get, None)


ORIGINAL = f"{HUB}{REPO}/resolve/main/model.bin"
LISTED = f"{HUB}api/models/{REPO}/tree/main?recursive=false&expand=false"
ROW = f'[{{"path": "model.bin", "size": 9, "xetHash": "{"ab" * 32}"}}]'.encode()


def told(
    cache: Path, *, listed: Mapping[str, str] = {}, endpoint: str = ""
) -> tuple[XetWire, Told]:
    """Return a wire of the real Hub's address, and the table that plays the Hub."""
    access = {"x-xet-cas-url": endpoint, "x-xet-access-token": "t"}
    answers = {
        LISTED: (listed, ROW),
        f"{HUB}api/models/{REPO}/xet-read-token/main": (access, b"{}"),
    }
    table = Told(answers)
    through = XetWire(table, XetSettings({}), mirrors={}, scratch=functools.partial(scratch, cache))
    return through, table


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        ("http://storage.example.org", "address-refused"),
        ("https://127.0.0.1:9", "address-refused"),
        ("", "bad-response"),
    ],
)
def test_the_hub_cannot_lead_to_a_place_that_a_redirect_could_not(
    cache: Path, endpoint: str, code: str
) -> None:
    through, table = told(cache, endpoint=endpoint)
    assert take(through, ORIGINAL).code == code
    assert len(table.asked) == 2


def test_a_list_that_goes_on_at_another_host_is_refused_before_the_token_goes_there(
    cache: Path,
) -> None:
    through, table = told(cache, listed={"link": '<https://evil.example.org/x>; rel="next"'})
    assert take(through, ORIGINAL, Authorization="Bearer h0b").code == "bad-response"
    assert [get.url for get in table.asked] == [LISTED]


@pytest.mark.parametrize(
    ("url", "size", "expected"),
    [
        (ORIGINAL, 50_000_000_001, True),
        (f"{HUB}gpt2/resolve/main/sub/model.bin", 50_000_000_001, True),
        (ORIGINAL, 50_000_000_000, False),
        ("https://github.com/acme/big/resolve/main/model.bin", 50_000_000_001, False),
    ],
)
def test_only_what_the_hub_does_not_serve_otherwise_needs_xet(
    url: str, size: int, expected: bool
) -> None:
    assert needs_xet(Artifact("model.bin", url, size, "sha256:" + "0" * 64)) is expected
