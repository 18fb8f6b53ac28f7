"""Fixtures: a running hub, plain requests to it, and programs run against it."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest

SOURCE_ROOT = Path(__file__).resolve().parents[2] / "shared"
if str(SOURCE_ROOT) not in sys.path:
    sys.path.insert(0, str(SOURCE_ROOT))

from modelset.demo.hub import DemoHub  # noqa: E402

# Nothing of the machine's own settings reaches the programs that the tests run.
_DROPPED = ("HF_", "HUGGINGFACE_", "PIP_", "XDG_", "TRANSFORMERS_", "PYTEST_")


@dataclass(frozen=True, slots=True)
class Fetched:
    """One answer, redirects not followed."""

    status: int
    headers: Message
    body: bytes


Fetch = Callable[..., Fetched]
RunPython = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hub() -> Iterator[DemoHub]:
    """Return a running hub of this test's own."""
    with DemoHub() as running:
        yield running


@pytest.fixture
def fetch() -> Fetch:
    """Return a function that makes one request on a connection of its own."""

    def make(
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        try:
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            connection.request(method, target, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Fetched(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    return make


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    """Return a function that runs Python with a clean environment and a home in `tmp_path`."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_DROPPED)}
        own = {
            "HOME": str(tmp_path / "home"),
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(SOURCE_ROOT),
            "NO_PROXY": "127.0.0.1",
        }
        return subprocess.run(
            [sys.executable, *arguments],
            env={**kept, **own, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
