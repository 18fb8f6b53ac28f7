"""The demo hub as a child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SOURCE_ROOT = Path(__file__).resolve().parents[2] / "shared"


@contextmanager
def _child(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "modelset.demo", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline() or "{}")
    finally:
        process.kill()
        process.communicate()


def _open(address: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address) as answer:
        return bytes(answer.read())


def _end_of(process: subprocess.Popen[str], started: float) -> None:
    _, complaints = process.communicate(timeout=5)
    assert time.monotonic() - started < 0.5
    assert (process.returncode, complaints) == (0, "")


def test_says_where_it_is_and_ends_with_its_parent() -> None:
    with _child() as (process, ready):
        assert ready["schema_version"] == 1
        assert set(ready) == {"schema_version", "hub", "cdn", "tables"}
        assert b"silero" in _open(ready["hub"] + "/simple/")
        started = time.monotonic()
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        _end_of(process, started)


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_on_a_signal(number: signal.Signals) -> None:
    with _child() as (process, _):
        started = time.monotonic()
        process.send_signal(number)
        _end_of(process, started)


def test_log(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with _child("--log", str(log), "--no-token-needed", "--latency", "1") as (_, ready):
        _open(ready["hub"] + "/hf/pyannote/segmentation-3.0/resolve/main/pytorch_model.bin")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["origin"], line["method"], line["status"]) for line in lines] == [
        ("hub", "GET", 302),
        ("cdn", "GET", 200),
    ]


def test_port_in_use() -> None:
    with _child() as (_, ready):
        port = ready["hub"].rpartition(":")[2]
        with _child("--port", port) as (second, nothing):
            _, complaints = second.communicate(timeout=5)
            assert nothing == {}
            assert second.returncode == 1
            assert complaints.startswith("modelset.demo: ")
            assert "Traceback" not in complaints
