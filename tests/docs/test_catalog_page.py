"""docs/catalog.md says what the catalog says, and docs/adding-a-model.md what a table may say."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from tests.docs.pages import ROOT, Page, code

from modelset.core import tables
from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.words import size_text
from modelset.sources import SOURCES, check_ref
from modelset.store.catalog import catalog_texts

SCRIPT = ROOT / "scripts" / "make_catalog_docs.py"
PAGE = Page("docs/catalog.md")
ADDING = Page("docs/adding-a-model.md")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_catalog(catalog_texts(), check_ref=check_ref)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_catalog_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", "-I", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)


def of(text: str) -> Catalog:
    return parse_catalog({"house.toml": text}, check_ref=check_ref)


def rows_by_key() -> dict[str, dict[str, str]]:
    return {code(row["key"])[0]: row for table in PAGE.tables for row in table}


def test_the_page_is_what_the_script_writes() -> None:
    checked = run("--check")

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_built_in_model_is_on_the_page_under_every_name(catalog: Catalog) -> None:
    shown = [code(row["key"]) for table in PAGE.tables for row in table]
    wanted = [[key, *model.aliases] for key, model in catalog.models.items()]

    assert [names for names in wanted if names not in shown] == []
    assert len(shown) == len(wanted) + len(catalog.templates)
    assert {f"{family}:NAME" for family in catalog.templates} <= {names[0] for names in shown}


def test_every_category_has_a_heading_and_says_how_it_is_asked_for(catalog: Catalog) -> None:
    for category in catalog.categories.values():
        start = PAGE.text.index(f"\n## {category.title}\n")
        intro = PAGE.text[start:].split("\n\n")[1]
        asked = {f"--category {category.name}"}
        asked |= {f"--components {name}" for name in category.components}

        assert asked <= set(code(intro))
        assert set(category.usual) <= set(code(intro))


def test_cells_are_those_of_the_catalog(catalog: Catalog) -> None:
    shown = rows_by_key()
    for key, model in catalog.models.items():
        row = shown[key]
        assert row["tier"] == model.tier
        assert row.get("memory", "") == model.memory
        assert row.get("speed", "") == model.speed
        assert row.get("note", "") == model.note
        assert (f"({model.gate})" in row.get("gate", "")) == bool(model.gate)
        if model.size_bytes:
            assert row["size"] == size_text(model.size_bytes)
        if model.licence:
            assert row["licence"] == model.licence


def test_no_column_is_empty_in_a_whole_table() -> None:
    assert len(PAGE.tables) > 10
    for table in PAGE.tables:
        assert [name for name in table[0] if not any(row[name] for row in table)] == []


def test_what_is_fetched_is_said_for_every_source(script: ModuleType, catalog: Catalog) -> None:
    assert set(script.FILES) <= set(SOURCES)
    shown = rows_by_key()
    base = catalog.get("whisper:base")
    assert code(shown["whisper:base"]["files"]) == base.ref["allow"]
    assert code(shown["openai-whisper:base"]["files"]) == ["base.pt"]
    assert code(shown["vosk:small-en"]["files"]) == ["vosk-model-small-en-us-0.15.zip"]
    assert all(row["files"] for row in shown.values())


@pytest.mark.parametrize(
    ("before", "after"),
    [("whisper:base", "whisper:bass"), ("| critical |", "| optional |"), ("## ", "### ")],
)
def test_a_page_that_says_something_else_is_noticed(
    before: str, after: str, tmp_path: Path
) -> None:
    page = tmp_path / "catalog.md"
    page.write_text(PAGE.text.replace(before, after, 1), "utf-8")

    checked = run("--check", "--out", str(page))

    assert checked.returncode == 1
    changes = re.findall(r"^([+-])(?![+-])(.*)$", checked.stdout, re.MULTILINE)
    assert {sign for sign, _ in changes} == {"-", "+"}
    assert any(after in line for sign, line in changes if sign == "-")
    assert page.read_text("utf-8") != PAGE.text


def test_a_page_that_is_not_there_is_noticed_and_then_written(tmp_path: Path) -> None:
    page = tmp_path / "catalog.md"

    assert run("--check", "--out", str(page)).returncode == 1
    assert not page.exists()
    assert run("--out", str(page)).returncode == 0
    assert page.read_bytes() == PAGE.path.read_bytes()


def test_words_of_a_table_stay_in_their_cell(script: ModuleType) -> None:
    catalog = of(
        """
        category = "house"
        title = "House"
        [[model]]
        key = "house:one"
        source = "huggingface"
        ref.repo = "acme/one"
        licence = "A | B"
        note = "first\\n| second |\\n\\n## third"
        """
    )

    text = script.page_of(catalog)

    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert len({row.count("|") for row in rows}) == 1
    assert "\n## third" not in text
    assert "A &#124; B" in rows[-1]


def test_a_category_without_models_and_a_source_without_words(script: ModuleType) -> None:
    empty = script.page_of(of('category = "house"\ntitle = "House"\n'))
    assert "## House\n\n`--category house`.\n" in empty

    catalog = of('[[model]]\nkey = "a:b"\ncategory = "c"\nsource = "local"\nref.path = "/srv/a"\n')
    assert "`/srv/a`, where it lies" in script.page_of(catalog)
    before = dict(script.FILES)
    script.FILES = {name: words for name, words in before.items() if name != "local"}
    assert "| `/srv/a` |" in script.page_of(catalog)
    script.FILES = before


def test_a_broken_catalog_is_told_in_words(script: ModuleType) -> None:
    with pytest.raises(ModelSetError, match="house:one: colour: unknown field"):
        of('[[model]]\nkey = "house:one"\ncategory = "c"\nsource = "local"\ncolour = "red"\n')


def test_every_field_of_a_table_and_of_a_file_is_described() -> None:
    described = {code(row["field"])[0] for row in ADDING.table("field")}
    (header,) = [block.text for block in ADDING.blocks if block.text.startswith("category =")]

    assert described == set(tables._FIELDS)
    assert [name for name in tables._HEADER if name not in tomllib.loads(header)] == []


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_every_entry_of_ref_is_described(source: str) -> None:
    module = importlib.import_module(f"modelset.sources.{source}")
    missing = [words.partition(":")[0] for words in SOURCES[source].check_ref({})]
    fields = {name.removeprefix("ref.") for name in missing if name != "ref"}
    fields |= set(getattr(module, "_FIELDS", ()))
    start = ADDING.text.index(f"**`{source}`**")
    following = ADDING.text.find("\n**`", start + 1)
    part = ADDING.text[start : following if following > 0 else None]

    assert fields
    assert [name for name in fields if name not in code(part)] == []


def test_the_tables_that_are_shown_as_examples_are_right() -> None:
    blocks = [block.text for block in ADDING.blocks if block.language == "toml"]

    assert len(blocks) >= 4
    for number, text in enumerate(blocks):
        assert parse_catalog({f"block {number}": text}, check_ref=check_ref)
