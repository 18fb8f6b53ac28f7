"""The cases about bounds: the rate limit, Ctrl-C, and what a kill costs."""

import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.bench import LEFT_OUT, MIB, Bench
from benchmarks.measure import begin, empty, end_group, last_words, run, run_job
from benchmarks.origin import find_wrong
from benchmarks.page import OWN, Plot, Section
from benchmarks.servers import CAP, MB, Link
from benchmarks.tools import ARIA2, CURL, HF, MODELSET, Job, Tool, aria2, curl, knows, modelset

# A program that has not ended so long after its Ctrl-C is killed.
PATIENCE_S = 30.0
STOP_CAP = 5 * MB
PART, CONNECTIONS = 8 * MIB, 16


@dataclass(slots=True)
class Figures:
    """What was measured of one tool; `trouble` says why there is no more of it."""

    name: str
    values: list[float] = field(default_factory=list)
    trouble: str = ""

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)


Measure = Callable[[Tool], float]


def _in_turn(
    bench: Bench, tools: tuple[Tool, ...], measure: Measure, rounds: int | None = None
) -> dict[str, Figures]:
    """One figure of each tool in each round."""
    bench.warm([tool for tool in tools if tool.name not in bench.sizes.skip])
    found = {tool.name: Figures(tool.name, trouble=tool.missing()) for tool in tools}
    for number in range(rounds or bench.sizes.rounds):
        for tool in tools:
            figures = found[tool.name]
            if tool.name in bench.sizes.skip:
                figures.trouble = LEFT_OUT
            if figures.trouble:
                continue
            try:
                figures.values.append(measure(tool))
                print(f"  {number + 1}. {tool.name}: {figures.values[-1]:.3g}", flush=True)
            except RuntimeError as error:
                figures.trouble = str(error)
                print(f"  {number + 1}. {tool.name}: {error}", flush=True)
            shutil.rmtree(bench.folder / "run", ignore_errors=True)
    return found


def _table(found: dict[str, Figures], what: str, unit: str) -> list[str]:
    lines = ["", f"| tool | {what}, median | least | most |", "|---|---:|---:|---:|"]
    for figures in found.values():
        if figures.values:
            values = (figures.median, min(figures.values), max(figures.values))
            cells = " | ".join(f"{value:.2f} {unit}" for value in values)
            lines.append(f"| {figures.name} | {cells} |")
        else:
            lines.append(f"| {figures.name} | not measured: {figures.trouble} |||")
    return lines


def _plot(name: str, title: str, unit: str, found: dict[str, Figures]) -> list[Plot]:
    rows = [(figures.name, figures.median) for figures in found.values() if figures.values]
    return [Plot(f"{name}.svg", title, unit, rows)] if rows else []


def rate(bench: Bench) -> Section:
    """A limit on the whole run, held for a minute."""
    # 20M is 20 MB to us and 20 MiB to the others.
    limits = {OWN: 20 * MB, CURL.name: 20 * MIB, ARIA2.name: 20 * MIB}
    repo = bench.one("rate", max(1, int(20 * MB * bench.sizes.limit_s)))
    job = bench.job(bench.ports.free, repo)
    tools: tuple[Tool, ...] = (
        modelset("--limit-rate", "20M"),
        curl("--limit-rate", "20M"),
        aria2("-x16", "-s16", "-k1M", "--max-overall-download-limit=20M"),
    )
    found: dict[str, Figures] = {}
    if not knows("--limit-rate"):
        found[OWN] = Figures(OWN, trouble="this modelset knows no --limit-rate")
        tools = tools[1:]

    def share(tool: Tool) -> float:
        return repo.size / run_job(tool, job).wall / limits[tool.name] * 100

    found |= _in_turn(bench, tools, share, rounds=1)
    section = Section(
        "7. A rate limit of 20M",
        f"{repo.size / MB:.0f} MB without any other cap: about {bench.sizes.limit_s:.0f} s. The"
        " rate counts from the start of the process to its end, in one run. 20M means 20 MB/s to"
        " modelset, and 20 MiB/s to curl and aria2c.",
        _table(found, "rate, of the limit", "%"),
        _plot("rate", "7. Rate, of the limit", "%", found),
    )
    own = found[OWN]
    off = abs(own.median - 100) if own.values else None
    section.at_most("7. `--limit-rate 20M`: away from the limit", 5, off, " %")
    return section


