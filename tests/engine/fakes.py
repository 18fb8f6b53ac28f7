"""Fakes of the ports: a wire that plays answers from memory, and a guard without a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelset.core.errors import ModelSetError
from modelset.core.ports import Get, Guard, Lanes, Response

Play = Callable[[Get], None]


def play(
    data: bytes, *, status: int = 200, etag: str = '"one"', pieces: int = 4, breaks: str = "",
    **headers: str,
) -> Play:  # fmt: skip
    """Answer with some bytes in pieces; with `breaks`, that failure follows them."""

    def answer(get: Get) -> None:
        given: Mapping[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
        tag = {"etag": etag} if etag else {}
        if not get.receiver.head(Response(status, {**tag, **given}, get.url)):
            return
        step = max(len(data) // pieces, 1)
        for start in range(0, len(data), step):
            if not get.receiver.body(data[start : start + step]):
                return
        if breaks:
            raise ModelSetError(breaks, f"{get.url} breaks")

    return answer


def fail(code: str) -> Play:
    """Fail before there is an answer."""

    def answer(get: Get) -> None:
        raise ModelSetError(code, f"{get.url} fails")

    return answer


@dataclass(slots=True)
class MemoryWire:
    """A Wire whose answers are listed; remembers every GET."""

    answers: list[Play]
    gets: list[Get] = field(default_factory=list)

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out."""
        while (get := lanes.next()) is not None:
            guard.check()
            self.gets.append(get)
            assert self.answers, "asked more often than expected"
            error: Exception | None = None
            try:
                self.answers.pop(0)(get)
            except ModelSetError as caught:
                error = caught
            lanes.ended(get, error)

    @property
    def ranges(self) -> list[str]:
        """What each GET asked for."""
        return [get.headers.get("Range", "") for get in self.gets]


@dataclass(slots=True)
class PatientGuard:
    """A Guard whose time passes only by sleeping."""

    left: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def check(self) -> None:
        """Raise when the time is over."""
        if self.left <= 0:
            raise ModelSetError("deadline", "over")

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.left

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.left -= seconds
        self.check()

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return 1000.0 - self.left
