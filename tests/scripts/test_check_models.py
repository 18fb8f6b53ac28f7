from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from .conftest import Tree

CHECK = "check-models.sh"


def test_hands_on_arguments_and_exit_code(tree: Tree) -> None:
    tree.add_environment()
    done = tree.run(CHECK, "--whisper-models", "base", "a b", "", STUB_EXIT="4")
    assert done.returncode == 4
    assert json.loads(done.stdout)["args"] == ["--whisper-models", "base", "a b", ""]
    assert done.stderr == ""


def test_through_a_link_from_another_folder(tree: Tree, tmp_path: Path) -> None:
    tree.add_environment()
    link = tmp_path / "check"
    link.symlink_to("a project/check-models.sh")
    done = tree.run(os.path.relpath(link, tree.root), cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["cwd"] == str(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_checker_itself(tree: Tree, number: signal.Signals) -> None:
    tree.add_environment()
    process = tree.start(CHECK, STUB_MODE="wait")
    end = time.monotonic() + 5
    while not tree.calls("models"):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert tree.calls("models")[0] == f"models {process.pid}"  # exec: no shell in between
    process.send_signal(number)
    process.communicate(timeout=5)
    assert process.returncode == 128 + number


def test_without_an_environment_another_python_will_do(tree: Tree) -> None:
    tree.add_python("python3")
    done = tree.run(CHECK, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["args"] == ["--json"]
    assert "hint: no environment here yet" in done.stderr


def test_without_any_python(tree: Tree) -> None:
    done = tree.run(CHECK)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no environment in ")
    assert "hint: run " in done.stderr
