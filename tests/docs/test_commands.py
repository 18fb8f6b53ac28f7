"""Every command that the documentation shows is one that the programs take."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

import pytest
from tests.docs.pages import PAGES, README, ROOT, Page, code

from modelset.cli import main
from modelset.core.catalog import parse_catalog
from modelset.sources import check_ref
from modelset.store.catalog import catalog_texts

# What stands for `modelset COMMAND`, and whether the script takes options of its own.
DOORS = {
    "scripts/bootstrap.sh": "bootstrap",
    "scripts/bootstrap.ps1": "bootstrap",
    "check-models.sh": "check",
    "check-models.ps1": "check",
    "shared/model_downloader.py": "download",
    "shared/model_checker.py": "check",
}
OWN_OPTIONS = {"--models-only", "--no-runtime", "--no-models", "--server"}

_DOOR = "|".join(re.escape(door) for door in DOORS)
_COMMAND = re.compile(
    rf"(?:^|[\s(])(?:\./|\.venv/bin/)?(modelset|{_DOOR}|scripts/test\.sh)(?=[\s)\"]|$)([^|>)\n]*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it."""

    page: str
    program: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join((self.program, *self.arguments))}"


def commands_in(page: str, text: str) -> list[Shown]:
    text = text.replace("\\\n", " ").replace(".\\", "./").replace("scripts\\", "scripts/")
    found = []
    for program, rest in _COMMAND.findall(text):
        # One quote alone is the end of what the whole command stands in.
        rest = rest if rest.count('"') % 2 == 0 else rest.replace('"', " ")
        words = shlex.split(rest, comments=True)
        found.append(Shown(page, program, tuple(words)))
    return found


def commands_of(page: Page) -> list[Shown]:
    texts = [block.text for block in page.blocks if block.language in ("bash", "powershell")]
    # A span that is a whole command; a name alone is the project, not a command.
    texts += [span for span in page.spans if re.match(r"(\./|modelset |python shared/)", span)]
    return [shown for text in texts for shown in commands_in(page.name, text)]


SHOWN = [shown for page in PAGES for shown in commands_of(page)]


def keys_shown_as_examples() -> set[str]:
    """Keys of the tables in blocks of TOML: a reader's own models."""
    tables = [block.text for page in PAGES for block in page.blocks if block.language == "toml"]
    return {key for text in tables for key in re.findall(r'^key = "(.+)"$', text, re.MULTILINE)}


def test_there_are_commands_to_look_at() -> None:
    programs = {shown.program for shown in SHOWN}

    assert len(SHOWN) > 60
    assert set(DOORS) | {"modelset", "scripts/test.sh"} <= programs


@pytest.mark.parametrize("shown", sorted(set(SHOWN), key=str), ids=str)
def test_the_command_is_understood(shown: Shown) -> None:
    words = list(shown.arguments)
    if shown.program != "modelset":
        assert (ROOT / shown.program).is_file()
    if shown.program == "scripts/test.sh" or "COMMAND" in words:
        return
    if shown.program in DOORS:
        if DOORS[shown.program] == "bootstrap":
            words = [word for word in words if word not in OWN_OPTIONS]
        words = [DOORS[shown.program], *words]
    words = ["whisper:base" if word == "KEY" else word for word in words if word != "..."]
    parser, _ = main._parser(words)

    options = parser.parse_args(words)

    # argparse takes beginnings of options too; a page shows them whole.
    named = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--version"}
    assert named <= options_of(parser, words[0])
    catalog = parse_catalog(catalog_texts(), check_ref=check_ref)
    for key in getattr(options, "keys", ()):
        assert key in keys_shown_as_examples() or catalog.get(key)


@pytest.mark.parametrize("script", ["scripts/bootstrap.sh", "scripts/bootstrap.ps1"])
def test_the_scripts_take_the_options_of_their_own(script: str) -> None:
    text = (ROOT / script).read_text("utf-8")

    assert [option for option in OWN_OPTIONS if option not in text] == []


def test_the_table_of_commands_is_the_list_of_commands() -> None:
    rows = [code(row["command"]) for row in README.table("command", "does")]
    shown = {first.split()[1]: tuple(aliases) for first, *aliases in rows}

    assert shown == {name: tuple(aliases) for name, (_, aliases, _) in main.COMMANDS.items()}


def test_every_option_of_download_and_check_is_in_the_guide() -> None:
    guide = next(page for page in PAGES if page.name.endswith("MODEL_MANAGEMENT.md"))
    for command in ("download", "check"):
        parser, _ = main._parser([command])
        options = {word for word in options_of(parser, command) if word.startswith("--")}

        missing = [
            option
            for option in sorted(options - {"--help"})
            if option not in guide.text + README.text
        ]

        assert len(options) > 10
        assert missing == []


def options_of(parser: main.Parser, command: str) -> set[str]:
    (commands,) = [action for action in parser._actions if isinstance(action.choices, dict)]
    assert commands.choices is not None
    return set(commands.choices[command]._option_string_actions)
