"""A real Prometheus scrapes the service, and answers questions about it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Serve

pytest.importorskip("prometheus_client", reason="the extra `server` is not installed")

CONFIG = """\
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: modelset
    authorization:
      credentials_file: {token}
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


class Prometheus:
    """A running Prometheus that scrapes one service every second."""

    def __init__(self, program: str, folder: Path, service: int, token: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder.mkdir()
        config = folder / "prometheus.yml"
        config.write_text(CONFIG.format(port=service, token=token))
        self.log = folder / "log"
        with self.log.open("w") as words:
            self.process = subprocess.Popen(
                [
                    program,
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=folder,
            )

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer, None while it does not answer."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, query: str) -> float | None:
        """What a query that gives one number gives, None when it gives nothing."""
        data = self.ask("query", query=query)
        rows = data["result"] if data else []
        return float(rows[0]["value"][1]) if rows else None

    def until(self, query: str, value: float) -> None:
        """Wait until a query gives this value."""
        end = time.monotonic() + 40
        while (found := self.value(query)) != value:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"{query} is {found}, {self.ask('targets')}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The file with the token of the service."""
    path = tmp_path / "token"
    path.write_text("canary-0123456789\n")
    return path


@pytest.fixture
def scraped(serve: Serve, tmp_path: Path, token: Path) -> Iterator[tuple[Any, Prometheus]]:
    """A service, and a Prometheus that knows its token."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    server = serve("--token-file", str(token))
    server.headers["Authorization"] = f"Bearer {token.read_text().strip()}"
    running = Prometheus(program, tmp_path / "prometheus", server.port, token)
    try:
        yield server, running
    finally:
        running.stop()


def test_a_real_prometheus_sees_a_download(scraped: tuple[Any, Prometheus]) -> None:
    server, prometheus = scraped
    prometheus.until('up{job="modelset"}', 1)
    missing = len(
        [row for row in server.get("/v1/models").json["models"] if row["tier"] == "critical"]
    )
    prometheus.until("modelset_critical_missing", missing)
    assert prometheus.value('sum(modelset_models{state="present"})') is None
    job = server.start("download", keys=["whisper:base", "vad:silero"])
    assert server.wait(job["id"])["state"] == "succeeded"
    prometheus.until('sum(modelset_models{state="present"})', 2)
    prometheus.until("modelset_critical_missing", missing - 2)
    prometheus.until('sum(modelset_downloads_finished_total{result="downloaded"})', 2)
    want = server.get("/v1/models/whisper:base").json["bytes_want"]
    prometheus.until('modelset_download_bytes_total{source="huggingface"}', want)
    prometheus.until('modelset_jobs{state="succeeded"}', 1)
    age = prometheus.value("time() - modelset_last_check_timestamp_seconds")
    assert age is not None and age < 60  # noqa: PT018
    prometheus.until("modelset_http_request_duration_seconds_count{route='/metrics'} > bool 0", 1)
    (target,) = prometheus.ask("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    known = prometheus.ask("metadata")
    own = {name: rows[0]["type"] for name, rows in known.items() if name.startswith("modelset_")}
    assert own["modelset_download_duration_seconds"] == "histogram"
    # The form of OpenMetrics, which Prometheus asks for, names a counter without its ending.
    assert "counter" in (own.get("modelset_stalls"), own.get("modelset_stalls_total"))
    assert own["modelset_models"] == "gauge"
