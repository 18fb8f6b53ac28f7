"""The catalog's tables as they were written, and every problem in them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any, Final

from modelset.core.types import TIERS
from modelset.core.values import dataclass
from modelset.core.words import NEED_WORDS, suggestion

Documents = Mapping[str, Mapping[str, Any]]
CheckRef = Callable[[str, Mapping[str, object]], list[str]]

_FIELDS: Final = {
    "key": str, "category": str, "source": str, "ref": dict, "tier": str, "size_bytes": int,
    "licence": str, "gate": str, "needs": list, "library": str, "aliases": list,
    "formats": list, "memory": str, "speed": str, "note": str,
}  # fmt: skip
_REQUIRED: Final = ("key", "category", "source", "ref")
_HEADER: Final = {
    "category": str, "title": str, "components": list, "order": int, "default": dict,
    "usual": list,
}  # fmt: skip
_TYPES: Final = {str: "a text", int: "a whole number", dict: "a table", list: "a list of texts"}

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_KEY: Final = re.compile(rf"{_PART}:{_PART}(?:[:/]{_PART})*")
_TEMPLATE: Final = re.compile(rf"{_PART}:\*")
_KEY_WORDS: Final = "is not `family:name`: letters, digits, `.`, `_`, `-`, in the name also `:` `/`"
_GATE: Final = re.compile(r"(https://[^/\s]\S*)?")
_SUGGESTIONS: Final = 10
_FORMATS: Final = (
    "ctranslate2", "safetensors", "gguf", "onnx", "npz", "torchscript", "pickle", "kaldi", "spacy",
    "text", "zip",
)  # fmt: skip


def is_key(text: str) -> bool:
    """Whether a text is `family:name`."""
    return _KEY.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Table:
    """One `[[model]]` table as it was written, and where; `line` is 0 when it is not known."""

    file: str
    number: int
    line: int
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key, or an empty text when there is no valid one."""
        key = self.values.get("key")
        valid = isinstance(key, str) and (_KEY.fullmatch(key) or _TEMPLATE.fullmatch(key))
        return str(key) if valid else ""

    def texts(self, field: str) -> tuple[str, ...]:
        """A field that lists texts, empty when it holds something else."""
        value = self.values.get(field, [])
        return tuple(value) if is_a(value, list) else ()

    def problem(self, field: str, words: str) -> str:
        """One line that says which file, table and field, and what is wrong with it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key or f'model {self.number}'}: {field}: {words}"


def filled(ref: Mapping[str, object], name: str) -> dict[str, object]:
    """A template's ref, with the name of a model in its texts."""

    def fill(value: object) -> object:
        if isinstance(value, list):
            return [fill(item) for item in value]
        return value.replace("*", name) if isinstance(value, str) else value

    return {field: fill(value) for field, value in ref.items()}


def header_problems(documents: Documents) -> Iterator[str]:
    """Problems of what stands above the tables of each text."""
    declared: dict[str, str] = {}
    for file, document in documents.items():
        if not is_a(document.get("model", []), list, of=dict):
            yield f"{file}: model: expected `[[model]]` tables"
        header = document if "category" in document else {}
        for field, value in header.items():
            if field in _HEADER and not is_a(value, _HEADER[field]):
                yield f"{file}: {field}: {_expected(_HEADER[field], value)}"
            elif field not in (*_HEADER, "model"):
                yield f"{file}: {field}: unknown field{suggestion(field, _HEADER)}"
        name = header.get("category")
        if isinstance(name, str) and declared.setdefault(name, file) != file:
            yield f"{file}: category: {name} is already declared in {declared[name]}"


def tables_of(file: str, text: str, document: Mapping[str, Any]) -> Iterator[Table]:
    """The tables of a text, filled up from its `[default]`."""
    rows = document.get("model", [])
    rows = rows if is_a(rows, list, of=dict) else []
    lines = [at for at, line in enumerate(text.split("\n"), 1) if line.startswith("[[model]]")]
    # Tables written in another form leave their line unknown rather than wrong.
    if len(lines) != len(rows):
        lines = [0] * len(rows)
    default: dict[str, Any] = {}
    if "category" in document:
        given = document.get("default")
        default = {"category": document["category"], **(given if isinstance(given, dict) else {})}
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        values = default | row
        if isinstance(default.get("ref"), dict) and isinstance(row.get("ref"), dict):
            values["ref"] = default["ref"] | row["ref"]
        yield Table(file, number, line, values)


