"""Frozen values as `dataclasses` makes them, at a fifth of its start-up time.

`dataclasses` imports `inspect` and compiles six functions a class, which is most of the time
that a command takes to start. Here one is compiled, when it is first needed, and the others are
shared; `replace`, `asdict` and `fields` of the standard module work on these values as on its own.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, dataclass_transform

T = TypeVar("T")

MISSING: Final[Any] = object()


class Field:
    """One field: its name, the annotation, and where its default comes from."""

    __slots__ = ("default", "default_factory", "name", "repr", "type")

    def __init__(self, default: Any, default_factory: Any, repr: bool) -> None:  # noqa: A002
        self.default, self.default_factory, self.repr = default, default_factory, repr
        self.name, self.type = "", None


def field(
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    repr: bool = True,  # noqa: A002
) -> Any:
    """A field with a default made anew for each value, or one that `repr` keeps to itself."""
    return Field(default, default_factory, repr)


@dataclass_transform(field_specifiers=(field,))
def dataclass(*, frozen: bool = False, slots: bool) -> Callable[[type[T]], type[T]]:
    """Make a class of values, as the decorator of the same name does; without inheritance."""

    def make(cls: type[T]) -> type[T]:
        assert slots, "every value has slots"
        assert cls.__bases__ == (object,), "values do not inherit"
        space = dict(cls.__dict__)
        known = _take_fields(cls.__annotations__, space)
        space |= {"__slots__": (*known,), "__match_args__": (*known,), "_fields": known}
        space |= {"__eq__": _eq, "__reduce__": _reduce, "__repr__": _repr}
        space["__dataclass_fields__"] = _StandardFields()
        space["__hash__"] = _hash if frozen else None
        if frozen:
            space |= {"__setattr__": _refuse, "__delattr__": _refuse}
        for name in ("__dict__", "__weakref__"):
            space.pop(name, None)
        made: type[T] = type(cls.__name__, (), space)
        _give_init(made, known)
        return made

    return make


def fields(kind: Any) -> tuple[Field, ...]:
    """The fields of a class of values, in their order."""
    return tuple(kind._fields.values())


def is_dataclass(kind: Any) -> bool:
    """Whether something is a class of values of this module."""
    return isinstance(kind, type) and hasattr(kind, "_fields")


def replace(value: T, **changes: Any) -> T:
    """The same value, but for some fields."""
    kept = {name: getattr(value, name) for name in value._fields}  # type: ignore[attr-defined]
    return type(value)(**kept | changes)


def asdict(value: Any) -> dict[str, Any]:
    """A value as a dict, and so the values that it holds."""
    return {name: _plain(getattr(value, name)) for name in value._fields}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    return asdict(value) if hasattr(value, "_fields") else value


class _StandardFields:
    """What the standard module looks for in a class, made when it first looks."""

    def __get__(self, value: object, owner: type) -> Mapping[str, Any]:
        import dataclasses

        twin: Any = dataclasses.make_dataclass(
            owner.__name__,
            [(one.name, one.type, _standard(one)) for one in fields(owner)],
        )
        known: Mapping[str, Any] = twin.__dataclass_fields__
        owner.__dataclass_fields__ = known  # type: ignore[attr-defined]
        return known


def _standard(one: Field) -> Any:
    import dataclasses

    return dataclasses.field(
        default=dataclasses.MISSING if one.default is MISSING else one.default,
        default_factory=(
            dataclasses.MISSING if one.default_factory is MISSING else one.default_factory
        ),
        repr=one.repr,
    )


def _take_fields(annotations: Mapping[str, Any], space: dict[str, Any]) -> dict[str, Field]:
    """The annotated names, whose defaults leave the class, because slots take their places.

    Since Python 3.14 the class gives its annotations when it is asked, and its names hold none.
    """
    known: dict[str, Field] = {}
    for name, kind in annotations.items():
        given = space.pop(name, MISSING)
        known[name] = given if isinstance(given, Field) else Field(given, MISSING, True)
        known[name].name, known[name].type = name, kind
    return known


def _give_init(made: type, known: Mapping[str, Field]) -> None:
    """Its own is compiled with the first value: most classes have none in most runs."""

    def first(self: Any, *values: Any, **named: Any) -> None:
        type.__setattr__(made, "__init__", _init(made, known))
        self.__init__(*values, **named)

    type.__setattr__(made, "__init__", first)


def _init(cls: type, known: Mapping[str, Field]) -> Any:
    # The slots' own setters: they are quicker than a name, and no class can refuse them.
    space: dict[str, Any] = {f"set_{name}": cls.__dict__[name].__set__ for name in known}
    space["MISSING"] = MISSING
    arguments, lines = ["self"], []
    for name, one in known.items():
        value = name
        if one.default_factory is not MISSING:
            space[f"make_{name}"] = one.default_factory
            arguments.append(f"{name}=MISSING")
            value = f"make_{name}() if {name} is MISSING else {name}"
        elif one.default is not MISSING:
            space[f"default_{name}"] = one.default
            arguments.append(f"{name}=default_{name}")
        else:
            arguments.append(name)
        lines.append(f"set_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(arguments)}):\n {body}", space)  # noqa: S102 - our own text
    return space["__init__"]


def _values(value: Any) -> tuple[Any, ...]:
    return tuple([getattr(value, name) for name in value._fields])


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = [one.name for one in fields(self) if one.repr]
    words = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({words})"


def _reduce(self: Any) -> tuple[Any, ...]:
    return type(self), _values(self)


def _refuse(self: Any, name: str, *value: object) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"{type(self).__name__} does not change: {name}")
