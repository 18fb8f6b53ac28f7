"""Reads and writes the lock file, and asks sources what a model is now."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.lock import EMPTY, Lock, dump_lock, is_current, parse_lock
from modelset.core.types import Model, Pin
from modelset.engine.guard import RunGuard, Stop
from modelset.store.files import read_text, write_atomic
from modelset.store.turn import Turn

# How often, and for how long each time, to wait for another process that writes.
_TRIES = 250
_WAIT_S = 0.02


def read_lock(path: Path) -> Lock:
    """The pins of the lock file, none when there is no file; raises ModelSetError."""
    text = read_text(path)
    return EMPTY if text is None else parse_lock(text, where=str(path))


def write_lock(path: Path, lock: Lock, new: Iterable[Pin]) -> Lock:
    """Add pins to the lock file, unless it says the same already; returns the whole lock."""
    pins = dict(lock) | {pin.key: pin for pin in new}
    text = dump_lock(pins.values())
    if text != read_text(path):
        write_atomic(path, text.encode())
    return pins


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Wait until no other process writes, but not for one that hangs."""
    own = Turn(folder)
    try:
        for _ in range(_TRIES):
            if own.take():
                break
            RunGuard(Stop()).sleep(_WAIT_S)
        yield
    finally:
        own.give_back()


def refuse_stale(models: Iterable[Model], lock: Lock, path: Path) -> None:
    """Raise ModelSetError `lock-stale` when the lock does not say what the catalog wants."""
    stale = [model.key for model in models if not is_current(lock.get(model.key), model)]
    if stale:
        raise ModelSetError(
            "lock-stale",
            f"{path} does not match the catalog for {', '.join(stale)}",
            "run `modelset download` without --locked, and commit the lock it writes",
        )
