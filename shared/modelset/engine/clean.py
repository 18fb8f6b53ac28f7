"""Compares the disk with what this project needs, and removes the rest when it is told to."""

import contextlib
from collections.abc import Callable, Mapping

from modelset.core.clean import (
    DAY_S,
    UNWANTED,
    Cleaning,
    Item,
    Known,
    Name,
    Rules,
    decide,
    revisions_to_go,
)
from modelset.core.errors import ModelSetError
from modelset.core.ports import Source
from modelset.core.types import Failure
from modelset.core.values import dataclass, field
from modelset.engine.check import ODD
from modelset.engine.guard import Stop
from modelset.engine.lock import turn
from modelset.engine.needed import Memory, Needs, rows_of
from modelset.store import leftovers, stock
from modelset.store.files import saying
from modelset.store.inspect import inspect
from modelset.store.registry import forget
from modelset.store.removal import remove
from modelset.store.roots import Roots


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found: the decision, what was known, and the steps that a download holds up."""

    cleaning: Cleaning
    known: Known
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was decided, which steps were carried out, and what failed, each by its number."""

    seen: Seen
    done: frozenset[int] = frozenset()
    failures: Mapping[int, Failure] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that have become free."""
        steps = self.seen.cleaning.steps
        return sum(steps[number].size for number in self.done)


class Cleaner:
    """Looks and removes; `recall` reads what this machine remembers, and `now` the clock that
    files are stamped with. `variables` are those of the environment.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        roots: Roots,
        recall: Callable[[], Memory],
        now: Callable[[], float],
        variables: Mapping[str, str],
    ) -> None:
        self.sources, self.roots, self.recall = sources, roots, recall
        self.now, self.variables = now, variables

    def look(self, rules: Rules) -> Seen:
        """What would go; changes nothing. Raises ModelSetError."""
        memory = self.recall()
        if rules.orphans and not memory.lock:
            raise ModelSetError(
                "usage",
                "there is no lock, so nothing says which models are wanted",
                "run `modelset lock`, then clean again",
            )
        look = _Look(self, rules, memory)
        is_busy = leftovers.is_at_work(self.roots["downloads"])
        with saying("look into", self.roots["huggingface"]):
            look.litter()
            if not is_busy:
                look.revisions()
                look.manifests()
                look.files()
            counted = leftovers.counted_folders(self.roots)
            total = 0 if rules.max_size is None else stock.total_bytes(counted)
        cleaning = decide(
            look.items, look.pool, look.held, look.loose, max_size=rules.max_size, total=total
        )
        return Seen(cleaning, look.known, is_busy)

    def clean(self, rules: Rules, stop: Stop) -> Cleaned:
        """Look, and remove what the look decided on; a failure ends its own step only.

        Raises ModelSetError before anything is removed.
        """
        with turn(self.roots["registry"]):  # nobody pins anything meanwhile
            seen = self.look(rules)
            done: set[int] = set()
            failures: dict[int, Failure] = {}
            for number, step in enumerate(seen.cleaning.steps):
                if stop.event.is_set():
                    break
                try:
                    if remove(step):
                        done.add(number)
                except ModelSetError as error:
                    failures[number] = error.failure
            look = _Look(self, rules, self.recall())
            gone = [key for key in sorted(seen.known.orphans) if look.is_gone(key)]
            if gone and not seen.is_busy:
                forget(self.roots["registry"], gone)
        return Cleaned(seen, frozenset(done), failures)


