"""Runs tools in turn and keeps what each run took."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks.origin import find_wrong
from benchmarks.tools import Job, Tool

GIB = 1024**3
LAUNCH = Path(__file__).resolve().parent / "launch.py"
TIME_LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Took:
    """What one run took: seconds, seconds, bytes."""

    wall: float
    cpu: float
    peak: int


@dataclass(slots=True)
class Runs:
    """All runs of one tool in one case; `trouble` says why there are no more of them."""

    name: str
    size: int
    verifies: bool = False
    took: list[Took] = field(default_factory=list)
    trouble: str = ""

    @property
    def wall(self) -> float:
        """Seconds from start to end, the median."""
        return statistics.median(took.wall for took in self.took)

    @property
    def fastest(self) -> float:
        """The shortest run."""
        return min(took.wall for took in self.took)

    @property
    def cpu_per_gib(self) -> float:
        """Seconds of processor time for each GiB, the median."""
        return statistics.median(took.cpu for took in self.took) / (self.size / GIB)

    @property
    def peak(self) -> int:
        """The largest process of all runs, in bytes."""
        return max(took.peak for took in self.took)

    @property
    def rate(self) -> float:
        """Bytes a second, of the median run."""
        return self.size / self.wall


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool with the job it does in a case."""

    tool: Tool
    job: Job
    name: str = ""


def run_job(tool: Tool, job: Job) -> Took:
    """One measured run from a clean folder, whose bytes are checked afterwards.

    Raises RuntimeError, with the tool's last words, when it fails or brings wrong bytes.
    """
    empty(job.folder)
    took = run(tool.command(job), job.environ, job.folder)
    wrong = find_wrong(job.repos, job.folder)
    if wrong:
        raise RuntimeError(f"{tool.name} did not bring {len(wrong)} files, such as {wrong[0]}")
    return took


def empty(folder: Path) -> None:
    """Make a folder new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "home").mkdir()


def run(
    command: Sequence[str], environ: dict[str, str], folder: Path, limit_s: float = TIME_LIMIT_S
) -> Took:
    """Run a whole process, and its children, to the end."""
    report, said = folder / "took.json", folder / "said"
    launcher = [sys.executable, "-I", "-S", str(LAUNCH), str(report), *command]
    with said.open("wb") as output:
        process = begin(launcher, environ, folder, output)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{command[0]} took more than {limit_s} s") from None
        finally:
            end_group(process)
    took = json.loads(report.read_text(encoding="utf-8"))
    if took["code"] != 0:
        raise RuntimeError(f"{command[0]} ended with {took['code']}: {last_words(said)}")
    return Took(took["wall"], took["cpu"], took["peak"])


def begin(
    command: Sequence[str], environ: dict[str, str], folder: Path, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process that leads a group of its own, as one in a terminal does."""
    return subprocess.Popen(
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads its own group, with all of that; nothing when it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def last_words(said: Path) -> str:
    """The end of what a tool printed, on one line."""
    words = " ".join(said.read_text(encoding="utf-8", errors="replace").split())
    return words.replace(str(said.parent), ".")[-300:]


def wake(seconds: float) -> None:
    """Keep every core busy. After a slow tool, which mostly waits, a machine takes a while to be
    fast again: without this the next tool would pay for the one before.
    """
    words = f"import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
    command = [sys.executable, "-I", "-S", "-c", words]
    busy = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    for process in busy:
        process.wait()


def compare(
    entries: Sequence[Entry],
    rounds: int,
    each_round: Callable[[], object] = lambda: None,
    *,
    wake_s: float = 0.0,
) -> dict[str, Runs]:
    """Each entry once a round, in turn, so that a busy machine disturbs all alike."""
    found = {}
    for entry in entries:
        name = entry.name or entry.tool.name
        runs = Runs(name, entry.job.size, entry.tool.verifies, trouble=entry.tool.missing())
        found[name] = runs
    for number in range(rounds):
        each_round()
        for entry, runs in zip(entries, found.values(), strict=True):
            if runs.trouble:
                continue
            wake(wake_s)
            try:
                runs.took.append(run_job(entry.tool, entry.job))
                print(f"  {number + 1}. {runs.name}: {runs.took[-1].wall:.2f} s", flush=True)
            except RuntimeError as error:
                runs.trouble = str(error)
                print(f"  {number + 1}. {runs.name}: {error}", flush=True)
            shutil.rmtree(entry.job.folder, ignore_errors=True)
    return found
