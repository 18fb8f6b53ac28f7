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
from modelset.core.layout import InstallWheel, Layout
from modelset.core.refs import check_url, ref_problems, value_problems
from modelset.core.types import Artifact, Model, Pin

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

_NAME = re.compile(r"(\w[\w.]*)-(\w[\w.+!]*)(-\d\w*)?-[\w.]+-[\w.]+-[\w.]+\.whl")
_VERSION = re.compile(r"\d[\w.+!]*")
_FIELDS = {"requirement": str, "url": str, "meta": str, "spacy": str}
_RELEASES = "https://github.com/explosion/spacy-models/releases/download"
_RAW = "https://raw.githubusercontent.com/explosion/spacy-models/master"
# The spaCy that requirements.txt asks for, where none is installed yet.
_SPACY = "3.8"


class WheelSource:
    """A wheel for site-packages."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The one wheel, with its digest as the index or the release publishes it."""
        if "requirement" in model.ref:
            wheel = web.find_wheel(str(model.ref["requirement"]))
            url, digest, version = wheel.url, wheel.digest, wheel.version
        else:
            url, described = _release(model, web)
            meta = web.get_json(described)
            checksum = meta.get("checksum_whl") if isinstance(meta, dict) else None
            if not checksum:
                raise ModelSetError("bad-response", f"{model.key}: {described} has no checksum_whl")
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
        return Layout("site-packages", (InstallWheel(artifact, name, version),), info, name)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """Any installed version of the package."""
        if "requirement" in ref:
            name = re.split(r"[^\w.-]", str(ref["requirement"]))[0].replace("-", "_")
        elif "spacy" in ref:
            name = str(ref["spacy"])
        else:
            name = _parse(_file_name(str(ref["url"])))[0]
        return "site-packages", f"{name}-*.dist-info"

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: pip knows the index's credentials, releases have none."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("wheel", ref, _FIELDS)
        problems += value_problems(ref, "spacy", _check_package)
        odd = [line for name in ("url", "meta") for line in value_problems(ref, name, check_url)]
        problems += odd
        if sum(name in ref for name in ("requirement", "url", "spacy")) != 1:
            problems.append("ref: needs either `requirement`, `spacy`, or `url` with `meta`")
        elif str(ref.get("requirement", "")).startswith("-"):
            problems.append("ref.requirement: should begin with a package name")
        elif "url" in ref and "meta" not in ref:
            problems.append("ref.meta: the address of the wheel's checksum is missing")
        elif "url" in ref and not odd and not _NAME.fullmatch(_file_name(str(ref["url"]))):
            problems.append("ref.url: should end with the name of a wheel")
        return problems


def _release(model: Model, web: Web) -> tuple[str, str]:
    """The address of a released wheel, and of what is said about it."""
    if "url" in model.ref:
        return str(model.ref["url"]), str(model.ref["meta"])
    package = str(model.ref["spacy"])
    version = _version_for(model.key, package, web)
    release = f"{package}-{version}"
    return f"{_RELEASES}/{release}/{release}-py3-none-any.whl", f"{_RAW}/meta/{release}.json"


def _version_for(key: str, package: str, web: Web) -> str:
    """The version of a pipeline that belongs to the installed spaCy, as spaCy itself chooses it."""
    installed = web.installed("spacy") or _SPACY
    minor = ".".join(installed.split(".")[:2])
    table = web.get_json(f"{_RAW}/compatibility.json")
    try:
        fits = table["spacy"].get(installed) or table["spacy"].get(minor) or {}
        found = fits.get(package, ())
        if not found:
            raise ModelSetError(
                "not-found",
                f"{key}: spaCy {minor} has no pipeline {package}",
                "https://spacy.io/models lists them; or install another spaCy",
            )
        if not (isinstance(found, list) and _VERSION.fullmatch(found[0])):
            raise TypeError(f"{found!r} is no list of versions")
        return str(found[0])
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelSetError("bad-response", f"{key}: compatibility.json is odd: {error}") from error


def _check_package(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise ValueError("should be the name of a package, such as en_core_web_sm")


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2].replace("%2B", "+")


def _parse(file_name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(file_name)
    if found is None:
        raise ValueError(f"{file_name!r} is not the name of a wheel")
    return found[1], found[2]


SOURCE: Source = WheelSource()
