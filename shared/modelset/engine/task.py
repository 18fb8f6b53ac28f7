"""What one model carries through a download, and the world it goes through."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.events import Emit, Event
from modelset.core.lock import Lock
from modelset.core.policy import Policy
from modelset.core.ports import Guard, Web
from modelset.core.retry import OnRetry
from modelset.core.types import Choice, Outcome, Pin
from modelset.core.values import dataclass, replace
from modelset.engine.budget import Budget
from modelset.engine.check import Inspector, Seen
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.means import Places
from modelset.engine.run import Work
from modelset.store.registry import is_remembered

# Without `--timeout`: five minutes, or the time that the model's size takes at 1 MB/s.
SHORTEST_S = 300.0
SLOWEST_RATE = 1_000_000

Tell = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a download is to be done; `timeout_s` is None for the size-dependent default."""

    max_workers: int = 3
    connections: int = 16
    timeout_s: float | None = None
    locked: bool = False
    frozen: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """What a download works on, and under which policy; `make_web` gives a model its own
    questions under its guard.
    """

    inspector: Inspector
    places: Places
    make_web: Callable[[Guard, OnRetry], Web]
    lock_path: Path
    stop: Stop
    emit: Emit
    now: Callable[[], str]
    policy: Policy = Policy()

    def guard(self, terms: Terms, size_bytes: int, spent_s: float = 0.0) -> RunGuard:
        """The guard of one model that began `spent_s` seconds ago."""
        default_s = max(SHORTEST_S, size_bytes / SLOWEST_RATE)
        asked_s = terms.timeout_s
        return RunGuard(self.stop, default_s if asked_s is None else asked_s, spent_s)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What all models of a run share."""

    budget: Budget
    work: Work


@dataclass(frozen=True, slots=True)
class Known:
    """What this machine knew when the run began."""

    lock: Lock
    registry: Mapping[str, Mapping[str, Any]]
    partials: Mapping[str, int]

    def remembers(self, seen: Seen, world: World) -> bool:
        """Whether every file of a model was verified here, as this very revision, and is unchanged
        since: another one may have files of the same names and sizes.
        """
        entry = self.registry.get(seen.status.model.key)
        if seen.pin is None or seen.layout is None or not isinstance(entry, dict):
            return False
        return entry.get("version") == seen.pin.revision and is_remembered(
            entry, seen.layout, world.inspector.roots
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One chosen model on its way: what was seen of it, or how it ended.

    `sha256` pairs digests with the sha256 of the same bytes; `seconds` is time spent so far;
    `order` is its rank in the plan; `is_remembered` says that the registry has it all already.
    """

    choice: Choice
    seen: Seen | None = None
    outcome: Outcome | None = None
    new_pin: Pin | None = None
    seconds: float = 0.0
    sha256: tuple[tuple[str, str], ...] = ()
    order: int = 0
    is_remembered: bool = False

    def done(self, *, moved: int | None = None, reused: int) -> "Task":
        """The same model, ready; `moved` is None when nothing had to be fetched."""
        outcome = Outcome(
            self.choice.model,
            self.choice.tier,
            "ready" if moved is None else "downloaded",
            bytes_moved=moved or 0,
            bytes_reused=reused,
            seconds=self.seconds,
        )
        return replace(self, outcome=outcome)

    def failed(self, error: Exception, seconds: float, moved: int = 0) -> "Task":
        """The same model, failed; a surprise becomes the code `unexpected`."""
        if not isinstance(error, ModelSetError):
            error = ModelSetError(
                "unexpected",
                f"{self.choice.model.key}: {type(error).__name__}: {error}",
                "please report it, with the output of `modelset env` and of this command",
            )
        stopped = error.failure.code in ("stopped", "terminated")
        outcome = Outcome(
            self.choice.model,
            self.choice.tier,
            "stopped" if stopped else "failed",
            error.failure,
            bytes_moved=moved,
            seconds=seconds,
        )
        return replace(self, outcome=outcome, seconds=seconds)
