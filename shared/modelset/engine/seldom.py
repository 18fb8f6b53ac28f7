"""Writes a growing document seldom, so that the writing grows as it does and not as its square."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

# A write takes its turn after this many times as long as the last one took.
REST = 20


class Seldom(Generic[T]):
    """Collects rows of a document that is always written whole, such as the registry.

    The first rows are written at once, later ones when the document has rested. So at most a
    twentieth of a run is spent on it, and a kill loses at most what came during one rest.
    """

    def __init__(
        self, write: Callable[[Mapping[str, T]], object], now: Callable[[], float]
    ) -> None:
        self._write, self._now = write, now
        self._waiting: dict[str, T] = {}
        self._due = now()

    def add(self, rows: Mapping[str, T]) -> None:
        """Take rows, and write all that wait when it is time."""
        self._waiting |= rows
        if self._now() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Write what waits, if anything does; what could not be written goes on waiting."""
        if self._waiting:
            began = self._now()
            self._write(self._waiting)
            self._waiting = {}
            ended = self._now()
            self._due = ended + REST * (ended - began)
