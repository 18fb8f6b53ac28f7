"""Asks the sources what models are now, side by side, and moves the lock on or back."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, cast

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.events import Retrying
from modelset.core.layout import InstallWheel, Layout, PutFile, Unpack
from modelset.core.lock import Lock, is_current, is_same
from modelset.core.ports import Web
from modelset.core.types import Choice, Failure, Pin, Report, Selection
from modelset.core.values import dataclass, replace
from modelset.engine.again import asked_again
from modelset.engine.check import Inspector
from modelset.engine.lock import read_lock, turn, write_lock
from modelset.engine.run import Crew
from modelset.engine.task import Task, Tell, Terms, World
from modelset.store.journal import bytes_here
from modelset.store.registry import forget

Change = Literal["same", "new", "moved", "unknown", "unlocked", "failed"]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A model's pin in the lock, and what its source says now; None where there is none.

    `new` is None too where nobody was asked, or where the source says that nothing has changed.
    """

    choice: Choice
    old: Pin | None = None
    new: Pin | None = None
    failure: Failure | None = None

    @property
    def key(self) -> str:
        """The key of the model."""
        return self.choice.model.key

    @property
    def pin(self) -> Pin | None:
        """What the lock says in the end: a pin without every digest has no place there."""
        return self.new if self.new is not None and self.new.is_exact else self.old

    @property
    def change(self) -> Change:
        """What the source's answer means.

        `unlocked`: there is no pin, and none before a download, because nobody publishes a
        digest; `unknown`: for the same reason only the bytes could tell whether it has changed.
        """
        if self.failure is not None:
            return "failed"
        if self.new is None:
            return "same"
        if self.old is None or not (self.new.is_exact or is_current(self.old, self.choice.model)):
            return "new" if self.new.is_exact else "unlocked"
        if self.new.is_exact:
            return "same" if is_same(self.old, self.new) else "moved"
        return "unknown" if _sizes(self.old) == _sizes(self.new) else "moved"


class _Unmoved(Exception):  # noqa: N818 - it is none
    """The commit is the one that is pinned, and so is everything in it."""


class _Brief:
    """A model's questions, until the answer to the first shows that its commit has not moved."""

    def __init__(self, web: Web, pin: Pin) -> None:
        self._web, self._pin = web, pin

    def get_json(self, url: str) -> Any:
        document = self._web.get_json(url)
        # Hub and GitHub call it so; a commit is what its contents make it.
        if isinstance(document, dict) and document.get("sha") == self._pin.revision:
            raise _Unmoved
        return document

    def __getattr__(self, name: str) -> Any:
        return getattr(self._web, name)


def ask_sources(
    choices: Iterable[Choice],
    lock: Lock,
    world: World,
    terms: Terms,
    *,
    again: Collection[str] = (),
    brief: bool = False,
) -> tuple[Pinned, ...]:
    """What each model is now, in the order of the choices; moves no file and writes nothing.

    Those whose pin is what the catalog wants are asked only when they are to be asked `again`;
    `brief` ends at the first answer that shows that nothing has changed.
    """
    choices = tuple(choices)
    rows = {choice.model.key: Pinned(choice, lock.get(choice.model.key)) for choice in choices}
    crew: Crew[Pinned] = Crew(terms.connections, world.emit, world.stop)
    asked = [
        row
        for row in rows.values()
        if row.key in again or not is_current(row.old, row.choice.model)
    ]
    for row in asked:
        crew.start(lambda row=row: _ask(row, world, terms, crew.tell, brief, row.key in again))  # type: ignore[misc]
    try:
        waiting = {row.key for row in asked}
        while crew.is_busy and not world.stop.event.is_set():
            for row in crew.tick():
                rows[row.key] = row
                waiting.discard(row.key)
    finally:
        for row in crew.end():
            rows[row.key] = row
            waiting.discard(row.key)
    for key in waiting:  # after a stop
        error = ModelSetError(world.stop.code or "stopped", "stopped", "run the same command again")
        rows[key] = replace(rows[key], failure=error.failure)
    return tuple(rows[choice.model.key] for choice in choices)


