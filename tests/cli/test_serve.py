"""modelset serve, before it listens: what it refuses to start with."""

from __future__ import annotations

import socket
import sys

import pytest
from tests.conftest import Project, RunModelset, run_process

pytest.importorskip("fastapi", reason="the extra `server` is not installed")


def test_an_address_that_strangers_reach_needs_a_token(run_modelset: RunModelset) -> None:
    ran = run_modelset("serve", "--host", "0.0.0.0", "--port", "0")
    assert ran.code == 13
    assert "error: 0.0.0.0 can be reached from other machines, and there is no token" in ran.stderr
    assert "hint: write one into a file and say `--token-file FILE`" in ran.stderr


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_token_file_without_a_token_is_no_token(
    run_modelset: RunModelset, project: Project, text: str | None
) -> None:
    file = project.folder / "token"
    if text is not None:
        file.write_text(text)
    ran = run_modelset("serve", "--host", "0.0.0.0", "--port", "0", "--token-file", str(file))
    assert ran.code == 2
    assert f"error: {file} is missing or empty" in ran.stderr


def test_an_address_that_is_taken_is_said(run_modelset: RunModelset) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run_modelset("serve", "--port", str(port))
    assert ran.code == 4
    assert f"error: cannot listen on 127.0.0.1:{port}: Address already in use" in ran.stderr


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "eighty", "port = 'eighty' is not a whole number from 0 to 65535"),
        ("PORT", "65536", "is not a whole number from 0 to 65535"),
        ("TRANSFERS", "0", "transfers = '0' is not a whole number from 1 to 64"),
        ("UPDATE_CHECK", "often", "update_check = 'often' is no time such as 24h, and not off"),
        ("DOWNLOAD_ON_START", "maybe", "download_on_start = 'maybe' should be true or false"),
    ],
)
def test_a_wrong_setting_is_an_error(
    run_modelset: RunModelset, name: str, value: str, words: str
) -> None:
    ran = run_modelset("serve", env={f"MODELSET_SERVER_{name}": value})
    assert ran.code == 2
    assert words in ran.stderr


def test_without_the_extra_it_says_what_to_install(project: Project) -> None:
    program = (
        "import sys; sys.modules['fastapi'] = None\n"
        "from modelset.cli.main import run; run(['serve'])"
    )
    ran = run_process([sys.executable, "-c", program], env=project.environ, cwd=project.folder)
    assert ran.code == 2
    assert "the service needs a library that is not installed: fastapi" in ran.stderr
    assert "hint: run `./scripts/bootstrap.sh --server`" in ran.stderr
