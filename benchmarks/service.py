#!/usr/bin/env python3
"""Measures the service under load, beside a download: python benchmarks/service.py

wrk asks for /v1/models while a job brings a large file from nginx; then 200 readers watch one job
for a minute. The download's rates alone, beside wrk, and beside a program that only computes are
taken in windows of the same download, in turn, so that a busy machine disturbs all alike.
"""

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"
sys.path[:0] = [str(SHARED), str(ROOT)]

from benchmarks.origin import Origin  # noqa: E402
from benchmarks.page import Section, targets_table  # noqa: E402
from benchmarks.servers import CAP, MIB, nginx  # noqa: E402
from benchmarks.service_load import (  # noqa: E402
    CLIENTS,
    READERS,
    Load,
    Server,
    Streams,
    Watch,
    service,
    watched,
    wrk,
)
from benchmarks.store import Store  # noqa: E402
from benchmarks.tools import tables  # noqa: E402

MODELS, FILES = 200, 6
CONNECTIONS = 2
LARGE = 2048 * MIB
# The rate of the job that is watched, which must not end within the time of its readers.
WATCHED_RATE = "5M"
# What has to be shown.
REQUESTS, P99_MS, KEPT, GROWTH_MIB = 300, 250, 90, 8


@dataclass(slots=True)
class Round:
    """One download: its rate alone, beside wrk and beside a busy program, and what wrk measured."""

    alone: float
    loaded: float
    computing: float
    load: Load


def compute(seconds: int) -> None:
    """Keep one core busy: what any other program costs a download on this machine."""
    with subprocess.Popen([sys.executable, "-I", "-c", "while True: pass"]) as process:
        time.sleep(seconds)
        process.kill()


