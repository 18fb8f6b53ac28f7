"""The second half of a model's way: fetch what is lacking, and place it."""

from modelset.core.errors import ModelSetError
from modelset.core.events import Moved, Retrying, Started
from modelset.core.ports import Guard, Wire
from modelset.core.types import Artifact, InstallWheel, Layout, PutFile
from modelset.core.values import replace
from modelset.engine.check import Seen
from modelset.engine.lanes import ModelLanes
from modelset.engine.means import Means, Order
from modelset.engine.task import Crowd, Task, Tell, Terms, World
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.roots import Roots


def bring(task: Task, world: World, terms: Terms, tell: Tell, crowd: Crowd) -> Task:
    """The task, ended; runs in a worker and never raises."""
    assert task.seen is not None, "only tasks that were looked at come here"
    status = task.seen.status
    guard = world.guard(terms, status.bytes_want, task.seconds)
    began, arrived = guard.now() - task.seconds, 0
    share = crowd.budget.join(task.order)

    def moved(delta: int) -> None:
        nonlocal arrived
        arrived += max(delta, 0)
        tell(Moved(status.model.key, delta))

    def on_retry(error: ModelSetError, number: int, delay_s: float) -> None:
        tell(Retrying(status.model.key, error.failure, number, delay_s))

    tell(Started(status.model.key, status.bytes_want, status.bytes_have))
    try:
        guard.check()
        means = Means(world.places, guard, crowd.work, crowd.budget, share, moved, on_retry)
        sha256 = _bring(task.seen, world, means)
        task = replace(task, seconds=guard.now() - began, sha256=sha256)
        return task.done(moved=arrived, reused=status.bytes_have)
    except Exception as error:  # one model's surprise must not end the others
        return task.failed(error, guard.now() - began, arrived)
    finally:
        crowd.budget.leave(share)


def _bring(seen: Seen, world: World, means: Means) -> tuple[tuple[str, str], ...]:
    """Each file goes into its place as soon as it is verified; links and markers come last."""
    assert seen.pin is not None
    assert seen.layout is not None
    assert seen.findings is not None
    key, layout, roots = seen.pin.key, seen.layout, world.inspector.roots
    lacking = {row.digest: row for row in seen.pin.artifacts if row.digest in seen.findings.lacking}
    parts = _parts(layout)
    by_wire: dict[Wire, list[Order]] = {}
    for artifact in lacking.values():
        order = _order(artifact, parts[artifact.digest], roots, means)
        by_wire.setdefault(means.places.wire_of(artifact), []).append(order)
    sums: list[tuple[str, str]] = []
    for wire, orders in by_wire.items():
        one_stream = wire is means.places.xet  # which spreads it over connections of its own
        sums += _run(wire, orders, replace(means, one_stream=one_stream))
    place(layout, roots, {})
    left = inspect(layout, roots)
    if left.presence() != "present":
        raise ModelSetError(
            "store-read-error",
            f"{key} is not whole after it was placed: {(left.missing + left.corrupt)[0]}",
            "check whether another program changes these files, then run the command again",
        )
    return tuple(sums)


def _run(wire: Wire, orders: list[Order], means: Means) -> list[tuple[str, str]]:
    lanes = ModelLanes(orders, means)
    try:
        while not lanes.is_done:
            wire.run(lanes, means.guard)
            lanes.pause()
    finally:
        lanes.close()
    return lanes.sums


def _order(artifact: Artifact, part: Layout, roots: Roots, means: Means) -> Order:
    return Order(
        artifact,
        lambda: _is_placed(part, roots, means.guard),
        lambda source: place(part, roots, {artifact.digest: source}),
        in_memory=all(isinstance(row, PutFile) for row in part.placements),
    )


def _is_placed(part: Layout, roots: Roots, guard: Guard) -> bool:
    """Whether the bytes lie in their place; by digest, because a file of the right size may be
    the very one that is to be replaced.
    """
    return inspect(part, roots, deep=True, pause=guard.check).presence() == "present"


def _parts(layout: Layout) -> dict[str, Layout]:
    """For each digest, the placements of a layout that are its bytes."""
    rows: dict[str, list[PutFile | InstallWheel]] = {}
    for row in layout.placements:
        if isinstance(row, PutFile | InstallWheel):
            rows.setdefault(row.artifact.digest, []).append(row)
    return {digest: Layout(layout.root, tuple(found)) for digest, found in rows.items()}
