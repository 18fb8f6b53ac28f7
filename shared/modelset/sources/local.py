"""A file or folder of the user's own: registered and checked where it lies, never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING

from modelset.core.layout import Layout, PutFile
from modelset.core.refs import ref_problems
from modelset.core.types import Model, Pin

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web


class Local:
    """What lies on this machine already."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """Every file that is there now, with its sha256."""
        artifacts = web.local_files(str(model.ref["path"]))
        rows = "\n".join(f"{artifact.name} {artifact.digest}" for artifact in artifacts)
        revision = hashlib.sha256(rows.encode("utf-8", "surrogateescape")).hexdigest()
        return Pin(model.key, "local", dict(model.ref), revision, artifacts)

    def layout(self, pin: Pin) -> Layout:
        """Each file where it is; the root is that of the file system."""
        place, own = _below_root(pin.ref), PurePath(str(pin.ref["path"])).as_uri()
        files = tuple(
            PutFile(place if row.url == own else f"{place}/{row.name}", row)
            for row in pin.artifacts
        )
        return Layout("local", files, place)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The file or folder itself."""
        # As `glob.escape`: what is there has the name word for word.
        return "local", re.sub(r"([*?[])", r"[\1]", _below_root(ref))

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: it is the user's own."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("local", ref, {"path": str}, ("path",))
        path = ref.get("path")
        if isinstance(path, str):
            place = PurePath(path)
            if not place.is_absolute() or ".." in place.parts or len(place.parts) < 2:
                problems.append("ref.path: should be an absolute path without `..`")
        return problems


def _below_root(ref: Mapping[str, object]) -> str:
    place = PurePath(str(ref["path"]))
    return place.relative_to(place.anchor).as_posix()


SOURCE: Source = Local()
