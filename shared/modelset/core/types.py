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
# What stands for the digest of a file whose publisher states none, until it has come.
_FIRST_USE = re.compile(r"first-use:[0-9a-f]{64}")
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


def first_use(url: str) -> str:
    """What stands for the digest of a file at an address, until its first download tells it."""
    import hashlib  # here, because a check must start fast

    return f"first-use:{hashlib.sha256(url.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Category:
    """How people see models grouped: a short name, the title of its screen, its components.

    `usual` are the keys that the category stands for when it is asked for by name.
    """

    name: str
    title: str
    components: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """Something a program loads: one table of the catalog.

    `needs` holds words about the machine (`apple-silicon`, `hf-token`) and keys of other models.
    `gate` is the page where terms are accepted, empty when there is none. Sizes are bytes.
    `memory`, `speed` and `note` are words for people; `formats` are kinds of files.
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
    formats: tuple[str, ...] = ()
    memory: str = ""
    speed: str = ""
    note: str = ""

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
    """One file of a pin: its name in the model, address, size in bytes, and digest.

    The digest is `first-use:`, with that of the address, when nobody publishes one.
    """

    name: str
    url: str
    size: int
    digest: str

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _FIRST_USE.fullmatch(self.digest):
            check_digest(self.digest)
        if type(self.size) is not int or self.size < 0 or not isinstance(self.url, str):
            raise ValueError(f"not an address and a size: {self.name}")

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.partition(":")[2]

    @property
    def is_exact(self) -> bool:
        """Whether the digest is known before the bytes have come."""
        return not self.digest.startswith("first-use:")


@dataclass(frozen=True, slots=True)
class Pin:
    """One model, exactly: its revision and every file.

    `manifest` is what the source said of it, where a library wants that word for word.
    """

    key: str
    source: str
    ref: Mapping[str, object]
    revision: str
    artifacts: tuple[Artifact, ...]
    manifest: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether the digest of every file is known."""
        return all(artifact.is_exact for artifact in self.artifacts)

    @property
    def is_own(self) -> bool:
        """Whether its files are the user's own and cannot come from anywhere."""
        return any(artifact.url.startswith("file:") for artifact in self.artifacts)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files, each digest once."""
        return sum({artifact.digest: artifact.size for artifact in self.artifacts}.values())


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
    formats: tuple[str, ...] = ()

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
