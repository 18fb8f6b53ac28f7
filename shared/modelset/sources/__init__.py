"""The kinds of places models come from, one file each; a file more is a source more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source


class _Sources(Mapping[str, "Source"]):
    """Each source by the name of its file, loaded when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Source] = {}

    def __getitem__(self, name: str) -> Source:
        if name not in self._loaded:
            if not name.isidentifier() or name.startswith("_"):
                raise KeyError(name)
            try:
                self._loaded[name] = cast("Source", import_module(f"{__name__}.{name}").SOURCE)
            except ModuleNotFoundError as error:
                raise KeyError(name) from error
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        from pkgutil import iter_modules  # here, because only a mistake needs them all

        return iter(sorted(found.name for found in iter_modules(__path__)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


SOURCES: Mapping[str, Source] = _Sources()


def check_ref(source: str, ref: Mapping[str, object]) -> list[str]:
    """Problems of a catalog table's source and `ref`, in words."""
    if source not in SOURCES:
        return [f"source: unknown, use one of {', '.join(SOURCES)}"]
    return SOURCES[source].check_ref(ref)
