"""Runs work for many models side by side; the only module that starts threads."""

import contextlib
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from modelset.core.events import Beat, Emit, Event
from modelset.engine.guard import Stop

T = TypeVar("T")

# Hashing, flushing and placing; more than cores, because most of it waits for the disk.
_WORKERS = 4

_TICK_S = 0.1
# How long workers get to end by themselves after a stop; everything on disk survives a kill.
_GRACE_TICKS = 15


class Work:
    """Workers for what would keep a model's connections waiting: hashing, flushing, placing."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="modelset-work")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin a piece of work as soon as a worker is free."""
        return self._pool.submit(work)

    def end(self) -> None:
        """Begin nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def wait_for(futures: Sequence[Future[Any]], seconds: float) -> None:
    """Wait until one of them is done, for a bounded time."""
    wait(futures, seconds, FIRST_COMPLETED)


class Crew(Generic[T]):
    """A pool of workers whose events and results reach the caller's thread only."""

    def __init__(self, workers: int, emit: Emit, stop: Stop) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="modelset")
        self._emit, self._stop = emit, stop
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        # Those that end say so: to ask each of thousands at every tick takes longer than the work.
        self._running: dict[Future[T], int] = {}
        self._ended: queue.SimpleQueue[Future[T]] = queue.SimpleQueue()
        self._count = 0

    def tell(self, event: Event) -> None:
        """Send an event from a worker."""
        self._events.put(event)

    def start(self, work: Callable[[], T]) -> None:
        """Queue a piece of work; it must not raise."""
        future = self._pool.submit(work)
        self._running[future] = self._count = self._count + 1
        future.add_done_callback(self._ended.put)

    @property
    def is_busy(self) -> bool:
        """Whether work is queued or running."""
        return bool(self._running)

    def tick(self) -> Sequence[T]:
        """Wait a moment, hand on the events, and return the results that are there."""
        ended = self._wait()
        while not self._events.empty():
            self._emit(self._events.get())
        self._emit(Beat())
        # In the order of their start, so that the same run always tells the same story.
        ended.sort(key=self._running.pop)
        return [future.result() for future in ended]

    def end(self) -> Sequence[T]:
        """Let no further work begin; after a stop, wait for the running only a little."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._running = {one: at for one, at in self._running.items() if not one.cancelled()}
        results: list[T] = []
        ticks = 0
        while self._running and (ticks < _GRACE_TICKS or not self._stop.event.is_set()):
            results += self.tick()
            ticks += 1
        return results

    def _wait(self) -> list[Future[T]]:
        """What has ended, after waiting a moment for the first of it."""
        ended = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=_TICK_S))
            while True:
                ended.append(self._ended.get_nowait())
        return [future for future in ended if future in self._running]  # not the cancelled
