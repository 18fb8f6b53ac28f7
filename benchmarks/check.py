#!/usr/bin/env python3
"""Measures `check` beside `hf cache ls` over the same store: python benchmarks/check.py

All are whole processes, started in turn, so that a busy machine disturbs them alike.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"
sys.path[:0] = [str(SHARED), str(ROOT)]

from benchmarks.store import CATEGORY, Store  # noqa: E402

TARGET = 4.0


@dataclass(slots=True)
class Program:
    """One command line, and what its runs took; times in seconds."""

    name: str
    command: list[str]
    counts: Callable[[str], int]
    environ: Mapping[str, str] = field(default_factory=dict)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def run(self, environ: Mapping[str, str]) -> str:
        """Run it once, and note the wall time and the processor time of the whole process."""
        used, began = _processor_time(), time.perf_counter()
        done = subprocess.run(
            self.command, env={**environ, **self.environ}, capture_output=True, text=True
        )
        self.wall.append(time.perf_counter() - began)
        self.cpu.append(_processor_time() - used)
        if done.returncode != 0:
            sys.exit(f"{self.name} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def prove(self, environ: Mapping[str, str], expected: int) -> None:
        """Run it unmeasured, which also warms its caches, and see that it found every model."""
        found = self.counts(self.run(environ))
        if found != expected:
            sys.exit(f"{self.name} found {found} of {expected}")
        self.wall.clear()
        self.cpu.clear()


def _processor_time() -> float:
    """Seconds that all ended child processes computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def programs() -> list[Program]:
    """What is compared: every ratio is against the first, and the target is about the second."""
    listing = [str(Path(sys.executable).with_name("hf")), "cache", "ls", "--json"]
    check = [sys.executable, str(SHARED / "model_checker.py"), "--category", CATEGORY, "--json"]
    rerun = [sys.executable, str(SHARED / "model_downloader.py"), "--category", CATEGORY, "--json"]
    return [
        Program("modelset check", check, _present),
        Program("hf cache ls", listing, _listed),
        Program("HF_HUB_OFFLINE=1 hf cache ls", listing, _listed, {"HF_HUB_OFFLINE": "1"}),
        Program("modelset download (nothing to do)", rerun, _ready),
    ]


def _present(text: str) -> int:
    return sum(row["presence"] == "present" for row in json.loads(text)["data"]["models"])


def _listed(text: str) -> int:
    return len(json.loads(text))


def _ready(text: str) -> int:
    return sum(row["result"] == "ready" for row in json.loads(text)["data"]["outcomes"])


def environment(store: Store, bytecode: Path) -> dict[str, str]:
    """A clean environment in which no program asks the network or compiles what it has."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        **store.environ,
        "HOME": str(store.folder / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "PYTHONPYCACHEPREFIX": str(bytecode),
    }


def measure(store: Store, rounds: int, bytecode: Path) -> list[Program]:
    """Every program once in each round, over one store."""
    store.build()
    environ = environment(store, bytecode)
    compared = programs()
    for program in compared:
        program.prove(environ, store.repos)
    for _ in range(rounds):
        for program in compared:
            program.run(environ)
    return compared


def table(store: Store, compared: list[Program]) -> list[str]:
    """The lines of one case's table: medians, and how often `check` fits into each."""
    head = "| process | wall, median | fastest | processor, median | `check` fits in | processor |"
    rows = [row(program, compared[0]) for program in compared]
    return [f"## {store.title}", "", head, "|---|---:|---:|---:|---:|---:|", *rows, ""]


def row(program: Program, own: Program) -> str:
    """One program's line."""
    cells = [
        f"`{program.name}`",
        _ms(statistics.median(program.wall)),
        _ms(min(program.wall)),
        _ms(statistics.median(program.cpu)),
        f"{ratio(program.wall, own.wall):.1f} x",
        f"{ratio(program.cpu, own.cpu):.1f} x",
    ]
    return f"| {' | '.join(cells)} |"


def ratio(one: list[float], other: list[float]) -> float:
    """How many times the median of `other` fits into that of `one`."""
    return statistics.median(one) / statistics.median(other)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def head(rounds: int) -> list[str]:
    """What the figures belong to: words about the machine that name nobody."""
    how = (
        f"Written by `python benchmarks/check.py`: {rounds} rounds, the programs in turn, each a"
        " whole process with its bytecode compiled beforehand; none of them asks the network."
    )
    machine = (
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, huggingface_hub {version('huggingface_hub')}."
    )
    return ["# `modelset check` beside `hf cache ls`", "", how, "", machine, ""]


def main() -> int:
    """Measure both cases, write the page; 1 when `check` is not as fast as it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "check.md")
    options = parser.parse_args()
    lines, slow = head(options.rounds), []
    with tempfile.TemporaryDirectory() as folder:
        for store in (
            Store("20 models of 6 files", 20, 6, Path(folder, "a")),
            Store("200 repositories of 20 files", 200, 20, Path(folder, "b")),
        ):
            compared = measure(store, options.rounds, Path(folder, "bytecode"))
            lines += table(store, compared)
            slow += [store.title] if ratio(compared[1].wall, compared[0].wall) < TARGET else []
    options.page.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    for title in slow:
        print(f"not {TARGET:.0f} times faster than hf cache ls: {title}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
