"""The layers before every route: the rules of access, a bound on every body, and the count."""

import asyncio
import contextlib
from typing import cast

from fastapi.exceptions import HTTPException
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelset.server.access import Access
from modelset.server.metrics import Metrics
from modelset.server.problems import problem

_BODY_AT_MOST = 64 * 1024
_LARGE = f"a body may have {_BODY_AT_MOST // 1024} KiB"
_BODY_S = 10.0
# Nothing but our own files may be loaded or asked by a page of ours.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SAFE_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Gate:
    """The ASGI layer that lets through what the rules allow, with a bound on every body."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(receive, is_whole=not _has_body(headers))

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                await body.drain()
                body.is_answered = True
                # A body that nobody has read would come as the head of the next request.
                ending = () if body.is_whole else ((b"connection", b"close"),)
                message["headers"] = [*message["headers"], *SAFE_HEADERS, *ending]
            await send(message)

        refusal = self._access.refusal(scope)
        if (wrong := _wrong_body(headers)) is not None:
            refusal, body.is_refused = refusal or wrong, True
        app = self._app if refusal is None else Counted(refusal)
        await app(_as_get(scope), body.receive, sending)


class Counted:
    """The ASGI layer that counts requests by their route; a path could be anything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock = asyncio.get_running_loop().time
        began = clock()
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            if not is_counted:
                is_counted = True
                route = getattr(scope.get("route"), "path_format", "") or "other"
                metrics = cast(Metrics, scope["app"].state.metrics)
                metrics.count_request(scope["method"], route, status, clock() - began)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # the layers outside answer it
            count(getattr(getattr(error, "response", None), "status_code", 500))
            raise


class _Body:
    """The body of one request, which may neither be large nor take long."""

    def __init__(self, receive: Receive, *, is_whole: bool) -> None:
        self._receive = receive
        self._count = 0
        self._until = asyncio.get_running_loop().time() + _BODY_S
        self.is_whole = is_whole
        self.is_answered = self.is_refused = False

    async def receive(self) -> Message:
        """The next of the body; raises HTTPException."""
        if self.is_whole:  # what comes now is the end of the connection, whenever that is
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(408, f"the body did not come within {_BODY_S:.0f} s")
        self._count += len(message.get("body", b""))
        self.is_whole = not message.get("more_body", False)
        if self._count > _BODY_AT_MOST:
            return self._refuse(413, _LARGE)
        return message

    async def drain(self) -> None:
        """Read what nobody wanted, within the bounds: where bytes are left when a connection is
        closed, the answer may never arrive.
        """
        with contextlib.suppress(HTTPException):
            while not (self.is_whole or self.is_refused):
                await self.receive()

    def _refuse(self, status: int, words: str) -> Message:
        self.is_whole, self.is_refused = False, True
        if self.is_answered:
            return {"type": "http.disconnect"}
        raise HTTPException(status, words)


def _as_get(scope: Scope) -> Scope:
    """What answers GET answers HEAD; the server leaves the body out."""
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _wrong_body(headers: Headers) -> Response | None:
    if "content-length" in headers and "transfer-encoding" in headers:
        # What another program before this one took for the end may be neither.
        return problem("usage", "a body has one length", status=400)
    length = headers.get("content-length", "0")
    is_number = length.isascii() and length.isdigit() and len(length) < 20
    return None if is_number and int(length) <= _BODY_AT_MOST else _large()


def _large() -> Response:
    return problem("usage", _LARGE, status=413)
