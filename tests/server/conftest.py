"""The real service as a child process, on a project of the test's own and the demo hub."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project

pytest.importorskip("fastapi", reason="the extra `server` is not installed")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Server:
    """A running service, and a client of it."""

    process: subprocess.Popen[str]
    port: int
    log: Path
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            given = {**self.headers, **(headers or {})}
            data = body
            if body is not None and not isinstance(body, bytes):
                data = json.dumps(body).encode()
            if data is not None:
                given.setdefault("Content-Type", "application/json")
            connection.request(method, path, data, given)
            answer = connection.getresponse()
            found = {name.lower(): text for name, text in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("POST", path, body, headers)

    def start(self, action: str, **options: Any) -> dict[str, Any]:
        """A new job."""
        answer = self.post("/v1/jobs", {"action": action, **options})
        assert answer.status == 202, answer.body
        return dict(answer.json)

    def job(self, name: str) -> dict[str, Any]:
        return dict(self.get(f"/v1/jobs/{name}").json)

    def wait(self, name: str, within_s: float = 60.0) -> dict[str, Any]:
        """A job, once it is over."""
        end = time.monotonic() + within_s
        while (job := self.job(name))["state"] in ("queued", "running"):
            assert time.monotonic() < end, f"{job} is not over within {within_s} s"
            time.sleep(0.05)
        return job

    def wait_until(self, name: str, state: str, within_s: float = 30.0) -> dict[str, Any]:
        end = time.monotonic() + within_s
        while (job := self.job(name))["state"] != state:
            assert time.monotonic() < end, f"{job} is not {state} within {within_s} s"
            time.sleep(0.02)
        return job

    def events(self, name: str, **headers: str) -> list[dict[str, Any]]:
        """All events of a job, until it is over; each with its `id`."""
        text = self.get(f"/v1/jobs/{name}/events", **headers).body.decode()
        return [parse_event(block) for block in text.split("\n\n") if block.startswith("id:")]

    def stop(self, number: int = signal.SIGTERM, within_s: float = 15.0) -> int:
        """Send a signal, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(within_s)


def parse_event(block: str) -> dict[str, Any]:
    """One block of server-sent events."""
    rows = dict(line.partition(": ")[::2] for line in block.splitlines())
    return {**json.loads(rows["data"]), "id": int(rows["id"])}


Serve = Callable[..., Server]

# The smallest of the models that tests watch, whisper:base with 521 kB, takes 26 s then: longer
# than any test waits for a step of it.
SLOW = {"MODELSET_DOWNLOAD_LIMIT_RATE": "20K"}


@pytest.fixture
def serve(project: Project, hub_config: str, tmp_path: Path) -> Iterator[Serve]:
    """Starts services on the test's project; all of them have ended after the test.

    `config` is put behind the settings that lead to the demo hub; a `[download]` or `[policy]`
    section is there already, so use `env` for those.
    """
    project.config.write_text(hub_config)
    running: list[Server] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None, config: str = "") -> Server:
        if config:
            project.config.write_text(f"{hub_config}\n{config}\n")
        log = tmp_path / f"server-{len(running)}.log"
        with log.open("w") as words:
            process = subprocess.Popen(
                [sys.executable, "-m", "modelset", "serve", "--port", "0", *arguments],
                env={**project.environ, "HF_TOKEN": "hf_demo", **(env or {})},
                cwd=project.folder,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                text=True,
            )
        server = Server(process, 0, log)
        running.append(server)
        end = time.monotonic() + 30
        while "serving on http" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, "it does not answer within 30 s"
            time.sleep(0.02)
        line = next(row for row in log.read_text().splitlines() if row.startswith("serving on"))
        server.port = int(line.rpartition(":")[2])
        return server

    yield start
    for server in running:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(10)


@pytest.fixture
def server(serve: Serve) -> Server:
    """A service without a token."""
    return serve()
