"""What a server can answer: a file, honestly or with one of many faults; a status; a redirect."""

from __future__ import annotations

import gzip
import json
import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from tests.faults.origin import PIECE, Exchange

MIB = 1024 * 1024


@cache
def bytes_of(name: str, size: int) -> bytes:
    """The same bytes for the same name and size, and no two names alike."""
    return random.Random(f"{name}/{size}").randbytes(size)


@dataclass(slots=True)
class Cut:
    """Ends a connection each time that so many bytes went out, over all connections; so many
    times, for ever with None.
    """

    after: int
    times: int | None = 1
    spent: bool = False
    _sent: int = 0
    _done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def due(self, step: int) -> bool:
        """Count what went out; whether the connection ends here."""
        with self._lock:
            self._sent += step
            if self.spent or self._sent < self.after * (self._done + 1):
                return False
            self._done += 1
            self.spent = self._done == self.times
            return True


@dataclass(frozen=True, slots=True)
class File:
    """A file as a good server gives it, unless a field says otherwise.

    `stop_at` counts bytes from the file's start, `stop_after` from the first byte sent; there the
    answer ends as `ending` says. `ranges=False` ignores Range, `if_range=False` If-Range.
    With `cut`, it ends there as soon as that says so.
    `pause_s` follows every `piece` bytes. `content_range` and `length` replace the true ones.
    """

    data: bytes = field(repr=False)
    etag: str = '"one"'
    kind: str = "application/octet-stream"
    ranges: bool = True
    if_range: bool = True
    length: str | None = ""
    content_range: str = ""
    stop_at: int | None = None
    stop_after: int | None = None
    ending: Literal["hold", "reset", "close"] = "hold"
    piece: int = PIECE
    pause_s: float = 0.0
    cut: Cut | None = None

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        start, end = self._span(exchange.request.headers)
        size = len(self.data)
        if start >= size > 0:
            exchange.head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        headers = {"Content-Type": self.kind, "Accept-Ranges": "bytes"}
        if self.etag:
            headers["ETag"] = self.etag
        if self.length is None:
            headers["Connection"] = "close"
            exchange.keep = False
        else:
            headers["Content-Length"] = self.length or str(end - start)
        partial = "range" in exchange.request.headers and (start, end) != (0, size)
        asked = "range" in exchange.request.headers and self._holds(exchange.request.headers)
        if partial or asked:
            headers["Content-Range"] = self.content_range or f"bytes {start}-{end - 1}/{size}"
        exchange.head(206 if partial or asked else 200, headers)
        self._send(exchange, start, end)

    def _holds(self, headers: Mapping[str, str]) -> bool:
        tag = headers.get("if-range", self.etag)
        return self.ranges and (tag == self.etag or not self.if_range)

    def _span(self, headers: Mapping[str, str]) -> tuple[int, int]:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        if not found or not self._holds(headers):
            return 0, len(self.data)
        last = int(found[2]) if found[2] else len(self.data) - 1
        return int(found[1]), min(last + 1, len(self.data))

    def _send(self, exchange: Exchange, start: int, end: int) -> None:
        view, position = memoryview(self.data), start
        limit = end if self.stop_at is None else max(min(self.stop_at, end), start)
        if self.stop_after is not None:
            limit = min(limit, start + self.stop_after)
        while position < limit:
            step = min(self.piece, limit - position)
            exchange.body(view[position : position + step])
            position += step
            if self.cut is not None and self.cut.due(step):
                limit = position
            elif self.pause_s:
                exchange.pause(self.pause_s)
        if limit == end and not self.length:
            return
        if self.ending == "hold":
            exchange.hold()
        elif self.ending == "reset":
            exchange.reset()
        exchange.keep = False


class Ration:
    """So many bytes for all connections together."""

    def __init__(self, size: int) -> None:
        self._left, self._lock = size, threading.Lock()

    def take(self, count: int) -> int:
        """How many of these bytes may still go out."""
        with self._lock:
            given = min(count, self._left)
            self._left -= given
            return given


@dataclass(frozen=True, slots=True)
class Rationed(File):
    """A file of which only a ration goes out; then every connection falls silent."""

    ration: Ration = field(default_factory=lambda: Ration(0))

    def _send(self, exchange: Exchange, start: int, end: int) -> None:
        view, position = memoryview(self.data), start
        while position < end:
            wanted = min(self.piece, end - position)
            given = self.ration.take(wanted)
            exchange.body(view[position : position + given])
            position += given
            if given < wanted:
                exchange.hold()


@dataclass(frozen=True, slots=True)
class Status:
    """An HTTP status with a short text."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        data = self.text.encode()
        exchange.head(self.status, {"Content-Length": str(len(data)), **self.headers})
        exchange.body(data)


@dataclass(frozen=True, slots=True)
class Json:
    """A document, as an API answers; to HEAD its headers alone."""

    value: Any

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        data = json.dumps(self.value).encode()
        exchange.head(200, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        if exchange.request.method != "HEAD":
            exchange.body(data)


def redirect(url: str) -> Status:
    """Send the client elsewhere."""
    return Status(302, {"Location": url})


def page(*, length: bool = True, text: str = "<!doctype html><title>Sign in</title>") -> File:
    """A page for people, with status 200."""
    data = text.encode()
    kind = "text/html; charset=utf-8"
    return File(data, etag="", kind=kind, ranges=False, length="" if length else None)


def silence(exchange: Exchange) -> None:
    """Take the request and never answer."""
    exchange.hold()


def hang_up(exchange: Exchange) -> None:
    """Close without an answer."""
    exchange.keep = False


def reset_early(exchange: Exchange) -> None:
    """End the connection with a RST, without an answer."""
    exchange.reset()


@dataclass(frozen=True, slots=True)
class Chunked:
    """A body in chunks, without a length."""

    data: bytes = field(repr=False)

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        exchange.head(
            200, {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"}
        )
        view = memoryview(self.data)
        for start in range(0, len(view), PIECE):
            piece = view[start : start + PIECE]
            exchange.raw(b"%x\r\n" % len(piece))
            exchange.body(piece)
            exchange.raw(b"\r\n")
        exchange.raw(b"0\r\n\r\n")


@dataclass(frozen=True, slots=True)
class Compressed:
    """A body that the server has compressed although nobody asked for it."""

    data: bytes = field(repr=False)

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        packed = gzip.compress(self.data, 1)
        exchange.head(200, {"Content-Encoding": "gzip", "Content-Length": str(len(packed))})
        exchange.body(packed)


def endless(exchange: Exchange) -> None:
    """A body that never ends, without a length."""
    exchange.head(200, {"Connection": "close", "Content-Type": "application/octet-stream"})
    exchange.keep = False
    while True:
        exchange.body(bytes(PIECE))
