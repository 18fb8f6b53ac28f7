"""The kept profile: when it is trusted, when not, and how it is written."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelset.core.hardware import Profile
from modelset.probe.machine import fingerprint, load_or_profile

GB = 2**30


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "out" / "hardware_cache.json"


def counting(bench, system):
    """The same machine, and a list that grows each time it is really profiled."""
    asked = []

    def nvml():
        asked.append("nvml")
        return bench.Nvml([bench.Card("Card", 8 * GB)])

    return replace(system, nvml=nvml), asked


def test_a_second_run_reads_what_the_first_wrote(bench, cache, tmp_path):
    system, asked = counting(bench, bench.linux())
    first = load_or_profile(cache, tmp_path, system=system)
    second = load_or_profile(cache, tmp_path, system=system)
    assert asked == ["nvml"]
    assert second == first
    assert Profile.from_json(json.loads(cache.read_text())) == first
    assert os.listdir(cache.parent) == [cache.name]


def test_free_space_is_asked_each_time(bench, cache, tmp_path):
    system, asked = counting(bench, bench.linux())
    load_or_profile(cache, tmp_path, system=system)
    later = replace(system, disk_free=lambda path: 3 * GB)
    profile = load_or_profile(cache, tmp_path / "other", system=later)
    assert (profile.disk_free_bytes, profile.disk_path) == (3 * GB, str(tmp_path / "other"))
    assert asked == ["nvml"]


def test_refresh_profiles_again(bench, cache, tmp_path):
    system, asked = counting(bench, bench.linux())
    load_or_profile(cache, tmp_path, system=system)
    load_or_profile(cache, tmp_path, refresh=True, system=system)
    assert asked == ["nvml", "nvml"]


BROKEN = {
    "empty": lambda text: b"",
    "truncated": lambda text: text[: len(text) // 2],
    "no json": lambda text: b"\x7fELF not json",
    "no text": lambda text: b"\xff\xfe\x00\xd8",
    "another thing": lambda text: b"[1, 2, 3]",
    "too deep": lambda text: b"[" * 200_000,
    "too long": lambda text: b" " * 2**20 + text,
    "another version": lambda text: text.replace(b'"schema_version": 1', b'"schema_version": 2'),
    "a wrong field": lambda text: text.replace(b'"memory_bytes": ', b'"memory_bytes": -'),
    "a huge number": lambda text: text.replace(
        b'"memory_bytes": ', b'"memory_bytes": ' + b"9" * 5000
    ),
    "of another machine": lambda text: text.replace(b"Test CPU 3000; memory", b"Other; memory"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_cache_that_cannot_be_trusted_is_made_anew(bench, cache, tmp_path, name):
    system, asked = counting(bench, bench.linux())
    first = load_or_profile(cache, tmp_path, system=system)
    good = cache.read_bytes()
    bad = BROKEN[name](good)
    assert bad != good
    cache.write_bytes(bad)
    assert load_or_profile(cache, tmp_path, system=system) == first
    assert asked == ["nvml", "nvml"]
    assert cache.read_bytes() == good
    assert os.listdir(cache.parent) == [cache.name]


@pytest.mark.parametrize(
    "change",
    [
        lambda bench, system: replace(system, python="3.13.0"),
        lambda bench, system: replace(system, machine="aarch64"),
        lambda bench, system: replace(system, cpus=lambda: 4),
        lambda bench, system: bench.linux(memory=32),
        lambda bench, system: bench.linux(cpuinfo="model name : Other\nflags : avx\n"),
        lambda bench, system: bench.linux(files={"proc/driver/nvidia/version": "NVRM 550\n"}),
        lambda bench, system: bench.linux(files={"dev/nvidia0": ""}),
        lambda bench, system: bench.linux(files={"dev/kfd": ""}),
        lambda bench, system: bench.linux(files={"usr/lib/wsl/lib/libnvidia-ml.so.1": "x"}),
    ],
)
def test_a_changed_machine_is_profiled_again(bench, cache, tmp_path, change):
    system, asked = counting(bench, bench.linux())
    before = load_or_profile(cache, tmp_path, system=system)
    changed = replace(change(bench, system), nvml=system.nvml)
    after = load_or_profile(cache, tmp_path, system=changed)
    assert asked == ["nvml", "nvml"]
    assert after.fingerprint == fingerprint(changed) != before.fingerprint
    assert load_or_profile(cache, tmp_path, system=changed) == after
    assert asked == ["nvml", "nvml"]


def test_the_fingerprint_asks_no_driver_and_no_library(bench):
    def never(*_):
        raise AssertionError("too slow for a fingerprint")

    system = bench.linux()
    strict = replace(
        system, nvml=never, run=never, cpu_details=never, physical_cores=never, memory=never
    )
    assert fingerprint(strict) == fingerprint(system)


def test_a_driver_in_trouble_is_asked_again_next_time(bench, cache, tmp_path):
    broken = bench.linux(nvml=bench.Nvml(trouble=bench.Error(999, "Unknown Error")))
    assert load_or_profile(cache, tmp_path, system=broken).gpus == ()
    healed, asked = counting(bench, broken)
    assert len(load_or_profile(cache, tmp_path, system=healed).gpus) == 1
    load_or_profile(cache, tmp_path, system=healed)
    assert asked == ["nvml"]


def test_a_cache_that_is_a_folder_costs_the_cache_and_not_the_profile(bench, cache, tmp_path):
    cache.mkdir(parents=True)
    profile = load_or_profile(cache, tmp_path, system=bench.linux())
    assert profile.cpu_name == "Test CPU 3000"
    assert os.listdir(cache.parent) == [cache.name]


def test_a_folder_that_cannot_be_made_costs_the_cache_and_not_the_profile(bench, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    cache = tmp_path / "out" / "hardware_cache.json"
    assert load_or_profile(cache, tmp_path, system=bench.linux()).memory_bytes == 16 * GB


# Root may write everywhere, so the child becomes an ordinary user once everything is imported.
# Paths are relative, because that user may not walk down to the test's folder.
ORDINARY = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:]
from modelset.probe.machine import load_or_profile
from tests.probe.conftest import Bench
system = Bench(Path("machine")).linux()
load_or_profile(Path("warm/cache.json"), Path("."), system=system)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    open("out/probe", "w")
except PermissionError:
    profile = load_or_profile(Path("out/hardware_cache.json"), Path("."), system=system)
    print(os.geteuid() != 0, profile.memory_bytes, os.listdir("out"))
"""


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has another kind of permissions")
def test_a_folder_without_permission_costs_the_cache_and_not_the_profile(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "machine").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o555)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ORDINARY, str(root), str(root / "shared")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == f"True {16 * GB} []\n", done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that even root cannot write")
def test_a_folder_that_nobody_may_write_costs_the_cache_and_not_the_profile(bench, tmp_path):
    cache = Path("/proc/modelset/hardware_cache.json")
    assert load_or_profile(cache, tmp_path, system=bench.linux()).memory_bytes == 16 * GB


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of a file")
def test_a_write_that_fails_halfway_leaves_the_old_cache_and_nothing_else(bench, cache, tmp_path):
    import resource

    load_or_profile(cache, tmp_path, system=bench.linux())
    before = cache.read_bytes()
    changed = bench.linux(memory=32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        profile = load_or_profile(cache, tmp_path, system=changed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert profile.memory_bytes == 32 * GB
    assert cache.read_bytes() == before
    assert os.listdir(cache.parent) == [cache.name]


def test_a_path_that_is_no_utf8_is_kept(bench, cache, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    first = load_or_profile(cache, odd, system=bench.linux())
    assert load_or_profile(cache, odd, system=bench.linux()) == first
    assert Profile.from_json(json.loads(cache.read_text())).disk_path == str(odd)
