"""Reads the processor: its name, cores, and the instructions that speed up speech models."""

from collections.abc import Mapping
from typing import Final

from modelset.core.values import dataclass
from modelset.probe.system import System

_FLAGS: Final = frozenset({
    "amx_int8", "asimddp", "avx", "avx2", "avx512_vnni", "avx512f", "avx_vnni", "f16c", "fma",
    "i8mm", "neon", "sha2", "sha_ni", "sse4_1", "sve",
})  # fmt: skip
# Names differ: Linux on ARM says asimd for NEON, macOS says avx1.0 and sse4.1.
_SAME: Final = {"asimd": "neon", "avx1.0": "avx", "sse4.1": "sse4_1"}
_SYSCTL: Final = (
    "hw.memsize",
    "hw.optional.arm64",
    "hw.physicalcpu",
    "machdep.cpu.brand_string",
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
    "sysctl.proc_translated",
)


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processor as the kernel tells it, before any container's limit."""

    name: str
    flags: tuple[str, ...]
    physical: int
    logical: int
    apple_silicon: bool = False
    notes: tuple[str, ...] = ()


def sysctl(system: System) -> Mapping[str, str]:
    """Return what macOS says of itself, name to value; empty on any other system."""
    if system.platform != "darwin":
        return {}
    # A name that this Mac does not know is left out of the answer.
    lines = system.run(("/usr/sbin/sysctl", *_SYSCTL)).splitlines()
    return {name: value for name, _, value in (line.partition(": ") for line in lines)}


def describe_cpu(system: System, facts: Mapping[str, str]) -> Cpu:
    """Return the processor; `facts` is the answer of `sysctl`.

    From /proc/cpuinfo and /sys/devices/system/cpu on Linux, sysctl on macOS; what they leave open
    comes from py-cpuinfo and psutil.
    """
    if system.platform == "darwin" and facts:
        return _apple(system, facts)
    fields = _table(system.text("proc/cpuinfo"))
    name = fields.get("model name") or _table(system.run(("/usr/bin/lscpu",))).get("Model name", "")
    flags = (fields.get("flags") or fields.get("Features", "")).split()
    if not name or not flags:
        details = system.cpu_details()
        name = name or str(details.get("brand_raw", ""))
        told = details.get("flags")
        flags = flags or (list(map(str, told)) if isinstance(told, list) else [])
    logical = max(system.cpus(), 1)
    physical = _siblings(system) or system.physical_cores() or logical
    return Cpu(name or system.machine, _chosen(flags), min(physical, logical), logical)


def _apple(system: System, facts: Mapping[str, str]) -> Cpu:
    translated = facts.get("sysctl.proc_translated") == "1"
    silicon = system.machine == "arm64" or translated or facts.get("hw.optional.arm64") == "1"
    features = f"{facts.get('machdep.cpu.features', '')} {facts.get('machdep.cpu.leaf7_features')}"
    logical = max(system.cpus(), 1)
    physical = facts.get("hw.physicalcpu", "")
    return Cpu(
        name=facts.get("machdep.cpu.brand_string") or system.machine,
        flags=_chosen(["neon"] if silicon else features.lower().split()),
        physical=min(int(physical) if physical.isdecimal() else logical, logical),
        logical=logical,
        apple_silicon=silicon,
        notes=(
            ("This Python runs translated by Rosetta; MLX needs a Python built for arm64.",)
            if silicon and system.machine != "arm64"
            else ()
        ),
    )


def _table(text: str) -> dict[str, str]:
    # The first value of a name: that of the first processor.
    pairs = [line.partition(":") for line in reversed(text.splitlines())]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _siblings(system: System) -> int:
    folder = "sys/devices/system/cpu"
    cores = {
        system.text(f"{folder}/{cpu}/topology/thread_siblings_list")
        for cpu in system.names(folder, "cpu")
    }
    return len(cores - {""})


def _chosen(flags: list[str]) -> tuple[str, ...]:
    return tuple(sorted({_SAME.get(flag, flag) for flag in flags} & _FLAGS))
