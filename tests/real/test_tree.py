"""The doors in a copy of the tree: the demo set, then the same again without a request."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import ROOT, Ran, run_process


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a checkout needs to run, in a path with a space and apart from this one."""
    copy = tmp_path / "a copy"
    left_out = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info")
    shutil.copytree(ROOT / "shared", copy / "shared", ignore=left_out)
    (copy / "scripts").mkdir()
    return copy


def door(tree: Path, name: str, *arguments: str) -> Ran:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tree / "home"), "PYTHONUTF8": "1"}
    command = [sys.executable, tree / "shared" / name, "--demo", *arguments]
    return run_process(command, env=environ, cwd=tree.parent)


def test_the_demo_set_comes_once_and_a_second_run_asks_for_nothing(tree: Path) -> None:
    first = door(tree, "model_downloader.py", "--json")
    assert first.code == 0, first.stderr
    outcomes = first.json["data"]["outcomes"]
    assert {row["result"] for row in outcomes} == {"downloaded"}
    assert {"whisper:base", "vad:silero", "spacy:en_core_web_trf"} <= {
        row["key"] for row in outcomes if row["tier"] == "critical"
    }
    log = tree / "out" / "demo" / "requests.log"
    assert "model.bin" in log.read_text()

    began = time.monotonic()
    again = door(tree, "model_downloader.py", "--json")
    seconds = time.monotonic() - began
    assert again.code == 0, again.stderr
    assert {row["result"] for row in again.json["data"]["outcomes"]} == {"ready"}
    assert log.read_text() == ""
    assert seconds < 2, "a run with nothing to do has to end in two seconds"

    checked = door(tree, "model_checker.py", "--json", "--strict", "--deep")
    assert checked.code == 0, checked.stderr
    found = {row["key"]: row["presence"] for row in checked.json["data"]["models"]}
    assert found == {row["key"]: "present" for row in outcomes}
