"""Tiny real wheels, honest or lying."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from modelset.core.layout import InstallWheel
from modelset.core.types import Artifact


def record_line(name: str, body: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("=")
    return f"{name},sha256={digest},{len(body)}\n"


def make_wheel(
    folder: Path,
    version: str = "1.0",
    files: Mapping[str, bytes] | None = None,
    *,
    name: str = "tiny_model",
    record: str | None = None,
    metadata: str = "",
) -> Path:
    """Write a wheel; `record` replaces what its RECORD says, `files` come beside its package."""
    info = f"{name}-{version}.dist-info"
    bodies = {
        f"{name}/__init__.py": b'VERSION = "%s"\n' % version.encode(),
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        f"{metadata}".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        b"Tag: py3-none-any\n",
    }
    if record is None:
        record = "".join(record_line(path, body) for path, body in bodies.items())
        record += f"{info}/RECORD,,\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, body in bodies.items():
            archive.writestr(inside, body)
        archive.writestr(f"{info}/RECORD", record)
    return path


def placement_of(path: Path) -> InstallWheel:
    name, version = path.name.split("-")[:2]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    artifact = Artifact(
        path.name, f"https://example.org/{path.name}", path.stat().st_size, f"sha256:{digest}"
    )
    return InstallWheel(artifact, name, version)
