"""Changes one setting in a TOML text, and leaves every other character as it is."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelset.core.reading import parse_toml

Setting = str | int | float | bool

_HEADER = re.compile(r"[ \t]*\[")
# A plain value on one line; what is longer is left to its owner.
_PLAIN = r"""(?:"(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*'|[^\s"'\[{#,]+)"""


def edited(text: str, section: str, name: str, value: Setting | None) -> str:
    """The text with a setting changed, added, or with None taken out.

    Every way of writing it is tried until the document is the old one with this change and no
    other. Raises ValueError, in words, when there is none, or when the text is no TOML.
    """
    old = parse_toml(text)
    table = old.get(section, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"[{section}] is no table")
    changed = {key: row for key, row in table.items() if key != name}
    if value is not None:
        changed[name] = value
    elif name not in table:
        return text
    wanted = {**old, section: changed}
    for draft in _drafts(text, section, name, value, is_there=name in table):
        if _is_document(draft, wanted):
            return draft
    raise ValueError(f"{name} is written there in a form that only a person can change")


def _is_document(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return _same(parse_toml(text), wanted)
    except (ValueError, RecursionError):
        return False


def _drafts(
    text: str, section: str, name: str, value: Setting | None, *, is_there: bool
) -> Iterator[str]:
    end = "\r\n" if "\r\n" in text else "\n"
    if text and not text.endswith("\n"):
        text += end
    lines = re.findall(r"[^\n]*\n", text)
    written = "" if value is None else toml_value(value)
    if is_there:
        yield from _replaced(lines, section, name, written)
        return
    row = f"{name} = {written}{end}"
    for place in _places(lines, section, name):
        yield "".join([*lines[:place], row, *lines[place:]])
    blank = end if lines else ""
    yield f"{text}{blank}[{section}]{end}{row}"


def _replaced(lines: list[str], section: str, name: str, written: str) -> Iterator[str]:
    """The text with each line changed in turn that may be the one, the comment after it kept."""
    own = re.compile(
        rf"""([ \t]*(?:["']?{section}["']?[ \t]*\.[ \t]*)?["']?{name}["']?[ \t]*=[ \t]*)"""
        rf"{_PLAIN}([ \t]*(?:#[^\n]*)?\r?\n)"
    )
    for number, line in enumerate(lines):
        if found := own.fullmatch(line):
            row = [found[1] + written + found[2]] if written else []
            yield "".join([*lines[:number], *row, *lines[number + 1 :]])


def _places(lines: list[str], section: str, name: str) -> Iterator[int]:
    """Where a new line may go: after an example of it, after the last setting, at the top."""
    header = re.compile(rf"""[ \t]*\[[ \t]*["']?{section}["']?[ \t]*\][ \t]*(?:#[^\n]*)?\r?\n""")
    example = re.compile(rf"[ \t]*#[ \t]*{name}[ \t]*=")
    for start in [number for number, line in enumerate(lines) if header.fullmatch(line)]:
        inside = range(start + 1, len(lines))
        end = next((number for number in inside if _HEADER.match(lines[number])), len(lines))
        own = range(start + 1, end)
        yield from (number + 1 for number in own if example.match(lines[number]))
        yield from (
            number + 1
            for number in reversed(own)
            if lines[number].strip() and not lines[number].lstrip().startswith("#")
        )
        yield start + 1


def toml_value(value: Setting) -> str:
    """A plain value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML takes the escapes of JSON, but pairs of them for one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _same(one: Any, other: Any) -> bool:
    """Equality that tells true from 1, and 1 from 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and (one == other or repr(one) == repr(other))
