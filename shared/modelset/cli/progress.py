"""Shows a download: live bars on a terminal, one line an event and a heartbeat otherwise."""

import contextlib
import datetime
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from modelset.cli.screen import Screen, can_show, say
from modelset.core.events import Beat, Emit, Ended, Event, Moved, Retrying, Started, Unpacked
from modelset.core.report import outcome_data
from modelset.core.values import asdict, dataclass
from modelset.core.words import size_text, time_text

HEARTBEAT_S = 10.0
# How often a program is told how far a model is.
_TOLD_S = 0.25


def make_progress(screen: Screen) -> "Documents | Lines | Bars | Silence":
    """Whatever suits stderr."""
    if screen.events:
        return Documents()
    if screen.quiet:
        return Silence()
    return Bars() if sys.stderr.isatty() else Lines()


class Silence:
    """Shows nothing."""

    def __call__(self, event: Event) -> None:
        """Take an event."""

    def close(self) -> None:
        """End."""


@dataclass(slots=True)
class _Running:
    total: int
    have: int
    since: float
    at_start: int
    unpacked: int = 0

    def words(self, now: float) -> str:
        if self.unpacked:
            return f"unpacking, {size_text(self.unpacked)}"
        rate = (self.have - self.at_start) / max(now - self.since, 0.001)
        percent = 100 * self.have // self.total if self.total else 100
        text = f"{percent}% {size_text(self.have)}/{size_text(self.total)} {size_text(int(rate))}/s"
        if rate > 0 and self.have < self.total:
            text += f" eta={time_text((self.total - self.have) / rate)}"
        return text


class Lines:
    """One line for each change of state, and one for each model in hand every ten seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._last = clock()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            now = self._clock()
            kept = event.bytes_kept
            self._running[event.key] = _Running(event.bytes_total, kept, now, kept)
            resumed = f", resumed at {size_text(kept)}" if kept else ""
            self._say(event.key, f"start {size_text(event.bytes_total)}{resumed}")
        elif isinstance(event, Moved):
            self._running[event.key].have += event.delta
        elif isinstance(event, Unpacked):
            self._running[event.key].unpacked += event.count
        elif isinstance(event, Retrying):
            self._say(event.key, retry_words(event))
        elif isinstance(event, Ended):
            self._running.pop(event.outcome.model.key, None)
            self._say(event.outcome.model.key, ended_words(event))
        elif isinstance(event, Beat) and self._clock() - self._last >= HEARTBEAT_S:
            self._last = self._clock()
            for key, running in self._running.items():
                self._say(key, running.words(self._last))

    def close(self) -> None:
        """End."""

    def _say(self, key: str, words: str) -> None:
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        say(f"{stamp} {key} {words}")


class Documents:
    """One JSON document a line for each event, and four a second for each model that moves.

    Counts are bytes of the whole model, so that a reader needs no earlier line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._have: dict[str, int] = {}
        self._unpacked: dict[str, int] = {}
        self._told: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            self._have[event.key] = event.bytes_kept
            self._say("started", **asdict(event))
        elif isinstance(event, Moved):
            self._have[event.key] += event.delta
            self._tell("moved", event.key, self._have)
        elif isinstance(event, Unpacked):
            self._unpacked[event.key] = self._unpacked.get(event.key, 0) + event.count
            self._tell("unpacked", event.key, self._unpacked)
        elif isinstance(event, Retrying):
            self._say("retrying", **asdict(event))
        elif isinstance(event, Ended):
            self._say("ended", **outcome_data(event.outcome))

    def close(self) -> None:
        """End."""

    def _tell(self, kind: str, key: str, counts: dict[str, int]) -> None:
        now = self._clock()
        if now - self._told.get(key, -_TOLD_S) >= _TOLD_S:
            self._told[key] = now
            self._say(kind, key=key, bytes=counts[key])

    def _say(self, kind: str, **data: Any) -> None:
        say(json.dumps({"event": kind, **data}))


class Bars:
    """A bar for each model in hand, one for all; what has ended scrolls up."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self._tqdm = tqdm
        self._bars: dict[str, Any] = {}
        self._unpacked: dict[str, int] = {}
        self._total: Any = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            if self._total is None:
                self._total = new_bar("total", 0, 0)
            self._total.total += event.bytes_total
            self._total.update(event.bytes_kept)
            self._bars[event.key] = new_bar(event.key, event.bytes_total, event.bytes_kept)
        elif isinstance(event, Moved):
            self._bars[event.key].update(event.delta)
            self._total.update(event.delta)
        elif isinstance(event, Unpacked):
            self._unpacked[event.key] = self._unpacked.get(event.key, 0) + event.count
            words = f"unpacking, {size_text(self._unpacked[event.key])}"
            self._bars[event.key].set_postfix_str(words)
        elif isinstance(event, Retrying):
            self._tqdm.write(f"  {event.key}: {retry_words(event)}", file=sys.stderr)
        elif isinstance(event, Ended):
            bar = self._bars.pop(event.outcome.model.key, None)
            if bar is not None:
                bar.close()
                mark = "ok" if event.outcome.failure is None else "--"
                words = f"  {mark} {event.outcome.model.key}: {ended_words(event)}"
                self._tqdm.write(words, file=sys.stderr)

    def close(self) -> None:
        """Take the bars away."""
        for bar in (*self._bars.values(), self._total):
            if bar is not None:
                bar.close()


def new_bar(name: str, total: int, have: int) -> Any:
    """A bar on stderr that counts bytes, and goes when it is closed."""
    from tqdm import tqdm  # here, because most runs of a program draw nothing

    return tqdm(
        desc=f"  {name}"[:36],
        total=total,
        initial=have,
        unit="B",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        ascii=not can_show(sys.stderr, "█"),
        file=sys.stderr,
    )


def retry_words(event: Retrying) -> str:
    """Why and when a try is repeated."""
    return f"{event.failure.code}, try {event.attempt + 1} in {time_text(event.delay_s)}"


def ended_words(event: Ended) -> str:
    """How a model ended, in a few words; the results say a failure in full, and once."""
    outcome = event.outcome
    if outcome.failure is not None:
        return f"{outcome.result}: {outcome.failure.code}"
    if outcome.result == "ready":
        return "ready"
    reused = f", {size_text(outcome.bytes_reused)} reused" if outcome.bytes_reused else ""
    moved = size_text(outcome.bytes_moved)
    return f"downloaded {moved} in {time_text(outcome.seconds)}, verified{reused}"


@contextlib.contextmanager
def one_bar(screen: Screen) -> Iterator[Emit]:
    """One progress over all bytes: a bar on a terminal, lines otherwise."""
    is_bar = not screen.quiet and not screen.events and sys.stderr.isatty()
    shown = _OneBar() if is_bar else make_progress(screen)
    try:
        yield shown
    finally:
        shown.close()


class _OneBar:
    """A bar that only the events of one whole move."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            self._bar = new_bar(event.key, event.bytes_total, 0)
        elif isinstance(event, Moved) and self._bar is not None:
            self._bar.update(event.delta)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
