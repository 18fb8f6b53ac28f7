"""Our values behave as those of `dataclasses` do, which the standard functions agree with."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.conftest import SHARED

from modelset.core import values
from modelset.core.types import Artifact, Failure, Model
from modelset.core.values import asdict, dataclass, field, fields, replace


@dataclass(frozen=True, slots=True)
class Ours:
    """A value with every kind of field."""

    name: str
    size: int = 3
    table: Mapping[str, int] = field(default_factory=dict)
    secret: str = field(default="", repr=False)

    @property
    def double(self) -> int:
        """Twice the size."""
        return self.size * 2

    @classmethod
    def made(cls, name: str) -> Ours:
        """One of a name."""
        return cls(name)


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    name: str
    size: int = 3
    table: Mapping[str, int] = dataclasses.field(default_factory=dict)
    secret: str = dataclasses.field(default="", repr=False)


@dataclass(slots=True)
class Open:
    """A value that may change."""

    names: list[str] = field(default_factory=list)
    count: int = 0


BOTH = pytest.mark.parametrize("kind", [Ours, Standard])


@BOTH
def test_fields_come_by_place_and_by_name_with_their_defaults(
    kind: Callable[..., Ours],
) -> None:
    one = kind("a", size=4)
    assert (one.name, one.size, one.table, one.secret) == ("a", 4, {}, "")
    assert kind("a").table is not kind("a").table
    for wrong in ((), ("a", 1, {}, "", "more")):
        with pytest.raises(TypeError):
            kind(*wrong)
    with pytest.raises(TypeError):
        kind("a", colour="red")


@BOTH
def test_nothing_of_a_frozen_value_changes(kind: Callable[..., Ours]) -> None:
    one = kind("a")
    for change in (lambda: setattr(one, "name", "b"), lambda: delattr(one, "name")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    with pytest.raises((AttributeError, TypeError)):
        one.colour = "red"  # type: ignore[attr-defined]
    assert one.name == "a"


@BOTH
def test_equal_fields_of_one_class_make_equal_values(kind: Callable[..., Ours]) -> None:
    assert kind("a", 1) == kind("a", 1)
    assert kind("a", 1) != kind("a", 2)
    assert kind("a", 1) != ("a", 1, {}, "")
    assert Ours("a") != Standard("a")


def test_values_that_are_equal_have_one_hash() -> None:
    one = Failure("a", "b")
    assert len({one, Failure("a", "b"), Failure("a", "c")}) == 2
    with pytest.raises(TypeError):
        hash(Open())


@BOTH
def test_repr_names_every_field_but_the_secret_one(kind: Callable[..., Ours]) -> None:
    shown = repr(kind("a", 1, {}, "token"))
    assert shown.rpartition(".")[2].removeprefix("Standard").removeprefix("Ours") == (
        "(name='a', size=1, table={})"
    )


@BOTH
def test_the_standard_functions_work_on_both(kind: Callable[..., Ours]) -> None:
    one = kind("a", 1, {"x": 2})
    assert dataclasses.is_dataclass(one)
    assert [row.name for row in dataclasses.fields(one)] == ["name", "size", "table", "secret"]
    assert [row.type for row in dataclasses.fields(one)][:2] == ["str", "int"]
    assert dataclasses.replace(one, size=5) == kind("a", 5, {"x": 2})
    assert dataclasses.asdict(one)["table"] == {"x": 2}


@BOTH
def test_copies_and_pickles_are_equal(kind: Callable[..., Ours]) -> None:
    one = kind("a", 1, {"x": 2})
    assert copy.copy(one) == one
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(Failure("a", "b"))) == Failure("a", "b")


def test_methods_and_docstrings_stay() -> None:
    assert Ours.made("b").double == 6
    assert Ours.__doc__ == "A value with every kind of field."
    match Ours("c", 9):
        case Ours(name, size):
            assert (name, size) == ("c", 9)


def test_our_own_functions_agree_with_the_standard_ones() -> None:
    model = Model("a:b", "c", "optional", "url", {"x": 1}, needs=("d",))
    assert replace(model, size_bytes=7) == dataclasses.replace(model, size_bytes=7)
    assert asdict(model) == dataclasses.asdict(model)
    assert [row.name for row in fields(Model)] == [row.name for row in dataclasses.fields(Model)]
    with pytest.raises(TypeError):
        replace(model, colour="red")


def test_what_checks_itself_is_checked() -> None:
    with pytest.raises(ValueError, match="unsafe"):
        Artifact("../a", "https://example.org", 1, "md5:" + "0" * 32)


def test_a_value_that_may_change_does() -> None:
    one = Open()
    one.count += 1
    one.names.append("a")
    assert (one, Open().names) == (Open(["a"], 1), [])


def test_a_value_inherits_from_nothing() -> None:
    class Wide(Open):
        pass

    with pytest.raises(AssertionError):
        values.dataclass(frozen=True, slots=True)(Wide)


def test_annotations_that_come_when_they_are_asked_for_are_fields() -> None:
    class Late(type):
        """A class as Python 3.14 makes it, whose names hold no annotations."""

        @property
        def __annotations__(cls) -> dict[str, Any]:  # type: ignore[override]
            return {"name": str, "size": int}

    class Plain(metaclass=Late):
        size = 3

    assert "__annotations__" not in vars(Plain)
    made: Any = values.dataclass(frozen=True, slots=True)(Plain)
    assert (made("a").name, made("a").size, made("a", 4).size) == ("a", 3, 4)


def test_the_standard_module_is_not_loaded_for_them() -> None:
    script = "import sys, modelset.core.types; print('dataclasses' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ran.stdout == "False\n"
