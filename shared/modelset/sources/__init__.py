"""The kinds of places models come from, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelset.sources import huggingface, url, wheel

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source

SOURCES: Mapping[str, Source] = {
    "huggingface": huggingface.SOURCE,
    "wheel": wheel.SOURCE,
    "url": url.SOURCE,
}


def check_ref(source: str, ref: Mapping[str, object]) -> list[str]:
    """Problems of a catalog table's source and `ref`, in words."""
    if source not in SOURCES:
        return [f"source: unknown, use one of {', '.join(SOURCES)}"]
    return SOURCES[source].check_ref(ref)