def one_round(server: Server, seconds: int, turn: int) -> Round:
    """Three windows of one download; each comes first in its turn."""
    job = server.begin()
    watch = Watch(server, job)
    reader = threading.Thread(target=watch)
    reader.start()
    while len(watch.seen) < 8:  # two seconds, in which the connections find their rate
        time.sleep(0.05)
    rates: dict[str, float] = {}
    loads: list[Load] = []
    doings: dict[str, Callable[[], object]] = {
        "alone": lambda: time.sleep(seconds),
        "loaded": lambda: loads.append(wrk(server, seconds)),
        "computing": lambda: compute(seconds),
    }
    for name in [*doings, *doings][turn % 3 : turn % 3 + 3]:
        since = time.monotonic()
        doings[name]()
        until = time.monotonic()
        time.sleep(1)
        rates[name] = watch.rate(since, until)
    server.stop(job)
    reader.join(20)
    return Round(**rates, load=loads[0])


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured."""

    idle: Load
    rounds: list[Round]
    streams: Streams
    seconds: int

    @property
    def section(self) -> Section:
        """What has to be shown, as medians of the rounds."""
        loads = [one.load for one in self.rounds]
        kept = statistics.median(one.loaded / one.alone for one in self.rounds)
        found = Section("The service under load", "")
        found.at_least(
            "requests a second on `/v1/models`",
            REQUESTS,
            statistics.median(load.requests for load in loads),
            "",
        )
        found.at_most("their p99", P99_MS, statistics.median(load.p99 for load in loads), " ms")
        found.at_most("of these failed", 0, sum(load.wrong for load in loads), "")
        found.at_least("rate of the download beside them, of that alone", KEPT, 100 * kept, " %")
        found.at_most(f"of {READERS} event streams dropped", 0, self.streams.dropped, "")
        found.at_most("growth of the memory meanwhile", GROWTH_MIB, self.streams.growth, " MiB")
        return found


def measure(folder: Path, rounds: int, window: int, seconds: int) -> Found:
    """All cases, over one set of models."""
    store = Store(f"{MODELS} models", MODELS, FILES, folder / "store")
    store.build()
    large = Origin(folder / "origin").add("bench/large", {"model.bin": LARGE})
    with (folder / "store" / "modelset.toml").open("a") as config:
        config.write("\n" + tables((large,)))
    with nginx(folder / "nginx", folder / "origin") as (ports, _):
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        environ = {
            **kept,
            **store.environ,
            "HOME": str(folder / "home"),
            "HF_ENDPOINT": f"http://127.0.0.1:{ports.capped}",
            "MODELSET_DOWNLOAD_CONNECTIONS": str(CONNECTIONS),
            "PYTHONPATH": str(SHARED),
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        }
        measured = []
        with service(environ, folder / "said") as server:
            shown = server.ask("GET", "/v1/models")["models"]
            ready = sum(row["presence"] == "present" for row in shown)
            if ready != MODELS:
                sys.exit(f"{ready} of {MODELS} models are seen")
            wrk(server, 2)  # warms up
            idle = wrk(server, window)
            for number in range(rounds):
                one = one_round(server, window, number)
                print(f"  {number + 1}. {one}", flush=True)
                measured.append(one)
                shutil.rmtree(folder / "store" / "models" / "downloads")
        slow = {**environ, "MODELSET_DOWNLOAD_LIMIT_RATE": WATCHED_RATE}
        with service(slow, folder / "said") as server:
            streams = asyncio.run(watched(server, seconds))
    return Found(idle, measured, streams, seconds)


def page(found: Found, window: int) -> list[str]:
    """The lines of the page: words about the machine that name nobody."""
    how = (
        f"Written by `python benchmarks/service.py`. wrk, one thread, {CLIENTS} connections, asks"
        f" for `/v1/models`: {MODELS} models of {FILES} files and the default set. Meanwhile a job"
        f" of the service brings a large file from nginx over {CONNECTIONS} connections of"
        f" {CAP // MIB} MiB a second each. Every download has a window of {window} s alone, one"
        " with wrk, and one with a program that does nothing but compute on one core, in turns; its"
        " rate is that of the bytes that its events name. Service, command, nginx and wrk share the"
        " machine, so the last window says what any other program costs."
    )
    packages = ", ".join(f"{name} {version(name)}" for name in ("uvicorn", "fastapi"))
    machine = (
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, {packages}."
    )
    lines = ["# The service under load", "", how, "", machine, ""]
    lines += targets_table([found.section])
    lines += [
        "",
        "## Requests beside a download",
        "",
        "| round | requests/s | median | p99 | download alone | beside wrk | beside computing |",
        "|---|---:|---:|---:|---:|---:|---:|",
        f"| no download | {_cells(found.idle)} | | | |",
    ]
    for number, one in enumerate(found.rounds, 1):
        beside = [
            f"{rate:.1f} MB/s, {rate / one.alone:.0%}" for rate in (one.loaded, one.computing)
        ]
        cells = f"{_cells(one.load)} | {one.alone:.1f} MB/s | {' | '.join(beside)}"
        lines.append(f"| {number} | {cells} |")
    streams = found.streams
    counts = [len(stream.numbers) for stream in streams.streams]
    shown = ", ".join(f"{size:.1f}" for size in streams.memory)
    got = (
        f"{READERS} readers of one running job. Each got {min(counts)} to {max(counts)} events;"
        f" {streams.dropped} streams ended early, went backwards or stayed behind."
    )
    memory = (
        f"Memory of the service: {streams.before:.1f} MiB before, then every"
        f" {found.seconds / 6:.0f} s, from when all were connected: {shown} MiB."
    )
    lines += [
        "",
        f"## {READERS} event streams for {found.seconds} s",
        "",
        got,
        "",
        memory,
        "",
    ]
    return lines


def _cells(load: Load) -> str:
    return f"{load.requests:.0f} | {load.median:.0f} ms | {load.p99:.0f} ms"


def main() -> int:
    """Measure, write the page; 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=8, help="seconds of each window")
    parser.add_argument("--seconds", type=int, default=60, help="how long the streams are read")
    parser.add_argument("--folder", type=Path, help="where to work (/dev/shm when it has room)")
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "service.md")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed")
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 3 * LARGE
    base = options.folder or (memory if roomy else None)
    with tempfile.TemporaryDirectory(dir=base) as folder:
        found = measure(Path(folder), options.rounds, options.window, options.seconds)
    lines = page(found, options.window)
    options.page.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0 if all(target.met for target in found.section.targets) else 1


if __name__ == "__main__":
    sys.exit(main())
