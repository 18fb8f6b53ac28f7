"""PowerShell is rarely there to run these, so they are read: with a real grammar when
tree-sitter's is installed, and for what must be in them in any case."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTS = ["check-models.ps1", "scripts/bootstrap.ps1"]


def code_of(text: str) -> str:
    """The script without its comments, here-strings and strings."""
    text = re.sub(r"@'\n.*?\n'@", "''", text, flags=re.DOTALL)
    pattern = r"'(?:[^'\n]|'')*'|\"(?:[^\"`\n]|`.)*\"|#[^\n]*"
    return re.sub(pattern, lambda hit: "" if hit[0][0] == "#" else "''", text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_syntax(name: str) -> None:
    grammar = pytest.importorskip("tree_sitter_powershell")
    tree_sitter = pytest.importorskip("tree_sitter")
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    assert not parser.parse((PROJECT / name).read_bytes()).root_node.has_error


@pytest.mark.parametrize("name", SCRIPTS)
def test_brackets_are_balanced(name: str) -> None:
    pairs = {")": "(", "]": "[", "}": "{"}
    open_now: list[str] = []
    for sign in code_of((PROJECT / name).read_text(encoding="utf-8")):
        if sign in "([{":
            open_now.append(sign)
        elif sign in pairs:
            assert open_now, sign
            assert open_now.pop() == pairs[sign]
    assert open_now == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_has_to_be_there(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert text.startswith("#requires -Version 5.1\n")
    for line in (
        "Set-StrictMode -Version Latest",
        "$ErrorActionPreference = 'Stop'",
        "$env:PYTHONUTF8 = '1'",
    ):
        assert f"\n{line}\n" in text
    assert "[Console]::OutputEncoding = [System.Text.UTF8Encoding]::new($false)" in text
    assert r"Scripts\python.exe" in text
    assert "$LASTEXITCODE" in text
    code = code_of(text)
    assert "Activate" not in code
    assert not re.search(r"^\s*param\b", code, re.MULTILINE | re.IGNORECASE)
    # Windows PowerShell 5.1 reads a script without a byte order mark as ANSI.
    assert text.isascii()
    # Not in 5.1: ternary, null coalescing, pipeline chains.
    assert not re.search(r"\?\?|\s\?\s|&&|\|\|", code)


def test_the_checker_s_exit_code_is_the_last_word() -> None:
    lines = (PROJECT / "check-models.ps1").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "exit $LASTEXITCODE"
    assert any(line.startswith("& $python") and line.endswith("@args") for line in lines)


def test_the_twins_agree() -> None:
    shell = (PROJECT / "scripts/bootstrap.sh").read_text(encoding="utf-8")
    power = (PROJECT / "scripts/bootstrap.ps1").read_text(encoding="utf-8")
    for word in (
        "--models-only",
        "--no-runtime",
        "--no-models",
        "--server",
        "--demo",
        "core-install.log",
        "runtime-install.log",
        "-m modelset bootstrap",
        "the core libraries could not be installed",
        "the package index cannot be reached",
        "the disk is full",
        "PIP_USER",
    ):
        assert word in shell
        assert word in power
    for option in ("--disable-pip-version-check", "--no-input", "-q"):
        assert f"'{option}'" in power
    for name in ("core", "runtime"):
        assert f"Write-Stamp '{name}'" in power
    # Double quotes inside an argument are lost on the way to a program in 5.1.
    program = re.search(r"\$readWanted = @'\n(.*?)\n'@", power, re.DOTALL)
    assert program is not None
    assert '"' not in program[1]
    compile(program[1], "readWanted", "exec")


@pytest.mark.parametrize("name", SCRIPTS)
def test_parses_where_powershell_is(name: str) -> None:
    program = shutil.which("pwsh") or (sys.platform == "win32" and shutil.which("powershell"))
    if not program:
        pytest.skip("needs PowerShell")
    command = (
        "$errors = $null; [void][System.Management.Automation.Language.Parser]::ParseFile("
        f"'{PROJECT / name}', [ref]$null, [ref]$errors); exit $errors.Count"
    )
    assert subprocess.run([program, "-NoProfile", "-Command", command]).returncode == 0
