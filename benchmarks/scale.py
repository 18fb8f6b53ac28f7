#!/usr/bin/env python3
"""Measures how planning and checking grow with the models: python benchmarks/scale.py

Whole processes over stores where every file is there, so that nothing is to be fetched. All sizes
take turns, so that a busy machine disturbs them alike; the processor time of a model decides,
because it is the one that depends least on what else runs.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"
sys.path[:0] = [str(SHARED), str(ROOT)]

from benchmarks.store import CATEGORY, Store  # noqa: E402

FILES = 20
SIZES = (500, 1000, 2000, 5000)
# The most that a model may cost at the largest size, in terms of one at the smallest.
LIMIT = 1.5


@dataclass(frozen=True, slots=True)
class Command:
    """One command line, and how many models its output says are whole."""

    name: str
    words: tuple[str, ...]
    counts: Callable[[str], int]


@dataclass(slots=True)
class Runs:
    """What a command took over one store: times in seconds."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, wall: float, used: resource.struct_rusage) -> None:
        """Note what one process took."""
        self.wall.append(wall)
        self.processor.append(used.ru_utime + used.ru_stime)


def _number(pattern: str) -> Callable[[str], int]:
    def find(text: str) -> int:
        found = re.search(pattern, text)
        return int(found[1]) if found else 0

    return find


def _rows(word: str) -> Callable[[str], int]:
    return lambda text: sum(
        f"{CATEGORY}:model-" in line and f" {word} " in line for line in text.splitlines()
    )


def _present(text: str) -> int:
    return sum(row["presence"] == "present" for row in json.loads(text)["data"]["models"])


PART = ("--category", CATEGORY)
# The download comes first: with its first, unmeasured run the files become known as verified.
COMMANDS = (
    Command("download", ("download", "--frozen", *PART), _number(r"Ready: (\d+) ")),
    Command("plan", ("plan", "--frozen", *PART), _rows("ready")),
    Command("check", ("check", *PART), _number(r"Cached/Installed: (\d+)")),
    Command("check --json", ("check", "--json", *PART), _present),
    Command("list", ("list", *PART), _rows("present")),
)


def environment(store: Store, bytecode: Path) -> dict[str, str]:
    """A clean environment; a question to the network would end at a port where nobody listens."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        **store.environ,
        "HOME": str(store.folder / "home"),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "PYTHONPATH": str(SHARED),
        "PYTHONPYCACHEPREFIX": str(bytecode),
    }


def run(command: Command, environ: Mapping[str, str], said: Path, runs: Runs) -> str:
    """Run a command once, note what it took, and return what it printed."""
    with said.open("w+", encoding="utf-8") as stream:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "modelset", *command.words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        runs.add(time.perf_counter() - began, used)
        process.returncode = os.waitstatus_to_exitcode(status)
        stream.seek(0)
        text = stream.read()
    if process.returncode != 0:
        sys.exit(f"{command.name} failed ({process.returncode}):\n{text[-2000:]}")
    return text


def measure(sizes: list[int], rounds: int, folder: Path) -> dict[tuple[str, int], Runs]:
    """Every command over a store of each size, once in each round."""
    stores = [Store(f"{size} models", size, FILES, folder / str(size)) for size in sizes]
    environs = {store.repos: environment(store, folder / "bytecode") for store in stores}
    measured = {(command.name, size): Runs() for command in COMMANDS for size in sizes}
    for store in stores:
        store.build()
        for command in COMMANDS:
            text = run(command, environs[store.repos], folder / "said", Runs())
            if command.counts(text) != store.repos:
                found = command.counts(text)
                sys.exit(f"{command.name} found {found} of {store.repos}:\n{text[-2000:]}")
    for _ in range(rounds):
        for command in COMMANDS:
            for size, environ in environs.items():
                run(command, environ, folder / "said", measured[command.name, size])
    return measured


def growth(times: list[list[float]], sizes: list[int]) -> list[float]:
    """Seconds that a thousand models take, at each size, the start of a process taken off."""
    start, *others = map(statistics.median, times)
    return [
        (seconds - start) / (size - sizes[0]) * 1000
        for seconds, size in zip(others, sizes[1:], strict=True)
    ]


def table(sizes: list[int], measured: list[Runs]) -> list[str]:
    """The lines of one command's table."""
    head = (
        "| models | files | wall, median | processor, median | 1,000 models, wall |"
        " 1,000 models, processor |"
    )
    lines = [head, "|---:|---:|---:|---:|---:|---:|"]
    wall = ["", *(f"{cost:.2f} s" for cost in growth([one.wall for one in measured], sizes))]
    used = ["", *(f"{cost:.2f} s" for cost in growth([one.processor for one in measured], sizes))]
    for at, size in enumerate(sizes):
        cells = [
            f"{size:,}",
            f"{size * FILES:,}",
            f"{statistics.median(measured[at].wall):.2f} s",
            f"{statistics.median(measured[at].processor):.2f} s",
            wall[at],
            used[at],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page(sizes: list[int], rounds: int, measured: Mapping[tuple[str, int], Runs]) -> list[str]:
    """The whole page; words about the machine that name nobody."""
    how = (
        f"Written by `python benchmarks/scale.py`: medians of {rounds} rounds, the sizes in turn,"
        f" each a whole process over Hub repositories of {FILES} files that are all there, with its"
        " bytecode compiled beforehand. Nothing is fetched and nothing is asked of the network."
        " What a process with a single model takes is taken off the figures for 1,000 models."
    )
    machine = (
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}."
    )
    lines = ["# Planning and checking grow with the models, no faster", "", how, "", machine, ""]
    for command in COMMANDS:
        rows = table(sizes, [measured[command.name, size] for size in sizes])
        lines += [f"## `modelset {command.name}`", "", *rows, ""]
    return lines


def main() -> int:
    """Measure, write the page; 1 when a model costs more among many than among few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "scale.md")
    options = parser.parse_args()
    sizes = [1, *sorted(options.sizes)]  # a single model shows what the start takes
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(sizes, options.rounds, Path(folder))
    lines = page(sizes, options.rounds, measured)
    options.page.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    failed = 0
    for command in COMMANDS:
        used = [measured[command.name, size].processor for size in sizes]
        smallest, *_, largest = growth(used, sizes)
        if largest > LIMIT * smallest:
            failed = 1
            print(f"{command.name} grows faster than its models", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main())
