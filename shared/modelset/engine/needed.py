"""Which files on a disk the lock, the history and the registry need, and which are only known."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelset.core.clean import Known, Rules
from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel, Layout, Link, PutFile, PutText, Unpack
from modelset.core.lock import Lock, is_same
from modelset.core.ports import Source
from modelset.core.types import Model, Pin
from modelset.core.values import dataclass
from modelset.engine.check import ODD, OWN
from modelset.store.records import record_rows
from modelset.store.roots import Roots
from modelset.store.stock import Spelling


@dataclass(frozen=True, slots=True)
class Memory:
    """What this machine remembers: what is pinned, what was, and what was put where; `wanted` are
    the keys that the catalog selects, and `models` those that it knows.
    """

    lock: Lock
    history: Mapping[str, tuple[Pin, ...]]
    registry: Mapping[str, Mapping[str, Any]]
    wanted: frozenset[str] = frozenset()
    models: Mapping[str, Model] | None = None


class Needs:
    """Turns what is remembered into paths."""

    def __init__(
        self, sources: Mapping[str, Source], roots: Roots, memory: Memory, spelling: Spelling
    ) -> None:
        self._sources, self._roots, self._memory = sources, roots, memory
        self._spelling = spelling
        # Somebody may have written anything there.
        told = memory.registry.items()
        self.entries = {key: entry for key, entry in told if isinstance(entry, Mapping)}

    def known(self, rules: Rules) -> Known:
        """What has to stay under these rules, and who put what where.

        Raises ModelSetError `lock-invalid` for a pin that says no place.
        """
        memory = self._memory
        orphans = self.orphans(rules)
        held: set[str] = set()
        ours: dict[str, str] = {}
        for pin, is_kept in self._pins(rules):
            paths = list(self._paths_of(pin, must=pin is memory.lock.get(pin.key)))
            if is_kept or pin.is_own:
                held.update(path for one in paths for path in self._spelling.both(one))
            if not pin.is_own and pin.source not in OWN:
                for one in paths:
                    ours.setdefault(self._spelling.of(one), pin.key)
        for key, entry in self.entries.items():
            paths = _registered(entry)
            if key not in orphans:
                held.update(path for one in paths for path in self._spelling.both(one))
            if str(entry.get("source")) not in OWN:
                for one in paths:
                    ours.setdefault(self._spelling.of(one), key)
        refs = (ref for key in sorted(orphans) for ref in self._refs_of(key))
        return Known(frozenset(held), ours, orphans, frozenset(refs))

    def orphans(self, rules: Rules) -> frozenset[str]:
        """Keys that are registered and that nothing wants; none unless they are asked for."""
        memory = self._memory
        if not rules.orphans:
            return frozenset()
        return frozenset(
            key
            for key, entry in self.entries.items()
            if not (key in memory.lock or key in memory.wanted)
            and entry.get("source") not in OWN
            and (not rules.keys or key in rules.keys)
        )

    def digests(self, keys: Iterable[str]) -> set[str]:
        """The digests of every pin of some models, old ones too."""
        memory = self._memory
        pins = [pin for key in keys for pin in memory.history.get(key, ())]
        pins += [memory.lock[key] for key in keys if key in memory.lock]
        return {artifact.digest for pin in pins for artifact in pin.artifacts}

    def layout(self, pin: Pin) -> Layout:
        """Where a pin's files lie; raises what an odd pin leads to."""
        source = self._sources[pin.source]
        problems = source.check_ref(pin.ref)
        if problems:
            raise ValueError(problems[0])
        layout = source.layout(pin)
        self._roots[layout.root]  # a KeyError here, not later
        return layout

    def _pins(self, rules: Rules) -> Iterator[tuple[Pin, bool]]:
        """Every pin, and whether its files stay: of earlier ones, the newest few of each model."""
        memory = self._memory
        for pin in memory.lock.values():
            yield pin, True
        for key, pins in memory.history.items():
            now = memory.lock.get(key)
            earlier = [pin for pin in pins if now is None or not is_same(pin, now)]
            for number, pin in enumerate(earlier):
                yield pin, number < rules.keep

    def _paths_of(self, pin: Pin, *, must: bool) -> list[str]:
        try:
            layout = self.layout(pin)
            return list(self._paths(layout))
        except (*ODD, ModelSetError) as error:
            if not must:
                return []  # what is not understood is not ours
            raise ModelSetError(
                "lock-invalid",
                f"the lock does not say where {pin.key} lies: {error}",
                "nothing was removed; mend the lock with `modelset lock`, then clean",
            ) from error

    def _paths(self, layout: Layout) -> Iterator[str]:
        root = str(self._roots[layout.root])
        if layout.folder:
            yield f"{root}/{layout.folder}"
        for row in layout.placements:
            if isinstance(row, PutFile | Link | PutText):
                yield f"{root}/{row.path}"
            elif isinstance(row, Unpack):
                yield from _recorded(f"{root}/{row.path}", row.record)
            elif isinstance(row, InstallWheel):
                yield from _recorded(root, f"{row.name}-{row.version}.dist-info/RECORD")

    def _refs_of(self, key: str) -> list[str]:
        """The files of refs that were written for an orphan, where it lies in the Hub's cache."""
        entry = self.entries[key]
        path, version = str(entry.get("path", "")), str(entry.get("version", ""))
        folder, found, _ = path.rpartition("/snapshots/")
        if not found:
            return []
        pins = [pin for pin in self._memory.history.get(key, ()) if pin.revision == version]
        model = (self._memory.models or {}).get(key)
        if not pins and model is not None:
            pins = [Pin(key, model.source, model.ref, version, ())]
        for pin in pins:
            paths = self._paths_of(pin, must=False)
            refs = [self._spelling.of(one) for one in paths if one.startswith(f"{folder}/refs/")]
            if refs:
                return refs
        return [self._spelling.of(f"{folder}/refs/main")]


def rows_of(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of files of a registry's entry."""
    rows = entry.get("files")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _registered(entry: Mapping[str, Any]) -> list[str]:
    """The paths that an entry names; of an odd one, those that it does name."""
    told = [entry.get("path"), *(row.get("path") for row in rows_of(entry))]
    return [path for path in told if isinstance(path, str) and path and "\0" not in path]


def _recorded(folder: str, record: str) -> Iterator[str]:
    yield f"{folder}/{record}"
    for row in record_rows(f"{folder}/{record}"):
        yield f"{folder}/{row.path}"