def table_problems(table: Table, check_ref: CheckRef) -> Iterator[tuple[str, str]]:
    """Problems of one table by itself, each with its field."""
    values = table.values
    for field, value in values.items():
        wanted = _FIELDS.get(field)
        if wanted is None:
            yield field, f"unknown field{suggestion(field, _FIELDS)}"
        elif not is_a(value, wanted):
            yield field, _expected(wanted, value)
        else:
            yield from ((field, words) for words in _value_problems(field, value))
    for field in _REQUIRED:
        if values.get(field, "") in ("", {}):
            yield field, "missing"
    source, ref = values.get("source"), values.get("ref")
    if table.key.endswith(":*") and isinstance(ref, dict):
        ref = filled(ref, "name")
    if source and isinstance(source, str) and ref and isinstance(ref, dict):
        for words in check_ref(source, ref):
            entry, _, rest = words.partition(": ")
            yield (entry, rest) if entry.split(".")[0] in _FIELDS else ("ref", words)


def _value_problems(field: str, value: Any) -> list[str]:
    match field:
        case "key" if value and not (_KEY.fullmatch(value) or _TEMPLATE.fullmatch(value)):
            return [f"{short(value)} {_KEY_WORDS}"]
        case "tier" if value not in TIERS:
            return [f"unknown tier {short(value)}; one of {', '.join(TIERS)}"]
        case "size_bytes" if value < 0:
            return [f"negative: {value}"]
        case "gate" if not _GATE.fullmatch(value):
            return [f"expected an https address, got {short(value)}"]
        case "aliases":
            return [f"{short(name)} {_KEY_WORDS}" for name in value if not _KEY.fullmatch(name)]
        case "formats":
            words = [word for word in value if word not in _FORMATS]
            return [f"unknown kind {short(word)}{suggestion(word, _FORMATS)}" for word in words]
        case "needs":
            words = [need for need in value if ":" not in need and need not in NEED_WORDS]
            return [f"unknown word {short(word)}{suggestion(word, NEED_WORDS)}" for word in words]
    return []


def name_problems(tables: Sequence[Table], *, needs_known: bool) -> Iterator[str]:
    """Problems of names: twice the same, or needs that nobody has."""
    seen: dict[tuple[str, str], int] = {}
    valid: dict[str, Table] = {}
    for table in (table for table in tables if table.key):
        first = seen.setdefault((table.file, table.key), table.number)
        if first != table.number:
            yield table.problem("key", f"appears twice in this file, first as model {first}")
        # Taken out first, so that a clash is laid at the door of the later file.
        valid.pop(table.key, None)
        valid[table.key] = table
    owners: dict[str, str] = {}
    for key, table in valid.items():
        for field, name in (("key", key), *(("aliases", name) for name in table.texts("aliases"))):
            if name in owners:
                yield table.problem(field, f"{name} is already a name of {owners[name]}")
            owners.setdefault(name, key)
    unknown = [
        (table, need)
        for table in (tables if needs_known else ())
        for need in table.texts("needs")
        if ":" in need and (need not in owners or need.endswith(":*"))
    ]
    for number, (table, need) in enumerate(unknown):
        # Each is compared with every name, so after some that would take minutes.
        near = suggestion(need, owners) if number < _SUGGESTIONS else ""
        yield table.problem("needs", f"unknown model {need}{near}")


def is_a(value: object, wanted: type, *, of: type = str) -> bool:
    """Whether a value is of a kind, and a list all of texts or of `of`."""
    if isinstance(value, list):
        return wanted is list and all(isinstance(item, of) for item in value)
    return isinstance(value, wanted) and not isinstance(value, bool)


def _expected(wanted: type, value: object) -> str:
    return f"expected {_TYPES[wanted]}, got {short(value)}"


def usual_problems(documents: Documents, tables: Sequence[Table]) -> Iterator[str]:
    """Problems of what a category stands for when it is asked for by name."""
    known = {table.key for table in tables if not table.key.endswith(":*")}
    for file, document in documents.items():
        usual = document.get("usual", [])
        for key in usual if is_a(usual, list) else ():
            if key not in known:
                yield f"{file}: usual: unknown model {short(key)}{suggestion(key, known)}"
