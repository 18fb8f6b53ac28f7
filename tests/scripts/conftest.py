"""A copy of the user's scripts beside stubs: no package index, no models, no real pip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]

# What the scripts may use. A PATH of only these has no Python.
TOOLS = [
    *("awk", "bash", "cat", "chmod", "cp", "df", "dirname", "env", "grep", "ls", "mkdir"),
    *("readlink", "rm", "sed", "sh", "sleep", "tail", "uname"),
]

STUB_MODELSET = """
import json, os, signal, sys, time

record = os.environ.get("STUB_RECORD")
if os.environ.get("STUB_MODE") == "wait":
    def ended(number, frame):
        with open(record, "a") as file:
            file.write(f"models got {number}\\n")
        sys.exit(128 + number)
    if os.environ.get("STUB_DEAF"):
        ended = signal.SIG_IGN
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    with open(record, "a") as file:
        file.write(f"models {os.getpid()}\\n")
    time.sleep(30)
print(json.dumps({"args": sys.argv[1:], "cwd": os.getcwd(), "path": os.environ.get("PYTHONPATH")}))
sys.exit(int(os.environ.get("STUB_EXIT", "0")))
"""

STUB_PYTHON = """#!/bin/sh
case " $* " in
  *" -m pip "*)
    echo "pip $*" >>'{record}'
    {pip}
    ;;
  *" -m venv "*)
    for last in "$@"; do :; done
    echo "venv $last" >>'{record}'
    {venv}
    rm -rf "$last"
    mkdir -p "$last/bin"
    cp "$0" "$last/bin/python"
    echo 'home = stub' >"$last/pyvenv.cfg"
    ;;
  *"import ensurepip, venv"*) exit {has_venv} ;;
  *"import pip"*) exit 0 ;;
  *) exec '{python}' "$@" ;;
esac
"""


@dataclass
class Tree:
    """One copied project, and how to run a script of it."""

    root: Path
    record: Path
    tools: Path
    env: dict[str, str] = field(default_factory=dict)

    def add_python(
        self, name: str = "python3", *, pip: str = "exit 0", venv: str = ":", has_venv: int = 0
    ) -> Path:
        return self.write_stub(self.tools / name, pip=pip, venv=venv, has_venv=has_venv)

    def add_environment(self, *, pip: str = "exit 0") -> Path:
        (self.root / ".venv" / "bin").mkdir(parents=True)
        (self.root / ".venv" / "pyvenv.cfg").write_text("home = stub\n")
        return self.write_stub(self.root / ".venv" / "bin" / "python", pip=pip)

    def write_stub(self, path: Path, *, pip: str, venv: str = ":", has_venv: int = 0) -> Path:
        text = STUB_PYTHON.format(
            record=self.record, pip=pip, venv=venv, has_venv=has_venv, python=sys.executable
        )
        path.write_text(text)
        path.chmod(0o755)
        return path

    def start(
        self, script: str, *args: str, cwd: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.root / script), *args],
            cwd=cwd or self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, script: str, *args: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(script, *args, cwd=cwd, **env)
        out, err = process.communicate(timeout=20)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self, kind: str) -> list[str]:
        if not self.record.exists():
            return []
        return [line for line in self.record.read_text().splitlines() if line.startswith(kind)]


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    """A shell cannot trap what was ignored when it began, as it is below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(autouse=True)
def _hear_ctrl_c() -> Iterator[None]:
    """What is started in the background of a script ignores Ctrl-C, and hands that on to
    everything below it. A handler of ours becomes the default in a child."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    if os.name == "nt" or shutil.which("bash") is None:
        pytest.skip("needs bash")
    root = tmp_path / "a project"
    (root / "scripts").mkdir(parents=True)
    for name in ("scripts/bootstrap.sh", "check-models.sh"):
        shutil.copy(PROJECT / name, root / name)
    package = root / "shared" / "modelset"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STUB_MODELSET)
    (root / "shared" / "model_checker.py").write_text(STUB_MODELSET)
    (root / "pyproject.toml").write_text(
        '[project]\ndependencies = ["one>=1", "two"]\n'
        '[project.optional-dependencies]\nserver = ["fastapi>=1"]\n'
    )
    (root / "requirements.txt").write_text("# why\nthree==3\n")

    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (tools / name).symlink_to(found)
    record = tmp_path / "record"
    env = {"PATH": str(tools), "HOME": str(tmp_path), "STUB_RECORD": str(record)}
    return Tree(root, record, tools, env)