class _Look:
    """What one look finds: items that may go, a pool of files that several of them name, and what
    is held.
    """

    def __init__(self, cleaner: Cleaner, rules: Rules, memory: Memory) -> None:
        self._roots, self._variables = cleaner.roots, cleaner.variables
        self._rules, self._memory, self._now = rules, memory, cleaner.now()
        self._spelling = stock.Spelling()
        self._needs = Needs(cleaner.sources, cleaner.roots, memory, self._spelling)
        self.known = self._needs.known(rules)
        self.held = set(self.known.held)
        self.pool: dict[str, Name] = {}
        self.items: list[Item] = []

    def litter(self) -> None:
        """What is of no use to anybody."""
        hub = self._roots["huggingface"]
        found = leftovers.waiting(self._roots["downloads"], self._spelling)
        if self._rules.keys:
            digests = self._needs.digests(self._rules.keys)
            found = [one for one in found if leftovers.digest_of_stem(one.title) in digests]
        else:
            found += leftovers.scratches(self._roots, self._spelling, self._now)
            found += leftovers.library_leftovers(hub, self._now)
            if self._rules.caches:
                found += leftovers.xet_caches(self._variables, hub)
        useful: set[str] = set()
        if not self._rules.partials and any(one.kind == "partial" for one in found):
            useful = self._lacking()
        self.items += [
            one
            for one in found
            if self._is_old(one.used)
            and not (one.kind == "partial" and leftovers.digest_of_stem(one.title) in useful)
        ]

    def revisions(self) -> None:
        """Snapshots in the Hub's cache."""
        repos = stock.hub_repos(self._roots["huggingface"], self._spelling)
        going = set()
        for repo in repos:
            items = revisions_to_go(repo, self.known, self._rules, self._now)
            self.items += items
            going |= {folder for item in items for folder in item.tops}
            if repo.is_sound:
                self.pool |= {blob.path: blob for blob in repo.blobs}
        for repo in repos:
            for one in repo.revisions:
                if one.folder not in going:
                    self.held.update(one.uses)

    def manifests(self) -> None:
        """Ollama's store: what its manifests name stays, but for those of orphans."""
        root = self._roots["ollama"]
        manifests = stock.ollama_manifests(root, self._spelling)
        if manifests is None:
            return  # as Ollama itself, which removes nothing as long as one is damaged
        blobs = stock.ollama_blobs(root, self._spelling)
        self.pool |= {blob.path: blob for blob in blobs if blob.path in self.known.ours}
        for path, uses in manifests.items():
            name, key = stock.name_at(path), self.known.ours.get(path, "")
            last = max((self.pool[use].used for use in uses if use in self.pool), default=0.0)
            if name and path not in self.held and self._is_orphaned(key, path, last):
                self.items.append(Item("orphan", key, UNWANTED, (name,), key, uses, used=last))
            else:
                self.held.update(uses)

    def files(self) -> None:
        """Orphans that lie in files of their own."""
        folders = leftovers.model_folders(self._roots, self._spelling)
        shared = [self._spelling.both(self._roots[name])[1] for name in ("huggingface", "ollama")]
        for key in sorted(self.known.orphans):
            own = [name for name in self._left(key) or () if not _top(name.path, shared)]
            last = max((name.used for name in own), default=0.0)
            if own and self._is_old(last):
                tops = tuple(sorted({_top(name.path, folders) for name in own}))
                self.items.append(
                    Item("orphan", key, UNWANTED, tuple(own), key, tops=tops, used=last)
                )

    def loose(self, name: Name) -> Item | None:
        """The item of a blob that no snapshot and no manifest names, if it may go."""
        rules, key = self._rules, self.known.ours.get(name.path, "")
        if (rules.keys and key not in rules.keys) or not (key or rules.foreign):
            return None
        if not self._is_old(name.used) or not (key or self._now - name.used >= DAY_S):
            return None
        title = name.path.rpartition("/")[2]
        return Item("blob", title, "nothing names it any more", (name,), key, used=name.used)

    def is_gone(self, key: str) -> bool:
        """Whether no file of an orphan is left that is its own."""
        return key in self.known.orphans and self._left(key) == []

    def _left(self, key: str) -> list[Name] | None:
        """The files of an orphan that are still what was put there, and that nobody else needs;
        None when what is registered makes no sense.
        """
        with contextlib.suppress(*ODD):
            rows = rows_of(self._needs.entries[key])
            names = leftovers.unchanged(rows, self._roots, self._spelling)
            return [name for name in dict.fromkeys(names) if name.path not in self.held]
        return None

    def _is_orphaned(self, key: str, manifest: str, last: float) -> bool:
        """Whether a manifest is an orphan's; if the tag has moved, somebody else pulled it."""
        if key not in self.known.orphans or not self._is_old(last):
            return False
        return bool(self._needs.entries[key].get("version") == stock.sha256_at(manifest))

    def _is_old(self, used: float) -> bool:
        # A clock of a file server may be ahead.
        return not self._rules.unused_s or self._now - used >= self._rules.unused_s

    def _lacking(self) -> set[str]:
        """Digests of the lock that are not in place, so that a download goes on with them."""
        found: set[str] = set()
        for pin in self._memory.lock.values():
            layout = self._needs.layout(pin)
            found |= inspect(layout, self._roots, variables=self._variables).lacking
        return found


def _top(path: str, folders: list[str]) -> str:
    """What a path lies in, directly below the first of some folders; empty below none."""
    for folder in folders:
        if path.startswith(f"{folder}/"):
            return f"{folder}/{path.removeprefix(f'{folder}/').partition('/')[0]}"
    return ""
