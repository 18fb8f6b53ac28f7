"""A running service under load: who asks for models, and who watches a job."""

import asyncio
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "bench:large"
CLIENTS = 50
READERS = 200
# What a reader that was ended in the same moment may lack: what came meanwhile.
_LATE = 4
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


@dataclass(slots=True)
class Server:
    """A running service and a client of it."""

    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def begin(self) -> str:
        """A download of the large file that runs now."""
        job = str(self.ask("POST", "/v1/jobs", {"action": "download", "keys": [KEY]})["id"])
        while self.ask("GET", f"/v1/jobs/{job}")["state"] == "queued":
            time.sleep(0.05)
        return job

    def stop(self, job: str) -> None:
        """End a job, which has to be running until then."""
        state = self.ask("GET", f"/v1/jobs/{job}")
        if state["state"] != "running":
            sys.exit(f"the download did not last: {state}")
        self.ask("DELETE", f"/v1/jobs/{job}")
        while self.ask("GET", f"/v1/jobs/{job}")["state"] == "running":
            time.sleep(0.1)

    @property
    def memory(self) -> float:
        """MiB of the process, without its commands; only Linux tells."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


@contextlib.contextmanager
def service(environ: dict[str, str], said: Path) -> Iterator[Server]:
    """A service on a free port."""
    with said.open("w") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelset", "serve", "--port", "0"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        ends = time.monotonic() + 30
        while not (found := re.search(r"serving on \S+:(\d+)", said.read_text())):
            if process.poll() is not None or time.monotonic() > ends:
                sys.exit(f"the service does not start: {said.read_text()}")
            time.sleep(0.05)
        yield Server(process, int(found[1]))
    finally:
        process.terminate()
        process.wait(20)


@dataclass(slots=True)
class Watch:
    """Reads one job's events in a thread, and keeps when how much was there."""

    server: Server
    job: str
    seen: list[tuple[float, int]] = field(default_factory=list)

    def __call__(self) -> None:
        """Read until the job is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {"Accept": "application/x-ndjson"}
        connection.request("GET", f"/v1/jobs/{self.job}/events", headers=headers)
        for line in connection.getresponse():
            event = json.loads(line) if line.strip() else {}
            if event.get("event") == "moved":
                self.seen.append((time.monotonic(), event["bytes"]))
        connection.close()

    def rate(self, since: float, until: float) -> float:
        """MB a second within a window."""
        within = [row for row in self.seen if since <= row[0] <= until]
        (first, before), (last, after) = within[0], within[-1]
        return (after - before) / (last - first) / 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk measured; latencies in milliseconds."""

    requests: float
    median: float
    p99: float
    wrong: int


def wrk(server: Server, seconds: int) -> Load:
    """Ask for all models as fast as 50 connections can."""
    url = f"http://127.0.0.1:{server.port}/v1/models"
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{seconds}s", "--timeout", "10s", "--latency", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    percentiles = {
        percent: float(value) * _UNITS[unit]
        for percent, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)\s", said)
    }
    wrong = [int(count) for count in re.findall(r"Non-2xx or 3xx responses: (\d+)", said)]
    for errors in re.findall(r"Socket errors: (.+)", said):
        wrong += [int(count) for count in re.findall(r"\d+", errors)]
    return Load(float(rate), percentiles["50"], percentiles["99"], sum(wrong))


@dataclass(slots=True)
class Stream:
    """What one reader of events got."""

    numbers: list[int] = field(default_factory=list)
    whole: bool = False

    async def read(self, port: int, job: str) -> None:
        """Read until somebody ends it; ending by itself is a drop."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"id: "):
                    self.numbers.append(int(line[4:]))
        except asyncio.CancelledError:
            self.whole = True
        finally:
            writer.close()


@dataclass(slots=True)
class Streams:
    """All readers, and the memory of the service meanwhile, in MiB."""

    before: float
    memory: list[float]
    streams: list[Stream]

    @property
    def dropped(self) -> int:
        """Readers whose stream ended, went backwards, or lacks what the others got at its end."""
        ends = max((stream.numbers[-1] for stream in self.streams if stream.numbers), default=0)
        return sum(
            not stream.whole
            or not stream.numbers
            or stream.numbers[-1] < ends - _LATE
            or any(one >= other for one, other in itertools.pairwise(stream.numbers))
            for stream in self.streams
        )

    @property
    def growth(self) -> float:
        """MiB from when all were connected to the end."""
        return self.memory[-1] - self.memory[0]


async def watched(server: Server, seconds: int) -> Streams:
    """200 readers of one running job, for a while."""
    job = await asyncio.to_thread(server.begin)
    found = Streams(server.memory, [], [Stream() for _ in range(READERS)])
    tasks = [asyncio.create_task(stream.read(server.port, job)) for stream in found.streams]
    await asyncio.sleep(3)
    found.memory.append(server.memory)
    for _ in range(6):
        await asyncio.sleep(seconds / 6)
        found.memory.append(server.memory)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks)
    await asyncio.to_thread(server.stop, job)
    return found
