"""Write docs/catalog.md from the catalog, or with `--check` say how the page differs from it.

python scripts/make_catalog_docs.py [--check] [--out FILE]
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from modelset.core.catalog import Catalog, parse_catalog  # noqa: E402
from modelset.core.types import Category, Model  # noqa: E402
from modelset.core.words import size_text  # noqa: E402
from modelset.sources import check_ref  # noqa: E402
from modelset.store.catalog import catalog_texts  # noqa: E402

PAGE = ROOT / "docs" / "catalog.md"
# Stands for the part of a key that a reader fills in.
NAME = "NAME"

HEAD = """\
# Catalog

Every model that comes with modelset, one table a category. `python scripts/make_catalog_docs.py`
writes this page from `shared/modelset/catalog/`; [adding-a-model.md](adding-a-model.md) says what
each field means, and how to add a model of your own.

- **key**: what a command is given, with its other names. `family:NAME` stands for any name.
- **size**: what comes over the network; "not known" where nobody has recorded it.
- **memory** and **speed**: as people who use the model give them; speed is against the largest
  model of its kind.
- **licence**: as the publisher names it; "not stated" where the catalog does not know it. Look at
  the publisher's page before you use such a model.
- **gate**: where terms are accepted before the files can be had.
- **files**: what is fetched, as patterns, names, or an archive that is unpacked.
- **tier**: `critical` and `optional` belong to the default set; `available` comes when asked for.
"""


def page_of(catalog: Catalog) -> str:
    """The whole page."""
    parts = [HEAD]
    for category in catalog.categories.values():
        rows = [model for model in catalog.models.values() if model.category == category.name]
        rows += [model for model in catalog.templates.values() if model.category == category.name]
        parts.append(f"## {category.title}\n")
        parts.append(f"{_intro(category, rows)}\n")
        parts.append(_table(rows))
    return "\n".join(parts)


def _intro(category: Category, rows: Sequence[Model]) -> str:
    """What a category is called on the command line, and what it brings then."""
    ways = [f"`--components {name}`" for name in category.components]
    words = f"`--category {category.name}`" + (f", or {_either(ways)}" if ways else "") + "."
    default = [model for model in rows if model.tier != "available"]
    if default:
        words += f" In the default set: {_listed(_code(model.key) for model in default)}."
    if category.usual:
        words += f" Asked for by that name, it brings {_listed(map(_code, category.usual))}."
    if libraries := sorted({model.library for model in rows if model.library not in ("", "api")}):
        words += f" Loaded by {_listed(libraries)}."
    return words


def _table(rows: Sequence[Model]) -> str:
    """The models of a category; a column that is empty in every row is left out."""
    filled = [[_cell(column(model)) for column in COLUMNS.values()] for model in rows]
    kept = [any(row[place] for row in filled) for place in range(len(COLUMNS))]
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *filled]
    return "".join(
        "| " + " | ".join(cell for cell, keep in zip(line, kept, strict=True) if keep) + " |\n"
        for line in lines
    )


def _cell(text: str) -> str:
    """A text that stays within its cell."""
    return " ".join(text.replace("|", "&#124;").split())


def _key(model: Model) -> str:
    names = [model.key.replace("*", NAME), *model.aliases]
    return ", ".join(map(_code, names))


def _size(model: Model) -> str:
    if model.size_bytes:
        return size_text(model.size_bytes)
    return "" if model.source == "api" or _is_template(model) else "not known"


def _licence(model: Model) -> str:
    return model.licence or ("" if model.source == "api" else "not stated")


def _gate(model: Model) -> str:
    return f"[terms]({model.gate})" if model.gate else ""


def _source(model: Model) -> str:
    for field in ("repo", "service"):
        if field in model.ref:
            return f"{model.source}: {model.ref[field]}"
    return model.source


def _files(model: Model) -> str:
    ref = {name: _filled(value) for name, value in model.ref.items()}
    # Of a source without words of its own, what its tables state.
    words = FILES.get(model.source, lambda ref: ", ".join(_code(str(one)) for one in ref.values()))
    return words(ref)


def _patterns(ref: Mapping[str, object]) -> str:
    allow = ref.get("allow", [])
    named = [str(item) for item in allow] if isinstance(allow, list) else []
    return ", ".join(map(_code, named)) or "all of the repository"


def _wheel(ref: Mapping[str, object]) -> str:
    if "url" in ref:
        return f"wheel {_code(_last(ref['url']))}"
    # Without marks: a name alone would be taken for a word of this project.
    return f"wheel of {ref.get('spacy') or ref['requirement']}"


def _url(ref: Mapping[str, object]) -> str:
    is_archive = ref.get("unpack") is not None
    return _code(_last(ref["url"])) + (", unpacked" if is_archive else "")


def _api(ref: Mapping[str, object]) -> str:
    words = "the file that %s names" if ref.get("kind") == "file" else "none; needs %s"
    return words % _code(str(ref["variable"]))


FILES: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    "huggingface": _patterns,
    "torchhub": _patterns,
    "wheel": _wheel,
    "url": _url,
    "vosk": lambda ref: f"{_code(str(ref['name']) + '.zip')}, unpacked",
    "nltk": lambda ref: f"{_code(str(ref['package']) + '.zip')}, kept as it is",
    "ollama": lambda ref: f"the manifest of {_code(str(ref['name']))} and its blobs",
    "api": _api,
    "local": lambda ref: f"{_code(str(ref['path']))}, where it lies",
}

COLUMNS: Mapping[str, Callable[[Model], str]] = {
    "key": _key,
    "size": _size,
    "memory": lambda model: model.memory,
    "speed": lambda model: model.speed,
    "licence": _licence,
    "gate": _gate,
    "source": _source,
    "files": _files,
    "tier": lambda model: model.tier,
    "note": lambda model: model.note,
}


def _filled(value: object) -> object:
    """A value of a template's ref with the name that a reader fills in."""
    if value == "*":
        return NAME
    return value


def _is_template(model: Model) -> bool:
    return model.key.endswith(":*")


def _last(url: object) -> str:
    return str(url).rpartition("/")[2]


def _code(text: str) -> str:
    return f"`{text}`"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _either(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def main() -> int:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(description="Write docs/catalog.md from the catalog.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when it differs")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    chosen = parser.parse_args()
    text = page_of(parse_catalog(catalog_texts(), check_ref=check_ref))
    if not chosen.check:
        chosen.out.write_text(text, "utf-8", newline="\n")
        return 0
    there = chosen.out.read_text("utf-8") if chosen.out.is_file() else ""
    if there == text:
        return 0
    lines = difflib.unified_diff(
        there.splitlines(), text.splitlines(), str(chosen.out), "the catalog", lineterm="", n=0
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
