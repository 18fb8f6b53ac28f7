"""A slow link in front of a server: python proxy.py UPSTREAM_PORT [--rtt-ms] [--cap] [--counter]

Listens on a port of its own, which it prints, and passes TCP on to the upstream port of this
machine. Every byte arrives half a round trip later than it was sent, however many are under way,
and what a client says first waits for the round trip that opening a connection takes.
"""

import argparse
import asyncio
import struct
import sys
from collections import deque
from pathlib import Path

COUNT = struct.Struct("=Q")
# The most that is under way in one direction of a connection without a cap.
WINDOW = 32 * 1024 * 1024
# What a connection may send at once after a pause: this many seconds of its cap, and no more.
BURST_S = 0.05
TICK_S = 0.005


class Flow:
    """One direction of one connection: a queue that delays, and a bucket that caps."""

    def __init__(self, link: "Link", cap: float) -> None:
        self._link, self._cap = link, cap
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, memoryview | None]] = deque()
        self._waiting = 0
        self._window = cap * (link.delay + 2 * BURST_S) if cap else WINDOW
        self._tokens, self._filled = 0.0, self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.is_full = False
        self.passed = 0

    def push(self, data: bytes | None, not_before: float = 0.0) -> None:
        """Take what was read; None is the end."""
        if self.sink is not None and self.sink.is_closing():
            return
        due = max(self._loop.time(), not_before) + self._link.delay
        self._queue.append((due, None if data is None else memoryview(data)))
        self._waiting += len(data or b"")
        if self.source is not None and self._waiting > self._window:
            self.source.pause_reading()
        if self._timer is None:
            self.pump()

    def pump(self) -> None:
        """Pass on whatever is due and allowed, and come back for the rest."""
        self._timer = None
        if self.sink is None or self.is_full:
            return
        while self._queue and not self.sink.is_closing():
            due, data = self._queue[0]
            now = self._loop.time()
            if due > now:
                self._timer = self._loop.call_at(due, self.pump)
                break
            if data is None:
                self.sink.close()
                return
            size = min(len(data), self._allowed(now))
            # A tick's worth at once: whoever sends every single token does nothing else.
            if size < min(len(data), self._cap * TICK_S):
                self._timer = self._loop.call_later(TICK_S, self.pump)
                break
            self._send(data, size, due)
            if self.is_full:
                break
        if self.source is not None and self._waiting <= self._window / 2:
            self.source.resume_reading()

    def _send(self, data: memoryview, size: int, due: float) -> None:
        assert self.sink is not None
        if size == len(data):
            self._queue.popleft()
        else:
            self._queue[0] = (due, data[size:])
        self._waiting -= size
        self._tokens -= size
        self.passed += size
        self.sink.write(data[:size])

    def _allowed(self, now: float) -> int:
        if not self._cap:
            return sys.maxsize
        self._tokens += (now - self._filled) * self._cap
        self._tokens = min(self._tokens, self._cap * BURST_S)
        self._filled = now
        return max(0, int(self._tokens))

    def stop(self) -> None:
        """Forget what is under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._queue.clear()


class End(asyncio.Protocol):
    """One socket of a connection: reads into one flow, is written to by the other."""

    def __init__(self, link: "Link", reads: Flow, writes: Flow, not_before: float = 0.0) -> None:
        self._link, self._reads, self._writes = link, reads, writes
        self._not_before = not_before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=1024 * 1024)
        self._reads.source = self._writes.sink = transport
        self._writes.pump()

    def data_received(self, data: bytes) -> None:
        self._reads.push(data, self._not_before)

    def eof_received(self) -> bool:
        self._reads.push(None, self._not_before)
        return True  # what flows the other way goes on

    def pause_writing(self) -> None:
        self._writes.is_full = True

    def resume_writing(self) -> None:
        self._writes.is_full = False
        self._writes.pump()

    def connection_lost(self, error: Exception | None) -> None:
        other = self._reads.sink
        self._reads.stop()
        self._writes.stop()
        if other is not None:
            other.close()


class Link:
    """The listener and all its connections."""

    def __init__(self, upstream: int, rtt: float, cap: float) -> None:
        self._upstream, self._cap = upstream, cap
        self.delay = rtt / 2
        self._downward: list[Flow] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def passed(self) -> int:
        """Bytes passed on to clients so far, those of ended connections included."""
        return sum(flow.passed for flow in self._downward)

    def accept(self) -> End:
        """A client has come: open the other half, and say nothing before it could have."""
        up, down = Flow(self, 0.0), Flow(self, self._cap)
        self._downward.append(down)
        task = asyncio.get_running_loop().create_task(self._connect(up, down))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        opened = asyncio.get_running_loop().time() + 2 * self.delay
        return End(self, up, down, opened)

    async def _connect(self, up: Flow, down: Flow) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: End(self, down, up), "127.0.0.1", self._upstream)
        except OSError:
            if down.sink is not None:
                down.sink.close()


async def serve(options: argparse.Namespace) -> None:
    """Listen until killed; the count of bytes is written some fifty times a second."""
    link = Link(options.upstream, options.rtt_ms / 1000, options.cap)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(link.accept, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(0.02)
        if options.counter:
            with options.counter.open("r+b", buffering=0) as file:
                file.write(COUNT.pack(link.passed))


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream", type=int)
    parser.add_argument("--rtt-ms", type=float, default=0.0)
    parser.add_argument("--cap", type=float, default=0.0, help="bytes a second per connection")
    parser.add_argument("--counter", type=Path, help="a file of eight bytes for the count")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
