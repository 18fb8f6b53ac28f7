"""The fields of a registry's entry that follow from others: only what is stated somewhere."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelset.core.formats import format_of, formats_of
from modelset.core.types import Model, Pin

_START, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
# Not compiled: a verification reads entries and makes none, and must start fast.
# As llama.cpp names its kinds, as MLX does, and as CTranslate2 names its compute types.
_QUANTIZATION = (
    rf"(?i){_START}(I?Q[1-8](?:_(?:[0-9]|K|S|M|L|XS|XXS|XL|NL))*|BF16|FP?16|FP?32|[2-8]-?bit"
    rf"|int(?:8|16)(?:_(?:b?float16|float32))?|b?float16|float32){_END}"
)
# A count of parameters in a name: 7B, 0.5b, 270m; a `b` after an `x` counts experts' parts.
_COUNT = rf"(?i)(?<![A-Za-z0-9.])((?:\d+x)?\d+(?:\.\d+)?[BM]){_END}"
# Words of `needs` that speak of the user and not of the machine.
_NO_HARDWARE = ("hf-token",)


def stated_fields(model: Model, pin: Pin) -> dict[str, Any]:
    """What the catalog and the names of a pin state of a model; what they do not is left out."""
    names = [artifact.name for artifact in pin.artifacts]
    return {
        "id": model.key,
        "format": list(formats_of(model, names)),
        "quantization": quantization_of(model, pin),
        "parameters": _known(
            {"count": _count_of(model, pin), "speed": model.speed, "library": model.library}
        ),
        "hardware": _known(
            {
                "memory": model.memory,
                "needs": [
                    need for need in model.needs if ":" not in need and need not in _NO_HARDWARE
                ],
            }
        ),
        "metadata": _known(
            {
                "tier": model.tier,
                "note": model.note,
                "gate": model.gate,
                "aliases": list(model.aliases),
                "needs_models": list(model.needed_keys),
            }
        ),
    }


def quantization_of(model: Model, pin: Pin) -> str | None:
    """How weights are rounded, where a name says so: those of the files first, then the rest."""
    names = [artifact.name for artifact in pin.artifacts]
    for texts in (names, _texts(pin.ref), [model.key]):
        found = dict.fromkeys(
            _spelled(match) for text in texts for match in re.findall(_QUANTIZATION, text)
        )
        if found:
            return ", ".join(found)
    return None


def hash_of(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """One digest for all files: that of their sha256 sums, each once, sorted, and a line each.

    It says nothing of where they lie, so that it is the same on every machine.
    """
    sums = sorted({str(row["sha256"]) for row in rows})
    if not sums:
        return None
    return "sha256:" + hashlib.sha256("".join(f"{one}\n" for one in sums).encode()).hexdigest()


def completed(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of an older registry with the fields that have come since, as far as it tells."""
    files = entry["files"]
    formats = dict.fromkeys(filter(None, (format_of(str(row["path"])) for row in files)))
    later: dict[str, Any] = {
        "id": key,
        "format": list(formats),
        "quantization": None,
        "hash": hash_of(files),
        "parameters": {},
        "hardware": {},
        "metadata": {},
    }
    return later | dict(entry)


def _spelled(kind: str) -> str:
    return kind.upper() if re.match("I?Q[1-8]", kind, re.IGNORECASE) else kind.lower()


def _count_of(model: Model, pin: Pin) -> str:
    for text in (model.key, *_texts(pin.ref)):
        if found := re.search(_COUNT, text):
            return found[1].upper()
    return ""


def _texts(value: object) -> Iterator[str]:
    """Every text of a ref but for addresses, whose hosts state nothing."""
    if isinstance(value, str):
        yield value.partition("://")[2].rpartition("/")[2] if "://" in value else value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
