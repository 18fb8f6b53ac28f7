"""A scripted server on loopback: hands out named answers, and remembers every request."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PIECE = 64 * 1024


class GoneError(Exception):
    """The client or the test has left; nothing more is to be answered."""


@dataclass(slots=True)
class Request:
    """One request as it came, and how many bytes of a body were handed to it."""

    path: str
    headers: Mapping[str, str]
    connection: int
    at: float
    sent: int = 0
    method: str = "GET"
    query: str = ""

    @property
    def range_start(self) -> int:
        """The first byte that was asked for."""
        text = self.headers.get("range", "")
        return int(text.removeprefix("bytes=").partition("-")[0]) if text else 0


class Exchange:
    """One request on its socket: what an answer speaks through."""

    def __init__(self, request: Request, peer: socket.socket, closing: threading.Event) -> None:
        self.request, self._peer, self._closing = request, peer, closing
        self.keep = True

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {headers[name]}" for name in headers)]
        self._peer.sendall("\r\n".join((*lines, "", "")).encode("iso-8859-1"))

    def raw(self, data: bytes) -> None:
        """Send bytes that are no part of a body, such as the sizes of chunks."""
        self._peer.sendall(data)

    def body(self, data: memoryview | bytes) -> None:
        """Send bytes of the body, and count what the system took."""
        view = memoryview(data)
        while view:
            taken = self._peer.send(view[:PIECE])
            self.request.sent += taken
            view = view[taken:]

    def pause(self, seconds: float) -> None:
        """Wait; raises GoneError as soon as the client or the test leaves."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._closing.is_set():
                raise GoneError
            ready, _, _ = select.select([self._peer], [], [], min(left, 0.1))
            if ready and not self._peer.recv(1, socket.MSG_PEEK):
                raise GoneError

    def hold(self) -> None:
        """Say nothing for as long as the client stays."""
        self.pause(3600)

    def reset(self) -> None:
        """End the connection with a RST."""
        self._peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False


Answer = Callable[[Exchange], None]


@dataclass(slots=True)
class _Script:
    answers: list[Answer]
    then: Answer
    asked: int = 0


@dataclass(slots=True)
class Origin:
    """A server on a free port, or on the one it is told; `serve` says what it answers, `requests`
    what it was asked.
    """

    requests: list[Request] = field(default_factory=list)
    url: str = ""
    port: int = 0
    _scripts: dict[str, _Script] = field(default_factory=dict)
    _listener: socket.socket = field(default_factory=socket.socket)
    _peers: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _connections: int = 0

    def open(self, host: str = "127.0.0.1") -> Origin:
        """Listen and answer."""
        # Inherited by each connection: little lies in the system's hands when a client is killed.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PIECE)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, self.port))
        self._listener.listen(64)
        self.url = f"http://{host}:{self._listener.getsockname()[1]}"
        self._start(self._accept)
        return self

    def close(self) -> None:
        """End every connection and every thread."""
        self._closing.set()
        with self._lock:
            for peer in (self._listener, *self._peers):
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the server outlives it"

    def serve(self, path: str, then: Answer, *, first: tuple[Answer, ...] = ()) -> str:
        """Answer requests for a path, the first ones as listed; returns its address."""
        with self._lock:
            self._scripts[path] = _Script(list(first), then)
        return self.url + path

    def asked(self, path: str) -> list[Request]:
        """The requests for one path, in their order."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def sent(self, path: str) -> int:
        """How many bytes of bodies went out for one path."""
        return sum(request.sent for request in self.asked(path))

    def _start(self, work: Callable[..., None], *values: object) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closing.is_set():
                    peer.close()
                    return
                self._peers.add(peer)
                self._connections += 1
                self._start(self._talk, peer, self._connections)

    def _talk(self, peer: socket.socket, number: int) -> None:
        try:
            with suppress(OSError, GoneError):
                rest = b""
                while True:
                    while b"\r\n\r\n" not in rest:
                        data = peer.recv(PIECE)
                        if not data:
                            return
                        rest += data
                    text, _, rest = rest.partition(b"\r\n\r\n")
                    exchange = self._exchange(text.decode("iso-8859-1"), peer, number)
                    if exchange is None:
                        return
                    if not exchange.keep:
                        return
        finally:
            with self._lock:
                self._peers.discard(peer)
            peer.close()

    def _exchange(self, text: str, peer: socket.socket, number: int) -> Exchange:
        first, *lines = text.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        method, target, _ = first.split(" ")
        path, _, query = target.partition("?")
        request = Request(path, headers, number, time.monotonic(), method=method, query=query)
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get(path)
            answer = script.then if script else _unknown
            if script and script.asked < len(script.answers):
                answer = script.answers[script.asked]
            if script:
                script.asked += 1
        exchange = Exchange(request, peer, self._closing)
        answer(exchange)
        return exchange


def _unknown(exchange: Exchange) -> None:
    exchange.head(404, {"Content-Length": "0"})


@contextmanager
def origin() -> Iterator[Origin]:
    """Return a running server; ends it afterwards."""
    running = Origin().open()
    try:
        yield running
    finally:
        running.close()


@contextmanager
def black_hole() -> Iterator[str]:
    """Return an address whose connects are never answered.

    Linux drops the SYN of a connection for which the queue of a listening socket has no room.
    """
    listener = socket.socket()
    fillers: list[socket.socket] = []
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = socket.socket()
            fillers.append(filler)
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            if not select.select([], [filler], [], 0.3)[1]:
                break
        else:
            raise AssertionError("this system answers connects to a full queue")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in (listener, *fillers):
            each.close()
