"""Reads and writes the lock file, and tells what in it is out of date."""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.lock import (
    EMPTY,
    UNKNOWN,
    Licences,
    Lock,
    dump_lock,
    is_current,
    is_same,
    licences_of,
    parse_lock,
)
from modelset.core.types import Model, Pin
from modelset.engine.guard import RunGuard, Stop
from modelset.store.draft import draft
from modelset.store.files import read_text
from modelset.store.history import note_replaced
from modelset.store.turn import Turn

# How often, and for how long each time, to wait for another process that writes.
_TRIES = 250
_WAIT_S = 0.02


def read_lock(path: Path) -> Lock:
    """The pins of the lock file, none when there is no file; raises ModelSetError."""
    text = read_text(path)
    return EMPTY if text is None else parse_lock(text, where=str(path))


def write_lock(
    path: Path,
    lock: Lock,
    new: Iterable[Pin],
    *,
    without: Collection[str] = (),
    history: Path | None = None,
    licences: Licences = UNKNOWN,
) -> Lock:
    """Add pins to the lock file, unless it says the same already; returns the whole lock.

    What they replace, and the keys that it is to be `without`, are noted in the history of the
    registry's folder. Licences that are not known now stay as the file has them.
    """
    added = {pin.key: pin for pin in new}
    before = read_text(path)
    known = {**(licences_of(before) if before and lock else {}), **licences}
    pins = {key: pin for key, pin in {**lock, **added}.items() if key not in without}
    text = dump_lock(pins.values(), known)
    if text != before:
        if history is not None:  # first: what is noted too early does no harm
            note_replaced(
                history, [old for key, old in lock.items() if _is_left(old, pins.get(key))]
            )
        with draft(path, before, text) as written:
            written.commit()
    return pins


def _is_left(old: Pin, new: Pin | None) -> bool:
    return new is None or not is_same(old, new)


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


def stale_of(models: Iterable[Model], lock: Lock) -> list[Model]:
    """The models of which the lock does not say what the catalog wants."""
    return [model for model in models if not is_current(lock.get(model.key), model)]


def refuse_stale(models: Iterable[Model], lock: Lock, path: Path) -> None:
    """Raise ModelSetError `lock-stale` when the lock does not say what the catalog wants."""
    stale = [model.key for model in stale_of(models, lock)]
    if stale:
        raise ModelSetError(
            "lock-stale",
            f"{path} does not match the catalog for {', '.join(stale)}",
            "run `modelset lock`, and commit what it writes",
        )
