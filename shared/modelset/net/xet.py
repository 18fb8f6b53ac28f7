"""Xet: GETs of the Hub's files through the library hf_xet, in a child process that can be killed.

A wire like the other, so that resuming, verifying, mirrors and retries stay where they are. The
Hub is asked over the ordinary wire; its token never reaches the child, which gets one that opens
one repository for reading, for an hour at most.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirrors
from modelset.core.ports import Get, Guard, Lanes, Response, Throttle, Wire
from modelset.core.types import Artifact
from modelset.core.values import dataclass
from modelset.net.failures import host_of, public
from modelset.net.xet_hub import Hub, OneGet, is_of_hub
from modelset.net.xet_process import CHILD, Failed, Order, pour

# What the Hub serves over plain HTTP at most.
LARGEST_PLAIN = 50_000_000_000

_TICK_S = 0.1
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class _EnoughError(Exception):
    """The receiver wants no more."""


def needs_xet(artifact: Artifact) -> bool:
    """Whether the Hub has this file, and serves it through Xet alone."""
    return artifact.size > LARGEST_PLAIN and is_of_hub(artifact.url)


@dataclass(frozen=True, slots=True)
class XetSettings:
    """Clocks in seconds, and what the child's environment holds.

    hf_xet itself drops a connection that is silent for `stall_s`. It hands on whole blocks of up to
    64 MiB, several of which come side by side, so that `silence_s` between two of them is long.
    """

    environ: Mapping[str, str]
    connect_s: float = 10.0
    stall_s: int = 20
    silence_s: float = 300.0
    buffer_mb: int = 512
    streams: int = 16
    ca_file: str = ""

    def child_environ(self, cache: Path) -> dict[str, str]:
        """The user's own HF_XET_* beat what is only tuned, and nothing that is promised."""
        tuned = {
            "HF_XET_CLIENT_CONNECT_TIMEOUT": f"{self.connect_s:.0f}s",
            "HF_XET_CLIENT_READ_TIMEOUT": f"{self.stall_s}s",
            "HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "3",
            "HF_XET_CLIENT_RETRY_BASE_DELAY": "1s",
            "HF_XET_CLIENT_AC_MAX_DOWNLOAD_CONCURRENCY": str(self.streams),
            "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_SIZE": f"{self.buffer_mb}mb",
            "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_PERFILE_SIZE": "0",
            "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": f"{self.buffer_mb}mb",
        }
        promised = {
            "HF_XET_CACHE": str(cache),
            "HF_XET_LOG_DEST": os.devnull,
            "HF_XET_TELEMETRY_ENABLED": "0",
        }
        if self.ca_file:
            promised["SSL_CERT_FILE"] = self.ca_file
        own = {name: text for name, text in self.environ.items() if "TOKEN" not in name.upper()}
        return {**tuned, **own, **promised}


class XetWire:
    """A Wire for files of the Hub; what the Hub does not keep in Xet comes over `wire` after all.

    One GET at a time: hf_xet spreads it over connections of its own, so that lanes do best to ask
    for all that they lack with one range. `scratch` makes a folder for hf_xet's cache.
    """

    def __init__(
        self,
        wire: Wire,
        settings: XetSettings,
        *,
        mirrors: Mirrors,
        scratch: Callable[[], AbstractContextManager[Path]],
        throttle: Throttle | None = None,
        command: Sequence[str] = CHILD,
    ) -> None:
        self._wire, self._settings, self._hub = wire, settings, Hub(wire, mirrors)
        self._scratch, self._throttle, self._command = scratch, throttle, command

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out until nothing is handed out any more."""
        while (get := lanes.next()) is not None:
            error: Exception | None = None
            try:
                error = self._perform(get, guard)
            except ModelSetError as failed:
                guard.check()  # a stop or a deadline ends the whole transfer
                error = failed
            lanes.ended(get, error)

    def _perform(self, get: Get, guard: Guard) -> Exception | None:
        place = self._hub.place_of(get.url)
        row = self._hub.row(place, get, guard) if place is not None else None
        if place is None or row is None:
            plain = OneGet(get)
            self._wire.run(plain, guard)
            return plain.error
        span = _span(get, *row)
        is_known = self._hub.is_known(place)
        access = self._hub.access(place, get, guard)
        if get.receiver.head(span.response) and span.start < span.end:
            order = Order(span.hash, span.size, span.start, span.end, access.endpoint, access.token)
            came, failed = self._bring(order, get, guard)
            if failed is not None:
                self._hub.forget_access(place)
                raise self._reason(failed, order, get, guard, fresh=not came and not is_known)
        return None

    def _bring(self, order: Order, get: Get, guard: Guard) -> tuple[int, Failed | None]:
        """How many bytes came, and how it failed if it did."""
        came = 0

        def take(data: bytes) -> None:
            nonlocal came
            came += len(data)
            if not get.receiver.body([data]):
                raise _EnoughError
            if self._throttle is not None:
                self._throttle.took(len(data))
                while (wait_s := self._throttle.wait_s()) > 0:
                    guard.sleep(min(wait_s, _TICK_S))  # the child waits: its pipe is full

        failed = None
        with self._scratch() as cache, contextlib.suppress(_EnoughError):
            failed = pour(
                order,
                take,
                guard,
                environ=self._settings.child_environ(cache),
                silence_s=self._settings.silence_s,
                command=self._command,
            )
        return came, failed

    def _reason(
        self, failed: Failed, order: Order, get: Get, guard: Guard, *, fresh: bool
    ) -> ModelSetError:
        """Ask hf_xet's own first question: when the answer is bad, it says more than hf_xet does.

        A refused token that was good before has expired: another try gets a new one.
        """
        if failed.unavailable:
            return ModelSetError(
                "xet-unavailable",
                f"{public(get.url)} comes through hf_xet, which cannot be used: {failed.words}",
                "install it into this Python: python -m pip install --upgrade hf-xet",
            )
        url = f"{order.endpoint}/v1/reconstructions/{order.hash}"
        credential = {"Authorization": f"Bearer {order.token}"}
        headers = {"Range": f"bytes={order.start}-{order.start}"}
        try:
            self._hub.ask(url, get, guard, credential, headers)
        except ModelSetError as error:
            if fresh or error.failure.code not in ("token-refused", "access-denied"):
                return error
        words = re.sub(r"\?\S*", "", failed.words.replace(order.token, "..."))[:300]
        return ModelSetError(
            "connection-lost",
            f"{host_of(order.endpoint)}: hf_xet gave up: {words}",
            "run the same command again; it resumes",
        )


@dataclass(frozen=True, slots=True)
class _Span:
    """What part of which file a GET asks for, and the head of the answer to it."""

    hash: str
    size: int
    start: int
    end: int
    response: Response


def _span(get: Get, hash_: str, size: int) -> _Span:
    asked = _RANGE.fullmatch(get.headers.get("Range", ""))
    tag = f'"{hash_}"'
    if asked is None or get.headers.get("If-Range", tag) != tag:
        head = {"content-length": str(size), "etag": tag}
        return _Span(hash_, size, 0, size, Response(200, head, get.url))
    start = int(asked[1])
    end = min(int(asked[2]) + 1, size) if asked[2] else size
    if start >= end:
        head = {"content-range": f"bytes */{size}"}
        return _Span(hash_, size, start, start, Response(416, head, get.url))
    head = {"content-range": f"bytes {start}-{end - 1}/{size}", "etag": tag}
    return _Span(hash_, size, start, end, Response(206, head, get.url))
