"""Says what a machine is and which Whisper model suits it, by rules that are data."""

import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import Final, Literal, get_args

from modelset.core.profile import GB, Gpu, Profile, Vendor, capability_text
from modelset.core.reading import Version, parse_toml, read_value
from modelset.core.values import dataclass

Device = Literal["cpu", "cuda"]
# The multilingual names of `faster_whisper.utils._MODELS`, faster-whisper 1.2.1.
Whisper = Literal[
    "tiny", "base", "small", "medium", "large-v1", "large-v2", "large-v3", "large-v3-turbo",
    "distil-large-v2", "distil-large-v3", "distil-large-v3.5",
]  # fmt: skip
# CTranslate2, docs/quantization.md: the first four on every device, the others on cards alone.
ComputeType = Literal[
    "float32", "int16", "int8", "int8_float32",
    "bfloat16", "float16", "int8_bfloat16", "int8_float16",
]  # fmt: skip
CPU_TYPES: Final = get_args(ComputeType)[:4]


_CARD_WORDS: Final = frozenset({"compute_capability", "gpu_driver", "gpu_memory_gb", "gpu_name"})
_WORDS: Final = _CARD_WORDS | {"cores", "cpu_name", "machine", "memory_gb"}


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a rule: all given ones hold, those about a GPU on one and the same card.

    Gigabytes are 2**30 bytes. `driver_min` is the first number of the driver's version,
    `machines` are names such as `x86_64`, compared without case. `cores_min` counts physical cores.
    """

    gpu_vendor: Vendor | None = None
    gpu_memory_gb_min: float | None = None
    compute_capability_min: Version | None = None
    driver_min: int | None = None
    apple_silicon: bool | None = None
    machines: tuple[str, ...] = ()
    memory_gb_min: float | None = None
    cores_min: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of `catalog/hardware.toml`; `reason` may hold placeholders such as {cores}."""

    name: str
    when: When
    whisper: Whisper
    device: Device
    compute_type: ComputeType
    batch_size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which Whisper model to run and how, with the reason in words and the rule's name."""

    whisper: Whisper
    device: Device
    compute_type: ComputeType
    batch_size: int
    reason: str
    rule: str


def capabilities(profile: Profile) -> frozenset[str]:
    """Return the words that a model's `needs` may ask of a machine: apple-silicon, cuda, rocm."""
    words = {"nvidia": "cuda", "amd": "rocm"}
    apple = {"apple-silicon"} if profile.apple_silicon else set()
    return frozenset(apple | {words[gpu.vendor] for gpu in profile.gpus})


def recommend(profile: Profile, rules: Sequence[Rule]) -> Recommendation:
    """Return what the first rule that holds says.

    Of several GPUs the largest one that meets the rule counts, since a model is not split; the
    reason says so. Raises ValueError when no rule holds, which `parse_rules` rules out.
    """
    for rule in rules:
        cards = [gpu for gpu in profile.gpus if _meets(gpu, rule.when)]
        if not _holds(profile, rule.when) or (_asks_card(rule.when) and not cards):
            continue
        card = max(cards, key=lambda gpu: gpu.memory_bytes, default=None)
        reason = rule.reason.format_map(_words(profile, card))
        if rule.device == "cuda" and card and len(profile.gpus) > 1:
            reason += (
                f" Of {len(profile.gpus)} GPUs only the largest that suits counts"
                f" ({card.name}, {_gigabytes(card.memory_bytes)} GB): a model is not split."
            )
        return Recommendation(
            rule.whisper, rule.device, rule.compute_type, rule.batch_size, reason, rule.name
        )
    raise ValueError("no rule holds for this machine: a last rule without conditions is missing")


