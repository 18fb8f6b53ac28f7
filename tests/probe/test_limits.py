"""What a container allows, in both versions of control groups."""

import pytest

from modelset.core.hardware import GB
from modelset.probe.limits import cpu_limit, memory_limit
from modelset.probe.machine import fingerprint, profile_machine

CGROUP = "sys/fs/cgroup"


def test_without_control_groups_there_is_no_limit(bench):
    assert memory_limit(bench.system()) is None
    assert cpu_limit(bench.system()) is None


def test_a_container_of_version_2_caps_memory_and_cores_with_a_note(bench, tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        f"{CGROUP}/memory.max": f"{4 * GB}\n",
        f"{CGROUP}/cpu.max": "250000 100000\n",
    }
    profile = profile_machine(tmp_path, system=bench.linux(memory=64, cpus=16, files=files))
    assert profile.memory_bytes == 4 * GB
    assert (profile.cores_physical, profile.cores_logical) == (2, 2)
    assert profile.notes == (
        "A container limit leaves 4.0 of 64.0 GB of memory.",
        "A container limit leaves 2.5 of 16 processors.",
    )


def test_less_than_one_processor_counts_as_one(bench, tmp_path):
    system = bench.linux(files={f"{CGROUP}/cpu.max": "50000 100000\n"})
    assert profile_machine(tmp_path, system=system).cores_logical == 1


def test_a_container_of_version_1_caps_too(bench):
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/docker/x\n",
        f"{CGROUP}/memory/docker/x/memory.limit_in_bytes": f"{2 * GB}\n",
        f"{CGROUP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
        f"{CGROUP}/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "300000\n",
        f"{CGROUP}/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
        f"{CGROUP}/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    }
    system = bench.linux(files=files)
    assert memory_limit(system) == 2 * GB
    assert cpu_limit(system) == 3


@pytest.mark.parametrize(("outer", "inner"), [("3", "max"), ("3", "5"), ("max", "3")])
def test_the_tightest_group_above_counts(bench, outer, inner):
    size = {"3": str(3 * GB), "5": str(5 * GB), "max": "max"}
    files = {
        "proc/self/cgroup": "0::/slice/job\n",
        f"{CGROUP}/slice/memory.max": size[outer],
        f"{CGROUP}/slice/job/memory.max": size[inner],
    }
    assert memory_limit(bench.linux(files=files)) == 3 * GB


def test_no_limit_in_the_words_of_either_version(bench, tmp_path):
    files = {
        "proc/self/cgroup": "4:memory:/\n0::/\n",
        f"{CGROUP}/memory.max": "max\n",
        f"{CGROUP}/cpu.max": "max 100000\n",
        f"{CGROUP}/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    system = bench.linux(files=files)
    profile = profile_machine(tmp_path, system=system)
    assert (profile.memory_bytes, profile.notes) == (16 * GB, ())
    assert memory_limit(system) is None


def test_a_limit_above_what_the_machine_has_is_no_limit(bench, tmp_path):
    system = bench.linux(memory=8, files={f"{CGROUP}/memory.max": f"{9 * GB}\n"})
    profile = profile_machine(tmp_path, system=system)
    assert (profile.memory_bytes, profile.notes) == (8 * GB, ())


def test_a_path_that_climbs_stays_inside_the_mount(bench):
    bench.put("memory.max", "1")
    files = {"proc/self/cgroup": "0::/../../..\n", f"{CGROUP}/memory.max": f"{GB}\n"}
    assert memory_limit(bench.linux(files=files)) == GB


@pytest.mark.parametrize("text", ["", "many", "100000", "100000 0", "-1 100000"])
def test_a_quota_that_makes_no_sense_is_no_limit(bench, text):
    assert cpu_limit(bench.linux(files={f"{CGROUP}/cpu.max": text})) is None


def test_another_limit_is_another_machine(bench):
    free = fingerprint(bench.linux())
    assert fingerprint(bench.linux(files={f"{CGROUP}/memory.max": f"{GB}\n"})) != free
