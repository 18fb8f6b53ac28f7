"""Where the files of a model lie: the pure answer of a source."""

from typing import Literal

from modelset.core.types import Artifact
from modelset.core.values import dataclass

# What to leave of the names in an archive: all, what is below its one top folder, base names.
Strip = Literal["none", "top", "all"]


@dataclass(frozen=True, slots=True)
class PutFile:
    """The verified bytes of an artifact, at a path below the root.

    A library takes the model for whole once a file that `is_marker` is there. One that
    `is_mutable` the library changes itself: then only its presence counts.
    """

    path: str
    artifact: Artifact
    is_marker: bool = False
    is_mutable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A relative symbolic link to a file that PutFile placed, or a copy where links are missing."""

    path: str
    target: str
    artifact: Artifact
    is_mutable: bool = False


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


@dataclass(frozen=True, slots=True)
class Unpack:
    """An archive unpacked into a folder, which gets its name once it is whole.

    The library changes the files that match `mutable` itself: only their presence counts.
    """

    path: str
    artifact: Artifact
    strip: Strip = "top"
    mutable: tuple[str, ...] = ()

    @property
    def record(self) -> str:
        """The list of the unpacked files, below `path`: of this very archive."""
        return f".modelset-{self.artifact.hex[:16]}.record"


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that has to be there: in an environment variable, or in a file below the root.

    With `is_file` the variable names the file.
    """

    variable: str
    path: str
    is_file: bool = False


Placement = PutFile | Link | PutText | InstallWheel | Unpack | Credential


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a pin's files lie, in the order they are placed; `folder` is what people look at.

    `opened` is what a program loads, where that is something else. The library refuses files of
    a `guarded` layout that others than their owner may change.
    """

    root: str
    placements: tuple[Placement, ...]
    folder: str = ""
    opened: str = ""
    guarded: bool = False
