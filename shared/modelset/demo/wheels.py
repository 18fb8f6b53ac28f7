"""The wheels that the demo hub serves, and what is said about them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from modelset.demo.content import Content
from modelset.demo.repos import MODELS


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel; `metadata` is the METADATA file inside it, `meta` the pipeline's own, if any."""

    filename: str
    package: str
    version: str
    content: Content
    metadata: Content
    meta: Mapping[str, object]

    @property
    def project(self) -> str:
        """Return the name an index knows the package by."""
        return normalized(self.package)


def normalized(name: str) -> str:
    """Return a project's name in the one spelling that an index uses."""
    return re.sub(r"[-_.]+", "-", name).lower()


def build_wheels() -> dict[str, Wheel]:
    """Read the wheels and return each by its file name."""
    paths = sorted((MODELS / "wheels").glob("*.whl"))
    return {path.name: _wheel(path.name, path.read_bytes()) for path in paths}


def _wheel(filename: str, body: bytes) -> Wheel:
    package, version = filename.split("-")[:2]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        metadata = archive.read(f"{package}-{version}.dist-info/METADATA")
        own = f"{package}/meta.json"
        meta = json.loads(archive.read(own)) if own in archive.namelist() else {}
    return Wheel(filename, package, version, Content(body), Content(metadata), meta)
