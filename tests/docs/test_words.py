"""Codes, settings, models and rules are in the documentation as they are in the code."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path

import pytest
from tests.docs.pages import ERRORS, GUIDE, PAGES, README, ROOT, Page, code

from modelset import lookup as lookup_module
from modelset import serving as serving_module
from modelset import settings as settings_module
from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import KINDS
from modelset.core.hardware import parse_rules
from modelset.core.rate import parse_timetable
from modelset.core.words import NEED_WORDS
from modelset.settings import load_settings, wants_color
from modelset.sources import check_ref
from modelset.store.catalog import catalog_texts, rules_text
from modelset.store.roots import BELOW, LIBRARY_ROOTS

NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")

# Read by other programs: libraries that load models, curl, Python, pip, the scripts, tests.
OTHERS = {
    *("FAULTS_MACHINE", "FAULTS_MACHINE_SEED"),
    *("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "PYANNOTE_METRICS_ENABLED"),
    *("TRANSFORMERS_OFFLINE", "LLAMA_OFFLINE", "LLAMA_CACHE", "DO_NOT_TRACK", "COQUI_TOS_AGREED"),
    # Those that the catalog names.
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ELEVENLABS_API_KEY", "VSEGPT_API_KEY"),
    "GOOGLE_APPLICATION_CREDENTIALS",
    *("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "PYTHONPATH", "PYTHONUTF8"),
}
# A file, a name of Python and a form of weights, not variables.
NOT_VARIABLES = {"MODEL_MANAGEMENT", "TYPE_CHECKING", "Q4_K_M"}


def code_of(page: Page) -> str:
    return "\n".join((*page.spans, *(block.text for block in page.blocks)))


def names_read() -> set[str]:
    """The variables that the settings, their look-ups and the table of roots name."""
    modules = (settings_module, lookup_module, serving_module)
    trees = [ast.parse(inspect.getsource(module)) for module in modules]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    read = {text for text in texts if isinstance(text, str) and NAME.fullmatch(text)}
    # Made of the name of their setting.
    read |= {f"MODELSET_SERVER_{name}" for name in ("PORT", "TRANSFERS")}
    return read | {name for places in LIBRARY_ROOTS.values() for name, _ in places}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return parse_catalog(catalog_texts(), check_ref=check_ref)


def test_the_table_of_errors_holds_every_code_and_no_other() -> None:
    (rows,) = ERRORS.tables
    shown = [(code(row["code"])[0], int(row["exit"])) for row in rows]

    assert list(rows[0]) == ["code", "exit", "meaning", "what to do"]
    assert shown == [(kind.code, kind.exit_code) for kind in KINDS.values()]
    assert all(row["meaning"] and row["what to do"] for row in rows)


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    shown = [int(row["code"]) for row in README.table("code", "means")]

    # Two belong to no error: all is well, and an optional model is missing.
    assert shown == sorted({0, 3} | {kind.exit_code for kind in KINDS.values()})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_word_with_hyphens_is_a_code_or_a_known_name(page: Page) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = (ROOT / "requirements.txt").read_text("utf-8") + str(project["dependencies"])
    # What a trial looks for beside those.
    needed += str(project["optional-dependencies"]["families"]) + "llama-cpp-python"
    rules = {rule.name for rule in parse_rules(rules_text())}
    known = {*KINDS, *NEED_WORDS, *BELOW, *rules, "site-packages"}
    known |= set(re.findall(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+", needed))
    catalog = parse_catalog(catalog_texts(), check_ref=check_ref)
    known |= {name.partition(":")[2] for name in catalog.models} | set(catalog.categories)
    spans = [span for span in page.spans if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", span)]

    assert [span for span in spans if span not in known] == []


def test_every_variable_in_the_documentation_is_read() -> None:
    for page in PAGES:
        named = set(NAME.findall(code_of(page))) - NOT_VARIABLES

        assert sorted(named - names_read() - OTHERS) == [], page.name


def test_every_variable_that_is_read_is_in_the_guide() -> None:
    read = names_read()

    assert len(read) > 25
    # Of this one only its presence counts: it tells a CGI program.
    assert sorted(read - set(NAME.findall(code_of(GUIDE)))) == ["REQUEST_METHOD"]


def rows_of_settings() -> list[dict[str, str]]:
    return GUIDE.table("setting", "flag")


def variables_in_tables() -> list[str]:
    cells = [row["environment"] for row in rows_of_settings()]
    cells += [row["a library's own variable that moves it"] for row in GUIDE.table("root")]
    return sorted({name for cell in cells for span in code(cell) for name in NAME.findall(span)})


@pytest.mark.parametrize("name", variables_in_tables())
def test_the_variable_decides_its_setting(name: str, tmp_path: Path) -> None:
    if name == "NO_COLOR":
        assert wants_color({}) is True
        assert wants_color({name: "1"}) is False
        return
    file = tmp_path / "file"
    file.write_text("# hf_token\n")
    special = {
        "HF_ENDPOINT": "https://hub.example.org",
        "MODELSET_DOWNLOAD_LIMIT_RATE": "20M",
        "MODELSET_DOWNLOAD_TRANSPORT": "xet",
        "MODELSET_POLICY_PICKLES": "refuse",
        "MODELSET_POLICY_FIRST_USE": "true",
        "MODELSET_SERVER_UPDATE_CHECK": "24h",
        "MODELSET_SERVER_DOWNLOAD_ON_START": "true",
        "AUTO_SETUP_ENABLED": "false",
        **dict.fromkeys(
            ("MODELSET_DOWNLOAD_ON_START", "DOWNLOAD_MODELS_ON_START", "AUTO_DOWNLOAD_MODELS"),
            "false",
        ),
    }
    numbers = ("_WORKERS", "_CONCURRENT_DOWNLOADS", "_TIMEOUT", "_CONNECTIONS")
    number = name.endswith((*numbers, "_PORT", "_TRANSFERS"))
    value = "7" if number else special.get(name, str(file))

    settings = load_settings({}, {name: value}, tmp_path)

    assert name in settings.origins.values()


def test_of_two_variables_the_first_wins(tmp_path: Path) -> None:
    pairs = [code(row["environment"]) for row in rows_of_settings()]
    pairs = [names for names in pairs if len(names) == 2 and all(map(NAME.fullmatch, names))]

    assert len(pairs) >= 5
    for first, second in pairs:
        value = "7" if "DOWNLOAD" in first and "START" not in first else str(tmp_path)
        value = "true" if "START" in first else value
        origins = load_settings({}, {first: value, second: value}, tmp_path).origins.values()
        assert first in origins
        assert second not in origins


@pytest.mark.parametrize(
    "entry",
    [
        span
        for row in rows_of_settings()
        for span in code(row["`modelset.toml`"])
        if re.fullmatch(r"\[\w+\] \w+", span)
    ],
)
def test_the_entry_of_the_file_decides_its_setting(entry: str, tmp_path: Path) -> None:
    section, name = re.fullmatch(r"(\[\w+\]) (\w+)", entry).groups()  # type: ignore[union-attr]
    before = load_settings({}, {}, tmp_path)
    texts = {"limit_rate": "20M", "transport": "http", "pickles": "refuse"}
    texts |= dict.fromkeys(("first_use", "on_start", "download_on_start"), "true")
    texts["update_check"] = "24h"
    value = texts.get(name, "7")
    (tmp_path / "modelset.toml").write_text(f'{section}\n{name} = "{value}"\n')

    after = load_settings({}, {}, tmp_path)

    assert before.origins[name] == "default"
    assert after.origins[name] == "modelset.toml"


def test_the_defaults_of_a_download_are_those_of_the_code(tmp_path: Path) -> None:
    settings = load_settings({}, {}, tmp_path)
    shown = {row["flag"].strip("`"): row["default"] for row in rows_of_settings()}

    assert shown["--max-workers"] == str(settings.max_workers)
    assert shown["--connections"] == str(settings.connections)
    assert shown["--transport"] == settings.transport
    assert shown["--host"] == settings.serving.host
    assert shown["--port"] == str(settings.serving.port)
    assert parse_timetable(shown["--limit-rate"]) == settings.limit_rate


@pytest.mark.parametrize("page", [README, GUIDE], ids=lambda page: page.name)
def test_every_rate_that_is_shown_is_one_that_is_understood(page: Page) -> None:
    words = " ".join(code_of(page).split())
    shown = re.findall(r"--limit-rate (\"[^\"]+\"|\d\S*)", words)
    shown += re.findall(r"\b\d+(?:Ki|Mi|Gi|K|M|G)\b", words)

    assert len(shown) >= 2
    assert all(parse_timetable(text.strip('"')).is_bounded for text in shown)


def test_the_table_of_roots_is_the_list_of_roots(tmp_path: Path) -> None:
    rows = {code(row["root"])[0]: row for row in GUIDE.table("root")}
    settings = load_settings({}, {}, tmp_path)

    assert set(rows) == set(settings.roots)
    for root, row in rows.items():
        below = code(row["below the models root"])
        if below:
            assert settings.roots[root] == settings.models_root / below[0]


def test_the_table_of_families_is_that_of_the_catalog(catalog: Catalog) -> None:
    shown = [code(row["family"])[0].rstrip(":") for row in GUIDE.table("family")]
    families = {key.partition(":")[0] for key in catalog.models}

    assert len(shown) == len(set(shown))
    assert set(shown) == {*families, "local"}


def test_the_table_of_providers_is_that_of_the_catalog(catalog: Catalog) -> None:
    refs = [model.ref for model in catalog.models.values() if model.source == "api"]
    shown = {code(row["variable"])[0]: code(row["file"])[0] for row in GUIDE.table("provider")}

    assert shown == {ref["variable"]: ref["file"] for ref in refs}


def test_every_key_in_the_guide_is_a_model(catalog: Catalog) -> None:
    families = {key.partition(":")[0] for key in catalog.models}
    said = re.findall(r"(?<![\w/])([a-z-]+:[\w./:@-]*\w)", code_of(GUIDE))
    keys = [key for key in said if key.partition(":")[0] in families]

    assert len(keys) > 20
    assert all(catalog.get(key) for key in keys)


def test_the_table_of_rules_is_that_of_the_hardware_rules() -> None:
    columns = ("rule", "model", "device", "compute type", "batch")
    shown = [
        tuple(row[column].strip("`") for column in columns)
        for row in GUIDE.table("rule", "holds on")
    ]

    assert shown == [
        (rule.name, rule.whisper, rule.device, rule.compute_type, str(rule.batch_size))
        for rule in parse_rules(rules_text())
    ]


def test_every_gate_is_a_page_in_the_steps_for_pyannote(catalog: Catalog) -> None:
    needed = catalog.get("pyannote:speaker-diarization-3.1")
    gates = {catalog.get(key).gate for key in (needed.key, *needed.needed_keys)} - {""}

    assert len(gates) == 3
    assert [gate for gate in gates if f"<{gate}>" not in GUIDE.text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_toml_and_python_can_be_read(page: Page) -> None:
    for block in page.blocks:
        if block.language == "toml":
            assert tomllib.loads(block.text)
        if block.language == "python":
            assert ast.parse(block.text).body


def test_the_readme_names_the_two_commands_and_the_demo() -> None:
    lines = [line for block in README.blocks for line in block.text.splitlines()]

    assert lines[:2] == ["./scripts/bootstrap.sh", "./scripts/test.sh"]
    assert "./scripts/bootstrap.sh --demo" in lines
