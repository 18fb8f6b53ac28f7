"""Who may ask for what, what a body may be, and how long a client may take: without a process."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from unittest.mock import Mock

import pytest

pytest.importorskip("fastapi", reason="the extra `server` is not installed")

import uvicorn
from fastapi import Body, FastAPI
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from modelset.core.errors import ModelSetError
from modelset.server import access, gate, run
from modelset.server.access import COOKIE, Access
from modelset.server.app import with_routes
from modelset.server.gate import Gate
from modelset.serving import Serving

TOKEN = "the-token-of-this-server"
HOST = {"host": "localhost:8000"}
Headers = dict[str, str]


def scope_of(
    method: str = "GET", path: str = "/v1/models", client: str = "1.2.3.4", **headers: str
) -> Scope:
    pairs = {**HOST, **{name.replace("_", "-"): text for name, text in headers.items()}}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "client": (client, 5000),
        "headers": [(name.encode(), text.encode("latin-1")) for name, text in pairs.items()],
    }


def status(rules: Access, scope: Scope) -> int:
    """What the rules say; 200 when they let a request through."""
    refusal = rules.refusal(scope)
    return 200 if refusal is None else refusal.status_code


def bearer(token: str = TOKEN) -> Headers:
    return {"authorization": f"Bearer {token}"}


# ---- names and origins ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1:1",
        "[::1]:8000",
        "[::1]",
    ],
)
def test_a_local_server_answers_to_its_own_names(host: str) -> None:
    assert status(Access(Serving()), scope_of(host=host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "localhost.evil.example", "127.0.0.1.nip.example", "127.0.0.2"),
        *("[::1", "]", "localhost@evil.example", "0.0.0.0:8000", "local\xe9host", "%6cocalhost"),
        *("evil.example/localhost", "evil.example#localhost", "evil.example?localhost"),
    ],
)
def test_a_local_server_answers_to_no_other_name(host: str) -> None:
    for rules in (Access(Serving()), Access(Serving(token=TOKEN))):
        assert status(rules, scope_of(host=host)) == 403
        assert status(rules, scope_of(host=host, path="/livez")) == 403
        assert status(rules, scope_of(host=host, **bearer())) == 403


def test_names_can_be_added_and_bind_a_public_server_too() -> None:
    rules = Access(Serving(host="0.0.0.0", token=TOKEN, hosts=("models.example",)))
    assert status(rules, scope_of(host="models.example:443", **bearer())) == 200
    assert status(rules, scope_of(host="evil.example", **bearer())) == 403
    free = Access(Serving(host="0.0.0.0", token=TOKEN))
    assert status(free, scope_of(host="whatever.example", **bearer())) == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8000"}, 200),
        ({"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://localhost:9000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "localhost:8000"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "whatever"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "TRACE", "FOO"])
def test_another_site_may_change_nothing(method: str, headers: Headers, expected: int) -> None:
    assert status(Access(Serving()), scope_of(method, "/v1/jobs", **headers)) == expected
    known = {**headers, **bearer()}
    assert status(Access(Serving(token=TOKEN)), scope_of(method, "/v1/jobs", **known)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
        ({"sec-fetch-site": "none", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_another_site_may_lead_here_and_embed_nothing(headers: Headers, expected: int) -> None:
    assert status(Access(Serving()), scope_of("GET", "/v1/plan", **headers)) == expected


# ---- the token ------------------------------------------------------------------------------


def test_on_loopback_only_changes_need_the_token() -> None:
    rules = Access(Serving(token=TOKEN))
    for path in ("/v1/models", "/metrics", "/v1/jobs", "/"):
        assert status(rules, scope_of("GET", path)) == 200
    assert status(rules, scope_of("POST", "/v1/jobs")) == 401
    assert status(rules, scope_of("DELETE", "/v1/jobs/x")) == 401
    assert status(rules, scope_of("POST", "/v1/jobs", **bearer())) == 200
    assert status(rules, scope_of("POST", "/v1/session")) == 200


def test_off_loopback_reads_need_it_too() -> None:
    rules = Access(Serving(host="0.0.0.0", token=TOKEN))
    for path in ("/v1/models", "/metrics", "/v1/jobs", "/v1/openapi.json", "/models/status", "/x"):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            assert status(rules, scope_of(method, path)) == 401
        assert status(rules, scope_of("GET", path, **bearer())) == 200
    for path in ("/livez", "/readyz", "/healthz", "/", "/static/page.css"):
        assert status(rules, scope_of("GET", path)) == 200
    for path in ("//", "/livez/", "/livez/../v1/models", "/STATIC/x", "/v1/../livez"):
        assert status(rules, scope_of("GET", path)) == 401


@pytest.mark.parametrize(
    "given",
    [
        *("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer{TOKEN}", f"Token {TOKEN}"),
        *(f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN.upper()}"),
        *(f"Bearer {TOKEN},{TOKEN}", f'Bearer "{TOKEN}"', "Bearer \xff\xfe", "Bearer \x00"),
    ],
)
def test_what_is_not_the_token_is_refused(given: str) -> None:
    rules = Access(Serving(token=TOKEN))
    refusal = rules.refusal(scope_of("POST", "/v1/jobs", authorization=given))
    assert refusal is not None
    assert refusal.status_code == 401
    assert refusal.headers["www-authenticate"].startswith("Bearer")
    assert TOKEN.encode() not in refusal.body


def test_the_scheme_is_known_in_any_case() -> None:
    rules = Access(Serving(token=TOKEN))
    for given in (f"bearer {TOKEN}", f"BEARER   {TOKEN}  "):
        assert status(rules, scope_of("POST", "/v1/jobs", authorization=given)) == 200


def test_a_token_may_have_any_letters() -> None:
    rules = Access(Serving(token="schlüssel-鍵"))
    sent = "schlüssel-鍵".encode().decode("latin-1")
    assert status(rules, scope_of("POST", "/v1/jobs", authorization=f"Bearer {sent}")) == 200


def test_an_empty_token_is_no_token_to_give() -> None:
    rules = Access(Serving())
    assert not rules.is_token(b"")
    with pytest.raises(ModelSetError):
        rules.open_session("", "1.2.3.4")


def test_tokens_are_compared_as_digests_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    class Watched:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(access, "hmac", Watched)
    rules = Access(Serving(token=TOKEN))
    for given in (b"", b"x", TOKEN.encode(), b"y" * 10_000):
        rules.is_token(given)
    assert len(compared) == 4
    assert {len(side) for pair in compared for side in pair} == {32}


def test_guessing_has_an_end_that_tells_nothing() -> None:
    rules = Access(Serving(host="0.0.0.0", token=TOKEN))
    for number in range(19):
        assert status(rules, scope_of(**bearer(f"guess {number}"))) == 401
    assert status(rules, scope_of(**bearer("the last"))) == 429
    refusal = rules.refusal(scope_of(**bearer("one more")))
    assert refusal is not None
    assert (refusal.status_code, refusal.headers["retry-after"]) == (429, "60")
    right = rules.refusal(scope_of(**bearer()))
    assert right is not None
    assert (right.status_code, right.body) == (429, refusal.body), "an answer that tells"
    assert not rules.may_change(scope_of(**bearer()))
    with pytest.raises(ModelSetError, match="too many tries"):
        rules.open_session(TOKEN, "1.2.3.4")
    assert status(rules, scope_of(client="5.6.7.8", **bearer())) == 200


def test_guesses_at_the_page_count_like_all_others() -> None:
    rules = Access(Serving(token=TOKEN))
    shown = [rules.may_change(scope_of(path="/", **bearer(f"guess {n}"))) for n in range(30)]
    assert not any(shown)
    assert not rules.may_change(scope_of(path="/", **bearer()))


def test_a_session_goes_on_while_others_guess_from_the_same_address() -> None:
    rules = Access(Serving(token=TOKEN))
    name = rules.open_session(TOKEN, "1.2.3.4")
    for number in range(30):
        rules.refusal(scope_of("POST", "/v1/jobs", **bearer(f"guess {number}")))
    assert status(rules, scope_of("POST", "/v1/jobs", cookie=f"{COOKIE}={name}")) == 200


@pytest.mark.parametrize(
    "cookie",
    [
        *("", "=", ";;;", f"{COOKIE}", f"{COOKIE}=", f"{COOKIE}=x", f'{COOKIE}="\xe9"'),
        *(f"{COOKIE}=\xff\xfe", f'{COOKIE}="\\303\\251"', f"other=1; {COOKIE}=1; {COOKIE}=2"),
        *("a" * 30_000, "=;" * 10_000, f"{COOKIE}=" + "x" * 20_000, "\x00", "[]=x"),
    ],
)
def test_no_cookie_but_a_session_is_let_through(cookie: str) -> None:
    rules = Access(Serving(token=TOKEN))
    rules.open_session(TOKEN, "1.2.3.4")
    assert status(rules, scope_of("POST", "/v1/jobs", cookie=cookie)) == 401


def test_sessions_are_few_and_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Access(Serving(token=TOKEN))
    names = [rules.open_session(TOKEN, str(number)) for number in range(101)]
    assert len(set(names)) == 101
    allowed = [status(rules, scope_of("POST", cookie=f"{COOKIE}={name}")) for name in names]
    assert (allowed[0], allowed[1], allowed[-1]) == (401, 200, 200)
    rules.close_session(scope_of(cookie=f"{COOKIE}={names[-1]}"))
    assert status(rules, scope_of("POST", cookie=f"{COOKIE}={names[-1]}")) == 401


def test_work_is_begun_sixty_times_a_minute() -> None:
    rules = Access(Serving())
    for _ in range(60):
        rules.count_start("1.2.3.4")
    with pytest.raises(ModelSetError) as caught:
        rules.count_start("1.2.3.4")
    assert (caught.value.failure.code, caught.value.retry_after_s) == ("rate-limited", 60)
    rules.count_start("5.6.7.8")


def test_no_address_without_a_token_can_be_reached_by_strangers() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "models.example", "[::]", ""):
        with pytest.raises(ModelSetError) as caught:
            run.listen(Serving(host=host, port=0))
        assert caught.value.failure.code == "server-exposed"
        assert caught.value.kind.exit_code == 13


# ---- bodies ---------------------------------------------------------------------------------


def behind_gate(rules: Access | None = None) -> FastAPI:
    app = with_routes(rules or Access(Serving()))
    app.state.metrics = Mock()

    @app.post("/echo")
    async def echo(value: Annotated[Any, Body()]) -> Any:
        return value

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    return app


async def asked(
    app: Any, scope: Scope, pieces: Iterable[bytes] = (b"",), pause_s: float = 0
) -> tuple[int, Headers, bytes]:
    """One request to an application: its status, headers and body."""
    waiting = list(pieces)
    said: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(pause_s)
        if not waiting:
            await asyncio.sleep(3600)
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting) or pause_s > 0}

    async def send(message: Message) -> None:
        said.append(message)

    async with asyncio.timeout(20):
        await app(scope, receive, send)
    headers = {name.decode(): text.decode() for name, text in said[0]["headers"]}
    return said[0]["status"], headers, b"".join(row.get("body", b"") for row in said[1:])


def posted(*pieces: bytes, pause_s: float = 0, path: str = "/echo", **headers: str) -> Any:
    kind = {"content_type": "application/json", **headers}
    scope = scope_of("POST", path, **kind)
    return asyncio.run(asked(behind_gate(), scope, pieces, pause_s))


def test_a_body_up_to_the_bound_is_taken() -> None:
    text = b'"' + b"x" * (64 * 1024 - 2) + b'"'
    code, headers, body = posted(text[:5000], text[5000:], content_length=str(len(text)))
    assert (code, body) == (200, text)
    assert "connection" not in headers
    code, _, body = posted(text[:5000], text[5000:], transfer_encoding="chunked")
    assert (code, body) == (200, text)


@pytest.mark.parametrize(
    "headers",
    [
        {"content_length": str(64 * 1024 + 1)},
        {"content_length": "9" * 19},
        {"content_length": "9" * 5000},
        {"content_length": "-1"},
        {"content_length": "1x"},
        {"content_length": "\xb2"},
        {"content_length": ""},
        {"content_length": "1, 1"},
    ],
)
def test_a_length_beyond_the_bound_is_refused_before_the_body(headers: Headers) -> None:
    code, answer, body = posted(b"x", pause_s=60, **headers)
    assert code == 413
    assert answer["content-type"] == "application/problem+json"
    assert answer["connection"] == "close"
    assert b"64 KiB" in body


def test_pieces_beyond_the_bound_are_refused() -> None:
    code, answer, _ = posted(*[b"x" * 10_000] * 7, transfer_encoding="chunked")
    assert (code, answer["connection"]) == (413, "close")
    assert answer["content-type"] == "application/problem+json"


def test_a_slow_body_is_refused_however_it_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_BODY_S", 0.3)
    for pieces in ([], [b" "] * 1000):
        code, answer, _ = posted(*pieces, pause_s=0.05, transfer_encoding="chunked")
        assert (code, answer["connection"]) == (408, "close")
        assert answer["content-type"] == "application/problem+json"


def test_a_body_that_nobody_wants_is_read_up_to_the_bound() -> None:
    code, answer, _ = posted(b"x" * 500, b"y", path="/nowhere", content_length="501")
    assert code == 404
    assert "connection" not in answer, "the next request can follow"
    code, answer, _ = posted(*[b"x" * 10_000] * 9, path="/nowhere", transfer_encoding="chunked")
    assert (code, answer["connection"]) == (404, "close")


def test_a_body_that_nobody_wants_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "_BODY_S", 0.2)
    code, answer, _ = posted(pause_s=60, path="/nowhere", content_length="5")
    assert (code, answer["connection"]) == (404, "close")


def test_two_lengths_are_one_too_many() -> None:
    both = {"content_length": "2", "transfer_encoding": "chunked"}
    code, answer, _ = posted(b"{}", **both)
    assert (code, answer["connection"]) == (400, "close")


SURE = ("content-security-policy", "x-content-type-options", "referrer-policy")
SURE += ("cross-origin-resource-policy", "cross-origin-opener-policy")


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/v1/openapi.json", {}, 200),
        ("GET", "/stream", {}, 200),
        ("HEAD", "/v1/openapi.json", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("PUT", "/v1/jobs", {}, 405),
        ("OPTIONS", "/v1/jobs", {}, 405),
        ("POST", "/v1/jobs", {"host": "evil.example"}, 403),
        ("POST", "/v1/jobs", {"content_length": "99999999"}, 413),
        ("GET", "/v1/jobs/NOT-AN-ID", {}, 422),
    ],
)
def test_every_answer_has_the_headers_of_a_browsers_safety(
    method: str, path: str, headers: Headers, expected: int
) -> None:
    app = behind_gate()
    app.state.service = None
    code, answer, _ = asyncio.run(asked(app, scope_of(method, path, **headers)))
    assert code == expected
    assert set(SURE) <= set(answer)
    assert "script-src 'self'" in answer["content-security-policy"]
    assert "unsafe" not in answer["content-security-policy"]
    assert not [name for name in answer if name.startswith("access-control-")]


def test_a_mistake_of_ours_tells_its_kind_and_no_more() -> None:
    app = behind_gate()

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("what nobody should read")

    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    with pytest.raises(RuntimeError):  # for the log of the server
        asyncio.run(app(scope_of(path="/broken"), receive, send))  # type: ignore[arg-type]
    assert said[0]["status"] == 500
    assert set(SURE) <= {name.decode() for name, _ in said[0]["headers"]}
    assert b'"unexpected"' in said[1]["body"]
    assert b"nobody" not in said[1]["body"]


def test_a_path_says_all_its_methods() -> None:
    for path, allowed in (
        ("/v1/jobs", "GET, HEAD, POST"),
        ("/v1/jobs/0123456789abcdef", "DELETE, GET, HEAD"),
        ("/v1/session", "DELETE, POST"),
    ):
        code, answer, _ = asyncio.run(asked(behind_gate(), scope_of("PATCH", path)))
        assert (code, answer["allow"]) == (405, allowed)


def test_what_is_no_request_passes_through() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(Gate(app, Access(Serving()))({"type": "lifespan"}, nothing, nothing))
    assert seen == [{"type": "lifespan"}]


# ---- slow clients ---------------------------------------------------------------------------


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[tuple[str, int]]:
    """The protocol of the server on a port of its own, without a process."""
    config = uvicorn.Config(app, log_config=None, timeout_keep_alive=5, lifespan="off")
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        return run._Patient(config=config, server_state=state, app_state={})

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0.05)


async def until_closed(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(10):
        try:
            data = await reader.read()
        except ConnectionResetError:
            data = b""
    return data, asyncio.get_running_loop().time() - began


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_HEAD_S", 0.4)
    monkeypatch.setattr(run, "_UNREAD_S", 0.4)


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("well")(scope, receive, send)


@pytest.mark.parametrize(
    ("first", "drip"), [(b"", b""), (b"GET / HT", b""), (b"GET / HTTP/1.1\r\n", b"x: y\r\n")]
)
def test_a_slow_head_ends_the_connection(
    first: bytes, drip: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)

    async def work() -> tuple[bytes, float]:
        async with listening(plain) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(first)
            dripping = asyncio.create_task(drips(writer, drip))
            try:
                return await until_closed(reader)
            finally:
                dripping.cancel()
                writer.close()

    data, took = asyncio.run(work())
    assert data == b""
    assert 0.2 < took < 2


async def drips(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while True:
        writer.write(drip)
        await asyncio.sleep(0.05)


def test_the_head_of_a_later_request_may_not_be_slow_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short(monkeypatch)

    async def work() -> tuple[bytes, float]:
        async with listening(plain) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await reader.readuntil(b"well")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.6)  # longer than a head may take, but nothing has begun
            writer.write(b"GET / HT")
            try:
                return await until_closed(reader)
            finally:
                writer.close()

    data, took = asyncio.run(work())
    assert data == b""
    assert took < 2


def test_a_slow_answer_is_no_slow_head(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1)
        await plain(scope, receive, send)

    async def work() -> bytes:
        async with listening(late) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            data, _ = await until_closed(reader)
            writer.close()
            return data

    assert asyncio.run(work()).endswith(b"well")


def flooding(count: int, sent: list[int]) -> Any:
    """An application that sends so many pieces, and counts them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(count):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent[0] += 1
        await send({"type": "http.response.body", "body": b""})

    return app


def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)
    sent = [0]

    async def work() -> None:
        async with listening(flooding(4000, sent)) as (host, port):
            reader, writer = await asyncio.open_connection(host, port, limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await asyncio.sleep(1.2)
            before = sent[0]
            await asyncio.sleep(0.1)
            assert sent[0] in (before, 4000), "it still waits for this client"
            _, took = await until_closed(reader)
            assert took < 5
            writer.close()

    asyncio.run(work())


def test_a_client_that_reads_slowly_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    short(monkeypatch)
    sent = [0]

    async def work() -> int:
        async with listening(flooding(200, sent)) as (host, port):
            reader, writer = await asyncio.open_connection(host, port, limit=65536)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            count = 0
            while data := await reader.read(256 * 1024):
                count += len(data)
                await asyncio.sleep(0.005)
            writer.close()
            return count

    assert asyncio.run(work()) > 200 * 65536
