"""Small questions to a host: pages, sizes, statuses, and what each error is called."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import pytest
from tests.faults.answers import File, Status, page, redirect
from tests.faults.origin import Origin

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Credentials, Mirror, Mirrors
from modelset.core.ports import Response
from modelset.engine.guard import RunGuard, Stop
from modelset.net.failures import error_for, public, retry_after
from modelset.net.index import PipIndex
from modelset.net.web import HUB, HttpWeb
from modelset.net.wire import CurlWire
from modelset.store.here import Surroundings

SECRET = {"Authorization": "Bearer s3cret"}
OLD = "Wed, 21 Oct 2015 07:28:00 GMT"


def web_of(
    wire: CurlWire,
    mirrors: Mirrors | None = None,
    credentials: Credentials | None = None,
    retried: list[str] | None = None,
) -> HttpWeb:
    """A web with a deadline of ten seconds."""

    def on_retry(error: ModelSetError, number: int, delay_s: float) -> None:
        if retried is not None:
            retried.append(error.failure.code)

    return HttpWeb(
        wire,
        RunGuard(Stop(), 10),
        mirrors=mirrors or {},
        credentials=credentials or {},
        index=PipIndex(),
        here=Surroundings({}, {}),
        on_retry=on_retry,
    )


def answer(document: object, headers: Mapping[str, str] | None = None) -> Status:
    return Status(
        200, {"Content-Type": "application/json", **(headers or {})}, json.dumps(document)
    )


def code_of(caught: pytest.ExceptionInfo[ModelSetError]) -> str:
    return caught.value.failure.code


def test_a_json_document_is_read(wire: CurlWire, origin: Origin) -> None:
    url = origin.serve("/api", answer({"sha": "0" * 40}))
    assert web_of(wire).get_json(url) == {"sha": "0" * 40}
    assert origin.requests[0].headers["accept"] == "application/json"
    assert "authorization" not in origin.requests[0].headers


@pytest.mark.parametrize(
    ("text", "code"), [(page(), "html-page"), (Status(200, text="{half"), "bad-response")]
)
def test_an_answer_that_is_no_json_is_refused(
    text: File | Status, code: str, wire: CurlWire, origin: Origin
) -> None:
    url = origin.serve("/api", text)
    with pytest.raises(ModelSetError) as caught:
        web_of(wire).get_json(url)
    assert code_of(caught) == code
    assert url in str(caught.value)


def test_pages_are_read_to_the_last_through_the_mirror_that_gave_the_first(
    wire: CurlWire, origin: Origin
) -> None:
    origin.serve("/hub/one", answer([1, 2], {"Link": f'<{origin.url}/hub/two>; rel="next"'}))
    origin.serve("/hub/two", answer([3], {"Link": "<https://hub.example.org/three>; rel=next"}))
    origin.serve("/hub/three", answer([4], {"Link": f'<{origin.url}/hub/one>; rel="prev"'}))
    mirrors = {"https://hub.example.org/": (Mirror(f"{origin.url}/hub/", True, only=True),)}
    web = web_of(wire, mirrors, {"https://hub.example.org": SECRET})
    assert web.get_pages("https://hub.example.org/one") == [1, 2, 3, 4]
    assert [row.headers["authorization"] for row in origin.requests] == ["Bearer s3cret"] * 3


def test_a_page_that_is_no_list_is_refused(wire: CurlWire, origin: Origin) -> None:
    with pytest.raises(ModelSetError) as caught:
        web_of(wire).get_pages(origin.serve("/api", answer({"not": "a list"})))
    assert code_of(caught) == "bad-response"


@pytest.mark.parametrize("address", ["http://[bad/two", "http://127.0.0.1:99999/two"])
def test_a_next_page_that_is_nowhere_is_an_error_in_words(
    address: str, wire: CurlWire, origin: Origin
) -> None:
    url = origin.serve("/one", answer([1], {"Link": f'<{address}>; rel="next"'}))
    with pytest.raises(ModelSetError) as caught:
        web_of(wire).get_pages(url)
    assert code_of(caught) == "bad-response"


def test_a_next_page_on_a_strange_host_gets_no_credential(
    wire: CurlWire, origin: Origin, other: Origin
) -> None:
    other.serve("/two", answer([2]))
    url = origin.serve("/one", answer([1], {"Link": f'<{other.url}/two>; rel="next"'}))
    web = web_of(wire, credentials={origin.url: SECRET})
    assert web.get_pages(url) == [1, 2]
    assert origin.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize("ranges", [True, False])
def test_a_size_is_known_without_fetching_the_file(
    ranges: bool, wire: CurlWire, origin: Origin, other: Origin
) -> None:
    data = bytes(8 * 1024 * 1024)
    there = other.serve("/m", File(data, ranges=ranges))
    assert web_of(wire).get_size(origin.serve("/m", redirect(there))) == len(data)
    assert other.requests[0].headers["range"] == "bytes=0-0"
    if ranges:
        other.close()  # which waits for the thread that counts
        assert other.sent("/m") == 1


def test_a_server_that_tells_no_size_is_said_so(wire: CurlWire, origin: Origin) -> None:
    with pytest.raises(ModelSetError) as caught:
        web_of(wire).get_size(origin.serve("/m", File(b"abc", ranges=False, length=None)))
    assert code_of(caught) == "bad-response"
    assert "no size" in str(caught.value)


def test_a_status_comes_with_the_words_of_the_server(wire: CurlWire, origin: Origin) -> None:
    url = origin.serve("/auth-check", Status(403, {"X-Error-Message": "gated"}, "{}"))
    assert web_of(wire).status_of(url) == (403, "gated")
    assert len(origin.requests) == 1


def test_a_status_that_passes_is_asked_for_again(wire: CurlWire, origin: Origin) -> None:
    retried: list[str] = []
    url = origin.serve("/auth-check", Status(200), first=(Status(503), Status(429)))
    assert web_of(wire, retried=retried).status_of(url) == (200, "")
    assert retried == ["server-error", "rate-limited"]


def test_only_the_hub_s_own_credential_counts_as_a_token(wire: CurlWire) -> None:
    assert web_of(wire, credentials={HUB: SECRET}).has_token()
    assert not web_of(wire, credentials={"https://example.org": SECRET}).has_token()


@pytest.mark.parametrize(
    ("status", "code", "retry"),
    [
        (401, "token-refused", "next"),
        (403, "access-denied", "next"),
        (404, "not-found", "next"),
        (407, "proxy-refused", "never"),
        (408, "server-error", "again"),
        (410, "not-found", "next"),
        (418, "bad-response", "next"),
        (425, "server-error", "again"),
        (429, "rate-limited", "again"),
        (500, "server-error", "again"),
        (503, "server-error", "again"),
        (599, "server-error", "again"),
    ],
)
def test_each_error_status_has_its_code(status: int, code: str, retry: str) -> None:
    secret = "https://user:pass@packages.example.org/m?Signature=s3cret#part"
    error = error_for(Response(status, {"x-error-message": "why"}, secret))
    assert (error.failure.code, error.kind.retry) == (code, retry)
    assert "https://packages.example.org/m" in str(error)
    assert "pass" not in str(error).replace("packages", "")
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_asked_for_again(status: int, wire: CurlWire, origin: Origin) -> None:
    with pytest.raises(ModelSetError):
        web_of(wire).get_json(origin.serve("/api", Status(status)))
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:09 GMT", "date": OLD}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT", "date": OLD}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 09:28:09 +0200", "date": OLD}, 9.0),
        ({"retry-after": "soon", "date": OLD}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1.5"}, None),
        ({"retry-after": "\xb2"}, None),  # a digit to str.isdigit, and none to float
    ],
)
def test_retry_after_is_read_in_both_forms(
    headers: Mapping[str, str], expected: float | None
) -> None:
    assert retry_after(Response(429, headers, "https://example.org/")) == expected


def test_the_wait_that_a_server_asks_for_is_kept(wire: CurlWire, origin: Origin) -> None:
    asked = Status(429, {"Retry-After": "1"})
    assert web_of(wire).get_json(origin.serve("/api", answer(1), first=(asked,))) == 1
    first, second = origin.requests
    assert 1.0 <= second.at - first.at < 1.6


def test_a_wait_beyond_the_deadline_is_not_begun(wire: CurlWire, origin: Origin) -> None:
    began = time.monotonic()
    with pytest.raises(ModelSetError) as caught:
        web_of(wire).get_json(origin.serve("/api", Status(429, {"Retry-After": "900"})))
    assert code_of(caught) == "rate-limited"
    assert caught.value.retry_after_s == 900
    assert time.monotonic() - began < 1.0


def test_an_address_without_what_could_be_secret() -> None:
    assert public("https://a:b@example.org:8443/m?x=1#y") == "https://example.org:8443/m"
