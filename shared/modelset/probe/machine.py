"""Profiles the machine, and keeps the answer in a file until the machine changes."""

import json
import os
import re
from pathlib import Path
from typing import Final

from modelset.core.profile import GB, SCHEMA_VERSION, Profile
from modelset.core.values import replace
from modelset.probe.limits import cpu_limit, memory_limit
from modelset.probe.system import System, this_system

_SYSTEMS: Final = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}
# Files that change when a graphics driver comes, goes or is another one.
_DRIVER_FILES: Final = (
    "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "usr/lib64/libnvidia-ml.so.1",
    "usr/lib/wsl/lib/libnvidia-ml.so.1",
    "Windows/System32/nvml.dll",
)
# Begins the fingerprint of a profile that a driver in trouble spoiled: no machine has it, so the
# next run asks again.
_UNSETTLED: Final = "unsettled; "
_CACHE_BYTES: Final = 2**20


def profile_machine(disk_path: Path, *, system: System | None = None) -> Profile:
    """Return what the machine is, asked anew; `disk_path` says whose free space counts.

    Sizes are bytes. Never raises for hardware it cannot read: that is a note in the profile.
    """
    from modelset.probe.cpu import describe_cpu, sysctl  # here, since a cached profile
    from modelset.probe.gpu import find_cards  # must not pay for them

    system = system or this_system()
    facts = sysctl(system)
    cpu = describe_cpu(system, facts)
    memory, memory_note = _memory(system, facts.get("hw.memsize", ""))
    quota = cpu_limit(system)
    cap = max(int(quota), 1) if quota is not None else cpu.logical
    notes = [*cpu.notes, *memory_note]
    if cap < cpu.logical:
        notes.append(f"A container limit leaves {quota:g} of {cpu.logical} processors.")
    cards = find_cards(system, memory_bytes=memory)
    return Profile(
        schema_version=SCHEMA_VERSION,
        fingerprint=fingerprint(system) if cards.settled else _UNSETTLED + fingerprint(system),
        profiled_at=system.now().isoformat(timespec="seconds"),
        system=_SYSTEMS.get(system.platform, system.platform),
        machine=system.machine,
        python=system.python,
        cpu_name=cpu.name,
        cores_physical=min(cpu.physical, cap),
        cores_logical=min(cpu.logical, cap),
        cpu_flags=cpu.flags,
        memory_bytes=memory,
        disk_free_bytes=_disk_free(system, disk_path),
        disk_path=str(disk_path),
        gpus=cards.gpus,
        apple_silicon=cpu.apple_silicon,
        notes=(*notes, *cards.notes),
    )


def load_or_profile(
    cache: Path, disk_path: Path, *, refresh: bool = False, system: System | None = None
) -> Profile:
    """Return the profile kept in `cache`, or a new one, which is then kept there.

    A cache that is missing, broken, of another version or of another machine is made anew, and so
    is any with `refresh`. Free disk space is asked each time. A folder that cannot be written
    costs the cache, not the profile.
    """
    system = system or this_system()
    kept = None if refresh else _read(cache)
    if kept is not None and kept.fingerprint == fingerprint(system):
        free = _disk_free(system, disk_path)
        return replace(kept, disk_free_bytes=free, disk_path=str(disk_path))
    profile = profile_machine(disk_path, system=system)
    _write(cache, profile)
    return profile


def fingerprint(system: System) -> str:
    """Return words that stay the same while the machine does; takes about a millisecond."""
    cpu = [line for line in system.text("proc/cpuinfo").splitlines() if "model name" in line][:1]
    facts = {
        "system": f"{system.platform} {system.machine}",
        "python": system.python,
        "processor": f"{system.cpus()} {''.join(cpu).partition(':')[2].strip()}",
        "memory": f"{_memory(system, '')[0] // 2**20} MiB",
        "quota": cpu_limit(system),
        "nvidia": system.text("proc/driver/nvidia/version").partition("\n")[0],
        "cards": (*system.names("dev", "nvidia"), *system.names("dev/dri", "renderD")),
        "kfd": (
            (system.root / "dev/kfd").exists(),
            *system.names("sys/class/kfd/kfd/topology/nodes"),
        ),
        "drivers": tuple(_changed_at(system.root / name) for name in _DRIVER_FILES),
    }
    return "; ".join(f"{name} {fact}" for name, fact in facts.items())


def _memory(system: System, told: str) -> tuple[int, tuple[str, ...]]:
    """Return the usable bytes, and the words for a limit below what the machine has."""
    kibibytes = re.search(r"^MemTotal:\s*([0-9]+) kB", system.text("proc/meminfo"), re.MULTILINE)
    if kibibytes:
        total = int(kibibytes[1]) * 1024
    else:
        total = int(told) if told.isdecimal() else system.memory()
    limit = memory_limit(system)
    if limit is None or limit >= total:
        return total, ()
    return limit, (f"A container limit leaves {limit / GB:.1f} of {total / GB:.1f} GB of memory.",)


def _disk_free(system: System, path: Path) -> int:
    # The folder may not be made yet; what counts is the volume it will lie on.
    for folder in (path, *path.absolute().parents):
        try:
            return system.disk_free(folder)
        except OSError:
            continue
    return 0


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _read(cache: Path) -> Profile | None:
    try:
        with cache.open("rb") as file:
            return Profile.from_json(json.loads(file.read(_CACHE_BYTES)))
    except (OSError, ValueError, RecursionError):
        return None


def _write(cache: Path, profile: Profile) -> None:
    """Write the cache whole or not at all; leaves no other file behind."""
    text = json.dumps(profile.to_json(), indent=2) + "\n"
    # Not the process id alone: two containers that share the folder may both be process 1.
    part = cache.with_name(f".{cache.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(cache)
    except OSError:
        return  # a cache saves time; it is not worth an error
    finally:
        _remove(part)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return
