"""What exists: reads the catalog's texts, and names every problem in them at once."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.reading import parse_toml
from modelset.core.tables import (
    CheckRef,
    Documents,
    Table,
    filled,
    header_problems,
    is_key,
    name_problems,
    table_problems,
    tables_of,
    usual_problems,
)
from modelset.core.types import Category, Model
from modelset.core.values import dataclass, replace
from modelset.core.words import close_to

Parse = Callable[[str], Mapping[str, Any]]
_HINT = "docs/adding-a-model.md describes every field"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model by its key, in the order people see them, with categories and other names.

    `templates` make the models of a family that no table names; `check_ref` looks at those.
    """

    models: Mapping[str, Model]
    categories: Mapping[str, Category]
    aliases: Mapping[str, str]
    templates: Mapping[str, Model]
    check_ref: CheckRef

    def get(self, key: str) -> Model:
        """The model that a key or an alias names; raises ModelSetError `unknown-model`.

        `key@revision` is another revision of a model, where its source has revisions.
        """
        model = self.models.get(self.aliases.get(key, key)) or self._made(key)
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

    def _made(self, key: str) -> Model | None:
        """A model that no table names: of a template, or another revision of one that is known."""
        named, at, revision = key.partition("@")
        template = self.templates.get(key.partition(":")[0])
        if at and revision:
            model = self.get(named)
            key = f"{model.key}@{revision}"
            ref = {name: text for name, text in model.ref.items() if name != "refs"}
            ref["revision"] = revision
        elif template is not None and is_key(key):
            model, name = template, key.partition(":")[2]
            ref = filled(template.ref, name)
        else:
            return None
        problems = self.check_ref(model.source, ref)
        if at and "root" in ref:  # its files would have the names of the other revision's
            problems.append(f"only one revision of {model.key} can be here at a time")
        if problems:
            raise ModelSetError("unknown-model", f"{key}: {problems[0]}", _HINT)
        return replace(model, key=key, ref=ref, tier="available", aliases=())


def parse_catalog(
    texts: Mapping[str, str],
    *,
    check_ref: CheckRef,
    parse: Parse = parse_toml,
    sound: Collection[str] = (),
) -> Catalog:
    """The catalog that TOML texts describe, each under the name of its file.

    A text with `category` at its top declares that category, and its `[default]` fills the tables
    of that text. Of any other text only the `[[model]]` tables count. A later table replaces an
    earlier one. `check_ref` returns the problems of a source and its ref, in words. Nobody looks
    for problems in the files that are `sound`, which would take most of a check's time.
    Raises ModelSetError `catalog-invalid` with one line for every problem of all files.
    """
    documents, unread = _load(texts, parse)
    problems = [*unread, *header_problems(documents)] if documents.keys() - set(sound) else unread
    tables: list[Table] = []
    for file, document in documents.items():
        tables += tables_of(file, texts[file], document)
    unsound = [table for table in tables if table.file not in sound]
    for table in unsound:
        problems += (table.problem(*problem) for problem in table_problems(table, check_ref))
    if unsound:
        problems += name_problems(tables, needs_known=len(documents) == len(texts))
        problems += usual_problems(documents, tables)
    if problems:
        raise ModelSetError("catalog-invalid", "\n".join(problems), _HINT)
    every = {table.key: _model(table) for table in tables}
    categories = _categories(documents, every.values())
    rank = {name: place for place, name in enumerate(categories)}
    templates = {key[:-2]: model for key, model in every.items() if key.endswith(":*")}
    known = [item for item in every.items() if not item[0].endswith(":*")]
    models = dict(sorted(known, key=lambda item: rank[item[1].category]))
    aliases = {alias: key for key, model in models.items() for alias in model.aliases}
    return Catalog(models, categories, aliases, templates, check_ref)


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


def _model(table: Table) -> Model:
    lists = {field: table.texts(field) for field in ("needs", "aliases", "formats")}
    return Model(**({"tier": "available"} | dict(table.values) | lists))


def _categories(documents: Documents, models: Iterable[Model]) -> dict[str, Category]:
    headers = [document for document in documents.values() if "category" in document]
    headers.sort(key=lambda header: float(header.get("order", math.inf)))
    categories: dict[str, Category] = {}
    for header in headers:
        name = header["category"]
        categories[name] = Category(
            name,
            header.get("title", name),
            tuple(header.get("components", ())),
            tuple(header.get("usual", ())),
        )
    for model in models:
        categories.setdefault(model.category, Category(model.category, model.category))
    return categories
