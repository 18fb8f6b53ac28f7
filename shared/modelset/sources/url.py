"""Models that are one file or one archive at a plain address.

Where its publisher states no digest, the first download is what later ones are measured by.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile, Unpack
from modelset.core.refs import check_url, ref_problems, texts, value_problems
from modelset.core.types import Artifact, Model, Pin, check_digest, check_name, first_use

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.layout import Strip
    from modelset.core.ports import Source, Web

_FIELDS = {
    "url": str, "root": str, "path": str, "digest": str, "size": int, "unpack": str,
    "mutable": list,
}  # fmt: skip
_STRIPS = ("none", "top", "all")


class UrlSource:
    """One file, or one archive."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The file as the catalog states it; its size is asked for when it is not stated."""
        url = str(model.ref["url"])
        digest = str(model.ref.get("digest") or first_use(url))
        stated = model.ref.get("size")
        size = stated if isinstance(stated, int) else web.get_size(url)
        named = unquote(urlsplit(url).path) if "unpack" in model.ref else str(model.ref["path"])
        try:
            artifact = Artifact(named.rpartition("/")[2], url, size, digest)
        except ValueError as error:
            raise ModelSetError("bad-response", f"{model.key}: {error}") from error
        return Pin(model.key, "url", dict(model.ref), artifact.hex[:12], (artifact,))

    def layout(self, pin: Pin) -> Layout:
        """The file at its path below the root that the catalog names, or the archive's folder."""
        path, (artifact,) = str(pin.ref["path"]), pin.artifacts
        if "unpack" not in pin.ref:
            return Layout(str(pin.ref["root"]), (PutFile(path, artifact),), path)
        strip = cast("Strip", pin.ref["unpack"])
        unpack = Unpack(path, artifact, strip, tuple(texts(pin.ref, "mutable")))
        return Layout(str(pin.ref["root"]), (unpack,), path)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The file or the folder itself."""
        return str(ref["root"]), str(ref["path"])

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: a plain address has no gate."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("url", ref, _FIELDS, ("url", "root", "path"))
        for name, check in (("url", check_url), ("digest", check_digest), ("path", check_name)):
            problems += value_problems(ref, name, check)
        if ref.get("unpack", "top") not in _STRIPS:
            problems.append(f"ref.unpack: should be one of {', '.join(_STRIPS)}")
        return problems


SOURCE: Source = UrlSource()
