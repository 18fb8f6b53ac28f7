"""Models that come as wheels: from a package index, or from a release page such as spaCy's.

`meta` of a release wheel is the address of a JSON document with `checksum_whl`, its sha256, as
the spacy-models repository publishes one for each of its packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, InstallWheel, Layout, Model, Pin

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

_NAME = re.compile(r"(\w[\w.]*)-(\w[\w.+!]*)(-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
_FIELDS = ("requirement", "url", "meta")


class WheelSource:
    """A wheel for site-packages."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The one wheel, with its digest as the index or the release publishes it."""
        if "requirement" in model.ref:
            wheel = web.find_wheel(str(model.ref["requirement"]))
            url, digest, version = wheel.url, wheel.digest, wheel.version
        else:
            url = str(model.ref["url"])
            meta = web.get_json(str(model.ref["meta"]))
            checksum = meta.get("checksum_whl") if isinstance(meta, dict) else None
            if not checksum:
                raise ModelSetError(
                    "bad-response", f"{model.key}: {model.ref['meta']} has no checksum_whl"
                )
            digest, version = f"sha256:{checksum}", _parse(_file_name(url))[1]
        try:
            _parse(_file_name(url))
            artifact = Artifact(_file_name(url), url, web.get_size(url), digest)
        except ValueError as error:
            raise ModelSetError("bad-response", f"{model.key}: {error}") from error
        return Pin(model.key, "wheel", dict(model.ref), version, (artifact,))

    def layout(self, pin: Pin) -> Layout:
        """The wheel, unpacked into site-packages."""
        (artifact,) = pin.artifacts
        try:
            name, version = _parse(artifact.name)
        except ValueError as error:
            raise ModelSetError("wheel-invalid", f"{pin.key}: {error}") from error
        info = f"{name}-{version}.dist-info"
        return Layout("site-packages", (InstallWheel(artifact, name, version),), info)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """Any installed version of the package."""
        if "requirement" in ref:
            name = re.split(r"[^\w.-]", str(ref["requirement"]))[0].replace("-", "_")
        else:
            name = _parse(_file_name(str(ref["url"])))[0]
        return "site-packages", f"{name}-*.dist-info"

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: pip knows the index's credentials, releases have none."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = [f"ref.{name}: not a field of wheel" for name in ref if name not in _FIELDS]
        problems += [
            f"ref.{name}: should be a text"
            for name in _FIELDS
            if name in ref and not isinstance(ref[name], str)
        ]
        if ("requirement" in ref) == ("url" in ref):
            problems.append("ref: needs either `requirement` or `url` with `meta`")
        elif str(ref.get("requirement", "")).startswith("-"):
            problems.append("ref.requirement: should begin with a package name")
        elif "url" in ref and "meta" not in ref:
            problems.append("ref.meta: the address of the wheel's checksum is missing")
        elif "url" in ref and not _NAME.fullmatch(_file_name(str(ref["url"]))):
            problems.append("ref.url: should end with the name of a wheel")
        return problems


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2].replace("%2B", "+")


def _parse(file_name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(file_name)
    if found is None:
        raise ValueError(f"{file_name!r} is not the name of a wheel")
    return found[1], found[2]


SOURCE: Source = WheelSource()
