#!/usr/bin/env python3
"""Measures `verify` beside `sha256sum` on the same files: python benchmarks/verify.py

Both are whole processes, started in turn, so that a busy machine disturbs them alike.
"""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"

TARGET = 0.9
KEY = "bench:files"
LARGE, LARGE_SIZE = 16, 256 * 1024 * 1024
SMALL, SMALL_SIZE = 2000, 4096
# The second takes the processor's own instructions where there are any: what the machine can do.
RIVALS = ("sha256sum", "openssl dgst -sha256 -r")
TABLE = """
[[model]]
key = "{key}"
category = "llm"
source = "local"
ref.path = "{path}"
"""


def build(folder: Path) -> int:
    """Write the files; returns their bytes."""
    for number in range(LARGE):
        with open(folder / f"large-{number}.bin", "wb") as stream:
            for _ in range(LARGE_SIZE // 2**24):
                stream.write(os.urandom(2**24))
    for number in range(SMALL):
        (folder / f"small-{number:04}.bin").write_bytes(os.urandom(SMALL_SIZE))
    return LARGE * LARGE_SIZE + SMALL * SMALL_SIZE


def rival(program: str, files: Path, cores: int) -> list[str]:
    """A program at its best: a process for each large file, few for the small ones."""
    at = shlex.quote(str(files))
    parts = [
        f"find {at} -name '{name}-*' -print0 | xargs -0 -P {cores} -n {count} {program}"
        for name, count in (("large", 1), ("small", SMALL // cores))
    ]
    return ["sh", "-c", f"({'; '.join(parts)}) | wc -l"]


def timed(command: list[str], environ: dict[str, str]) -> tuple[float, str]:
    """Seconds of one whole run, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{command} failed ({done.returncode}):\n{done.stdout}\n{done.stderr}")
    return seconds, done.stdout


def measure(folder: Path, rounds: int) -> tuple[int, dict[str, list[float]]]:
    """Bytes, and the seconds of each program's rounds; every run has to have read it all."""
    files = folder / "files"
    files.mkdir()
    count = build(files)
    (folder / "modelset.toml").write_text(TABLE.format(key=KEY, path=files))
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(SHARED),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "MODELSET_CONFIG": str(folder / "modelset.toml"),
        "MODELSET_LOCK": str(folder / "models.lock.json"),
        "MODELSET_OUT": str(folder / "out"),
        "MODELSET_MODELS_ROOT": str(folder / "models"),
    }
    own = [sys.executable, "-m", "modelset"]
    timed([*own, "download", KEY, "--quiet"], environ)
    times: dict[str, list[float]] = {name: [] for name in ("modelset verify", *RIVALS)}
    for number in range(rounds + 1):
        for name, kept in times.items():
            command = rival(name, files, os.cpu_count() or 1)
            if name not in RIVALS:
                command = [*own, "verify", KEY, "--json"]
            seconds, said = timed(command, environ)
            assert name in RIVALS or json.loads(said)["data"]["bytes_read"] == count
            assert name not in RIVALS or int(said) == LARGE + SMALL
            if number:  # the first round only warms up
                kept.append(seconds)
    return count, times


def ratio_of(times: dict[str, list[float]]) -> float:
    """The rate of `verify` against that of the fastest rival."""
    ours, *theirs = map(statistics.median, times.values())
    return min(theirs) / ours


def page(count: int, times: dict[str, list[float]]) -> list[str]:
    """The lines of the page: words about the machine that name nobody."""
    rows, rounds = [], len(times["modelset verify"])
    for name, kept in times.items():
        middle = statistics.median(kept)
        rate = count / middle / 1e6
        rows.append(f"| `{name}` | {middle:.2f} s | {min(kept):.2f} s | {rate:.0f} |")
    how = (
        f"Written by `python benchmarks/verify.py`: {rounds} rounds in turn after one to warm"
        " up, each a whole process, the files in memory; the others run as `xargs -P`, on all"
        " cores."
    )
    machine = (
        f"{LARGE} files of {LARGE_SIZE // 2**20} MiB and {SMALL} of {SMALL_SIZE} bytes,"
        f" {count / 2**30:.2f} GiB. Machine: {platform.system()} {platform.machine()},"
        f" {os.cpu_count()} cores, Python {platform.python_version()}."
    )
    return [
        "# `modelset verify` beside `sha256sum`",
        "",
        how,
        "",
        machine,
        "",
        "| process | wall, median | fastest | MB/s |",
        "|---|---:|---:|---:|",
        *rows,
        "",
        f"`verify` has {ratio_of(times):.2f} of the rate of the faster one; {TARGET} is wanted.",
        "",
    ]


def main() -> int:
    """Measure, write the page; 1 when `verify` is slower than it has to be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--page", type=Path, default=ROOT / "benchmarks" / "verify.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count, times = measure(Path(folder), options.rounds)
    lines = page(count, times)
    options.page.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    return 0 if ratio_of(times) >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