@contextmanager
def _running(tool: Tool, job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """A tool at work, killed at the end if it still is."""
    said = job.folder / "said"
    with said.open("wb") as output:
        process = begin(tool.command(job), job.environ, job.folder, output)
    try:
        yield process
    finally:
        end_group(process)


def _await_bytes(
    link: Link, wanted: int, process: subprocess.Popen[bytes], tool: Tool, job: Job
) -> None:
    """Wait until the link has passed so many bytes to a tool that is still at work."""
    ends = time.monotonic() + 300
    while link.passed < wanted:
        if process.poll() is not None or time.monotonic() > ends:
            words = last_words(job.folder / "said")
            raise RuntimeError(f"{tool.name} did not get to {wanted} bytes: {words}")
        time.sleep(0.005)


def stop(bench: Bench) -> Section:
    """Seconds from Ctrl-C to the end of the process."""
    repo = bench.one("capped", bench.sizes.of(512 * MIB))
    with bench.link(bench.ports.free, 40, STOP_CAP) as link:
        job = bench.job(link.port, repo)
        found = _in_turn(bench, (MODELSET, HF, ARIA2), lambda tool: _stop_once(link, tool, job))
    section = Section(
        "7. Ctrl-C in the middle of a download",
        f"{repo.size / MIB:.0f} MiB over the link of case 3. SIGINT goes to the process group,"
        " as from a terminal, when an eighth has arrived; counted are the seconds until the"
        f" process has ended, {PATIENCE_S:.0f} when it had to be killed.",
        _table(found, "seconds to the end", "s"),
        _plot("stop", "7. From Ctrl-C to the end", "s", found),
    )
    own = found[OWN].median if found[OWN].values else None
    section.at_most("7. Ctrl-C: seconds to the end", 1, own, " s")
    return section


def _stop_once(link: Link, tool: Tool, job: Job) -> float:
    empty(job.folder)
    before = link.settle()
    with _running(tool, job) as process:
        _await_bytes(link, before + job.size // 8, process, tool, job)
        began = time.perf_counter()
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return PATIENCE_S
        took = time.perf_counter() - began
        if process.returncode == 0:
            raise RuntimeError(f"{tool.name} had finished before it was stopped")
        return took


def kill(bench: Bench) -> Section:
    """Bytes that are fetched twice because of a kill -9."""
    repo = bench.one("capped", bench.sizes.of(512 * MIB))
    tools = (MODELSET, HF, ARIA2, curl("-C", "-", name="curl -C -"))
    with bench.link(bench.ports.free, 0, CAP) as link:
        job = bench.job(link.port, repo)
        found = _in_turn(bench, tools, lambda tool: _kill_once(link, tool, job) / MIB)
    section = Section(
        "7. Bytes fetched again after kill -9",
        f"{repo.size / MIB:.0f} MiB, 20 MiB/s for each connection. SIGKILL goes to the process"
        " group when half of the bytes have arrived, then the same command runs to its end and"
        " the file is checked. Counted is what the link passed on in both runs beyond the"
        " file's size, headers included.",
        _table(found, "fetched again", "MiB"),
        _plot("kill", "7. Fetched again after kill -9 at one half", "MiB", found),
    )
    own = found[OWN].median if found[OWN].values else None
    words = "7. kill -9: fetched again, one part for each connection"
    section.at_most(words, PART * CONNECTIONS / MIB, own, " MiB")
    return section


def _kill_once(link: Link, tool: Tool, job: Job) -> int:
    """The bytes that came twice; raises RuntimeError when the second run does not mend it."""
    empty(job.folder)
    before = link.settle()
    with _running(tool, job) as process:
        _await_bytes(link, before + job.size // 2, process, tool, job)
    link.settle()
    run(tool.command(job), job.environ, job.folder)
    if find_wrong(job.repos, job.folder):
        raise RuntimeError(f"{tool.name} left a wrong file after kill -9")
    return max(0, link.settle() - before - job.size)
