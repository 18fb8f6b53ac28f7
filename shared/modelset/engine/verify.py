"""Verifies in full: every digest offline, on every core; then each provider's word on its key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelset.core.errors import ModelSetError
from modelset.core.events import Emit, ignore
from modelset.core.lock import Lock
from modelset.core.report import check_exit_code, is_key
from modelset.core.types import Choice, Report, Status
from modelset.core.values import dataclass, replace
from modelset.engine.check import Inspector, Seen
from modelset.engine.digests import read_all
from modelset.engine.guard import RunGuard, Stop
from modelset.store.digests import Table, Wanted, unchanged
from modelset.store.findings import Inode, Reading
from modelset.store.records import remove_record
from modelset.store.registry import read_registry

if TYPE_CHECKING:  # slow to load, and only keys ask it anything
    from modelset.engine.task import World

# Nobody waits longer for a yes or a no.
_PATIENCE_S = 30.0
# The names of the lists that unpacked models are checked by.
_LISTS = (".dist-info/RECORD", ".record")
_UNASKED = (5, 12)  # no network, or no answer in time


@dataclass(frozen=True, slots=True)
class Manner:
    """How to verify: with so many workers, and with `fast` only what has changed since it was
    verified for the last time.
    """

    hands: int
    stop: Stop
    emit: Emit = ignore
    fast: bool = False


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file that is not as pinned, both digests or sizes in words, and what mends it."""

    key: str
    path: str
    expected: str
    actual: str
    mend: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found: `broken` are the models that a repair can bring back, `lists`
    the damaged lists of files; `bytes_read` counts what was hashed.
    """

    report: Report
    files: tuple[BadFile, ...] = ()
    broken: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    bytes_read: int = 0


def look_deep(
    inspector: Inspector, choices: tuple[Choice, ...], lock: Lock, manner: Manner
) -> tuple[list[Seen], int]:
    """What every byte says of the choices, and how many bytes were read; raises when stopped.

    A first look notes the files, the cores read them, and a second one finds their digests done.
    """
    pause = RunGuard(manner.stop).check
    rows = list(_rows(read_registry(inspector.roots["registry"]), lock))
    trusted: set[Inode] = unchanged(rows) if manner.fast else set()
    records = {str(row.get("path")): str(row.get("sha256")) for row in rows}
    wanted = Wanted(trusted)
    inspector.look(choices, lock, deep=True, pause=pause, reading=Reading(wanted, records))
    digests = read_all(wanted.jobs.values(), manner.hands, manner.emit, manner.stop)
    reading = Reading(Table(digests, trusted, pause), records)
    seen = inspector.look(choices, lock, deep=True, pause=pause, reading=reading)
    return seen, sum(job.size for job in wanted.jobs.values())


def verdict(
    seen: Sequence[Seen], registry: Mapping[str, Any], report: Report, count: int
) -> Verified:
    """The report with every file that is wrong, and which models a repair is to bring back: those
    that were once here, and of which something is.
    """
    files, broken, lists = [], [], []
    for one in seen:
        key, presence = one.status.model.key, one.status.presence
        if one.pin is None or one.findings is None or not one.pin.artifacts:
            continue
        was_here = presence in ("corrupt", "partial") or key in registry
        if presence == "present" or not was_here:
            continue
        broken.append(key)
        mend = "restore it" if one.pin.is_own else f"modelset verify {key} --repair"
        # A link and what it leads to are one file.
        wrong = {os.path.realpath(row.path): row for row in reversed(one.findings.wrong)}.values()
        files += [BadFile(key, row.path, row.expected, row.actual, mend) for row in wrong]
        lists += [row.path for row in wrong if row.path.endswith(_LISTS)]
    return Verified(report, tuple(files), tuple(broken), tuple(lists), count)


def remove_lists(paths: Sequence[str]) -> None:
    """Take damaged lists of files away: no download could tell that they are."""
    for path in paths:
        remove_record(path)


def ask_providers(report: Report, world: World) -> Report:
    """The report with each provider's own word: a key that is not accepted is corrupt, and one
    whose provider cannot be asked stays what it was, with an exit code of its own.
    """
    statuses = []
    code = 0
    for status in report.statuses:
        error = _ask(status, world) if is_key(status) else None
        if error is None:
            statuses.append(status)
        elif error.kind.exit_code in _UNASKED:
            code = error.kind.exit_code
            words = f"its provider could not be asked: {error.failure.message}"
            statuses.append(replace(status, detail=words))
        else:
            problems = (error.failure.message,)
            statuses.append(replace(status, presence="corrupt", problems=problems))
    worst = check_exit_code(statuses, strict=False) or code
    return replace(report, statuses=tuple(statuses), exit_code=worst)


def _ask(status: Status, world: World) -> ModelSetError | None:
    model = status.model
    web = world.make_web(RunGuard(world.stop, _PATIENCE_S), lambda error, number, delay_s: None)
    try:
        world.inspector.sources[model.source].check_access(model, web)
    except ModelSetError as error:
        return error
    return None


def _rows(registry: Mapping[str, Any], lock: Lock) -> Iterator[Mapping[str, Any]]:
    """What the registry says of the files of each model that it knows at its pinned revision."""
    for key, entry in registry.items():
        if isinstance(entry, dict) and key in lock and entry.get("version") == lock[key].revision:
            files = entry.get("files")
            for row in files if isinstance(files, list) else ():
                if isinstance(row, dict):
                    yield row
