"""What happens during a run, as data that somebody else draws."""

from collections.abc import Callable

from modelset.core.types import Failure, Outcome
from modelset.core.values import dataclass


@dataclass(frozen=True, slots=True)
class Started:
    """Work on a model began; sizes in bytes."""

    key: str
    bytes_total: int
    bytes_kept: int


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of a model arrived (positive) or were thrown away (negative)."""

    key: str
    delta: int


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Bytes came out of a model's archive."""

    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Retrying:
    """A try failed and another one follows after `delay_s` seconds."""

    key: str
    failure: Failure
    attempt: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Beat:
    """Time passed; sent about ten times a second while models are being fetched."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Work on a model ended."""

    outcome: Outcome


Event = Started | Moved | Unpacked | Retrying | Beat | Ended
Emit = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Draw nothing."""
