"""The wheels that the demo hub serves, and what is said about them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from modelset.demo.content import Content
from modelset.demo.folders import Folders
from modelset.demo.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Wheel:
    """One wheel; `metadata` is the METADATA file inside it, `meta` the pipeline's own, if any."""

    filename: str
    package: str
    version: str
    content: Content
    metadata: Content
    meta: Mapping[str, object]


def normalized(name: str) -> str:
    """Return a project's name in the one spelling that an index uses."""
    return re.sub(r"[-_.]+", "-", name).lower()


def build_wheels(folders: Folders | None = None) -> Shelf[Wheel]:
    """Return each wheel by its file name; each is read when it is first asked for."""
    found = folders or Folders()
    names = [name for name in found.inside("wheels") if name.endswith(".whl")]
    return Shelf({name: partial(_wheel, found, name) for name in names})


def _wheel(folders: Folders, filename: str) -> Wheel:
    content = folders.file(f"wheels/{filename}")
    package, version = filename.split("-")[:2]
    with zipfile.ZipFile(io.BytesIO(content.body)) as archive:
        metadata = archive.read(f"{package}-{version}.dist-info/METADATA")
        own = f"{package}/meta.json"
        meta = json.loads(archive.read(own)) if own in archive.namelist() else {}
    return Wheel(filename, package, version, content, Content(metadata), meta)
