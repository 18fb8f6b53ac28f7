"""What exists: reads the catalog's texts, and names every problem in them at once."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any, Final

from modelset.core.errors import ModelSetError
from modelset.core.reading import parse_toml
from modelset.core.types import TIERS, Category, Model
from modelset.core.values import dataclass
from modelset.core.words import NEED_WORDS, close_to, suggestion

_Documents = Mapping[str, Mapping[str, Any]]
Parse = Callable[[str], Mapping[str, Any]]
CheckRef = Callable[[str, Mapping[str, object]], list[str]]

_FIELDS: Final = {
    "key": str, "category": str, "source": str, "ref": dict, "tier": str, "size_bytes": int,
    "licence": str, "gate": str, "needs": list, "library": str, "aliases": list,
}  # fmt: skip
_REQUIRED: Final = ("key", "category", "source", "ref")
_HEADER: Final = {"category": str, "title": str, "components": list, "order": int, "default": dict}
_TYPES: Final = {str: "a text", int: "a whole number", dict: "a table", list: "a list of texts"}

_PART: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_KEY: Final = re.compile(rf"{_PART}:{_PART}(?:[:/]{_PART})*")
_KEY_WORDS: Final = "is not `family:name`: letters, digits, `.`, `_`, `-`, in the name also `:` `/`"
_GATE: Final = re.compile(r"(https://[^/\s]\S*)?")
_SUGGESTIONS: Final = 10
_HINT: Final = "docs/adding-a-model.md describes every field"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model by its key, in the order people see them, with categories and other names."""

    models: Mapping[str, Model]
    categories: Mapping[str, Category]
    aliases: Mapping[str, str]

    def get(self, key: str) -> Model:
        """The model that a key or an alias names; raises ModelSetError `unknown-model`."""
        model = self.models.get(self.aliases.get(key, key))
        if model is None:
            names = [*self.models, *self.aliases]
            # A name without its family is too far from any key, so names are compared with names.
            bare = {name if ":" in key else name.partition(":")[2] for name in names}
            alike = [key] if key in bare else close_to(key, bare, 3)
            close = [name for name in names if name in alike or name.partition(":")[2] in alike]
            listed = ", ".join(f"`{name}`" for name in close[:4])
            hint = f"closest: {listed}; " if listed else ""
            raise ModelSetError(
                "unknown-model", f"unknown model: {key}", f"{hint}`modelset list` shows every model"
            )
        return model


@dataclass(frozen=True, slots=True)
class _Table:
    """One `[[model]]` table as it was written, and where; `line` is 0 when it is not known."""

    file: str
    number: int
    line: int
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key, or an empty text when there is no valid one."""
        key = self.values.get("key")
        return key if isinstance(key, str) and _KEY.fullmatch(key) else ""

    def texts(self, field: str) -> tuple[str, ...]:
        """A field that lists texts, empty when it holds something else."""
        value = self.values.get(field, [])
        return tuple(value) if _is_a(value, list) else ()

    def problem(self, field: str, words: str) -> str:
        """One line that says which file, table and field, and what is wrong with it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key or f'model {self.number}'}: {field}: {words}"


def parse_catalog(
    texts: Mapping[str, str], *, check_ref: CheckRef, parse: Parse = parse_toml
) -> Catalog:
    """The catalog that TOML texts describe, each under the name of its file.

    A text with `category` at its top declares that category, and its `[default]` fills the tables
    of that text. Of any other text only the `[[model]]` tables count. A later table replaces an
    earlier one. `check_ref` returns the problems of a source and its ref, in words.
    Raises ModelSetError `catalog-invalid` with one line for every problem of all files.
    """
    documents, problems = _load(texts, parse)
    problems += _header_problems(documents)
    tables: list[_Table] = []
    for file, document in documents.items():
        tables += _tables(file, texts[file], document)
    for table in tables:
        problems += (table.problem(*problem) for problem in _table_problems(table, check_ref))
    problems += _name_problems(tables, needs_known=len(documents) == len(texts))
    if problems:
        raise ModelSetError("catalog-invalid", "\n".join(problems), _HINT)
    models = {table.key: _model(table) for table in tables}
    categories = _categories(documents, models.values())
    rank = {name: place for place, name in enumerate(categories)}
    models = dict(sorted(models.items(), key=lambda item: rank[item[1].category]))
    aliases = {alias: key for key, model in models.items() for alias in model.aliases}
    return Catalog(models, categories, aliases)


