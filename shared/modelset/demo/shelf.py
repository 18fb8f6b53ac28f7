"""Things that are made when somebody first asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class Shelf(Mapping[str, T]):
    """A mapping whose values are made once each, at the first look at them."""

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = dict(makers)
        self._made: dict[str, T] = {}
        # Reentrant: the maker of one value may take another from the same shelf.
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> T:
        with self._lock:
            if name not in self._made:
                self._made[name] = self._makers[name]()
            return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __contains__(self, name: object) -> bool:
        # The inherited one would make the value to find out.
        return name in self._makers
