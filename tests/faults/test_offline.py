"""No network at all: every model says so once, soon, and with a way out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
from tests.faults.answers import File, bytes_of
from tests.faults.origin import Origin
from tests.faults.project import DOOR, Project, Ran, Running


def _cut_off() -> Sequence[str]:
    """What runs a command in a network namespace of its own, which has no network at all."""
    if shutil.which("unshare"):
        for way in (("unshare", "-rn"), ("unshare", "-n")):
            done = subprocess.run([*way, "true"], capture_output=True, timeout=10, check=False)
            if done.returncode == 0:
                return way
    return ()


CUT_OFF = _cut_off()
pytestmark = pytest.mark.skipif(not CUT_OFF, reason="unshare is not there or not permitted")


def run_cut_off(project: Project, *arguments: str) -> Ran:
    command = [*CUT_OFF, sys.executable, str(DOOR), *arguments]
    running = Running(command, project.env, project.root)
    try:
        return running.end(30)
    finally:
        running.process.kill()


def test_without_a_network_every_default_model_fails_once_and_soon(project: Project) -> None:
    ran = run_cut_off(project)
    sys.stdout.write(f"without a network: {ran.seconds:.1f} s\n")
    assert ran.code == 5
    assert ran.seconds < 10.0
    assert "Traceback" not in ran.stdout + ran.stderr
    document = run_cut_off(project, "--json")
    assert document.code == document.document["exit_code"] == 5
    assert document.seconds < 10.0
    outcomes = document.outcomes
    assert {"whisper:base", "vad:silero"} <= set(outcomes)
    for key, outcome in outcomes.items():
        assert outcome["failure"]["code"] == "network-unreachable", key
        assert "--demo" in outcome["failure"]["hint"]
        said = re.findall(rf"^\S+Z {re.escape(key)} failed.*$", ran.stderr, re.MULTILINE)
        assert len(said) == 1, f"{key} was said {len(said)} times on stderr"
        name = re.escape(key.partition(":")[2])
        rows = re.findall(rf"^ +\S {name} .*$", ran.stdout, re.MULTILINE)
        assert len(rows) == 1, f"{key} was said {len(rows)} times on stdout"
        assert "network-unreachable" in rows[0]
    assert ran.stdout.count("network-unreachable") == len(outcomes)
    assert "./scripts/bootstrap.sh --demo" in ran.stdout
    assert not (project.root / "models.lock.json").exists()
    assert not list(project.models.rglob("*.part"))


def test_without_a_network_a_lock_changes_nothing_of_that(project: Project, origin: Origin) -> None:
    data = bytes_of("m", 1000)
    key = project.model("m", origin.serve("/m", File(data)), data)
    other = project.model("other", "https://packages.example.org/other", data[:9])
    assert project.run(key).code == 0
    requests = len(origin.requests)
    ran = run_cut_off(project, key, other, "--json")
    assert ran.outcomes[key]["result"] == "ready"
    assert ran.failure(other)["code"] == "network-unreachable"
    assert "--demo" in ran.failure(other)["hint"]
    assert ran.code == 5
    assert ran.seconds < 10.0
    assert run_cut_off(project, key).code == 0, "what is there needs no network"
    assert len(origin.requests) == requests


def test_no_address_but_a_secure_one_is_asked_for_without_a_mirror_that_says_so(
    project: Project,
) -> None:
    # In here every connect would fail with `network-unreachable`: nothing has tried one.
    key = project.model("m", "http://192.0.2.1/m", b"abc")
    ran = run_cut_off(project, key, "--json")
    assert ran.failure(key)["code"] == "address-refused"
    assert "http://192.0.2.1/m" in ran.failure(key)["message"]
    assert "allow_http" in ran.failure(key)["hint"]
    assert ran.code == 13
