"""What happened in one job, for any number of readers that may come late or come back."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelset.core.values import dataclass

# Only the newest of these is of any use, for each model; none is kept over a restart.
PASSING = ("moved", "unpacked")
# After a restart the numbers go on above all that was ever given to a reader.
_STEP = 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One event; `text` is its JSON document."""

    number: int
    kind: str
    text: str


class Log:
    """The events of a job, numbered upward; its size is bound by models, not by time."""

    def __init__(self, stored: Iterable[tuple[int, Mapping[str, Any]]] = ()) -> None:
        self._entries: dict[int, Entry] = {}
        self._passing: dict[tuple[str, str], int] = {}
        self._changed = asyncio.Event()
        self.is_over = False
        for number, data in stored:
            self._entries[number] = Entry(number, str(data["event"]), json.dumps(data))
        self.last = max(self._entries, default=-1)
        self._next = (self.last // _STEP + 1) * _STEP + 1 if self._entries else 1

    def add(self, data: Mapping[str, Any]) -> int:
        """Something happened; returns its number."""
        kind = str(data["event"])
        number = self.last = self._next
        self._next += 1
        key = str(data.get("key"))
        if kind in PASSING:
            self._entries.pop(self._passing.get((kind, key), 0), None)
            self._passing[kind, key] = number
        elif kind == "ended":
            for passing in PASSING:
                self._entries.pop(self._passing.pop((passing, key), 0), None)
        self._entries[number] = Entry(number, kind, json.dumps(data))
        self.wake()
        return number

    def end(self) -> None:
        """Nothing more will happen."""
        self.is_over = True
        self.wake()

    def wake(self) -> None:
        """Let every reader look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    def after(self, number: int) -> Iterator[Entry]:
        """What a reader that has seen this number has not seen."""
        return (entry for entry in list(self._entries.values()) if entry.number > number)

    async def wait(self, number: int, seconds: float) -> bool:
        """Whether there is, within that long, more than what a reader has seen, or a reason to
        look up.
        """
        if self.is_over or self.last > number:
            return True
        event = self._changed
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
        return True
