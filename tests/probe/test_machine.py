"""Whole machines: what is found on each, and what is recommended for it."""

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import modelset
from modelset.core.hardware import Profile, parse_rules, recommend
from modelset.probe.machine import fingerprint, profile_machine
from modelset.probe.system import this_system

GB = 2**30
RULES = parse_rules((files("modelset") / "catalog" / "hardware.toml").read_text(encoding="utf-8"))
KFD = "sys/class/kfd/kfd/topology/nodes"


def advice(profile):
    said = recommend(profile, RULES)
    return said.whisper, said.device, said.compute_type


def test_a_machine_without_a_gpu(bench, tmp_path):
    profile = profile_machine(tmp_path, system=bench.linux(memory=15.5, cpus=8))
    assert profile == Profile(
        schema_version=1,
        fingerprint=profile.fingerprint,
        profiled_at="2026-01-02T03:04:05+00:00",
        system="Linux",
        machine="x86_64",
        python="3.11.7",
        cpu_name="Test CPU 3000",
        cores_physical=4,
        cores_logical=8,
        cpu_flags=("avx", "avx2", "fma", "sha_ni", "sse4_1"),
        memory_bytes=int(15.5 * GB),
        disk_free_bytes=77 * GB,
        disk_path=str(tmp_path),
        gpus=(),
        apple_silicon=False,
        notes=(),
    )
    assert advice(profile) == ("small", "cpu", "int8")


@pytest.mark.parametrize(
    ("name", "gigabytes", "capability", "expected"),
    [
        ("GTX 1650", 4, (7, 5), ("large-v3-turbo", "cuda", "int8_float16")),
        ("RTX 3070", 8, (8, 6), ("large-v3", "cuda", "int8_float16")),
        ("RTX 4090", 23.99, (8, 9), ("large-v3", "cuda", "float16")),
        ("H100", 79.6, (9, 0), ("large-v3", "cuda", "float16")),
        ("GTX 1080", 8, (6, 1), ("large-v3", "cuda", "int8")),
        ("Tesla P100", 16, (6, 0), ("large-v3-turbo", "cuda", "float32")),
        ("GTX 970", 4, (5, 2), ("small", "cpu", "int8")),
    ],
)
def test_a_machine_with_one_nvidia_card(bench, tmp_path, name, gigabytes, capability, expected):
    nvml = bench.Nvml([bench.Card(name, int(gigabytes * GB), capability)])
    profile = profile_machine(tmp_path, system=bench.linux(nvml=nvml))
    (gpu,) = profile.gpus
    assert (gpu.vendor, gpu.name, gpu.driver) == ("nvidia", name, "550.54.14")
    assert (gpu.memory_bytes, gpu.compute_capability) == (int(gigabytes * GB), capability)
    assert advice(profile) == expected
    assert (nvml.opened, nvml.closed) == (1, 1)


def test_a_machine_with_two_cards_is_judged_by_the_larger(bench, tmp_path):
    nvml = bench.Nvml([bench.Card("Small", 6 * GB), bench.Card(b"Big", 12 * GB)])
    profile = profile_machine(tmp_path, system=bench.linux(nvml=nvml))
    assert [gpu.name for gpu in profile.gpus] == ["Small", "Big"]
    said = recommend(profile, RULES)
    assert said.rule == "nvidia-medium"
    assert "Of 2 GPUs only the largest that suits counts (Big, 12 GB)" in said.reason


@pytest.mark.parametrize(
    ("memory", "chip", "whisper"),
    [(8, "Apple M1", "small"), (64, "Apple M4 Max", "large-v3-turbo")],
)
def test_a_mac_counts_its_one_memory(bench, tmp_path, memory, chip, whisper):
    profile = profile_machine(tmp_path, system=bench.mac(memory=memory, chip=chip))
    assert (profile.system, profile.machine, profile.cpu_name) == ("Darwin", "arm64", chip)
    assert (profile.memory_bytes, profile.gpus) == (memory * GB, ())
    assert profile.apple_silicon
    assert profile.cpu_flags == ("neon",)
    assert (profile.cores_physical, profile.notes) == (10, ())
    assert advice(profile) == (whisper, "cpu", "int8")


