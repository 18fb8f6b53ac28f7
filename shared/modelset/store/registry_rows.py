"""The text of a registry: a line a model, each read when somebody asks for that model.

With thousands of models, making objects of every entry takes ten times as long as everything
else, and a run asks for few of them. So that nothing half read is believed, the first line has a
checksum of all that follow: a text that was damaged or written by others is read whole.
"""

import contextlib
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA_VERSION = 2
# Version 1 lacks what `registry_fields` adds.
READABLE = (1, SCHEMA_VERSION)

# What a document of another form than ours leads to.
ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)

_TAIL = b"\n}}\n"
_DECODER = json.JSONDecoder()
# After so many entries one by one, all of them are read: at once, each takes half as long.
_FEW = 100


class Rows(Mapping[str, dict[str, Any]]):
    """The entries by key, out of lines that this module has written; `ends` say where in the text
    each key ends.
    """

    def __init__(self, text: str, ends: dict[str, int]) -> None:
        self._text, self._ends = text, ends
        self._entries: dict[str, dict[str, Any]] = {}
        self._left = _FEW

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key not in self._entries:
            end = self._ends[key]
            if self._left == 0:
                self._read_all()
            self._left -= 1
            if key not in self._entries:
                self._entries[key] = _entry(self._text, end)
        return self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._ends

    def __iter__(self) -> Iterator[str]:
        return iter(self._ends)

    def __len__(self) -> int:
        return len(self._ends)

    def lines(self) -> dict[str, str]:
        """The lines of the models, as they are in the text."""
        text = self._text
        return {
            key: json.dumps(key) + text[end : text.index("\n", end)].removesuffix(",")
            for key, end in self._ends.items()
        }

    def _read_all(self) -> None:
        with contextlib.suppress(*ODD):
            self._entries = json.loads(f"{{{self._text}}}") | self._entries


def line_of(key: str, entry: Mapping[str, Any]) -> str:
    """The line of a model; indented all through, it would take six times as long to write."""
    return f"{json.dumps(key)}: {json.dumps(entry)}"


def text_of(lines: Mapping[str, str]) -> bytes:
    """A registry out of the lines of its models."""
    body = ",\n".join(lines.values()).encode("ascii") + _TAIL
    return _head(zlib.crc32(body)) + body


def _head(checksum: int) -> bytes:
    return b'{"schema_version": %d, "crc32": "%08x", "models": {\n' % (SCHEMA_VERSION, checksum)


def rows_of(data: bytes) -> Mapping[str, dict[str, Any]]:
    """The entries of a registry; raises what an odd text leads to, one of `ODD`."""
    rows = _own_rows(data)
    return models_of(json.loads(data.decode("utf-8"))) if rows is None else rows


def models_of(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of a document; raises what an odd one leads to, one of `ODD`."""
    return dict(document["models"]) if document.get("schema_version") in READABLE else {}


def _own_rows(data: bytes) -> Rows | None:
    """The rows of a text that is as it was written by us, or None."""
    body = memoryview(data)[len(_head(0)) :]
    if not data.startswith(_head(zlib.crc32(body))) or not data.endswith(_TAIL):
        return None
    with contextlib.suppress(ValueError):
        text = str(body[: 1 - len(_TAIL)], "ascii")
        return Rows(text, _ends(text))
    return None


def _ends(text: str) -> dict[str, int]:
    """Where the key at the start of each line ends; raises ValueError."""
    ends: dict[str, int] = {}
    start = int(text == "\n")  # no line at all
    while start < len(text):
        key, end = _DECODER.raw_decode(text, start)
        if not isinstance(key, str):
            raise ValueError("no key")
        ends[key] = end
        start = text.index("\n", end) + 1
    return ends


def _entry(text: str, end: int) -> Any:
    """The entry after a key. One that cannot be read, though the checksum is right, is an empty
    one: it is not believed.
    """
    with contextlib.suppress(*ODD):
        if text.startswith(": ", end):
            entry, stop = _DECODER.raw_decode(text, end + 2)
            if text.startswith((",\n", "\n"), stop):
                return entry
    return {}