def parse_rules(source: str | Mapping[str, object]) -> tuple[Rule, ...]:
    """Return the rules of `catalog/hardware.toml`, given as TOML text or as what it became.

    Raises one ValueError that lists every problem, a line each: TOML that cannot be read; fields
    missing, unknown or wrong; a reason with an unknown placeholder; a type that the device cannot
    compute; a name used twice; no catch-all at the end, or one before it.
    """
    try:
        data = parse_toml(source) if isinstance(source, str) else source
    except ValueError as error:
        raise ValueError(f"not TOML: {error}") from error
    tables = data.get("rule")
    if not isinstance(tables, list) or not tables or len(data) != 1:
        raise ValueError("must hold [[rule]] tables and nothing else")
    rules, problems, names = [], [], set[str]()
    for place, table in enumerate(tables, start=1):
        name, when = map(table.get, ("name", "when")) if isinstance(table, dict) else (None, None)
        found = ["name is used twice"] if name and str(name) in names else []
        names.add(str(name))
        if (when == {}) != (place == len(tables)):
            found.append("the last rule, and no other, must catch all: when = {}")
        try:
            rules.append(read_value(Rule, table))
            found += _contradictions(rules[-1])
        except ValueError as error:
            found += str(error).splitlines()
        problems += [f"rule {place} ({name}): {line}" for line in found]
    if problems:
        raise ValueError("\n".join(problems))
    return tuple(rules)


def _contradictions(rule: Rule) -> list[str]:
    """Return what is wrong with a rule whose fields are each well formed."""
    found = {
        "batch_size must be at least 1": rule.batch_size < 1,
        f"a CPU does not compute in {rule.compute_type}": (
            rule.device == "cpu" and rule.compute_type not in CPU_TYPES
        ),
        "device cuda needs when.gpu_vendor nvidia": (
            rule.device == "cuda" and rule.when.gpu_vendor != "nvidia"
        ),
    }
    known = _WORDS if _asks_card(rule.when) else _WORDS - _CARD_WORDS
    try:
        asked = {name for _, name, *_ in Formatter().parse(rule.reason) if name is not None}
        found |= {f"reason has an unknown {{{name}}}": True for name in sorted(asked - known)}
        if asked <= known:
            rule.reason.format_map(dict.fromkeys(known, ""))
    except ValueError as error:
        found[f"reason cannot be filled in: {error}"] = True
    return [words for words, wrong in found.items() if wrong]


def _holds(profile: Profile, when: When) -> bool:
    return (
        when.apple_silicon in (None, profile.apple_silicon)
        and (not when.machines or profile.machine.lower() in map(str.lower, when.machines))
        and profile.memory_bytes >= (when.memory_gb_min or 0) * GB
        and profile.cores_physical >= (when.cores_min or 0)
    )


def _asks_card(when: When) -> bool:
    card_fields = (when.gpu_vendor, when.gpu_memory_gb_min, when.compute_capability_min)
    return any(value is not None for value in (*card_fields, when.driver_min))


def _meets(gpu: Gpu, when: When) -> bool:
    # A version that says nothing must not pass for a new one.
    driver = re.match(r"[0-9]+", gpu.driver)
    return (
        when.gpu_vendor in (None, gpu.vendor)
        and gpu.memory_bytes >= (when.gpu_memory_gb_min or 0) * GB
        and (gpu.compute_capability or (0, 0)) >= (when.compute_capability_min or (0, 0))
        and int(driver[0] if driver else 0) >= (when.driver_min or 0)
    )


def _words(profile: Profile, card: Gpu | None) -> dict[str, str]:
    return {
        "cores": str(profile.cores_physical),
        "cpu_name": profile.cpu_name,
        "machine": profile.machine,
        "memory_gb": _gigabytes(profile.memory_bytes),
        "compute_capability": (card and capability_text(card)) or "unknown",
        "gpu_driver": (card and card.driver) or "unknown",
        "gpu_memory_gb": _gigabytes(card.memory_bytes if card else 0),
        "gpu_name": card.name if card else "none",
    }


def _gigabytes(size: int) -> str:
    return f"{size / GB:.0f}" if size >= 10 * GB else f"{size / GB:.1f}".removesuffix(".0")
