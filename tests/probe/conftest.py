"""Machines that are not here: a folder for /proc, /sys and /dev, and a driver that is told what
to answer."""

# ruff: noqa: N802  the names are those of NVML

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from modelset.probe.system import System

GB = 2**30

CPUINFO = """processor\t: 0
model name\t: Test CPU 3000
flags\t\t: fpu sse4_1 avx avx2 fma sha_ni rdtscp

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""


class NvmlError(Exception):
    def __init__(self, value, words):
        super().__init__(words)
        self.value = value


@dataclass
class Card:
    name: str | bytes
    memory: int | NvmlError
    capability: tuple[int, int] | NvmlError = (8, 6)
    trouble: NvmlError | None = None


@dataclass
class FakeNvml:
    """An NVML whose cards and errors are given; counts how often it is opened and closed."""

    cards: list[Card] = field(default_factory=list)
    trouble: NvmlError | None = None
    count_trouble: NvmlError | None = None
    driver: str | bytes = "550.54.14"
    opened: int = 0
    closed: int = 0
    NVMLError = NvmlError

    def nvmlInit(self):
        _raise(self.trouble)
        self.opened += 1

    def nvmlShutdown(self):
        self.closed += 1

    def nvmlSystemGetDriverVersion(self):
        return self.driver

    def nvmlDeviceGetCount(self):
        _raise(self.count_trouble)
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):
        _raise(self.cards[index].trouble)
        return self.cards[index]

    def nvmlDeviceGetName(self, handle):
        return handle.name

    def nvmlDeviceGetMemoryInfo(self, handle):
        _raise(handle.memory)
        return SimpleNamespace(total=handle.memory)

    def nvmlDeviceGetCudaComputeCapability(self, handle):
        _raise(handle.capability)
        return handle.capability


def _raise(answer):
    if isinstance(answer, Exception):
        raise answer


@dataclass
class Bench:
    """Makes machines below one folder."""

    folder: object
    Card = Card
    Nvml = FakeNvml
    Error = NvmlError

    def put(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def linux(
        self, *, memory=16, cpus=8, threads=2, nvml=None, files=(), cpuinfo=CPUINFO, **changes
    ):
        self.put("proc/cpuinfo", cpuinfo)
        self.put("proc/meminfo", f"MemTotal:       {int(memory * 2**20)} kB\nMemFree: 1 kB\n")
        for cpu in range(cpus):
            core = cpu // threads * threads
            topology = f"sys/devices/system/cpu/cpu{cpu}/topology"
            self.put(f"{topology}/thread_siblings_list", f"{core}-{core + threads - 1}\n")
        for path, text in dict(files).items():
            self.put(path, text)
        return self.system(cpus=lambda: cpus, nvml=lambda: nvml, **changes)

    def mac(self, *, memory=16, chip="Apple M4", cpus=10, translated=False, **changes):
        lines = [
            f"hw.memsize: {memory * GB}",
            f"hw.physicalcpu: {cpus}",
            f"machdep.cpu.brand_string: {chip}",
            "sysctl.proc_translated: 1" if translated else "hw.optional.arm64: 1",
        ]
        return self.system(
            platform="darwin",
            machine="x86_64" if translated else "arm64",
            cpus=lambda: cpus,
            run=lambda command: "\n".join(lines) if command[0] == "/usr/sbin/sysctl" else "",
            nvml=_never,
            **changes,
        )

    def system(self, **changes):
        facts = {
            "platform": "linux",
            "machine": "x86_64",
            "python": "3.11.7",
            "root": self.folder,
            "cpus": lambda: 4,
            "physical_cores": lambda: 2,
            "memory": lambda: 8 * GB,
            "cpu_details": dict,
            "nvml": lambda: None,
            "run": lambda command: "",
            "disk_free": lambda path: 77 * GB,
            "now": lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        }
        return System(**(facts | changes))


def _never():
    raise AssertionError("NVML is not asked here")


@pytest.fixture
def bench(tmp_path):
    folder = tmp_path / "machine"
    folder.mkdir()
    return Bench(folder)
