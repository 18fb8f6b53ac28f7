"""Drivers that answer, half answer, or do not."""

# ruff: noqa: N802  the names are those of NVML

from dataclasses import replace

import pytest

from modelset.probe import system
from modelset.probe.gpu import Cards, find_cards

GB = 2**30
NODES = "sys/class/kfd/kfd/topology/nodes"
TRACE = {"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module 550.54\n"}


def cards_of(system):
    return find_cards(system, memory_bytes=100 * GB)


@pytest.mark.parametrize("value", [9, 12])
def test_no_driver_at_all_is_silent(bench, value):
    nvml = bench.Nvml(trouble=bench.Error(value, "NVML Shared Library Not Found"))
    assert cards_of(bench.linux(nvml=nvml)) == Cards()


def test_a_loaded_driver_without_its_library_is_told(bench):
    nvml = bench.Nvml(trouble=bench.Error(12, "NVML Shared Library Not Found"))
    found = cards_of(bench.linux(nvml=nvml, files=TRACE))
    assert (found.gpus, found.settled) == ((), False)
    assert "NVML Shared Library Not Found" in found.notes[0]


def test_a_missing_python_module_is_told_only_where_a_driver_is_loaded(bench):
    assert cards_of(bench.linux()) == Cards()
    found = cards_of(bench.linux(files=TRACE))
    assert "nvidia-ml-py is missing" in found.notes[0]
    assert not found.settled


def test_an_error_after_the_start_still_closes_the_driver(bench):
    nvml = bench.Nvml(count_trouble=bench.Error(999, "Unknown Error"))
    found = cards_of(bench.linux(nvml=nvml))
    assert "Unknown Error" in found.notes[0]
    assert (nvml.opened, nvml.closed) == (1, 1)


def test_a_driver_that_fails_to_close_takes_nothing_away(bench):
    class Stuck(bench.Nvml):
        def nvmlShutdown(self):
            raise bench.Error(999, "Unknown Error")

    found = cards_of(bench.linux(nvml=Stuck([bench.Card("Fine", 8 * GB)])))
    assert [gpu.name for gpu in found.gpus] == ["Fine"]
    assert found.settled


def test_one_lost_card_does_not_hide_the_others(bench):
    lost = bench.Card("Lost", 24 * GB, trouble=bench.Error(15, "GPU is lost"))
    found = cards_of(bench.linux(nvml=bench.Nvml([lost, bench.Card("Fine", 8 * GB)])))
    assert [gpu.name for gpu in found.gpus] == ["Fine"]
    assert found.notes == ("NVIDIA card 0 answered: GPU is lost",)
    assert not found.settled


def test_a_card_that_shares_the_memory_of_the_machine_reports_that(bench):
    card = bench.Card("GB10", bench.Error(3, "Not Supported"), (12, 1))
    (gpu,) = cards_of(bench.linux(nvml=bench.Nvml([card]))).gpus
    assert (gpu.memory_bytes, gpu.compute_capability) == (100 * GB, (12, 1))


def test_a_card_that_hides_its_capability_is_kept(bench):
    card = bench.Card("Old", 2 * GB, bench.Error(13, "Function Not Found"))
    (gpu,) = cards_of(bench.linux(nvml=bench.Nvml([card], driver=b"390.157"))).gpus
    assert (gpu.compute_capability, gpu.driver) == (None, "390.157")


def test_amd_cards_without_a_render_number_are_matched_in_order(bench):
    files = {
        f"{NODES}/0/properties": "simd_count 0\nvendor_id 0\n",
        f"{NODES}/1/properties": "simd_count 64\nvendor_id 4098\ngfx_target_version 90010\n",
        f"{NODES}/2/properties": "simd_count 64\nvendor_id 4098\ngfx_target_version 90402\n",
        f"{NODES}/2/mem_banks/0/properties": f"heap_type 1\nsize_in_bytes {192 * GB}\n",
        "sys/class/drm/card0/device/vendor": "0x1a03\n",
        "sys/class/drm/card1/device/vendor": "0x1002\n",
        "sys/class/drm/card1/device/mem_info_vram_total": f"{64 * GB}\n",
        "sys/class/drm/card1/device/product_name": "Instinct MI210\n",
        "sys/class/drm/card1-HDMI-A-1/status": "connected\n",
    }
    found = cards_of(bench.linux(files=files)).gpus
    assert [(gpu.name, gpu.memory_bytes // GB) for gpu in found] == [
        ("Instinct MI210", 64),
        ("AMD gfx942", 192),
    ]


def test_an_amd_card_without_the_compute_driver_is_not_rocm(bench):
    files = {
        "sys/class/drm/card0/device/vendor": "0x1002\n",
        "sys/class/drm/card0/device/mem_info_vram_total": f"{8 * GB}\n",
    }
    assert cards_of(bench.linux(files=files)) == Cards()


def test_a_mac_is_never_asked_for_cards(bench):
    assert cards_of(bench.mac()) == Cards()


def test_a_machine_may_have_cards_of_both_makers(bench):
    files = {f"{NODES}/1/properties": "simd_count 8\nvendor_id 4098\n"}
    system = bench.linux(nvml=bench.Nvml([bench.Card("N", GB)]), files=files)
    assert [gpu.vendor for gpu in cards_of(system).gpus] == ["nvidia", "amd"]
    assert cards_of(replace(system, nvml=lambda: None)).gpus[0].name == "AMD GPU"


@pytest.mark.parametrize(
    ("has_driver", "has_library", "asked"),
    [(False, False, []), (True, False, ["pynvml"]), (False, True, ["pynvml"])],
)
def test_the_slow_module_is_loaded_where_there_is_something_to_ask(
    has_driver, has_library, asked, monkeypatch, tmp_path
):
    def load(name):
        assert name == "libnvidia-ml.so.1"
        if not has_library:
            raise OSError(name)

    loaded = []
    driver = tmp_path if has_driver else tmp_path / "nothing"
    monkeypatch.setattr(system, "Path", lambda path: driver)
    monkeypatch.setattr(system.sys, "platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", load)
    monkeypatch.setattr(system.importlib, "import_module", loaded.append)
    assert system.this_system().nvml() is None
    assert loaded == asked
