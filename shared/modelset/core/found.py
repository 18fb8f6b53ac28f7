"""What lies in other programs' folders: which model it is, and what may be what is pinned."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from modelset.core.lock import Lock
from modelset.core.types import Artifact, Failure, Model, Tier
from modelset.core.values import dataclass

# How bytes came into their place: a second name, shared blocks, or bytes written anew.
Way = Literal["linked", "cloned", "copied"]
# How the adoption of one model ended; `ready` was there before, `unpinned` is not in the lock.
Ended = Literal["adopted", "partly", "nothing", "ready", "unpinned", "skipped", "failed"]
# Root and pattern below it by model key, as each source's `trace` gives them.
Traces = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a place is looked at: entries of one folder, and of all."""

    in_folder: int = 20_000
    in_all: int = 200_000


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of another program's: `root` names the root of ours that is like it.

    What matches `only` at its top is looked at, everything when that is empty; `depth` is how
    many parts of a path name one model. `is_own` says that it lies in a root of ours.
    """

    title: str
    root: str
    path: str
    depth: int = 1
    only: tuple[str, ...] = ()
    is_own: bool = False
    is_legacy: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file: its name below the place, where it really lies, size in bytes, and inode."""

    name: str
    path: str
    size: int
    inode: tuple[int, int]

    @property
    def label(self) -> str:
        """The last part of its name."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at a place saw; `members` names the files of each model where their paths do
    not tell, and `notes` says what was not looked at.
    """

    place: Place
    files: tuple[File, ...] = ()
    members: Mapping[str, tuple[str, ...]] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One model, or what looks like one, in a place of another program's."""

    place: Place
    name: str
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk, each inode once."""
        return sum({file.inode: file.size for file in self.files}.values())

    @property
    def count(self) -> int:
        """Files on the disk, each inode once."""
        return len({file.inode for file in self.files})

    @property
    def largest(self) -> File:
        """The file that makes the model, as a rule."""
        return max(self.files, key=lambda file: file.size)


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken: its name in the model, and where it was found.

    `state` is inode and time of change of what was found, so that only that is ever removed.
    """

    name: str
    size: int
    way: Way
    origin: str
    state: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Adoption:
    """How the adoption of one model ended; `lacks` names files that were found nowhere, and
    `trusted` says that nothing but where it lay spoke for what was taken.
    """

    model: Model
    tier: Tier
    result: Ended
    taken: tuple[Taken, ...] = ()
    lacks: tuple[str, ...] = ()
    detail: str = ""
    failure: Failure | None = None
    trusted: bool = False

    def bytes_by(self, *ways: Way) -> int:
        """Bytes that came in one of these ways."""
        return sum(row.size for row in self.taken if row.way in ways)


def items_of(listing: Listing) -> list[Item]:
    """The models of a place, in the order of their names."""
    groups: dict[str, list[File]] = {}
    if listing.members is not None:
        by_name = {file.name: file for file in listing.files}
        for name, members in listing.members.items():
            groups[name] = [by_name[member] for member in members if member in by_name]
    else:
        is_hub = listing.place.root == "huggingface"
        for file in listing.files:
            parts = file.name.split("/")
            is_shared = is_hub and parts[0] == "blobs"  # counted where a model's links lead to them
            if not is_shared and not any(part.startswith(".") for part in parts):
                groups.setdefault("/".join(parts[: listing.place.depth]), []).append(file)
    return [
        Item(listing.place, name, tuple(files)) for name, files in sorted(groups.items()) if files
    ]


def packages_of(files: Iterable[File]) -> dict[str, tuple[str, ...]]:
    """The files of each pipeline of spaCy, by the folder that says its version."""
    tops: dict[str, list[str]] = {}
    for file in files:
        tops.setdefault(file.name.partition("/")[0], []).append(file.name)
    return {
        info: (*names, *tops.get(info.partition("-")[0], ()))
        for info, names in tops.items()
        if info.endswith(".dist-info")
    }


def recognise(item: Item, traces: Traces, lock: Lock) -> tuple[str, ...]:
    """The keys of the models that an item is, by its name or by that of its largest file.

    Nothing is read: whether the bytes are those that are pinned, only their digest can tell.
    """
    found = [key for key, (root, pattern) in traces.items() if _is_traced(item, root, pattern)]
    if not found:
        found = [key for key in traces if key in lock and _is_pinned(item, lock[key].artifacts)]
    return tuple(found)


def of_the_right_size(item: Item, artifacts: Iterable[Artifact]) -> int:
    """How many of some artifacts have a file of their size in an item."""
    sizes = {file.size for file in item.files}
    return sum(artifact.size in sizes for artifact in artifacts)


class Candidates:
    """The files of many places by their size; one that has several names counts once."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_size: dict[int, dict[tuple[int, int], File]] = {}
        self._places: list[Place] = []
        for listing in listings:
            self._places.append(listing.place)
            for file in listing.files:
                known = self._by_size.setdefault(file.size, {})
                # Of two names the digest is the one that tells more.
                if file.inode not in known or _named_by_digest(file.label):
                    known[file.inode] = file

    def for_artifact(self, artifact: Artifact) -> list[File]:
        """Files that may be an artifact, the likeliest first."""
        label = artifact.name.rpartition("/")[2]

        def rank(file: File) -> tuple[int, str]:
            if file.label.removeprefix("sha256-") == artifact.hex:
                return 0, file.path
            return (1 if file.label == label else 2), file.path

        return sorted(self._by_size.get(artifact.size, {}).values(), key=rank)

    def folders(self, root: str, name: str) -> list[str]:
        """Where a folder of this name may lie: in a place like that root, or where users say."""
        found = []
        for place in self._places:
            if place.root == root or (not place.root and not place.only):
                found.append(f"{place.path}/{name}")
            if not place.root and f"/{place.path}".endswith(f"/{name}"):
                found.append(place.path)  # the very folder was named
        return list(dict.fromkeys(found))


def _is_traced(item: Item, root: str, pattern: str) -> bool:
    """Whether an item has the name under which a source's models lie, or a like one."""
    first, _, below = pattern.partition("/")
    name = item.name
    if root == item.place.root and (
        fnmatchcase(name, pattern) or (root == "huggingface" and name == first)
    ):
        return True
    if root == "huggingface" and first.startswith("models--"):
        # LM Studio has a folder for owner and name; llama.cpp joined them with the file's.
        flat = first.removeprefix("models--").replace("--", "_")
        return f"models--{name.replace('/', '--')}" == first or name.startswith(f"{flat}_")
    # A single file is known by its name wherever it lies.
    is_file = not below and "." in first and not any(sign in first for sign in "*?[")
    return is_file and item.count == 1 and item.largest.label == first


def _is_pinned(item: Item, artifacts: Iterable[Artifact]) -> bool:
    file = item.largest
    return any(
        file.size == row.size
        and (
            file.label.removeprefix("sha256-") == row.hex
            or file.label == row.name.rpartition("/")[2]
        )
        for row in artifacts
    )


def _named_by_digest(label: str) -> bool:
    name = label.removeprefix("sha256-")
    return len(name) in (40, 64) and all(sign in "0123456789abcdef" for sign in name)
