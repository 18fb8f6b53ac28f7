"""The screens in the README are what the demo shows."""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from tests.conftest import ROOT, Ran, run_process
from tests.docs.pages import README

# What depends on the machine that the screen was taken on.
_MACHINE = ("  Left out", "Cache directory")


def normal(line: str) -> str:
    """A line without what differs from run to run: sizes, numbers, revisions, times."""
    line = re.sub(r"\d[\d.]* (B|kB|MB|GB)\b", "SIZE", line)
    line = re.sub(r"revision [0-9a-f]{8}", "revision HEX", line)
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", line)
    line = re.sub(r"\bv\d[\w.]*", "VERSION", line)
    return re.sub(r": \d+", ": N", line).rstrip()


@pytest.fixture(scope="module")
def bootstrapped(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """`modelset bootstrap --demo`, in a checkout of its own."""
    checkout = tmp_path_factory.mktemp("checkout")
    ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
    shutil.copytree(ROOT / "shared", checkout / "shared", ignore=ignored)
    (checkout / "scripts").mkdir()
    environ = {
        "PATH": "",
        "HOME": str(checkout / "home"),
        "PYTHONPATH": str(checkout / "shared"),
        "PYTHONUTF8": "1",
    }
    return run_process(
        [sys.executable, "-m", "modelset", "bootstrap", "--demo"], env=environ, cwd=checkout
    )


@pytest.mark.parametrize("title", ["DOWNLOAD RESULTS", "ML MODEL STATUS CHECK"])
def test_every_line_of_the_screen_is_one_that_the_demo_shows(title: str, bootstrapped: Ran) -> None:
    (screen,) = [block.text for block in README.blocks if title in block.text]
    # Rows of keys say what this machine left out or could have besides.
    named = re.compile(r" {4}[\w-]+:| {6}\w| {4}\.\.\.")
    lines = [line for line in screen.splitlines() if line and not named.match(line)]
    real = {normal(line) for line in bootstrapped.stdout.splitlines()}
    lacking = [
        line
        for line in lines
        if normal(line) not in real and not any(word in line for word in _MACHINE)
    ]

    assert bootstrapped.code == 0, bootstrapped.stderr
    assert len(lines) > 20
    assert lacking == []


def test_normal_lines_keep_what_matters() -> None:
    shown = "  ✓ base      Cached (521 kB, revision 98b47cf6)"

    assert normal(shown) == "  ✓ base      Cached (SIZE, revision HEX)"
    assert normal(shown) != normal(shown.replace("Cached", "Missing"))