def test_a_mac_that_runs_python_through_rosetta_is_apple_silicon_with_a_note(bench, tmp_path):
    profile = profile_machine(tmp_path, system=bench.mac(translated=True))
    assert (profile.machine, profile.apple_silicon) == ("x86_64", True)
    assert any("Rosetta" in note for note in profile.notes)


def test_an_intel_mac_is_no_apple_silicon(bench, tmp_path):
    answers = (
        "hw.memsize: 17179869184\nhw.physicalcpu: 4\nmachdep.cpu.brand_string: Intel(R) Core(TM)\n"
        "machdep.cpu.features: FPU SSE4.1 AVX1.0 FMA\nmachdep.cpu.leaf7_features: AVX2 BMI1\n"
    )
    system = bench.system(platform="darwin", cpus=lambda: 8, run=lambda command: answers)
    profile = profile_machine(tmp_path, system=system)
    assert not profile.apple_silicon
    assert profile.cpu_flags == ("avx", "avx2", "fma", "sse4_1")
    assert (profile.cores_physical, profile.cores_logical, profile.memory_bytes) == (4, 8, 16 * GB)


def test_a_mac_whose_sysctl_does_not_answer_is_still_profiled(bench, tmp_path):
    system = bench.system(platform="darwin", machine="arm64")
    profile = profile_machine(tmp_path, system=system)
    assert (profile.cpu_name, profile.memory_bytes, profile.cores_physical) == ("arm64", 8 * GB, 2)


def test_a_rocm_machine_computes_on_the_cpu_and_says_why(bench, tmp_path):
    properties = "simd_count 96\nvendor_id 4098\ngfx_target_version 110000\ndrm_render_minor 128\n"
    system = bench.linux(
        memory=32,
        cpus=16,
        files={
            f"{KFD}/0/properties": "cpu_cores_count 16\nsimd_count 0\nvendor_id 0\n",
            f"{KFD}/1/properties": properties,
            "sys/class/drm/renderD128/device/mem_info_vram_total": f"{24 * GB}\n",
            "sys/module/amdgpu/version": "6.10.5\n",
        },
    )
    profile = profile_machine(tmp_path, system=system)
    (gpu,) = profile.gpus
    assert (gpu.vendor, gpu.name, gpu.memory_bytes) == ("amd", "AMD gfx1100", 24 * GB)
    assert (gpu.driver, gpu.compute_capability) == ("6.10.5", None)
    said = recommend(profile, RULES)
    assert (said.whisper, said.device) == ("large-v3-turbo", "cpu")
    assert said.reason.startswith("AMD gfx1100 is not used")


def test_a_machine_with_4_gb_of_memory(bench, tmp_path):
    profile = profile_machine(tmp_path, system=bench.linux(memory=3.8, cpus=4))
    assert advice(profile) == ("base", "cpu", "int8")


def test_a_driver_that_answers_with_an_error_is_a_note_and_no_gpu(bench, tmp_path):
    nvml = bench.Nvml(trouble=bench.Error(18, "RM has detected an NVML/RM version mismatch."))
    profile = profile_machine(tmp_path, system=bench.linux(nvml=nvml))
    assert profile.gpus == ()
    assert "RM has detected an NVML/RM version mismatch" in profile.notes[0]
    assert advice(profile)[1] == "cpu"


def test_an_arm_machine_gets_its_name_from_lscpu(bench, tmp_path):
    system = bench.linux(
        cpuinfo="processor\t: 0\nFeatures\t: fp asimd asimddp sha2 crc32\n",
        threads=1,
        machine="aarch64",
        run=lambda command: "Architecture: aarch64\nModel name:   Neoverse-N1\n",
    )
    profile = profile_machine(tmp_path, system=system)
    assert profile.cpu_name == "Neoverse-N1"
    assert profile.cpu_flags == ("asimddp", "neon", "sha2")
    assert (profile.cores_physical, profile.cores_logical) == (8, 8)


