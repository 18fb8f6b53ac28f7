"""Makes the registry anew from the lock and the disk: every file is read, whole models enter."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.core.lock import Lock
from modelset.core.types import Choice, Model, Pin
from modelset.core.values import dataclass
from modelset.engine.check import Inspector, Seen
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.lock import read_lock, turn
from modelset.store.registry import entry_of, holds, read_registry, write_anew

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The entries that the registry has now, and why other models have none."""

    entries: Entries
    left_out: Mapping[str, str]


def rebuild(
    inspector: Inspector, lock_path: Path, models: Mapping[str, Model], stop: Stop, now: str
) -> Rebuilt:
    """Read every file of every locked model, and write the registry; raises ModelSetError.

    `now` dates keys, which have no files. What the old registry has beyond the lock stays when its
    files are what they were. The reading goes on outside of the turn; what other processes change
    meanwhile stays as they left it.
    """
    folder = inspector.roots["registry"]
    lock, before = read_lock(lock_path), read_registry(folder)
    found: dict[str, Mapping[str, Any]] = {}
    left_out: dict[str, str] = {}
    for key, pin in lock.items():
        entry, why = _look(inspector, models.get(key) or _unknown(pin), pin, stop, now)
        if entry is None:
            left_out[key] = why
            continue
        old = before.get(key)
        if _is_same(old, entry) and old is not None:
            entry["date_added"] = old["date_added"]
        found[key] = entry
    pause = RunGuard(stop).check
    for key, old in before.items():
        if key in lock:
            continue
        if holds(old, pause):
            found[key] = old
        else:
            left_out[key] = "not in the lock, and its files are not what they were"
    with turn(folder):
        entries = _merged(found, before, read_registry(folder), lock, read_lock(lock_path))
        write_anew(folder, entries)
    return Rebuilt(entries, {key: why for key, why in left_out.items() if key not in entries})


def _look(
    inspector: Inspector, model: Model, pin: Pin, stop: Stop, now: str
) -> tuple[dict[str, Any] | None, str]:
    """The entry of a model that is whole, or None and what is wrong with it."""
    if pin.source not in inspector.sources:
        return None, f"its source {pin.source} is not known"
    choice = Choice(model, model.tier, "")
    seen = inspector.look_at(choice, pin, {}, deep=True, pause=RunGuard(stop).check)
    if seen.status.presence != "present" or seen.layout is None:
        return None, _why(seen)
    try:
        entry = entry_of(model, pin, seen.layout, inspector.roots, sha256={}, date_added="")
    except OSError as error:
        return None, f"changed meanwhile: {error.strerror}"
    return entry | {"date_added": _newest(entry, now)}, ""


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
