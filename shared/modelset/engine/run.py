"""Runs work for many models side by side; the only module that starts threads."""

import queue
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from modelset.core.events import Beat, Emit, Event
from modelset.engine.guard import Stop

T = TypeVar("T")

_TICK_S = 0.1
# How long workers get to end by themselves after a stop; everything on disk survives a kill.
_GRACE_TICKS = 15


class Crew(Generic[T]):
    """A pool of workers whose events and results reach the caller's thread only."""

    def __init__(self, workers: int, emit: Emit, stop: Stop) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="modelset")
        self._emit, self._stop = emit, stop
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._running: list[Future[T]] = []

    def tell(self, event: Event) -> None:
        """Send an event from a worker."""
        self._events.put(event)

    def start(self, work: Callable[[], T]) -> None:
        """Queue a piece of work; it must not raise."""
        self._running.append(self._pool.submit(work))

    @property
    def is_busy(self) -> bool:
        """Whether work is queued or running."""
        return bool(self._running)

    def tick(self) -> Sequence[T]:
        """Wait a moment, hand on the events, and return the results that are there."""
        done, _ = wait(self._running, _TICK_S, FIRST_COMPLETED)
        while not self._events.empty():
            self._emit(self._events.get())
        self._emit(Beat())
        # In the order of their start, so that the same run always tells the same story.
        results = [future.result() for future in self._running if future in done]
        self._running = [future for future in self._running if future not in done]
        return results

    def end(self) -> Sequence[T]:
        """Let no further work begin; after a stop, wait for the running only a little."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._running = [future for future in self._running if not future.cancelled()]
        results: list[T] = []
        ticks = 0
        while self._running and (ticks < _GRACE_TICKS or not self._stop.event.is_set()):
            results += self.tick()
            ticks += 1
        return results