def test_a_windows_machine_is_read_through_the_libraries(bench, tmp_path):
    details = {"brand_raw": "Intel Core i7", "flags": ["avx2", "sse4_1", "mmx"]}
    system = bench.system(platform="win32", machine="AMD64", cpu_details=lambda: details)
    profile = profile_machine(tmp_path, system=system)
    assert (profile.system, profile.cpu_name) == ("Windows", "Intel Core i7")
    assert (profile.cpu_flags, profile.memory_bytes) == (("avx2", "sse4_1"), 8 * GB)
    assert (profile.cores_physical, profile.cores_logical) == (2, 4)


def test_a_machine_that_tells_nothing_is_still_profiled(bench, tmp_path):
    unknown = bench.system(physical_cores=lambda: 0, memory=lambda: 0, cpus=lambda: 0)
    profile = profile_machine(tmp_path, system=unknown)
    assert (profile.cpu_name, profile.cores_physical, profile.memory_bytes) == ("x86_64", 1, 0)
    assert advice(profile) == ("tiny", "cpu", "int8")


def test_a_process_bound_to_few_processors_does_not_count_the_others(bench, tmp_path):
    system = bench.linux(cpus=16)
    profile = profile_machine(tmp_path, system=bench.system(cpus=lambda: 2))
    assert (profile.cores_physical, profile.cores_logical) == (2, 2)
    assert fingerprint(system) != fingerprint(bench.system(cpus=lambda: 2))


def test_free_space_of_a_folder_not_yet_made_is_that_of_its_volume(bench, tmp_path):
    asked = []

    def disk_free(path):
        asked.append(path)
        if path != tmp_path:
            raise FileNotFoundError(path)
        return 5 * GB

    wanted = tmp_path / "models" / "hub"
    profile = profile_machine(wanted, system=bench.linux(disk_free=disk_free))
    assert (profile.disk_free_bytes, profile.disk_path) == (5 * GB, str(wanted))
    assert asked == [wanted, tmp_path / "models", tmp_path]


def test_the_libraries_answer_on_this_machine():
    here = this_system()
    assert here.cpu_details()["arch"]
    assert here.memory() > 0
    assert here.cpus() >= 1
    assert here.physical_cores() >= 0
    assert here.run((sys.executable, "-c", "print('said')")).strip() == "said"
    assert here.run(("/no/such/command",)) == ""
    assert here.text("no/such/file") == ""


CHILD = """
import sys
from pathlib import Path
from modelset.probe.machine import load_or_profile
for round in range(2):
    profile = load_or_profile(Path(sys.argv[1]), Path(sys.argv[1]).parent, refresh=not round)
    assert profile.memory_bytes > 0 and profile.cores_logical > 0, profile
print(*sorted(name for name in ("torch", "socket", "psutil", "cpuinfo") if name in sys.modules))
"""


def run_child(code, *arguments):
    source = str(Path(modelset.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_this_machine_is_profiled_without_torch(tmp_path):
    loaded = run_child(f"exec({CHILD!r})", str(tmp_path / "cache.json"))
    assert "torch" not in loaded
    if sys.platform == "linux" and "model name" in Path("/proc/cpuinfo").read_text():
        assert loaded == []


def test_a_kept_profile_loads_no_library_that_looks_at_hardware(tmp_path):
    cache = str(tmp_path / "cache.json")
    run_child(f"exec({CHILD!r})", cache)
    code = (
        "from pathlib import Path; from modelset.probe.machine import load_or_profile; "
        "load_or_profile(Path(sys.argv[1]), Path('/')); "
        "print(*{'psutil', 'cpuinfo', 'pynvml', 'subprocess', 'socket', 'torch'} & {*sys.modules})"
    )
    if sys.platform != "win32":
        assert run_child(code, cache) == []
