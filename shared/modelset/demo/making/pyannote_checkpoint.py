"""Checkpoints of pyannote.audio, which name its classes, made without the library."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import accumulate
from types import ModuleType
from typing import Any

# The module whose classes say what a network is for.
TASKS = "pyannote.audio.core.task"

MONO_LABEL_CLASSIFICATION, REPRESENTATION = 1, 3
EACH_FRAME, WHOLE_CHUNK = 1, 2


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is for, in the library's numbers for problems and resolutions.

    `at_once` is how many of the classes an outcome may have together; None where each has a number.
    """

    problem: int
    resolution: int
    duration: float
    classes: tuple[str, ...] = ()
    at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """A network of the library: its class, its task, the options of the class, and its weights."""

    module: str
    name: str
    task: Task
    options: Mapping[str, object]
    weights: Callable[[], Mapping[str, Any]]


class _Called:
    """Pickled as a call: a class by its name, and what it is given."""

    def __init__(self, kind: type, *given: object) -> None:
        self._call = (kind, given)

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return self._call


def checkpoint(network: Network) -> bytes:
    """Return the checkpoint of a network, saved by torch."""
    torch = import_module("torch")
    buffer = io.BytesIO()
    with _library_classes() as classes:
        document = {
            "state_dict": dict(network.weights()),
            "hyper_parameters": {"sample_rate": 16000, "num_channels": 1, **network.options},
            "pytorch-lightning_version": "2.0.0",
            "pyannote.audio": {
                "versions": {"torch": "2.0.0", "pyannote.audio": "3.0.0"},
                "architecture": {"module": network.module, "class": network.name},
                "specifications": _specifications(network.task, classes),
            },
        }
        # Saved through a buffer: given a path, torch writes the file's name into the archive.
        torch.save(document, buffer)
    return buffer.getvalue()


def _specifications(task: Task, classes: ModuleType) -> _Called:
    return _Called(
        classes.Specifications,
        _Called(classes.Problem, task.problem),
        _Called(classes.Resolution, task.resolution),
        task.duration,
        None,  # no shorter pieces of sound
        (0.0, 0.0),  # no time to warm up
        list(task.classes) or None,
        task.at_once,
        bool(task.classes),  # who of them is the first does not matter
    )


@contextmanager
def _library_classes() -> Iterator[ModuleType]:
    """Give classes with the library's names, which pickle finds where it looks, for a moment."""
    stand_ins = {name: ModuleType(name) for name in accumulate(TASKS.split("."), "{}.{}".format)}
    for name in ("Specifications", "Problem", "Resolution"):
        setattr(stand_ins[TASKS], name, type(name, (), {"__module__": TASKS}))
    before = {name: sys.modules[name] for name in stand_ins if name in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield stand_ins[TASKS]
    finally:
        for name in stand_ins:
            del sys.modules[name]
        sys.modules.update(before)
