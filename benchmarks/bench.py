"""What every case stands on: the servers, the folder, the sizes, the tools that are left out."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import GIB, Entry, Runs, compare, run_job
from benchmarks.origin import Origin, Repo
from benchmarks.servers import Link, Ports, nginx, slow_link
from benchmarks.tools import CURL, PLAIN, Job, Tool, pooch

MIB = 1024 * 1024
LEFT_OUT = "left out with --skip"
# What the programs are warmed up with: their code compiled, the servers' files in memory.
_TINY = {"config.json": 1000, "model.bin": 100_000}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    scale: float = 1.0
    large: int = 2 * GIB
    limit_s: float = 60.0
    skip: frozenset[str] = frozenset()

    def of(self, size: float) -> int:
        """A size or a number in this scale."""
        return max(1, int(size * self.scale))


class Bench:
    """The running servers, and the files that they serve."""

    def __init__(self, folder: Path, sizes: Sizes, ports: Ports, origin: Origin, cert: Path):
        self.folder, self.sizes, self.ports, self.cert = folder, sizes, ports, cert
        self._origin = origin
        self._repos: dict[str, Repo] = {}
        self._warm: set[str] = set()
        self._pooch: Tool | None = None

    @property
    def pooch(self) -> Tool:
        """pooch, installed when it is first wanted."""
        if "pooch" in self.sizes.skip:
            return Tool("pooch", CURL.command)
        self._pooch = self._pooch or pooch(self.folder)
        return self._pooch

    def repo(self, name: str, sizes: Mapping[str, int]) -> Repo:
        """A served repository, made when it is first wanted."""
        if name not in self._repos:
            self._repos[name] = self._origin.add(f"bench/{name}", sizes)
        return self._repos[name]

    def one(self, name: str, size: int) -> Repo:
        """A repository of one file."""
        return self.repo(name, {"model.bin": size})

    def job(self, port: int, *repos: Repo, tls: bool = False, plain: bool = False) -> Job:
        """What a tool is to do, in a folder that it finds clean."""
        origin = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        return Job(origin, repos, self.folder / "run", self.cert if tls else None, plain)

    def link(
        self, port: int, rtt_ms: float = 0, cap: float = 0
    ) -> contextlib.AbstractContextManager[Link]:
        """A slow link to one of the ports."""
        return slow_link(self.folder, port, rtt_ms=rtt_ms, cap=cap)

    def compare(
        self, entries: Sequence[Entry], each_round: Callable[[], object] = lambda: None
    ) -> dict[str, Runs]:
        """Measure the entries in turn, without the tools that are left out."""
        kept = [entry for entry in entries if entry.tool.name not in self.sizes.skip]
        self.warm([entry.tool for entry in kept])
        found = compare(kept, self.sizes.rounds, each_round, wake_s=min(self.sizes.scale, 1.0))
        for entry in entries:
            name = entry.name or entry.tool.name
            found.setdefault(name, Runs(name, entry.job.size, trouble=LEFT_OUT))
        return found

    def warm(self, tools: Sequence[Tool]) -> None:
        """Run each tool once unmeasured, so that its code is compiled and in memory."""
        for tool in tools:
            if tool.name in self._warm or tool.missing():
                continue
            self._warm.add(tool.name)
            with contextlib.suppress(RuntimeError):  # a measured run will say it
                run_job(tool, self.job(self.ports.free, self.repo("tiny", _TINY)))


@contextlib.contextmanager
def start(sizes: Sizes, folder: Path | None = None) -> Iterator[Bench]:
    """A bench in a fresh folder below `folder`, in memory when there is room; gone afterwards."""
    base = folder or _memory(sizes)
    place = Path(tempfile.mkdtemp(prefix="modelset-bench-", dir=base))
    try:
        origin = Origin(place / "www")
        with nginx(place / "nginx", origin.folder) as (ports, cert):
            yield Bench(place, sizes, ports, origin, cert)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _memory(sizes: Sizes) -> Path | None:
    """/dev/shm when the served files and two copies fit, otherwise the system's own folder."""
    shm = Path("/dev/shm")
    needed = 3 * sizes.large + 4 * GIB * sizes.scale
    if shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > needed:
        return shm
    return None


def openssl_rate(*, plain: bool = False) -> float:
    """Bytes a second that one core digests with sha256, in blocks of 16 KiB."""
    command = ["openssl", "speed", "-seconds", "2", "-bytes", "16384", "-evp", "sha256"]
    environ = {**os.environ, **(PLAIN if plain else {})}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return parse_rate(done.stdout)


def parse_rate(text: str) -> float:
    """The rate in what `openssl speed` prints: thousands of bytes a second, with a k behind."""
    found = re.search(r"^sha256\s+([\d.]+)k\s*$", text, re.MULTILINE | re.IGNORECASE)
    if found is None:
        raise RuntimeError(f"openssl speed says no rate: {text[-200:]}")
    return float(found[1]) * 1000


_HASH = """
import hashlib, sys, time
block, left = bytes(1 << 20), int(sys.argv[1])
digest, began = hashlib.sha256(), time.process_time()
for at in range(0, left, len(block)):
    digest.update(block[: left - at])
print(time.process_time() - began)
"""


def hashing_cpu(size: int) -> float:
    """Processor time that the sha256 of so many bytes takes, when nothing else is done."""
    command = [sys.executable, "-I", "-c", _HASH, str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def proxy_figures(bench: Bench) -> tuple[float, float]:
    """What the slow link itself carries without a cap: bytes a second, and its CPU s per GiB."""
    repo = bench.one("proxy", bench.sizes.of(GIB))
    with bench.link(bench.ports.free, rtt_ms=40) as link:
        before = link.cpu()
        took = run_job(CURL, bench.job(link.port, repo))
        return repo.size / took.wall, (link.cpu() - before) / (repo.size / GIB)
