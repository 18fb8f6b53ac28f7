"""What the engine asks of the network, of time and of sources."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from modelset.core.layout import Layout
from modelset.core.mirrors import Address
from modelset.core.types import Artifact, Model, Pin
from modelset.core.values import dataclass, field


class Guard(Protocol):
    """A deadline and a stop signal; every loop, wait and socket goes through it."""

    def check(self) -> None:
        """Raise ModelSetError when stopped or past the deadline."""

    def remaining(self) -> float:
        """Seconds until the deadline."""

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the deadline or a stop."""

    def now(self) -> float:
        """Seconds of a clock that never jumps."""


@dataclass(frozen=True, slots=True)
class Hop:
    """Where redirects led: a later GET of the same file may begin there.

    `privacy` is of the network that the last redirect came from.
    """

    url: str
    count: int
    privacy: int | None


@dataclass(frozen=True, slots=True)
class Response:
    """The head of an answer; header names are lower case.

    `hop` is None when nothing was redirected; `multiplexed` tells HTTP/2; `wait_s` is how long the
    request waited for the first byte, 0 when that is not known.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    hop: Hop | None = None
    multiplexed: bool = False
    wait_s: float = 0.0


class Receiver(Protocol):
    """Takes one answer; may raise ModelSetError to refuse the rest, or end it quietly."""

    def head(self, response: Response) -> bool:
        """The final status and headers, before the body; whether the body is wanted."""

    def body(self, pieces: list[bytes]) -> bool:
        """The next bytes of the body, in order; whether more are wanted."""


@dataclass(frozen=True, slots=True)
class Get:
    """One GET to perform: an address, headers, who takes the answer, and what is allowed.

    `credential` is headers that go to the origin of the address alone. `allow_http` and
    `allow_private` widen the address rules for a mirror that says so; `shared` lets it share a
    connection with others where HTTP/2 can, which large bodies gain nothing from.
    """

    url: str
    receiver: Receiver
    headers: Mapping[str, str] = field(default_factory=dict)
    credential: Mapping[str, str] = field(default_factory=dict)
    allow_http: bool = False
    allow_private: bool = False
    hop: Hop | None = None
    shared: bool = False


def ask(
    address: Address,
    receiver: Receiver,
    headers: Mapping[str, str],
    *,
    hop: Hop | None = None,
    shared: bool = False,
) -> Get:
    """A GET of the bytes as they are, with the credential and the rules of an address."""
    return Get(
        address.url,
        receiver,
        {**headers, "Accept-Encoding": "identity"},
        address.credential,
        address.allow_http,
        address.allow_private,
        hop,
        shared,
    )


class Throttle(Protocol):
    """A bound on the rate of the whole run."""

    def rate(self) -> float:
        """Bytes a second at this time of the day, 0 when there is no bound."""

    def took(self, count: int) -> None:
        """So many bytes came."""

    def wait_s(self) -> float:
        """Seconds until more may come, 0 when there is no bound."""


class Lanes(Protocol):
    """Hands out the GETs of one transfer, as many at a time as it wants to run side by side."""

    def next(self) -> Get | None:
        """Another GET to start now, or None when nothing is to be started at this moment."""

    def ended(self, get: Get, error: Exception | None) -> None:
        """A GET ended; raising ends the whole transfer."""


class Wire(Protocol):
    """Performs GETs; raises ModelSetError only."""

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out until none is running and none is handed out."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that a package index offers; size in bytes."""

    name: str
    version: str
    url: str
    digest: str


class Here(Protocol):
    """What sources want to know of this machine."""

    def has_credential(self, layout: Layout) -> bool:
        """Whether the key that a layout wants is here."""

    def installed(self, distribution: str) -> str:
        """The version of an installed distribution, or nothing."""

    def local_files(self, path: str, pause: Callable[[], None]) -> tuple[Artifact, ...]:
        """Every file of a folder, or that one file, with its sha256; `pause` may raise."""


class Web(Protocol):
    """Small questions that sources ask while they resolve a model."""

    def get_json(self, url: str) -> Any:
        """The JSON document at an address."""

    def get_text(self, url: str, accept: str = "text/plain") -> str:
        """The text at an address, word for word, in the form that is asked for."""

    def get_pages(self, url: str) -> list[Any]:
        """The items of a JSON list that continues over `Link: rel="next"` pages."""

    def get_size(self, url: str) -> int:
        """The size in bytes of the file at an address."""

    def status_of(self, url: str) -> tuple[int, str]:
        """The HTTP status of an address, and the server's message about an error."""

    def has_token(self) -> bool:
        """Whether a Hugging Face token is known."""

    def has_credential(self, layout: Layout) -> bool:
        """Whether the key that a layout wants is here."""

    def find_wheel(self, requirement: str) -> Wheel:
        """The wheel that the user's package index offers for a requirement."""

    def installed(self, distribution: str) -> str:
        """The version of a distribution that is installed beside the models' own, or nothing."""

    def local_files(self, path: str) -> tuple[Artifact, ...]:
        """Every file of a folder of the user's own, or that one file, with its sha256."""


class Source(Protocol):
    """A kind of place models come from: speaks, never acts."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """What exactly the model is; asks the network."""

    def layout(self, pin: Pin) -> Layout:
        """Where the pin's files must lie; pure."""

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """A named root and a glob below it that shows whether a model is there unpinned; pure."""

    def check_access(self, model: Model, web: Web) -> None:
        """Raise ModelSetError when the credentials do not open a gated model."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a catalog table's `ref`, in words; pure."""
