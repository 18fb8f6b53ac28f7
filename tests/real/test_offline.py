"""`check` and what else only looks: no network, no socket, no library of a model."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from tests.conftest import run_process
from tests.real.conftest import Placed

LOOKING = {
    "check": ["check", "--json"],
    "check --deep": ["check", "--deep", "--json"],
    "list": ["list", "--json"],
    "hardware": ["hardware", "--json"],
    "paths": ["paths", "--json"],
    "env": ["env", "--json"],
}

# Writes what is loaded when the command ends, then ends as the command does.
DUMP = """
import sys
from modelset.cli.main import main
code = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write("\\n".join(sorted(sys.modules)))
sys.exit(code)
"""

LIBRARIES = {
    *("torch", "spacy", "faster_whisper", "ctranslate2", "silero_vad", "transformers", "numpy"),
    *("huggingface_hub", "requests", "httpx", "urllib3", "certifi"),
}
SOCKETS = {"pycurl", "socket", "_socket", "ssl", "_ssl", "http.client", "urllib.request", "asyncio"}


def steady(document: object) -> str:
    """A document without what differs from run to run."""
    return re.sub(r'"(profiled_at|disk_free_bytes)": [^,]+', "", json.dumps(document))


@pytest.mark.parametrize("command", LOOKING)
def test_the_answer_is_the_same_without_a_network(
    placed: Placed, cut_off: tuple[str, ...], command: str
) -> None:
    before = placed.modelset(*LOOKING[command])
    after = placed.modelset(*LOOKING[command], before=cut_off)
    assert before.json is not None, before.stderr
    assert (after.code, after.stderr) == (before.code, before.stderr)
    assert steady(after.json) == steady(before.json)


def test_check_says_without_a_network_that_the_models_are_there(
    placed: Placed, cut_off: tuple[str, ...]
) -> None:
    keys = ["whisper:base", "vad:silero", "spacy:en_core_web_trf", "mlx-here:large-v3"]
    ran = placed.modelset("check", *keys, "--deep", "--json", before=cut_off)
    assert ran.code == 0, ran.stderr
    found = {row["key"]: row["presence"] for row in ran.json["data"]["models"]}
    assert found == dict.fromkeys(keys, "present")


@pytest.mark.parametrize("command", LOOKING)
def test_no_socket_of_the_internet_is_opened(placed: Placed, tmp_path: Path, command: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "strace.log"
    tracing = ("strace", "-f", "-e", "trace=network,openat", "-o", str(log))
    probe = run_process([*tracing, "true"], env=placed.environ)
    if probe.code != 0:
        pytest.skip("this machine does not let strace follow a process")
    ran = placed.modelset(*LOOKING[command], before=tracing)
    assert ran.json is not None, ran.stderr
    trace = log.read_text(errors="replace")
    # The trace is whole: the last file of the run is in it.
    assert "modelset.toml" in trace
    assert "AF_INET" not in trace
    assert not re.search(r"^\d+ +(socket|connect|sendto|sendmsg)\(", trace, re.MULTILINE)


def test_strace_would_show_a_socket(placed: Placed, tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    log = tmp_path / "strace.log"
    command = ["strace", "-f", "-e", "trace=network", "-o", str(log), sys.executable, "-c"]
    script = "import socket; socket.socket().close(); print('opened')"
    ran = run_process([*command, script], env=placed.environ)
    if ran.stdout != "opened\n":
        pytest.skip("this machine does not let strace follow a process")
    assert "AF_INET" in log.read_text()


@pytest.mark.parametrize("command", LOOKING)
def test_neither_libraries_of_models_nor_sockets_are_loaded(
    placed: Placed, tmp_path: Path, command: str
) -> None:
    loaded = tmp_path / "modules.txt"
    words = [sys.executable, "-c", DUMP, loaded, *LOOKING[command]]
    ran = run_process(words, env=placed.environ, cwd=placed.folder)
    assert ran.json is not None, ran.stderr
    modules = set(loaded.read_text().splitlines())
    assert "modelset.settings" in modules
    assert modules & (LIBRARIES | SOCKETS) == set()
