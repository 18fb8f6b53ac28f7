"""Reads how much memory and processor time the process's control groups allow it."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from modelset.probe.system import System

_CGROUPS: Final = "sys/fs/cgroup"
# Version 1 says "no limit" with the largest page-aligned number of 63 bits.
_NO_LIMIT: Final = 2**62


def memory_limit(system: System) -> int | None:
    """Return the tightest memory limit in bytes, None without one.

    From cgroup-v2.rst (`memory.max`) and cgroup-v1/memory.rst (`memory.limit_in_bytes`) of the
    kernel's documentation: a limit holds for every group below it.
    """
    limits = []
    for folder in _folders(system, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            value = system.text(f"{folder}/{name}")
            if value.isdecimal() and int(value) < _NO_LIMIT:
                limits.append(int(value))
    return min(limits, default=None)


def cpu_limit(system: System) -> float | None:
    """Return the tightest processor quota in processors (1.5 is one and a half), None without one.

    From cgroup-v2.rst (`cpu.max`: quota and period) and scheduler/sched-bwc.rst (`cpu.cfs_*`).
    """
    limits = []
    for folder in _folders(system, "cpu"):
        quota, _, period = system.text(f"{folder}/cpu.max").partition(" ")
        if not quota:
            quota = system.text(f"{folder}/cpu.cfs_quota_us")
            period = system.text(f"{folder}/cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def _folders(system: System, controller: str) -> Iterator[str]:
    """Yield the process's group and all above it, in the hierarchies that hold the controller."""
    paths = {_CGROUPS: "/", f"{_CGROUPS}/{controller}": "/"}
    for line in system.text("proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            paths |= {_CGROUPS: path, f"{_CGROUPS}/unified": path}
        elif controller in controllers.split(","):
            paths |= {f"{_CGROUPS}/{controllers}": path, f"{_CGROUPS}/{controller}": path}
    for top, path in paths.items():
        # Seen from inside a namespace the path may climb out of what is mounted here.
        parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
        for depth in range(len(parts), -1, -1):
            yield "/".join([top, *parts[:depth]])
