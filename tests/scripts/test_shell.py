from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTS = ["check-models.sh", "scripts/bootstrap.sh", "scripts/test.sh", ".ci/run"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.mark.parametrize("name", SCRIPTS)
def test_form(name: str) -> None:
    path = PROJECT / name
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path]).returncode == 0


@pytest.mark.parametrize("name", SCRIPTS[:3])
def test_nothing_newer_than_the_bash_of_macos(name: str) -> None:
    code = re.sub(r"^\s*#.*$", "", (PROJECT / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    newer = r"mapfile|readarray|declare -A|local -A|wait -n|\$\{\w+(,,|\^\^|@)|&>>|\|&|coproc"
    assert not re.search(newer, code)


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck(name: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    done = subprocess.run(["shellcheck", PROJECT / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_test_script_explains_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROJECT / "scripts/test.sh", "--quick", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: scripts/test.sh")


def test_no_index_is_written_down() -> None:
    for name in [*SCRIPTS, "requirements.txt", "scripts/bootstrap.ps1", "check-models.ps1"]:
        text = (PROJECT / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url[ =]|--find-links", text), name


def test_torch_is_pinned_exactly() -> None:
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("torch")] == ["torch==2.13.0"]
    assert not any(line.startswith(("silero", "openai-whisper")) for line in lines)
