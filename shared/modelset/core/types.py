"""The values that every other module speaks in."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from modelset.core.values import dataclass

Tier = Literal["critical", "optional", "available"]
Presence = Literal["present", "partial", "missing", "corrupt", "unpinned", "skipped"]
Result = Literal["downloaded", "ready", "failed", "stopped", "skipped"]

TIERS: tuple[Tier, ...] = ("critical", "optional", "available")

_DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|(git-sha1|sha1):[0-9a-f]{40}|md5:[0-9a-f]{32})")
_PART = r"(?!\.{0,2}(?:/|\Z))[^/\x00-\x1f\\:]+"
_SAFE_NAME = re.compile(rf"{_PART}(?:/{_PART})*")


@lru_cache(4096)  # the files of most repositories have the same few names
def check_name(name: str) -> str:
    """Return a relative file name that stays inside its folder on every system; ValueError for
    absolute names, `..`, empty parts, drive letters, back slashes and control characters.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise ValueError(f"unsafe file name: {name!r}")
    return name


def check_digest(digest: str) -> str:
    """Return a digest of the form `algorithm:hex`; raises ValueError for anything else."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest


@dataclass(frozen=True, slots=True)
class Category:
    """How people see models grouped: a short name, the title of its screen, its components."""

    name: str
    title: str
    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """Something a program loads: one table of the catalog.

    `needs` holds words about the machine (`apple-silicon`, `hf-token`) and keys of other models.
    `gate` is the page where terms are accepted, empty when there is none. Sizes are bytes.
    """

    key: str
    category: str
    tier: Tier
    source: str
    ref: Mapping[str, object]
    size_bytes: int = 0
    licence: str = ""
    gate: str = ""
    needs: tuple[str, ...] = ()
    library: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The part of the key after the family."""
        return self.key.partition(":")[2]

    @property
    def needed_keys(self) -> tuple[str, ...]:
        """Keys of the other models that this one cannot work without."""
        return tuple(need for need in self.needs if ":" in need)


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a pin: its name in the model, address, size in bytes, and digest."""

    name: str
    url: str
    size: int
    digest: str

    def __post_init__(self) -> None:
        check_name(self.name)
        check_digest(self.digest)
        if type(self.size) is not int or self.size < 0 or not isinstance(self.url, str):
            raise ValueError(f"not an address and a size: {self.name}")

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Pin:
    """One model, exactly: its revision and every file."""

    key: str
    source: str
    ref: Mapping[str, object]
    revision: str
    artifacts: tuple[Artifact, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, each digest once."""
        return sum({artifact.digest: artifact.size for artifact in self.artifacts}.values())


@dataclass(frozen=True, slots=True)
class PutFile:
    """The verified bytes of an artifact, at a path below the root."""

    path: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class Link:
    """A relative symbolic link to a file that PutFile placed, or a copy where links are missing."""

    path: str
    target: str
    artifact: Artifact


@dataclass(frozen=True, slots=True)
class PutText:
    """A small text file that a library trusts as a marker."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class InstallWheel:
    """A wheel unpacked into a site-packages folder; `name` and `version` as in its file name."""

    artifact: Artifact
    name: str
    version: str


Placement = PutFile | Link | PutText | InstallWheel


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a pin's files lie, in the order they are placed; `folder` is what people look at."""

    root: str
    placements: tuple[Placement, ...]
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A model that is wanted on this machine, at which tier, and why."""

    model: Model
    tier: Tier
    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A model that is not wanted or cannot be used here, and why."""

    model: Model
    why: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run is about: the chosen models and those left out."""

    choices: tuple[Choice, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """What the disk holds of one chosen model; sizes in bytes."""

    model: Model
    tier: Tier
    presence: Presence
    bytes_have: int = 0
    bytes_want: int = 0
    detail: str = ""
    revision: str = ""
    path: str = ""
    problems: tuple[str, ...] = ()

    @property
    def bytes_to_come(self) -> int:
        """What a download has to fetch."""
        return max(self.bytes_want - self.bytes_have, 0)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as data: `docs/errors.md` lists every code."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one model ended."""

    model: Model
    tier: Tier
    result: Result
    failure: Failure | None = None
    bytes_moved: int = 0
    bytes_reused: int = 0
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The decision of a download: what is ready, and what to fetch in which order."""

    ready: tuple[Status, ...]
    fetch: tuple[Status, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a command found or did; `total_bytes` counts each inode once, over all models."""

    statuses: tuple[Status, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    available: tuple[Model, ...] = ()
    total_bytes: int = 0
    exit_code: int = 0
    notes: tuple[str, ...] = ()
