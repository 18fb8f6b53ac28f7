"""Which bytes of one file are here, which are on their way, and which to ask for next.

Offsets count bytes from the start of the file; a span is half-open.
"""

from collections.abc import Iterable

Span = tuple[int, int]


class Part:
    """A span that one connection brings; `at` is the next byte to come."""

    __slots__ = ("at", "end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = self.at = start
        self.end = end


class Parts:
    """The spans of one file of `size` bytes; `held` are those that are here already."""

    def __init__(self, size: int, held: Iterable[Span] = ()) -> None:
        self.size = size
        self.running: list[Part] = []
        self._held = joined(held)

    def spans(self) -> list[Span]:
        """What is here, in order and joined."""
        return joined([*self._held, *((part.start, part.at) for part in self.running)])

    @property
    def kept(self) -> int:
        """How many bytes are here."""
        held = sum(end - start for start, end in self._held)
        return held + sum(part.at - part.start for part in self.running)

    @property
    def untaken(self) -> int:
        """How many bytes are neither here nor asked for."""
        return self.size - self.kept - sum(part.end - part.at for part in self.running)

    @property
    def frontier(self) -> int:
        """Every byte before this one is here."""
        first = next(iter(self.spans()), (0, 0))
        return 0 if first[0] else first[1]

    def take(self, most: int) -> Part | None:
        """Begin the first span that nobody brings, of at most so many bytes."""
        at, end = 0, self.size
        for start, stop in joined([*self._held, *((one.start, one.end) for one in self.running)]):
            if at < start:
                end = start
                break
            at = stop
        if at >= end:
            return None
        part = Part(at, min(end, at + most))
        self.running.append(part)
        return part

    def split(self, longer: Part) -> Part:
        """Begin the second half of what a part still has to bring; that one ends earlier."""
        part = Part((longer.at + longer.end) // 2, longer.end)
        longer.end = part.start
        self.running.append(part)
        return part

    def drop(self, part: Part) -> None:
        """End a part; what came of it stays, the rest is to be asked for again."""
        self.running.remove(part)
        self._held = joined([*self._held, (part.start, part.at)])

    def restart(self) -> None:
        """Forget every byte, and every part."""
        self._held = []
        self.running = []


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same bytes in as few spans as possible, in order; empty ones vanish."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
