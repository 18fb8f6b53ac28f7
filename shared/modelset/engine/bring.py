"""The second half of a model's way: fetch what is lacking, and place it."""

import dataclasses
from collections.abc import Callable

from modelset.core.errors import ModelSetError
from modelset.core.events import Moved, Retrying, Started
from modelset.core.ports import Guard
from modelset.core.types import Artifact, InstallWheel, Layout, PutFile
from modelset.engine.check import Seen
from modelset.engine.fetch import fetch
from modelset.engine.task import Task, Tell, Terms, World
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.roots import Roots


def bring(task: Task, world: World, terms: Terms, tell: Tell) -> Task:
    """The task, ended; runs in a worker and never raises."""
    assert task.seen is not None, "only tasks that were looked at come here"
    status = task.seen.status
    guard = world.guard(terms, status.bytes_want, task.seconds)
    began, arrived = guard.now() - task.seconds, 0

    def moved(delta: int) -> None:
        nonlocal arrived
        arrived += max(delta, 0)
        tell(Moved(status.model.key, delta))

    tell(Started(status.model.key, status.bytes_want, status.bytes_have))
    try:
        guard.check()
        sha256 = _bring(task.seen, world, guard, moved, tell)
        task = dataclasses.replace(task, seconds=guard.now() - began, sha256=sha256)
        return task.done(moved=arrived, reused=status.bytes_have)
    except Exception as error:  # one model's surprise must not end the others
        return task.failed(error, guard.now() - began, arrived)


def _bring(
    seen: Seen, world: World, guard: Guard, moved: Callable[[int], None], tell: Tell
) -> tuple[tuple[str, str], ...]:
    """Each file goes into its place as soon as it is verified; links and markers come last."""
    assert seen.pin is not None
    assert seen.layout is not None
    assert seen.findings is not None
    key, layout, roots = seen.pin.key, seen.layout, world.inspector.roots

    def on_retry(error: ModelSetError, number: int, delay_s: float) -> None:
        tell(Retrying(key, error.failure, number, delay_s))

    lacking = {row.digest: row for row in seen.pin.artifacts if row.digest in seen.findings.lacking}
    sums: list[tuple[str, str]] = []
    for artifact in lacking.values():
        part = _part(layout, artifact)
        verified = fetch(
            artifact,
            world.places,
            guard=guard,
            moved=moved,
            on_retry=on_retry,
            is_placed=lambda part=part: _is_placed(part, roots, guard),  # type: ignore[misc]
        )
        if verified is not None:
            try:
                place(part, roots, {artifact.digest: verified.partial.path})
            except BaseException:
                verified.partial.release()
                raise
            verified.partial.forget()
            sums.append((artifact.digest, verified.sha256))
    place(layout, roots, {})
    left = inspect(layout, roots)
    if left.presence() != "present":
        raise ModelSetError(
            "store-read-error",
            f"{key} is not whole after it was placed: {(left.missing + left.corrupt)[0]}",
            "check whether another program changes these files, then run the command again",
        )
    return tuple(sums)


def _is_placed(part: Layout, roots: Roots, guard: Guard) -> bool:
    """Whether the bytes lie in their place; by digest, because a file of the right size may be
    the very one that is to be replaced.
    """
    return inspect(part, roots, deep=True, pause=guard.check).presence() == "present"


def _part(layout: Layout, artifact: Artifact) -> Layout:
    """The placements of a layout that are one artifact's bytes."""
    return Layout(
        layout.root,
        tuple(
            row
            for row in layout.placements
            if isinstance(row, PutFile | InstallWheel) and row.artifact.digest == artifact.digest
        ),
    )