def _ask(
    row: Pinned, world: World, terms: Terms, tell: Tell, brief: bool, is_again: bool
) -> Pinned:
    """The row with the source's answer, or with why there is none; never raises."""
    model, old = row.choice.model, row.old
    guard = world.guard(terms, 0)
    web = world.make_web(
        guard,
        lambda error, number, delay_s: tell(Retrying(model.key, error.failure, number, delay_s)),
    )
    source = world.inspector.sources[model.source]
    asking = asked_again(web) if is_again else web
    if brief and old is not None and is_current(old, model):
        asking = cast(Web, _Brief(asking, old))
    try:
        guard.check()
        try:
            return replace(row, new=source.resolve(model, asking))
        except ModelSetError as error:
            if model.gate and error.kind.exit_code == KINDS["access-denied"].exit_code:
                source.check_access(model, web)  # which says what opens it
            raise
    except _Unmoved:
        return row
    except Exception as error:  # one model's surprise must not end the others
        outcome = Task(row.choice).failed(error, 0.0).outcome
        assert outcome is not None
        return replace(row, failure=outcome.failure)


def write_pins(rows: Iterable[Pinned], world: World, *, without: Collection[str] = ()) -> None:
    """Write what the sources said into the lock, and the licences; raises ModelSetError."""
    rows = tuple(rows)
    path, registry = world.lock_path, world.inspector.roots["registry"]
    pins = [row.new for row in rows if row.new is not None and row.new.is_exact]
    licences = {row.key: row.choice.model.licence for row in rows}
    changed = [row.key for row in rows if row.change not in ("same", "failed")]
    with turn(registry):
        forget(registry, changed)  # it goes by names and sizes: other bytes may have the same
        lock = read_lock(path)
        write_lock(path, lock, pins, without=without, history=registry, licences=licences)


def bytes_to_fetch(row: Pinned, inspector: Inspector) -> int:
    """What a download of the new pin would bring, by sizes and names alone."""
    if row.new is None:
        return 0
    partials = bytes_here(inspector.roots["downloads"])
    seen = inspector.look_at(row.choice, row.new, partials)
    assert seen.layout is not None
    assert seen.findings is not None
    # A file may have the right name and size, and yet be the one that is to be replaced.
    before = _contents(inspector.sources[row.old.source].layout(row.old)) if row.old else {}
    replaced = {
        digest
        for path, digest in _contents(seen.layout).items()
        if before.get(path, digest) != digest and digest not in seen.findings.lacking
    }
    sizes = {artifact.digest: artifact.size for artifact in row.new.artifacts}
    return seen.status.bytes_to_come + sum(sizes[digest] for digest in replaced)


def bring_changed(
    rows: Collection[Pinned], world: World, terms: Terms, selection: Selection
) -> Report:
    """Pin what has changed and download it; raises ModelSetError for the run as a whole.

    What nobody publishes a digest of is pinned by its bytes once they are here; until then its
    old pin leaves the lock, and comes back when they do not come.
    """
    learning = {row.key: row.old for row in rows if row.new is not None and not row.new.is_exact}
    write_pins(rows, world, without=learning.keys())
    try:
        return _download(world, terms, selection)
    finally:
        lock = read_lock(world.lock_path)
        _restore({key: old for key, old in learning.items() if old and key not in lock}, world)


def roll_back(choice: Choice, pin: Pin, world: World, terms: Terms) -> Report:
    """Pin what was pinned before, and bring what of it is not here any more.

    The lock is as it was when that fails. Raises ModelSetError for the run as a whole.
    """
    key = choice.model.key
    left = read_lock(world.lock_path).get(key)
    write_pins([Pinned(choice, left, pin)], world)
    succeeded = False
    try:
        report = _download(world, replace(terms, frozen=True), Selection((choice,)))
        succeeded = all(outcome.failure is None for outcome in report.outcomes)
        return report
    finally:
        if not succeeded:
            _restore({key: left}, world)


def _download(world: World, terms: Terms, selection: Selection) -> Report:
    from modelset.engine.download import Download  # what is only listed needs no socket library

    return Download(world, terms).run(selection)


def _restore(pins: Mapping[str, Pin | None], world: World) -> None:
    """Pin what was pinned at first; what was not is to have no pin again."""
    registry = world.inspector.roots["registry"]
    kept = [pin for pin in pins.values() if pin is not None]
    without = pins.keys() - {pin.key for pin in kept}
    with turn(registry):
        lock = read_lock(world.lock_path)
        write_lock(world.lock_path, lock, kept, without=without, history=registry)


def _sizes(pin: Pin) -> list[tuple[str, int]]:
    return [(row.name, row.size) for row in pin.artifacts]


def _contents(layout: Layout) -> dict[str, str]:
    """Which bytes belong under which name."""
    found = {}
    for row in layout.placements:
        if isinstance(row, PutFile | Unpack):
            found[row.path] = row.artifact.digest
        elif isinstance(row, InstallWheel):
            found[f"{row.name}-{row.version}"] = row.artifact.digest
    return found
