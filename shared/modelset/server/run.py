"""Listens: binds the address, and serves the application until a signal ends it."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from modelset.core.errors import ModelSetError
from modelset.serving import Serving

# A client has so long to send the head of its request.
_HEAD_S = 10.0
# And so long to read what was sent; one that follows events can come back for what it missed.
_UNREAD_S = 60.0
_CONNECTIONS_AT_MOST = 1000
# Kubernetes waits thirty seconds before it kills; events and answers have to end within this.
_GRACE_S = 5


def listen(serving: Serving) -> socket.socket:
    """The bound address; raises ModelSetError `server-address`, and `server-exposed` when
    strangers could reach a server that has no token.
    """
    if not serving.is_local and not serving.token:
        raise ModelSetError(
            "server-exposed",
            f"{serving.host} can be reached from other machines, and there is no token",
            "write one into a file and say `--token-file FILE`, or listen on 127.0.0.1",
        )
    host = serving.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, serving.port), family=family, backlog=512)
    except OSError as error:
        raise ModelSetError(
            "server-address",
            f"cannot listen on {serving.host}:{serving.port}: {error.strerror or error}",
            "stop what listens there, or say `--port PORT`",
        ) from error


def serve(app: FastAPI, bound: socket.socket, say: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; then end the jobs' commands, which go on another time."""
    config = uvicorn.Config(
        app,
        http=_Patient,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=True,
        limit_concurrency=_CONNECTIONS_AT_MOST,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=32 * 1024,
        proxy_headers=False,
    )
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server = _Server(config, lambda: say(f"serving on http://{shown}:{port}"))
    server.run(sockets=[bound])


class _Server(uvicorn.Server):
    """Says when it answers, and lets readers of events go before it waits for them."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came."""
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._let_go)

    def _let_go(self) -> None:
        app: Any = self.config.app
        with contextlib.suppress(AttributeError):  # asked to end before it had begun
            app.state.service.closing.set()
            app.state.service.jobs.wake()


class _Patient(H11Protocol):
    """A connection that is closed when the head of a request takes too long, and when nobody reads
    the answer.
    """

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count."""
        super().connection_made(transport)
        self._late = self.loop.call_later(_HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Count from the first byte of a head to its last."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(_HEAD_S, self.transport.close)

    def pause_writing(self) -> None:
        """Count while the client does not read."""
        super().pause_writing()
        self._unread = self.loop.call_later(_UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        self._heed()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._forget()
        self._heed()
        super().connection_lost(exc)

    def _heed(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
