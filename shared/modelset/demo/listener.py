"""One listening origin: HTTP/1.1 with kept-alive connections, on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from modelset.demo.exchange import Ask, Reply, error_reply
from modelset.demo.journal import Journal, Seen

_CHUNK = 64 * 1024
_LARGEST_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class Terms:
    """How one origin behaves: its name, who answers, where requests are noted, how slow it is."""

    origin: str
    answer: Callable[[Ask], Reply]
    journal: Journal
    latency: float


class Listener(ThreadingHTTPServer):
    """Listens from the moment it is made; `terms` must be set before it serves."""

    daemon_threads = True
    request_queue_size = 128
    terms: Terms

    def __init__(self, port: int = 0) -> None:
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Conversation)

    @property
    def url(self) -> str:
        """Return the origin's address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve_until_stopped(self) -> None:
        """Answer until `stop`; looks for it often, so that stopping is quick."""
        self.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Stop listening and hang up on everyone."""
        self.shutdown()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note the connection, so that `stop` can end it."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the only error that comes here is a client that has gone."""


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "modelset-demo"
    sys_version = ""
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        self._converse()

    def do_HEAD(self) -> None:
        self._converse()

    def do_POST(self) -> None:
        self._converse()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited
        """Stay silent; the journal keeps what matters."""

    def _converse(self) -> None:
        terms = self.server.terms
        if terms.latency:
            time.sleep(terms.latency)
        reply = self._answered(terms)
        terms.journal.add(self._seen(terms.origin, reply.status))
        self._send(reply)

    def _answered(self, terms: Terms) -> Reply:
        length = self.headers.get("Content-Length") or "0"
        if "Transfer-Encoding" in self.headers or not length.isdigit():
            self.close_connection = True
            return error_reply(411, "Length Required")
        if int(length) > _LARGEST_BODY:
            self.close_connection = True
            return error_reply(413, "Content Too Large")
        body = self.rfile.read(int(length))
        path, _, query = self.path.partition("?")
        try:
            return terms.answer(Ask(self.command, path, query, self.headers, body))
        except ValueError as mistake:
            # What does not parse (a number, a JSON body) is the client's mistake.
            return error_reply(400, f"Bad Request: {type(mistake).__name__}")

    def _seen(self, origin: str, status: int) -> Seen:
        had_authorization = "Authorization" in self.headers
        asked = self.headers.get("Range")
        return Seen(origin, self.command, self.path, had_authorization, asked, status)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.status != 304:
            self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD" or reply.status == 304:
            return
        for start in range(0, len(reply.body), _CHUNK):
            self.wfile.write(reply.body[start : start + _CHUNK])
