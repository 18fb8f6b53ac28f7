"""Writes a wheel whose bytes depend on its contents alone."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

# The earliest time a zip archive can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class WheelSpec:
    """What goes into one pure-Python wheel."""

    name: str
    version: str
    summary: str
    licence: str
    files: Mapping[str, bytes]
    requires: tuple[str, ...] = ()
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """Return the wheel's file name."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


def wheel_bytes(spec: WheelSpec) -> bytes:
    """Return the wheel: the files, its metadata, and a RECORD of them all."""
    info = f"{spec.name}-{spec.version}.dist-info"
    contents = dict(sorted(spec.files.items()))
    contents[f"{info}/METADATA"] = _metadata(spec).encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: modelset-demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if spec.entry_points:
        contents[f"{info}/entry_points.txt"] = _entry_points(spec).encode()
    contents[f"{info}/top_level.txt"] = f"{spec.name}\n".encode()
    record = f"{info}/RECORD"
    contents[record] = _record(contents, record).encode()
    return _archive(contents)


def _metadata(spec: WheelSpec) -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {spec.name}", f"Version: {spec.version}"]
    lines += [f"Summary: {spec.summary}", f"License: {spec.licence}", "Requires-Python: >=3.9"]
    lines += [f"Requires-Dist: {requirement}" for requirement in spec.requires]
    return "\n".join(lines) + "\n"


def _entry_points(spec: WheelSpec) -> str:
    groups = []
    for group, entries in sorted(spec.entry_points.items()):
        rows = [f"{name} = {target}" for name, target in sorted(entries.items())]
        groups.append("\n".join([f"[{group}]", *rows]) + "\n")
    return "\n".join(groups)


def _record(contents: Mapping[str, bytes], own_name: str) -> str:
    rows = []
    for name, body in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(body)}")
    return "\n".join([*rows, f"{own_name},,"]) + "\n"


def _archive(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in contents.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # the default differs between systems
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, body, compresslevel=9)
    return buffer.getvalue()
