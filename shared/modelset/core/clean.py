"""What a clean may remove: decided over plain values, so that it holds for every disk."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Literal

from modelset.core.values import dataclass

DAY_S = 86400.0
UNWANTED = "nothing wants this model any more"
NOT_OURS = "nobody here has put it there, and no ref names it"

Kind = Literal["revision", "orphan", "blob", "partial", "aside", "scratch", "leftover", "cache"]
# Makes an item of a file that nobody uses, or leaves it.
Loose = Callable[["Name"], "Item | None"]
Pool = Mapping[str, "Name"]

# What a bound of size chooses from; all else is of no use to anybody.
_USEFUL: tuple[Kind, ...] = ("revision", "orphan")


@dataclass(frozen=True, slots=True)
class Rules:
    """What somebody wants removed: how many earlier pins stay, how long a thing must be unused,
    which size is to be reached, and the only `keys`, if any. `orphans` are models that nothing
    wants, `foreign` snapshots that no ref names, `partials` downloads that could go on.
    """

    keep: int = 2
    unused_s: float = 0.0
    max_size: int | None = None
    keys: frozenset[str] = frozenset()
    orphans: bool = False
    foreign: bool = False
    caches: bool = False
    partials: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """One name of a file, spelled without links on the way; the inode goes with its last name.

    `used` is when the bytes were last read or written, in seconds.
    """

    path: str
    size: int
    inode: tuple[int, int]
    links: int
    used: float


@dataclass(frozen=True, slots=True)
class Item:
    """A thing that goes as a whole or stays as a whole.

    `names` go in their order; what lies in `uses` goes once nobody uses it any more. Of the
    folders in `tops` is removed what has become empty. `used` is in seconds, as that of names.
    """

    kind: Kind
    title: str
    why: str
    names: tuple[Name, ...]
    key: str = ""
    uses: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    used: float = 0.0


@dataclass(frozen=True, slots=True)
class Revision:
    """One snapshot of a repository: the path of its folder, each entry with what it leads to, and
    the names that go with it.
    """

    folder: str
    entries: tuple[tuple[str, ...], ...]
    names: tuple[Name, ...]
    tops: tuple[str, ...]

    @property
    def commit(self) -> str:
        """What the folder is called after."""
        return self.folder.rpartition("/")[2]

    @property
    def uses(self) -> tuple[str, ...]:
        """What its entries lead to."""
        return tuple(target for _, *targets in self.entries for target in targets)


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository in the Hub's cache, with the files of its refs and the commits that they name;
    one that is not sound has something in it that nobody understands.
    """

    folder: str
    refs: Mapping[str, Name]
    named: Mapping[str, str]
    revisions: tuple[Revision, ...]
    blobs: tuple[Name, ...]
    is_sound: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """What a project knows of a disk, as paths: what has to stay, which key put what there, and
    the files of refs that go with orphans.
    """

    held: frozenset[str]
    ours: Mapping[str, str]
    orphans: frozenset[str] = frozenset()
    own_refs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """An item that goes, the files that nobody uses after it, and the bytes that this frees."""

    item: Item
    blobs: tuple[Name, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Cleaning:
    """The decision: the steps in their order; `fits` tells whether the bound of size is met."""

    steps: tuple[Step, ...] = ()
    total: int = 0
    fits: bool = True

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(step.size for step in self.steps)


class Tally:
    """Counts what becomes free as names go: an inode does with the last of its names."""

    def __init__(self) -> None:
        self._gone: dict[tuple[int, int], set[str]] = {}

    def lose(self, names: Iterable[Name]) -> int:
        """Bytes that become free when these names go too."""
        size = 0
        for name in names:
            gone = self._gone.setdefault(name.inode, set())
            if name.path not in gone:
                gone.add(name.path)
                size += name.size if len(gone) == name.links else 0
        return size


def revisions_to_go(repo: Repo, known: Known, rules: Rules, now: float) -> list[Item]:
    """The snapshots of a repository that no pin, no ref and no other program stands for."""
    if not repo.is_sound:
        return []
    found = []
    for one in repo.revisions:
        naming = {path for path, commit in repo.named.items() if commit == one.commit}
        own_refs = (naming & known.own_refs) - known.held
        key, used = known.ours.get(one.folder, ""), _used(one, repo)
        is_needed = one.folder in known.held or naming > own_refs
        unused_s = max(rules.unused_s, 0.0 if key else DAY_S)
        if is_needed or not _may_go(one, key, known, rules) or 0 < unused_s > now - used:
            continue
        kind: Kind = "orphan" if key in known.orphans else "revision"
        why = UNWANTED if kind == "orphan" else "an earlier revision" if key else NOT_OURS
        # A ref first: nobody takes what is left of a snapshot for the whole.
        names = (*(repo.refs[path] for path in sorted(own_refs)), *one.names)
        uses, tops = tuple(dict.fromkeys(one.uses)), (*one.tops, repo.folder)
        title = f"{repo.folder.rpartition('/')[2]}@{one.commit[:12]}"
        found.append(Item(kind, title, why, names, key, uses, tops, used))
    return found


def decide(
    items: Sequence[Item],
    pool: Pool,
    held: Set[str],
    loose: Loose = lambda name: None,
    *,
    max_size: int | None = None,
    total: int = 0,
) -> Cleaning:
    """Which of the items go, and which files of the pool with them; `held` stays.

    With a bound of size, what was last used longest ago goes first, and no more than is asked
    for; what is of no use to anybody goes in any case.
    """
    idle = [item for item in items if item.kind not in _USEFUL]
    useful = sorted((item for item in items if item.kind in _USEFUL), key=lambda one: one.used)

    def cleaning(count: int) -> Cleaning:
        steps = _steps([*idle, *useful[:count]], items, pool, held, loose)
        left = total - sum(step.size for step in steps)
        return Cleaning(steps, total, max_size is None or left <= max_size)

    if max_size is None:
        return cleaning(len(useful))
    count = bisect_left(range(len(useful)), True, key=lambda count: cleaning(count).fits)
    return cleaning(count)


def _may_go(one: Revision, key: str, known: Known, rules: Rules) -> bool:
    if rules.keys and key not in rules.keys:
        return False
    # An entry that no pin of ours names: somebody else fills the same snapshot, and needs it.
    # Where no pin is left, the registry tells of the files that entries lead to.
    named = [entry[0] in known.ours for entry in one.entries]
    led_to = [any(path in known.ours for path in entry) for entry in one.entries]
    is_all_ours = all(named) or (all(led_to) and not any(named))
    return rules.foreign or bool(key and is_all_ours)


def _used(one: Revision, repo: Repo) -> float:
    """When a revision was last used: the files that are its own say so, not those it shares."""
    shared = {use for other in repo.revisions if other is not one for use in other.uses}
    own = set(one.uses) - shared
    times = [blob.used for blob in repo.blobs if blob.path in own]
    return max([*times, *(name.used for name in one.names)], default=0.0)


def _steps(
    chosen: list[Item], items: Sequence[Item], pool: Pool, held: Set[str], loose: Loose
) -> tuple[Step, ...]:
    """The chosen items but for those that somebody needs, each with what it used last."""
    going, staying, seen = chosen, set(held), -1
    while seen != len(going):
        seen = len(going)
        kept = {id(item) for item in going}
        staying |= {use for item in items if id(item) not in kept for use in item.uses}
        going = [item for item in going if staying.isdisjoint(name.path for name in item.names)]
    last = {use: number for number, item in enumerate(going) for use in item.uses}
    blobs: dict[int, list[Name]] = {}
    for path, name in pool.items():
        if path in staying:
            continue
        if path in last:
            blobs.setdefault(last[path], []).append(name)
        elif (item := loose(name)) is not None:
            going.append(item)
    tally = Tally()
    pairs = [(item, tuple(blobs.get(number, ()))) for number, item in enumerate(going)]
    return tuple(Step(item, more, tally.lose((*item.names, *more))) for item, more in pairs)
