"""The main job: pins every model, decides, and brings what is missing, side by side."""

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.events import Ended
from modelset.core.layout import InstallWheel, Unpack
from modelset.core.lock import EMPTY
from modelset.core.plan import make_plan, refuse_if_full, starting_order
from modelset.core.report import download_exit_code
from modelset.core.types import TIERS, Choice, Outcome, Pin, Report, Selection, Status
from modelset.core.values import replace
from modelset.engine.bring import bring
from modelset.engine.budget import Budget
from modelset.engine.check import Seen
from modelset.engine.guard import RunGuard
from modelset.engine.lock import read_lock, refuse_stale, turn, write_lock
from modelset.engine.prepare import prepare
from modelset.engine.run import Crew, Work
from modelset.engine.seldom import Seldom
from modelset.engine.task import Crowd, Known, Task, Terms, World
from modelset.store.claim import sweep
from modelset.store.files import free_bytes, volume_of
from modelset.store.history import note_placed
from modelset.store.inspect import Inode
from modelset.store.journal import bytes_here
from modelset.store.registry import entry_of, read_registry, remember
from modelset.store.roots import Roots

# Models whose source answers late do not hold up the others for longer than this.
_SETTLE_S = 3.0


class Download:
    """One run over a selection; `run` it once."""

    def __init__(self, world: World, terms: Terms) -> None:
        self._world, self._terms = world, terms
        self._roots = world.inspector.roots
        # Of what ended only this is kept: tasks hold every file of their models.
        self._outcomes: list[Outcome] = []
        self._ready_inodes: dict[Inode, int] = {}
        self._planned: list[Status] = []
        now = RunGuard(world.stop).now
        self._new_pins: Seldom[Pin] = Seldom(self._write_lock, now)
        self._new_entries: Seldom[tuple[Pin, dict[str, Any]]] = Seldom(self._remember, now)
        self._asking: Crew[Task] = Crew(terms.connections, world.emit, world.stop)
        # A model without a connection would only lose time.
        self._workers = min(terms.max_workers, terms.connections)
        self._working: Crew[Task] = Crew(self._workers, world.emit, world.stop)
        self._crowd = Crowd(Budget(terms.connections, self._workers), Work())
        self._order = itertools.count()

    def run(self, selection: Selection) -> Report:
        """Do it; raises ModelSetError for what concerns the run as a whole."""
        lock = read_lock(self._world.lock_path)
        if self._terms.locked:
            models = [choice.model for choice in selection.choices]
            refuse_stale(models, lock, self._world.lock_path)
        self._licences = {one.model.key: one.model.licence for one in selection.choices}
        sweep(self._roots["downloads"])
        self._known = Known(
            lock, read_registry(self._roots["registry"]), bytes_here(self._roots["downloads"])
        )
        try:
            self._loop(selection.choices)
        finally:
            for crew in (self._asking, self._working):
                self._settle(crew.end())
            self._crowd.work.end()
            self._new_pins.flush()
            self._new_entries.flush()
        return self._report(selection)

    def _loop(self, choices: tuple[Choice, ...]) -> None:
        for choice in choices:
            self._asking.start(lambda choice=choice: self._prepare(choice))  # type: ignore[misc]
        clock = RunGuard(self._world.stop)
        began = clock.now()
        waiting: list[Task] = []
        stopped = self._world.stop.event.is_set
        while (self._asking.is_busy or waiting or self._working.is_busy) and not stopped():
            if self._asking.is_busy:
                waiting += self._settle(self._asking.tick())
            if waiting and (not self._asking.is_busy or clock.now() - began > _SETTLE_S):
                self._admit(waiting)
                waiting = []
            if self._working.is_busy:
                self._settle(self._working.tick())

    def _prepare(self, choice: Choice) -> Task:
        return prepare(choice, self._world, self._terms, self._known, self._asking.tell)

    def _bring(self, task: Task) -> Task:
        return bring(task, self._world, self._terms, self._working.tell, self._crowd)

    def _settle(self, tasks: Iterable[Task]) -> list[Task]:
        """Book what ended; returns what still has to be fetched."""
        going = []
        pins: dict[str, Pin] = {}
        entries: dict[str, tuple[Pin, dict[str, Any]]] = {}
        for task in tasks:
            if task.new_pin is not None and task.new_pin.is_exact:
                pins[task.new_pin.key] = task.new_pin
            if task.outcome is None:
                going.append(task)
                continue
            self._outcomes.append(task.outcome)
            self._world.emit(Ended(task.outcome))
            if task.outcome.failure is None and task.seen is not None:
                entries |= self._entry(task, task.seen)
            if task.outcome.result == "ready" and task.seen and task.seen.findings:
                self._ready_inodes |= task.seen.findings.inodes
        self._new_pins.add(pins)
        self._new_entries.add(entries)
        return going

    def _entry(self, task: Task, seen: Seen) -> dict[str, tuple[Pin, dict[str, Any]]]:
        if task.is_remembered or seen.pin is None or seen.layout is None:
            return {}
        try:
            entry = entry_of(
                task.choice.model,
                seen.pin,
                seen.layout,
                self._roots,
                sha256=dict(task.sha256),
                date_added=self._world.now(),
            )
        except OSError:  # a file has gone meanwhile: the next run looks again
            return {}
        return {task.choice.model.key: (seen.pin, entry)}

    def _admit(self, tasks: list[Task]) -> None:
        """Lock, plan, refuse a full disk before byte one, and set the workers going."""
        by_key = {task.choice.model.key: task for task in tasks}
        seen = [task.seen for task in tasks if task.seen is not None]
        plan = make_plan(one.status for one in seen)
        self._planned += plan.fetch
        if self._terms.dry_run:
            return
        _refuse_if_full(seen, self._roots)
        # Of those that are at work, the smallest get most connections, so that their workers go on
        # to others, and at the end one large model has them all.
        by_size = sorted(plan.fetch, key=lambda one: (TIERS.index(one.tier), one.bytes_want))
        order = {status.model.key: next(self._order) for status in by_size}
        for status in starting_order(plan.fetch, self._workers):
            self._crowd.budget.expect(status.bytes_to_come)
            task = replace(by_key[status.model.key], order=order[status.model.key])
            self._working.start(lambda task=task: self._bring(task))  # type: ignore[misc]

    def _write_lock(self, pins: Mapping[str, Pin]) -> None:
        if not self._terms.dry_run:
            path, registry = self._world.lock_path, self._roots["registry"]
            with turn(registry):
                write_lock(
                    path,
                    read_lock(path),
                    pins.values(),
                    history=registry,
                    licences={key: self._licences[key] for key in pins},
                )

    def _remember(self, placed: Mapping[str, tuple[Pin, Mapping[str, Any]]]) -> None:
        registry = self._roots["registry"]
        try:
            with turn(registry):
                note_placed(registry, [pin for pin, _ in placed.values()])
                remember(registry, {key: entry for key, (_, entry) in placed.items()})
        except ModelSetError:
            if any(outcome.result != "ready" for outcome in self._outcomes):
                raise  # else everything was here already: a store may be read-only

    def _report(self, selection: Selection) -> Report:
        outcomes = self._outcomes
        ended = {outcome.model.key for outcome in outcomes}
        stop = self._world.stop
        if stop.event.is_set():
            error = ModelSetError(stop.code, "stopped", "run the same command again; it resumes")
            for choice in selection.choices:
                if choice.model.key not in ended:
                    outcome = Task(choice).failed(error, 0.0).outcome
                    assert outcome is not None
                    outcomes.append(outcome)
        order = {choice.model.key: number for number, choice in enumerate(selection.choices)}
        outcomes.sort(key=lambda outcome: order[outcome.model.key])
        ready = {outcome.model.key for outcome in outcomes if outcome.result == "ready"}
        after, total_bytes = self._look_again(
            tuple(choice for choice in selection.choices if choice.model.key not in ready)
        )
        return Report(
            statuses=tuple(after.get(row.model.key, row) for row in self._planned),
            outcomes=tuple(outcomes),
            left_out=selection.left_out,
            total_bytes=total_bytes,
            exit_code=KINDS[stop.code].exit_code if stop.code else download_exit_code(outcomes),
        )

    def _look_again(self, changed: tuple[Choice, ...]) -> tuple[dict[str, Status], int]:
        """What is on the disk now, where that may have changed, and the bytes of all models."""
        lock = read_lock(self._world.lock_path) if changed else EMPTY
        inodes = dict(self._ready_inodes)
        statuses = {}
        for one in self._world.inspector.look(changed, lock):
            if one.findings is not None:
                inodes |= one.findings.inodes
            if not self._terms.dry_run:
                statuses[one.status.model.key] = one.status
        return statuses, sum(inodes.values())


def _refuse_if_full(seen: list[Seen], roots: Roots) -> None:
    """Sum what each volume has to take. Bytes arrive in `downloads` and move to their root; a
    root on another volume needs them there too, and wheels and archives are unpacked beside
    themselves.
    """
    need: dict[int, int] = {}
    names: dict[int, Path] = {}
    arriving = volume_of(roots["downloads"])
    for one in seen:
        assert one.layout is not None, "only models that were looked at are planned"
        to_come = one.status.bytes_to_come
        root = roots[one.layout.root]
        unpacked = any(isinstance(row, InstallWheel | Unpack) for row in one.layout.placements)
        shares = [(arriving, roots["downloads"], to_come)]
        if unpacked or volume_of(root) != arriving:
            shares.append((volume_of(root), root, to_come * 2 if unpacked else to_come))
        for volume, place, size in shares:
            names.setdefault(volume, place)
            need[volume] = need.get(volume, 0) + size
    refuse_if_full(
        {str(names[volume]): size for volume, size in need.items()},
        {str(place): free_bytes(place) for place in names.values()},
    )
