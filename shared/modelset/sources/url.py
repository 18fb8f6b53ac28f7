"""Models that are one file at a plain address with a known digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.types import (
    Artifact,
    Layout,
    Model,
    Pin,
    PutFile,
    check_digest,
    check_name,
)

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

_TEXTS = ("url", "digest", "root", "path")


class UrlSource:
    """One file."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The file as the catalog states it; its size is asked for when it is not stated."""
        url, digest = str(model.ref["url"]), str(model.ref["digest"])
        stated = model.ref.get("size")
        size = stated if isinstance(stated, int) else web.get_size(url)
        name = str(model.ref["path"]).rpartition("/")[2]
        try:
            artifact = Artifact(name, url, size, digest)
        except ValueError as error:
            raise ModelSetError("bad-response", f"{model.key}: {error}") from error
        return Pin(model.key, "url", dict(model.ref), artifact.hex[:12], (artifact,))

    def layout(self, pin: Pin) -> Layout:
        """The file at its path below the root that the catalog names."""
        path = str(pin.ref["path"])
        return Layout(str(pin.ref["root"]), (PutFile(path, pin.artifacts[0]),), path)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The file itself."""
        return str(ref["root"]), str(ref["path"])

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: a plain address has no gate."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        known = (*_TEXTS, "size")
        problems = [f"ref.{name}: not a field of url" for name in ref if name not in known]
        problems += [
            f"ref.{name}: a text is missing here"
            for name in _TEXTS
            if not isinstance(ref.get(name), str)
        ]
        if "@" in str(ref.get("url", "")).partition("://")[2].partition("/")[0]:
            problems.append("ref.url: a user and a password belong into a mirror's address")
        for name, check in (("digest", check_digest), ("path", check_name)):
            try:
                if isinstance(ref.get(name), str):
                    check(str(ref[name]))
            except ValueError as error:
                problems.append(f"ref.{name}: {error}")
        size = ref.get("size", 0)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            problems.append("ref.size: should be a number of bytes")
        return problems


SOURCE: Source = UrlSource()
