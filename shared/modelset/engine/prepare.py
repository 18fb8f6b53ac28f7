"""The first half of a model's way: pin it, look at the disk, knock at its gate."""

from modelset.core.errors import ModelSetError
from modelset.core.events import Retrying
from modelset.core.lock import is_current
from modelset.core.policy import refuse_by_policy
from modelset.core.ports import Guard
from modelset.core.types import Choice, Pin
from modelset.core.values import replace
from modelset.engine.check import Seen
from modelset.engine.task import Known, Task, Tell, Terms, World
from modelset.store.claim import claim


def prepare(choice: Choice, world: World, terms: Terms, known: Known, tell: Tell) -> Task:
    """The task with what the disk holds, ended already when it is ready or failed.

    Runs in a worker and never raises. A model that is there and remembered costs no request.
    """
    guard = world.guard(terms, choice.model.size_bytes)
    began = guard.now()
    task = Task(choice)
    try:
        task = _look(task, world, terms, known, guard, tell)
        task = replace(task, seconds=guard.now() - began)
        if task.seen is not None and task.seen.status.presence == "present":
            _drop_partials(task, world, known)
            return task.done(reused=task.seen.status.bytes_have)
        return task
    except Exception as error:  # one model's surprise must not end the others
        return task.failed(error, guard.now() - began)


def _drop_partials(task: Task, world: World, known: Known) -> None:
    """Remove what a kill between placing and tidying left of files that are in their place."""
    assert task.seen is not None
    pin = task.seen.pin
    for artifact in pin.artifacts if pin is not None else ():
        if artifact.digest in known.partials:
            partial = claim(world.inspector.roots["downloads"], artifact)
            if partial is not None:
                partial.forget()


def _look(task: Task, world: World, terms: Terms, known: Known, guard: Guard, tell: Tell) -> Task:
    guard.check()
    choice, model = task.choice, task.choice.model
    source = world.inspector.sources[model.source]
    web = world.make_web(
        guard,
        lambda error, number, delay_s: tell(Retrying(model.key, error.failure, number, delay_s)),
    )
    pin = _pinned(task, world, terms, known)
    gate_open = terms.frozen or not model.gate
    if pin is None:
        if not gate_open:
            source.check_access(model, web)
            gate_open = True
        pin = source.resolve(model, web)
        task = replace(task, new_pin=pin)
    seen = world.inspector.look_at(choice, pin, known.partials)
    is_remembered = pin.is_exact and known.remembers(seen, world)
    was_read = pin.is_own and task.new_pin is not None
    if seen.status.presence != "missing" and not is_remembered and not was_read:
        # Somebody else may have put it here: believed only once every byte has been read, the
        # part of a model too, because what is kept of it is remembered as verified.
        seen = world.inspector.look_at(choice, pin, known.partials, deep=True, pause=guard.check)
    if task.new_pin is None and _wants_another_pin(seen, pin, terms):
        pin = source.resolve(model, web)
        task = replace(task, new_pin=pin)
        seen = world.inspector.look_at(choice, pin, known.partials)
    if seen.status.presence != "present":
        refuse_by_policy(model, pin, world.policy)
        if not gate_open or not pin.artifacts:  # what has no files is only a key
            source.check_access(model, web)
    return replace(task, seen=seen, is_remembered=is_remembered)


def _wants_another_pin(seen: Seen, pin: Pin, terms: Terms) -> bool:
    """Whether what is pinned is not what should be here: the user's own files have changed, or the
    library is another version by now. Raises ModelSetError where the lock is to hold.
    """
    has_changed = pin.is_own and seen.status.presence != "present"
    if has_changed and (terms.frozen or terms.locked):
        raise ModelSetError(
            "local-changed",
            f"{seen.status.model.key} is not what was registered: {seen.status.problems[0]}",
            f"restore it, or register what is there: `modelset download {seen.status.model.key}`",
        )
    is_unfit = seen.findings is not None and bool(seen.findings.unfit)
    return has_changed or (is_unfit and not (terms.frozen or terms.locked))


def _pinned(task: Task, world: World, terms: Terms, known: Known) -> Pin | None:
    model = task.choice.model
    pin = known.lock.get(model.key)
    if pin is not None and (terms.frozen or is_current(pin, model)):
        return pin
    if terms.frozen:
        raise ModelSetError(
            "lock-stale",
            f"{model.key} is not in {world.lock_path}",
            "run `modelset download` without --frozen",
        )
    return None
