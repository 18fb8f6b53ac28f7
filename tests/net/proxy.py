"""A scripted proxy on loopback: HTTP with CONNECT and absolute addresses, or SOCKS5."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

PIECE = 64 * 1024
# How SOCKS5 says that all is well, and where the connection ends (nobody reads that).
_SOCKS_DONE = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


class GoneError(Exception):
    """The client has left, or is to be left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a proxy was asked: CONNECT, GET or SOCKS, the target, and the headers."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Proxy:
    """A proxy on a free port that knows some hosts by name: `routes` says where each is in truth.

    With `user` (`name:password`) it wants these credentials. `answer` is sent instead of an answer
    of its own, `fault` does something worse.
    """

    kind: Literal["http", "socks5"] = "http"
    routes: Mapping[str, int] = field(default_factory=dict)
    user: str = ""
    answer: bytes = b""
    fault: Literal["", "drop", "silence"] = ""
    refusal: int = 0
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    _listener: socket.socket = field(default_factory=socket.socket)
    _sockets: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def open(self) -> Proxy:
        """Listen and serve."""
        self.reserve()
        self._listener.listen(64)
        self._start(self._accept)
        return self

    def reserve(self) -> Proxy:
        """Take a port, on which nobody listens yet."""
        self._listener.bind(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        return self

    def close(self) -> None:
        """End every connection and every thread."""
        self._closing.set()
        with self._lock:
            for each in (self._listener, *self._sockets):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a thread of the proxy outlives it"
        for each in self._sockets:
            each.close()

    def _start(self, work: object, *values: object) -> None:
        thread = threading.Thread(target=work, args=values, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _keep(self, each: socket.socket) -> socket.socket:
        with self._lock:
            if self._closing.is_set():
                each.close()
                raise GoneError
            self._sockets.add(each)
        return each

    def _accept(self) -> None:
        with suppress(OSError, GoneError):
            while True:
                self._start(self._serve, self._keep(self._listener.accept()[0]))

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, GoneError):
            if self.kind == "socks5":
                self._socks(client)
            else:
                self._http(client)
        client.close()

    def _http(self, client: socket.socket) -> None:
        while True:
            text = _until_blank_line(client)
            first, *lines = text.decode("iso-8859-1").split("\r\n")
            method, target, _ = first.split(" ")
            pairs = [line.partition(":") for line in lines if line]
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            self._note(Asked(method, target, headers))
            self._misbehave(client)
            if self._wants_credentials(headers):
                client.sendall(_page(407, "Proxy-Authenticate: Basic realm=house\r\n"))
                continue
            if method == "CONNECT":
                upstream = self._dial(target.rpartition(":")[0], client)
                client.sendall(b"HTTP/1.1 200 Connection established\r\nVia: house\r\n\r\n")
                self._join(client, upstream)
                return
            parts = urlsplit(target)
            upstream = self._dial(parts.hostname or "", client)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            upstream.sendall("\r\n".join((f"{method} {path} HTTP/1.1", *kept)).encode() + b"\r\n")
            self._start(_pump, upstream, client)

    def _wants_credentials(self, headers: Mapping[str, str]) -> bool:
        sent = headers.get("proxy-authorization", "").removeprefix("Basic ")
        return bool(self.user) and base64.b64decode(sent).decode() != self.user

    def _misbehave(self, client: socket.socket) -> None:
        if self.fault == "silence":
            client.recv(1)  # until it leaves, or the test ends
        if self.answer:
            client.sendall(self.answer)
        if self.fault or self.answer:
            raise GoneError

    def _dial(self, host: str, client: socket.socket) -> socket.socket:
        if host not in self.routes:
            client.sendall(_page(502))
            raise GoneError
        return self._keep(socket.create_connection(("127.0.0.1", self.routes[host]), timeout=10))

    def _join(self, client: socket.socket, upstream: socket.socket) -> None:
        self._start(_pump, upstream, client)
        _pump(client, upstream)

    def _socks(self, client: socket.socket) -> None:
        _, count = _exactly(client, 2)
        offered = _exactly(client, count)
        if self.user and 2 not in offered:
            client.sendall(b"\x05\xff")
            return
        client.sendall(b"\x05\x02" if self.user else b"\x05\x00")
        if self.user:
            name = _exactly(client, _exactly(client, 2)[1]).decode()
            word = _exactly(client, _exactly(client, 1)[0]).decode()
            right = f"{name}:{word}" == self.user
            client.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return
        kind = _exactly(client, 4)[3]
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode()
        else:
            family, size = (socket.AF_INET6, 16) if kind == 4 else (socket.AF_INET, 4)
            host = socket.inet_ntop(family, _exactly(client, size))
        port = int.from_bytes(_exactly(client, 2), "big")
        self._note(Asked("SOCKS", f"{'name' if kind == 3 else 'address'} {host}:{port}"))
        if self.refusal or host not in self.routes:
            client.sendall(bytes((5, self.refusal or 4)) + _SOCKS_DONE[2:])
            return
        self._misbehave(client)
        upstream = self._dial(host, client)
        client.sendall(_SOCKS_DONE)
        self._join(client, upstream)

    def _note(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)


def _page(status: int, headers: str = "") -> bytes:
    text = f"<!doctype html><title>{status}</title>"
    return (
        f"HTTP/1.1 {status} House\r\n{headers}Content-Type: text/html\r\n"
        f"Content-Length: {len(text)}\r\n\r\n{text}"
    ).encode()


def _until_blank_line(peer: socket.socket) -> bytes:
    text = b""
    while not text.endswith(b"\r\n\r\n"):
        data = peer.recv(PIECE)
        if not data:
            raise GoneError
        if data[0] == 0x16:  # TLS, which this proxy does not speak
            peer.sendall(_page(400))
            raise GoneError
        text += data
    return text[:-2]


def _exactly(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise GoneError
        data += more
    return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on every byte, and then the end."""
    with suppress(OSError):
        while data := source.recv(PIECE):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(routes: Mapping[str, int], **other: object) -> Iterator[Proxy]:
    """Return a running proxy; ends it afterwards."""
    running = Proxy(routes=routes, **other).open()  # type: ignore[arg-type]
    try:
        yield running
    finally:
        running.close()
