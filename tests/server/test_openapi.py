"""The OpenAPI description: kept in the tree, and kept by every route under any input."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.server.conftest import Serve, Server

ROOT = Path(__file__).resolve().parents[2]
RUN = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"

needs_schemathesis = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)

# What the service may answer although a check takes it for a mistake, each with its reason.
SETTINGS = """
# A category or component that the catalog has not is refused; no grammar can say which it has.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 429, 503]

# These stand for all others; every one would be a quarter of the requests.
[phases.coverage]
unexpected-methods = ["PUT", "OPTIONS", "TRACE"]

# 503 is how a probe learns that critical models are missing.
[[operations]]
include-path = ["/readyz", "/healthz", "/models/health"]
[operations.checks.not_a_server_error]
enabled = false
"""
# Things that are there, so that not every answer is a 404.
KNOWN = """
[parameters]
"path.id" = "{job}"
"path.key" = "whisper:base"
"query.key" = ["whisper:base"]
"""


def fuzzed(server: Server, folder: Path, settings: str, arguments: Sequence[str]) -> str:
    """What schemathesis says of a server; always the same requests for the same routes."""
    (folder / "schemathesis.toml").write_text(settings)
    done = subprocess.run(
        [
            *(sys.executable, "-c", RUN, "run", f"{server.url}/v1/openapi.json"),
            *("--generation-deterministic", "--continue-on-failure", "--request-timeout", "30"),
            *("--warnings", "off", "--no-color", *arguments),
        ],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_in_the_tree_is_what_the_routes_say() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_openapi.py"), "--check"],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"run scripts/make_openapi.py\n{done.stdout[:3000]}{done.stderr}"


@needs_schemathesis
def test_no_input_breaks_the_contract_of_a_route(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    said = fuzzed(
        server, tmp_path, SETTINGS, ("--phases", "coverage,fuzzing", "--max-examples", "10")
    )
    count = len(server.get("/v1/openapi.json").json["paths"])
    assert "Failures" not in said
    assert count >= 12
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert server.get("/livez").status == 200


@needs_schemathesis
def test_no_input_breaks_the_contract_where_there_is_something(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve()
    job = server.start("verify", fast=True)
    server.wait(job["id"])
    said = fuzzed(
        server,
        tmp_path,
        SETTINGS + KNOWN.format(job=job["id"]),
        (
            *("--phases", "fuzzing", "--max-examples", "10"),
            *("--include-path-regex", r"^/v1/(jobs/|models/|plan)"),
        ),
    )
    assert "Failures" not in said
    assert "Traceback" not in server.log.read_text()
