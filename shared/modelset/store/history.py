"""What was pinned before: `history.json` beside the registry, for a way back and for cleaning.

A lock may also come from elsewhere, as with `git pull`. So `placed.json`, of the same form, has the
pin of each model that was placed last. Like the registry they only remember: a lost, damaged or
newer one is none, and never stops a run.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.lock import dump_pin, is_same, parse_pin
from modelset.core.types import Pin
from modelset.store.files import read_text, write_atomic

SCHEMA_VERSION = 1
NAME = "history.json"
_PLACED = "placed.json"
# Pins of one model that are kept, newest first.
KEPT = 10

_ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def read_history(folder: Path) -> dict[str, tuple[Pin, ...]]:
    """The pins that were replaced, by model key and newest first."""
    return _read(folder / NAME)


def _read(path: Path) -> dict[str, tuple[Pin, ...]]:
    with contextlib.suppress(ModelSetError, *_ODD):
        document = json.loads(read_text(path) or "{}")
        if document.get("schema_version") == SCHEMA_VERSION:
            return {
                key: tuple(parse_pin(key, entry) for entry in entries)
                for key, entries in document["models"].items()
            }
    return {}


def note_replaced(folder: Path, pins: Iterable[Pin]) -> None:
    """Remember pins that the lock is about to let go of; raises ModelSetError.

    A pin that is known already becomes the newest, so that going to and fro between two
    revisions pushes no third one out. One without every digest could not be fetched again.
    """
    before = read_history(folder)
    after = dict(before)
    for pin in pins:
        if pin.is_exact:
            others = [one for one in after.get(pin.key, ()) if not is_same(one, pin)]
            after[pin.key] = (pin, *others)[:KEPT]
    if after != before:
        _write(folder / NAME, after)


def note_placed(folder: Path, pins: Iterable[Pin]) -> None:
    """Remember pins that were placed, and what they replace where no lock has said so; raises
    ModelSetError.

    Not those with a query in an address: that may be a secret, which only the lock is to hold.
    """
    history, before = read_history(folder), _read(folder / _PLACED)
    bare = [pin for pin in pins if not any("?" in artifact.url for artifact in pin.artifacts)]
    after = before | {pin.key: (pin,) for pin in bare if pin.is_exact}
    note_replaced(
        folder,
        [
            old
            for key, rows in before.items()
            for old in rows
            if not any(is_same(old, one) for one in (*after[key], *history.get(key, ())))
        ],
    )
    if after != before:
        _write(folder / _PLACED, after)


def _write(path: Path, history: Mapping[str, tuple[Pin, ...]]) -> None:
    # A line a model, as in the registry.
    rows = ",\n".join(
        f"{json.dumps(key)}: {json.dumps([dump_pin(pin) for pin in pins])}"
        for key, pins in sorted(history.items())
    )
    text = f'{{"schema_version": {SCHEMA_VERSION}, "models": {{\n{rows}\n}}}}\n'
    write_atomic(path, text.encode())
