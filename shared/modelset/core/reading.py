"""Reads JSON and TOML values into dataclasses, and says everything that does not fit."""

import math
import re
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from modelset.core.values import MISSING, fields, is_dataclass

Version = tuple[int, int]

_VERSION: Final = re.compile(r"[0-9]{1,3}\.[0-9]{1,2}")
# `type`, not `isinstance`: to Python a bool is an int, to a person it is no number.
_PLAIN: Final[Mapping[Any, tuple[str, Callable[[Any], object]]]] = {
    str: ("text", lambda it: isinstance(it, str)),
    bool: ("true or false", lambda it: isinstance(it, bool)),
    int: ("a whole number, 0 or more", lambda it: type(it) is int and it >= 0),
    float: ("a number above 0", lambda it: type(it) in (int, float) and 0 < it < math.inf),
    Version: ('text such as "8.6"', lambda it: _VERSION.fullmatch(it) if type(it) is str else None),
}


def parse_toml(text: str) -> Mapping[str, Any]:
    """The document of a TOML text; raises as tomllib does, a ValueError."""
    import tomllib  # here, because most runs find their documents kept

    return tomllib.loads(text)


def read_value(kind: Any, value: Any) -> Any:
    """Return a JSON or TOML value as `kind`; raises ValueError, a line for each problem."""
    inner = get_args(kind)
    if is_dataclass(kind):
        return read_table(kind, value)
    if get_origin(kind) in (Union, UnionType):
        return None if value is None else read_value(inner[0], value)
    if get_origin(kind) is tuple and kind != Version:
        if not isinstance(value, list):
            raise ValueError(f"must be a list, not {value!r}")
        return tuple(read_value(inner[0], item) for item in value)
    if get_origin(kind) is Literal:
        words, fits = f"one of {', '.join(inner)}", value in inner
    else:
        words, test = _PLAIN[kind]
        fits = bool(test(value))
    if not fits:
        raise ValueError(f"must be {words}, not {value!r}")
    return tuple(map(int, value.split("."))) if kind == Version else value


def read_table(kind: Any, value: object) -> Any:
    """Return a table as the dataclass `kind`; raises ValueError, a line for each problem."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a table, not {value!r}")
    known = {field.name: field for field in fields(kind)}
    problems = [f"{name} is not known" for name in value if name not in known]
    read = {}
    for name, field in known.items():
        try:
            if name in value:
                read[name] = read_value(field.type, value[name])
            elif field.default is MISSING:
                problems.append(f"{name} is missing")
        except ValueError as error:
            problems += [f"{name} {line}" for line in str(error).splitlines()]
    if problems:
        raise ValueError("\n".join(problems))
    return kind(**read)
