"""What the files of one model share on their way, and what is asked for each of them."""

from collections.abc import Callable
from pathlib import Path

from modelset.core.mirrors import Credentials, Mirrors, addresses_of
from modelset.core.ports import Guard, Wire
from modelset.core.retry import OnRetry, Retries
from modelset.core.types import Artifact
from modelset.core.values import dataclass
from modelset.engine.budget import Budget, Share
from modelset.engine.run import Work


@dataclass(frozen=True, slots=True)
class Places:
    """What a fetch needs to know of the world: the wires, where from, and where partials lie."""

    wire: Wire
    downloads: Path
    mirrors: Mirrors
    credentials: Credentials
    xet: Wire | None = None
    is_xet: Callable[[Artifact], bool] = lambda artifact: False

    def wire_of(self, artifact: Artifact) -> Wire:
        """The wire that brings a file."""
        return self.xet if self.xet is not None and self.is_xet(artifact) else self.wire


@dataclass(frozen=True, slots=True)
class Means:
    """What the files of one model share.

    `moved` hears of bytes that arrive (and, negative, of bytes thrown away), `unpacked` of those
    that come out of archives; with `one_stream` a file is asked for in one piece.
    """

    places: Places
    guard: Guard
    work: Work
    budget: Budget
    share: Share
    moved: Callable[[int], None]
    on_retry: OnRetry
    unpacked: Callable[[int], None] = lambda count: None
    one_stream: bool = False

    def retries(self, artifact: Artifact) -> Retries:
        """Where and when to ask for a file."""
        places = self.places
        addresses = addresses_of(artifact.url, places.mirrors, places.credentials)
        return Retries(addresses, self.guard, self.on_retry)

    def arrived(self, count: int) -> None:
        """So many bytes came."""
        self.moved(count)
        self.budget.arrived(count)

    def lost(self, count: int) -> None:
        """So many bytes were thrown away, and are to come again."""
        self.moved(-count)
        self.budget.lost(count)


@dataclass(frozen=True, slots=True)
class Order:
    """One file to bring: `is_placed` looks whether it lies in its place, `put` puts it there,
    from a file or, where that is possible, from memory, and gets its sha256 in hex as well.
    """

    artifact: Artifact
    is_placed: Callable[[], bool]
    put: Callable[[Path | bytes, str], None]
    in_memory: bool = True
