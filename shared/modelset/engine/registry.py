"""Makes the registry anew from the lock and the disk: every file is read, whole models enter."""

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelset.core.events import Emit, ignore
from modelset.core.lock import Lock
from modelset.core.types import Choice, Model, Pin
from modelset.core.values import dataclass
from modelset.engine.check import Inspector, Seen
from modelset.engine.digests import read_all
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.lock import read_lock, turn
from modelset.store.digests import Table, Wanted
from modelset.store.findings import DigestOf, Reading
from modelset.store.registry import entry_of, holds, read_registry, write_anew

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The entries that the registry has now, and why other models have none."""

    entries: Entries
    left_out: Mapping[str, str]


def rebuild(
    inspector: Inspector,
    lock_path: Path,
    models: Mapping[str, Model],
    stop: Stop,
    now: str,
    *,
    hands: int = 0,
    emit: Emit = ignore,
) -> Rebuilt:
    """Read every file of every locked model, and write the registry; raises ModelSetError.

    `now` dates keys, which have no files. What the old registry has beyond the lock stays when its
    files are what they were. As many `hands` read as there are cores, when nobody says. The reading
    goes on outside of the turn; what other processes change meanwhile stays as they left it.
    """
    folder = inspector.roots["registry"]
    lock, before = read_lock(lock_path), read_registry(folder)
    look = _Look(inspector, models, RunGuard(stop).check, now)
    # As verify does: a first look notes the files, a second one finds their digests done.
    wanted = Wanted()
    look.at_all(lock, before, wanted)
    digests = read_all(wanted.jobs.values(), hands or os.cpu_count() or 1, emit, stop)
    found, left_out = look.at_all(lock, before, Table(digests, (), look.pause))
    with turn(folder):
        entries = _merged(found, before, read_registry(folder), lock, read_lock(lock_path))
        write_anew(folder, entries)
    return Rebuilt(entries, {key: why for key, why in left_out.items() if key not in entries})


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks at everything that may enter, with the digests that it is given."""

    inspector: Inspector
    models: Mapping[str, Model]
    pause: Callable[[], None]
    now: str

    def at_all(
        self, lock: Lock, before: Entries, digest: DigestOf
    ) -> tuple[dict[str, Mapping[str, Any]], dict[str, str]]:
        """The entries of models that are whole, and why others have none."""
        found: dict[str, Mapping[str, Any]] = {}
        left_out: dict[str, str] = {}
        for key, pin in lock.items():
            entry, why = self._at(self.models.get(key) or _unknown(pin), pin, digest)
            if entry is None:
                left_out[key] = why
                continue
            old = before.get(key)
            if _is_same(old, entry) and old is not None:
                entry["date_added"] = old["date_added"]
            found[key] = entry
        for key, old in before.items():
            if key in lock:
                continue
            self.pause()
            if holds(old, digest):
                found[key] = old
            else:
                left_out[key] = "not in the lock, and its files are not what they were"
        return found, left_out

    def _at(self, model: Model, pin: Pin, digest: DigestOf) -> tuple[dict[str, Any] | None, str]:
        """The entry of a model that is whole, or None and what is wrong with it."""
        if pin.source not in self.inspector.sources:
            return None, f"its source {pin.source} is not known"
        choice = Choice(model, model.tier, "")
        reading, roots = Reading(digest), self.inspector.roots
        seen = self.inspector.look_at(choice, pin, {}, deep=True, pause=self.pause, reading=reading)
        if seen.status.presence != "present" or seen.layout is None:
            return None, _why(seen)
        try:
            entry = entry_of(
                model, pin, seen.layout, roots, sha256={}, date_added="", digest=digest
            )
        except OSError as error:
            return None, f"changed meanwhile: {error.strerror}"
        return entry | {"date_added": _newest(entry, self.now)}, ""


def _why(seen: Seen) -> str:
    problems = seen.status.problems
    return f"{seen.status.presence}: {problems[0]}" if problems else seen.status.presence


def _newest(entry: Mapping[str, Any], now: str) -> str:
    """When the last of its files came."""
    times = [row["mtime_ns"] for row in entry["files"]]
    if not times:
        return now
    moment = datetime.datetime.fromtimestamp(max(times) / 1e9, datetime.UTC)
    return moment.isoformat(timespec="seconds")


def _is_same(old: Any, entry: Mapping[str, Any]) -> bool:
    """Whether an older entry speaks of the same revision, and says when it came."""
    if not isinstance(old, dict) or not isinstance(old.get("date_added"), str):
        return False
    return old.get("version") == entry["version"] and bool(old["date_added"])


def _merged(found: Entries, before: Entries, now: Entries, lock: Lock, lock_now: Lock) -> Entries:
    """What was found, but for models that another process has changed meanwhile."""
    entries = {
        key: entry
        for key, entry in found.items()
        if now.get(key) == before.get(key) and lock.get(key) == lock_now.get(key)
    }
    changed = {key: entry for key, entry in now.items() if entry != before.get(key)}
    return {**entries, **changed}


def _unknown(pin: Pin) -> Model:
    """A model that the lock has and the catalog has no more."""
    return Model(pin.key, "", "available", pin.source, pin.ref)
