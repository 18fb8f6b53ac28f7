"""Gives access to the machine as one value, so that a test can be another machine."""

import importlib
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, cast

from modelset.core.values import dataclass

# Enough for the first processor of /proc/cpuinfo; the kernel makes the rest only when asked.
_READ_BYTES: Final = 16 * 1024
_COMMAND_S: Final = 2.0


class Nvml(Protocol):
    """The part of the module `pynvml` (nvidia-ml-py) that is used."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102, N802
    def nvmlShutdown(self) -> None: ...  # noqa: D102, N802
    def nvmlSystemGetDriverVersion(self) -> str | bytes: ...  # noqa: D102, N802
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102, N802
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: D102, N802
    def nvmlDeviceGetName(self, handle: Any) -> str | bytes: ...  # noqa: D102, N802
    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Any: ...  # noqa: D102, N802
    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> Sequence[int]: ...  # noqa: D102, N802


@dataclass(frozen=True, slots=True)
class System:
    """One machine: facts that cost nothing, and questions asked only when needed.

    `platform` is `sys.platform`; `root` is the folder that holds `proc`, `sys` and `dev`. `run`
    returns what a command wrote, empty when it failed. Sizes are bytes; 0 means unknown.
    """

    platform: str
    machine: str
    python: str
    root: Path
    cpus: Callable[[], int]
    physical_cores: Callable[[], int]
    memory: Callable[[], int]
    cpu_details: Callable[[], Mapping[str, object]]
    nvml: Callable[[], Nvml | None]
    run: Callable[[Sequence[str]], str]
    disk_free: Callable[[Path], int]
    now: Callable[[], datetime]

    def text(self, path: str) -> str:
        """Return the beginning of a file below the root, empty when it cannot be read."""
        try:
            with (self.root / path).open("rb", buffering=0) as file:
                return (file.read(_READ_BYTES) or b"").decode(errors="replace").strip()
        except OSError:
            return ""

    def names(self, folder: str, prefix: str = "") -> tuple[str, ...]:
        """Return the names in a folder below the root that end in a number, by that number."""
        try:
            found = [path.name for path in (self.root / folder).iterdir()]
        except OSError:
            return ()
        numbered = (name for name in found if name.removeprefix(prefix).isdecimal())
        wanted = (name for name in numbered if name.startswith(prefix))
        return tuple(sorted(wanted, key=lambda name: int(name.removeprefix(prefix))))


def this_system() -> System:
    """Return the machine this process runs on; asks it nothing yet."""
    return System(
        platform=sys.platform,
        machine=_machine(),
        python="{}.{}.{}".format(*sys.version_info),
        root=Path("/"),
        cpus=_cpus,
        physical_cores=_physical_cores,
        memory=_memory,
        cpu_details=_cpu_details,
        nvml=_nvml,
        run=_run,
        disk_free=_disk_free,
        now=lambda: datetime.now(UTC),
    )


def _machine() -> str:
    # platform.machine() would import the socket module on Windows.
    if sys.platform == "win32":
        return sysconfig.get_platform().removeprefix("win-").upper()
    return os.uname().machine


def _disk_free(path: Path) -> int:
    if sys.platform == "win32":
        import shutil  # here, since a cached profile must not pay for it

        return shutil.disk_usage(path).free
    volume = os.statvfs(path)
    return volume.f_bavail * volume.f_frsize


def _cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return int(importlib.import_module("psutil").virtual_memory().total)


def _physical_cores() -> int:
    return int(importlib.import_module("psutil").cpu_count(logical=False) or 0)


def _cpu_details() -> Mapping[str, object]:
    try:
        details = importlib.import_module("cpuinfo").get_cpu_info()
    except Exception:  # it parses what the system prints and may raise anything
        return {}
    return cast("Mapping[str, object]", details)


def _nvml() -> Nvml | None:
    if sys.platform == "linux" and not _has_nvidia():
        return None  # the module takes longer to load than everything else that is asked
    try:
        return cast("Nvml", importlib.import_module("pynvml"))
    except (ImportError, OSError):
        return None


def _has_nvidia() -> bool:
    """Whether a driver is loaded, or the library is here that asks one."""
    import ctypes  # here, since a cached profile must not pay for it

    if Path("/proc/driver/nvidia").exists():
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _run(command: Sequence[str]) -> str:
    import subprocess  # here, since a cached profile must not pay for it

    try:
        done = subprocess.run(
            command,
            env={"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
