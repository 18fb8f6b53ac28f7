"""Finds the graphics cards: NVIDIA through NVML, AMD through the kernel, never by torch."""

from typing import Any, Final

from modelset.core.profile import Gpu
from modelset.core.values import dataclass
from modelset.probe.system import Nvml, System

_NOT_SUPPORTED: Final = 3
# No driver here, rather than a driver in trouble: loading one changes the fingerprint.
_ABSENT: Final = frozenset({9, 12})  # NVML_ERROR_DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND
_AMD: Final = "4098"  # PCI vendor 0x1002, as KFD prints it
_TRACE: Final = "proc/driver/nvidia/version"


@dataclass(frozen=True, slots=True)
class Cards:
    """The cards that answered, words about those that did not, and whether to ask again soon."""

    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()
    settled: bool = True


def find_cards(system: System, *, memory_bytes: int) -> Cards:
    """Return the machine's NVIDIA and AMD cards; a driver's error becomes a note, never raised.

    `memory_bytes` is the machine's memory, which some cards share instead of having their own.
    """
    if system.platform == "darwin":
        return Cards()
    nvidia = _nvidia(system, memory_bytes)
    return Cards((*nvidia.gpus, *_amd(system)), nvidia.notes, nvidia.settled)


def _nvidia(system: System, memory_bytes: int) -> Cards:
    traced = bool(system.text(_TRACE))
    nvml = system.nvml()
    if nvml is None:
        note = "An NVIDIA driver is loaded, but nvidia-ml-py is missing: its cards are unknown."
        return Cards(notes=(note,), settled=False) if traced else Cards()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        absent = getattr(error, "value", None) in _ABSENT and not traced
        return Cards() if absent else Cards(notes=(_trouble(error),), settled=False)
    try:
        return _ask(nvml, memory_bytes)
    except nvml.NVMLError as error:
        return Cards(notes=(_trouble(error),), settled=False)
    finally:
        _shut_down(nvml)


def _ask(nvml: Nvml, memory_bytes: int) -> Cards:
    driver = _said(nvml.nvmlSystemGetDriverVersion())
    gpus, notes = [], []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            gpus.append(_card(nvml, handle, driver, memory_bytes))
        except nvml.NVMLError as error:
            # One broken card must not hide the others.
            notes.append(f"NVIDIA card {index} answered: {error}")
    return Cards(tuple(gpus), tuple(notes), settled=not notes)


def _card(nvml: Nvml, handle: Any, driver: str, memory_bytes: int) -> Gpu:
    try:
        memory = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    except nvml.NVMLError as error:
        if getattr(error, "value", None) != _NOT_SUPPORTED:
            raise
        memory = memory_bytes  # Jetson and GB10 share the machine's memory and report none
    try:
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        capability = (int(major), int(minor))
    except nvml.NVMLError:
        capability = None
    return Gpu("nvidia", _said(nvml.nvmlDeviceGetName(handle)), memory, driver, capability)


def _shut_down(nvml: Nvml) -> None:
    try:
        nvml.nvmlShutdown()
    except nvml.NVMLError:
        return  # what was read stays true


def _amd(system: System) -> list[Gpu]:
    """Return the cards that ROCm can compute on: the nodes of the kernel's KFD driver with SIMDs.

    From the kernel's drivers/gpu/drm/amd/amdkfd/kfd_topology.c.
    """
    nodes = "sys/class/kfd/kfd/topology/nodes"
    driver = system.text("sys/module/amdgpu/version")
    cards = [
        f"sys/class/drm/{name}/device"
        for name in system.names("sys/class/drm", "card")
        if system.text(f"sys/class/drm/{name}/device/vendor") == "0x1002"
    ]
    gpus: list[Gpu] = []
    for node in system.names(nodes):
        fields = _pairs(system.text(f"{nodes}/{node}/properties"))
        if fields.get("vendor_id", _AMD) != _AMD or fields.get("simd_count", "0") == "0":
            continue
        minor = fields.get("drm_render_minor", "")
        # KFD lists cards in the order in which DRM numbers them.
        in_order = cards[len(gpus)] if len(gpus) < len(cards) else ""
        places = [f"sys/class/drm/renderD{minor}/device", in_order]
        told = [system.text(f"{place}/mem_info_vram_total") for place in places if place]
        banks = _pairs(system.text(f"{nodes}/{node}/mem_banks/0/properties"))
        sizes = [text for text in (*told, banks.get("size_in_bytes", "")) if text.isdecimal()]
        product = [system.text(f"{place}/product_name") for place in places if place]
        name = next(filter(None, product), f"AMD {_target(fields)}")
        gpus.append(Gpu("amd", name, int(next(iter(sizes), "0")), driver, None))
    return gpus


def _target(fields: dict[str, str]) -> str:
    # 90010 is gfx90a: two decimal digits each for the parts, the last ones written in hex.
    version = fields.get("gfx_target_version", "")
    if not version.isdecimal() or int(version) == 0:
        return "GPU"
    number = int(version)
    return f"gfx{number // 10000}{number // 100 % 100:x}{number % 100:x}"


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition(" ") for line in text.splitlines())}


def _said(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text


def _trouble(error: Exception) -> str:
    return f"The NVIDIA driver answered with an error: {error}. Its cards are not used."