def _load(texts: Mapping[str, str], parse: Parse) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    documents: dict[str, Mapping[str, Any]] = {}
    problems: list[str] = []
    for file, text in texts.items():
        try:
            documents[file] = parse(text)
        # Besides its own error, which is a ValueError, tomllib lets those of `int` through.
        except (ValueError, RecursionError) as error:
            problems.append(f"{file}: not valid TOML: {error}")
    return documents, problems


def _header_problems(documents: _Documents) -> Iterator[str]:
    declared: dict[str, str] = {}
    for file, document in documents.items():
        if not _is_a(document.get("model", []), list, of=dict):
            yield f"{file}: model: expected `[[model]]` tables"
        header = document if "category" in document else {}
        for field, value in header.items():
            if field in _HEADER and not _is_a(value, _HEADER[field]):
                yield f"{file}: {field}: {_expected(_HEADER[field], value)}"
            elif field not in (*_HEADER, "model"):
                yield f"{file}: {field}: unknown field{suggestion(field, _HEADER)}"
        name = header.get("category")
        if isinstance(name, str) and declared.setdefault(name, file) != file:
            yield f"{file}: category: {name} is already declared in {declared[name]}"


def _tables(file: str, text: str, document: Mapping[str, Any]) -> Iterator[_Table]:
    rows = document.get("model", [])
    rows = rows if _is_a(rows, list, of=dict) else []
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
        yield _Table(file, number, line, values)


def _table_problems(table: _Table, check_ref: CheckRef) -> Iterator[tuple[str, str]]:
    values = table.values
    for field, value in values.items():
        wanted = _FIELDS.get(field)
        if wanted is None:
            yield field, f"unknown field{suggestion(field, _FIELDS)}"
        elif not _is_a(value, wanted):
            yield field, _expected(wanted, value)
        else:
            yield from ((field, words) for words in _value_problems(field, value))
    for field in _REQUIRED:
        if values.get(field, "") in ("", {}):
            yield field, "missing"
    source, ref = values.get("source"), values.get("ref")
    if source and isinstance(source, str) and ref and isinstance(ref, dict):
        for words in check_ref(source, ref):
            entry, _, rest = words.partition(": ")
            yield (entry, rest) if entry.split(".")[0] in _FIELDS else ("ref", words)


def _value_problems(field: str, value: Any) -> list[str]:
    match field:
        case "key" if value and not _KEY.fullmatch(value):
            return [f"{short(value)} {_KEY_WORDS}"]
        case "tier" if value not in TIERS:
            return [f"unknown tier {short(value)}; one of {', '.join(TIERS)}"]
        case "size_bytes" if value < 0:
            return [f"negative: {value}"]
        case "gate" if not _GATE.fullmatch(value):
            return [f"expected an https address, got {short(value)}"]
        case "aliases":
            return [f"{short(name)} {_KEY_WORDS}" for name in value if not _KEY.fullmatch(name)]
        case "needs":
            words = [need for need in value if ":" not in need and need not in NEED_WORDS]
            return [f"unknown word {short(word)}{suggestion(word, NEED_WORDS)}" for word in words]
    return []


def _name_problems(tables: Sequence[_Table], *, needs_known: bool) -> Iterator[str]:
    seen: dict[tuple[str, str], int] = {}
    valid: dict[str, _Table] = {}
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
        if ":" in need and need not in owners
    ]
    for number, (table, need) in enumerate(unknown):
        # Each is compared with every name, so after some that would take minutes.
        near = suggestion(need, owners) if number < _SUGGESTIONS else ""
        yield table.problem("needs", f"unknown model {need}{near}")


def _model(table: _Table) -> Model:
    lists = {field: table.texts(field) for field in ("needs", "aliases")}
    return Model(**({"tier": "available"} | dict(table.values) | lists))


def _categories(documents: _Documents, models: Iterable[Model]) -> dict[str, Category]:
    headers = [document for document in documents.values() if "category" in document]
    headers.sort(key=lambda header: float(header.get("order", math.inf)))
    categories: dict[str, Category] = {}
    for header in headers:
        name, components = header["category"], tuple(header.get("components", ()))
        categories[name] = Category(name, header.get("title", name), components)
    for model in models:
        categories.setdefault(model.category, Category(model.category, model.category))
    return categories


def _is_a(value: object, wanted: type, *, of: type = str) -> bool:
    if isinstance(value, list):
        return wanted is list and all(isinstance(item, of) for item in value)
    return isinstance(value, wanted) and not isinstance(value, bool)


def _expected(wanted: type, value: object) -> str:
    return f"expected {_TYPES[wanted]}, got {short(value)}"
