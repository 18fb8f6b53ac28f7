#!/usr/bin/env python3
"""Measures downloads beside other tools and writes benchmarks/results.md; see run.sh.

Ends with 1 when a target is missed or could not be measured, with 2 when nothing can be.
"""

import argparse
import platform
import re
import signal
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "shared"), str(ROOT)]

from benchmarks.bench import Bench, Sizes, proxy_figures, start  # noqa: E402
from benchmarks.measure import GIB  # noqa: E402
from benchmarks.page import targets_table, write_page  # noqa: E402
from benchmarks.servers import nginx_path  # noqa: E402

from benchmarks import cases, stops  # noqa: E402

CASES = {
    "capped": cases.capped,
    "verified": cases.verified,
    "plain": cases.plain,
    "set": cases.model_set,
    "small": cases.small,
    "cost": cases.cost,
    "rate": stops.rate,
    "stop": stops.stop,
    "kill": stops.kill,
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, help="runs of each tool in each case (5)")
    add("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE",
        help=f"of {', '.join(CASES)}")  # fmt: skip
    add("--scale", type=float, default=1.0, help="multiplies sizes and numbers of files (1)")
    add("--large", type=int, default=2 * GIB, metavar="BYTES", help="the uncapped file (2 GiB)")
    add("--seconds", type=float, default=60, help="how long the rate limit is held (60)")
    add("--skip", nargs="+", default=[], metavar="TOOL", help="tools to leave out, by their name")
    add("--folder", type=Path, help="where to work (/dev/shm when there is room)")
    add("--page", type=Path, default=ROOT / "benchmarks" / "results.md", help="what to write")
    return parser.parse_args(arguments)


def head(options: argparse.Namespace, bench: Bench) -> list[str]:
    """How it was measured, in words that name no machine."""
    rate, cpu = proxy_figures(bench)
    memory = " in memory (/dev/shm)" if str(bench.folder).startswith("/dev/shm") else ""
    full = options.scale == 1 and options.large == 2 * GIB
    how = (
        f"Written by `benchmarks/run.sh`, rounds: {options.rounds}, the tools in turn, each a whole"
        " process from a clean folder, its code compiled beforehand; modelset finds its profile of"
        " the hardware and its parsed catalog as after `./scripts/bootstrap.sh`. All lies on one"
        f" machine: servers, tools and files, these{memory}. Before each run of 1 to 5 all cores"
        " are busy for a second, so that no tool pays for the idleness of the one before; after it"
        " every file is compared with its sha256, outside of the measured time. modelset runs with"
        " its default options, nothing locked beforehand; `hf` with telemetry and update check off."
    )
    link = (
        f"The slow link is a process of our own. Without a cap it carries {rate / 1e6:.0f} MB/s at"
        f" 40 ms and needs {cpu:.2f} s of one core for each GiB. It knows no slow start and loses"
        " nothing."
    )
    lines = [how, "", f"Machine: {machine()}. {tool_versions()}.", "", link]
    left_out = [name for name in CASES if name not in options.only]
    if left_out:
        lines += ["", f"Not run: {', '.join(left_out)}."]
    if not full:
        lines += ["", f"**Scaled: {options.scale:g}, large file {options.large} bytes.**"]
    return lines


def machine() -> str:
    """System, processor and cores."""
    model, cores = "", ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text()
        found = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
        model = f", {found[1]}" if found else ""
        cores = f", {text.count('processor	')} cores"
    return f"{platform.system()} {platform.machine()}{model}{cores}"


def tool_versions() -> str:
    """Versions of everything that is compared, as far as it is here."""
    words = [f"Python {platform.python_version()}"]
    for package in ("huggingface_hub", "pycurl", "pooch"):
        try:
            words.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    for command in (["curl", "--version"], ["aria2c", "--version"], [nginx_path(), "-v"]):
        try:
            said = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            continue
        found = re.search(r"(curl|aria2|nginx)\D*(\d[\d.]+)", said.stdout + said.stderr)
        words += [f"{found[1]} {found[2]}"] if found else []
    return ", ".join(words)


def main() -> int:
    """Measure, write the page, and say what was missed."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    sizes = Sizes(
        options.rounds, options.scale, options.large, options.seconds, frozenset(options.skip)
    )
    try:
        nginx_path()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    sections = []
    with start(sizes, options.folder) as bench:
        words = head(options, bench)
        for name, case in CASES.items():
            if name in options.only:
                print(f"{name}:", flush=True)
                sections.append(case(bench))
    write_page(options.page, words, sections)
    print("\n".join(targets_table(sections)))
    missed = [target for section in sections for target in section.targets if not target.met]
    for target in missed:
        print(f"missed: {target.words}: {target.measured}, {target.wanted}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
