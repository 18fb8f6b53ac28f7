"""The second half of a model's way: fetch what is lacking, and place it."""

from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.events import Moved, Retrying, Started, Unpacked
from modelset.core.formats import PICKLE, format_of
from modelset.core.layout import InstallWheel, Layout, PutFile, Unpack
from modelset.core.lock import learned
from modelset.core.ports import Guard, Wire
from modelset.core.types import Artifact
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

    def unpacked(count: int) -> None:
        tell(Unpacked(status.model.key, count))

    def on_retry(error: ModelSetError, number: int, delay_s: float) -> None:
        tell(Retrying(status.model.key, error.failure, number, delay_s))

    tell(Started(status.model.key, status.bytes_want, status.bytes_have))
    try:
        guard.check()
        means = Means(
            world.places, guard, crowd.work, crowd.budget, share, moved, on_retry, unpacked
        )
        seen, sha256 = _bring(task.seen, world, means)
        pin = None if seen is task.seen else seen.pin
        task = replace(task, seen=seen, new_pin=pin, seconds=guard.now() - began, sha256=sha256)
        return task.done(moved=arrived, reused=status.bytes_have)
    except Exception as error:  # one model's surprise must not end the others
        return task.failed(error, guard.now() - began, arrived)
    finally:
        crowd.budget.leave(share)


def _bring(seen: Seen, world: World, means: Means) -> tuple[Seen, tuple[tuple[str, str], ...]]:
    """Each file goes into its place as soon as it is verified; links and markers come last.

    Returns what is known of the model now, and the sha256 of each digest.
    """
    pin, layout, roots = seen.pin, seen.layout, world.inspector.roots
    assert pin is not None
    assert layout is not None
    assert seen.findings is not None
    lacking = {row.digest: row for row in pin.artifacts if row.digest in seen.findings.lacking}
    parts = _parts(layout)
    in_turn: dict[tuple[bool, Wire], list[Order]] = {}
    for artifact in lacking.values():
        part = parts[artifact.digest]
        is_marker = any(isinstance(row, PutFile) and row.is_marker for row in part.placements)
        order = _order(artifact, part, roots, means)
        in_turn.setdefault((is_marker, means.places.wire_of(artifact)), []).append(order)
    sums: list[tuple[str, str]] = []
    for (_, wire), orders in sorted(in_turn.items(), key=lambda item: item[0][0]):
        one_stream = wire is means.places.xet  # which spreads it over connections of its own
        sums += _run(wire, orders, replace(means, one_stream=one_stream))
    if not pin.is_exact:
        pin = learned(pin, dict(sums))
        layout = world.inspector.sources[pin.source].layout(pin)
        seen = replace(seen, pin=pin, layout=layout)
    place(layout, roots, {})
    left = inspect(layout, roots)
    if left.presence() != "present":
        raise ModelSetError(
            "store-read-error",
            f"{pin.key} is not whole after it was placed: {(left.missing + left.corrupt)[0]}",
            "check whether another program changes these files, then run the command again",
        )
    return seen, tuple(sums)


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
    is_pickle = format_of(artifact.name) == PICKLE

    def put(source: Path | bytes, sha256: str) -> None:
        exact = artifact if artifact.is_exact else replace(artifact, digest=f"sha256:{sha256}")
        rows = tuple(replace(row, artifact=exact) for row in part.placements)
        if is_pickle and isinstance(source, Path):
            from modelset.store.pickles import refuse_dangers  # slow to load, and seldom needed

            refuse_dangers(source, artifact.name)
        place(
            replace(part, placements=rows),
            roots,
            {exact.digest: source},
            pause=means.guard.check,
            unpacked=means.unpacked,
        )

    return Order(
        artifact,
        lambda: _is_placed(part, roots, means.guard),
        put,
        in_memory=not is_pickle and all(isinstance(row, PutFile) for row in part.placements),
    )


def _is_placed(part: Layout, roots: Roots, guard: Guard) -> bool:
    """Whether the bytes lie in their place; by digest, because a file of the right size may be
    the very one that is to be replaced.
    """
    return inspect(part, roots, deep=True, pause=guard.check).presence() == "present"


def _parts(layout: Layout) -> dict[str, Layout]:
    """For each digest, the placements of a layout that are its bytes."""
    rows: dict[str, list[PutFile | InstallWheel | Unpack]] = {}
    for row in layout.placements:
        if isinstance(row, PutFile | InstallWheel | Unpack):
            rows.setdefault(row.artifact.digest, []).append(row)
    return {digest: replace(layout, placements=tuple(found)) for digest, found in rows.items()}
