"""The manual page is the parser's own, and roff takes it as it is meant."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from modelset import __version__
from modelset.cli.parsers import whole_program
from modelset.core.commands import Argument, Command, Option, Program, Word
from modelset.core.errors import KINDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "man" / "modelset.1"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_man", ROOT / "scripts" / "make_man.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(page: Path) -> str:
    """The page as a terminal shows it; a complaint of roff fails the test."""
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tascii", "-P-cbou", str(page)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_is_up_to_date(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--check"]) == 0, capsys.readouterr().out


def test_the_page_shows_every_command_and_option() -> None:
    words = set(shown(PAGE).replace(",", " ").split())

    assert __version__ in words
    for command in whole_program().commands:
        assert {command.name, *command.aliases} <= words
        assert {name for option in command.options for name in option.names} <= words


def test_the_exit_codes_are_those_of_the_program(script: ModuleType) -> None:
    assert set(script.EXIT_CODES) == {0, 3} | {kind.exit_code for kind in KINDS.values()}


def test_a_page_that_differs_is_said_and_left_alone(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "man" / "x.1"

    assert script.main(["--check", "--out", str(page)]) == 1
    assert not page.exists()
    assert script.main(["--out", str(page)]) == 0
    assert script.main(["--check", "--out", str(page)]) == 0
    page.write_text(page.read_text().replace("critical", "crucial"))
    capsys.readouterr()
    assert script.main(["--check", "--out", str(page)]) == 1
    assert "+" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ".so /etc/passwd",
        "'so /etc/passwd",
        "one\n.so /etc/passwd",
        "a \\fB b \\X'tty: x' \\n",
        'say "so" and it\'s `done` ~ ^',
        "\x1b[31mred",
        "-x --long-option",
    ],
)
def test_any_text_is_shown_as_it_is(script: ModuleType, tmp_path: Path, words: str) -> None:
    option = Option(("--long-name",), words, "one", Word(words))
    argument = Argument(Word(words), words, repeats=True)
    command = Command("check", (words,), words, (option,), (argument,))
    program = Program("modelset", words, "1.0", (option,), (command,))
    page = tmp_path / "x.1"
    page.write_text(script.page_of(program))

    text = " ".join(shown(page).split())

    plain = "".join(one if one.isprintable() else " " for one in words)
    assert " ".join(plain.split()) in text
    assert "root:" not in text
    assert "--long-name" in text
