"""Completion scripts: everything is in them, and no text can become a part of the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from modelset.core.commands import Argument, Command, Option, Program, Word
from modelset.core.completion import SHELLS, table_of

HOSTILE = (
    "it's \"so\" `id` $(touch {0}) ${{HOME}} \\ [x]: {{y}}\n; touch {0} # \u2019x \x1b[31m \\'"
)


def program_of(words: str) -> Program:
    own = (Option(("-h", "--help"), words), Option(("--version",), words))
    selection = (
        Option(("--only",), words, "one", Word("NAME", choices=("critical", "opti onal"))),
        Option(("--parts",), words, "many", Word("NAME", ask="categories")),
        Option(("--file", "-f"), words, "one", Word("FILE", ask="files")),
        Option(("--rate",), words, "one", Word("RATE")),
        Option(("--json", "-j"), words),
    )
    check = Command(
        "check", ("status",), words, selection, (Argument(Word("KEY", ask="keys"), words, True),)
    )
    config = Command(
        "config",
        (),
        words,
        (),
        (
            Argument(Word("ACTION", choices=("get", "set")), words),
            Argument(Word("NAME", ask="settings"), words),
        ),
    )
    odd = Command("odd", ("$(touch x)", "a'b"), words, (), ())
    return Program("modelset", words, "1.0", own, (check, config, odd))


PROGRAM = program_of("such as this")


def test_the_table_holds_every_command_option_and_place() -> None:
    table = table_of(PROGRAM)

    assert table == {
        " 1": "none words check config odd",
        " -": "none words -h --help --version",
        "check --only": "one words critical",
        "check --parts": "many ask categories",
        "check --file": "one ask files",
        "check -f": "one ask files",
        "check --rate": "one words",
        "check +": "none ask keys",
        "check -": "none words --only --parts --file -f --rate --json -j",
        "config 1": "none words get set",
        "config 2": "none ask settings",
    }


@pytest.mark.parametrize("shell", SHELLS)
def test_every_script_names_all_of_it(shell: str) -> None:
    script = SHELLS[shell](PROGRAM)

    words = {"check", "status", "config", "critical", "categories", "keys", "settings", "get"}
    options = {"only", "parts", "file", "rate", "json", "help", "version"}
    found = set(re.findall(r"[a-z]+", script))
    assert words | options <= found
    assert "@" not in re.sub(r"\$\{\(@f\)|\"\$@\"|\[@\]|@\{|@\(", "", script)
    assert script.endswith("\n")
    assert script.isascii()


def strings_of(script: str, shell: str) -> str:
    """The script without comments and what stands in single quotes."""
    inside = {
        "bash": r"'[^']*'",
        "zsh": r"'[^']*'",
        "fish": r"'(?:[^'\\]|\\.)*'",
        "powershell": r"'(?:[^']|'')*'",
    }[shell]
    return re.sub(inside, "''", script)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_hostile_text_stays_within_its_quotes(shell: str) -> None:
    plain = SHELLS[shell](PROGRAM)
    script = SHELLS[shell](program_of(HOSTILE.format("x")))

    assert strings_of(script, shell).count("touch") == 0
    assert len(script.splitlines()) == len(plain.splitlines())
    assert "\x1b" not in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_runs_it_and_nothing_else(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = tmp_path / "script"
    script.write_text(SHELLS[shell](program_of(HOSTILE.format(tmp_path / "touched"))))
    defined = "compdef() { :; }; " if shell == "zsh" else ""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}

    done = subprocess.run(
        [shell, "-c", f"{defined}source {script}"],
        env=environ,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "touched").exists()


def test_powershell_reads_it() -> None:
    grammar = pytest.importorskip("tree_sitter_powershell")
    tree_sitter = pytest.importorskip("tree_sitter")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))

    for words in ("such as this", HOSTILE.format("x")):
        script = SHELLS["powershell"](program_of(words))
        assert not parser.parse(script.encode()).root_node.has_error
