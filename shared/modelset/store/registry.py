"""What this project has put on this machine: `registry.json`, with its schema beside it.

The registry only remembers; it can be rebuilt from the lock and the disk at any time, so a
lost, damaged or newer one never stops a run.
"""

import base64
import contextlib
import errno
import json
import os
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel, Layout, Link, PutFile, Unpack
from modelset.core.types import Model, Pin
from modelset.store.files import read_text, write_atomic
from modelset.store.findings import DigestOf
from modelset.store.records import record_rows, sha256_of
from modelset.store.registry_fields import completed, hash_of, stated_fields
from modelset.store.registry_rows import (
    ODD,
    READABLE,
    SCHEMA_VERSION,
    Rows,
    line_of,
    models_of,
    rows_of,
    text_of,
)
from modelset.store.roots import Roots

__all__ = [
    "READABLE",
    "SCHEMA_NAME",
    "SCHEMA_VERSION",
    "entry_of",
    "forget",
    "holds",
    "is_remembered",
    "is_unchanged",
    "problem_of",
    "read_registry",
    "remember",
    "write_anew",
]

SCHEMA_NAME = "schema.json"
_SCHEMA = Path(__file__).with_name("registry.schema.json")


def _read(path: str, algorithm: str) -> str:
    return sha256_of(path)


def read_registry(folder: Path) -> Mapping[str, dict[str, Any]]:
    """The entries by model key; nothing when there is no readable registry."""
    with contextlib.suppress(OSError, *ODD):
        return rows_of((folder / "registry.json").read_bytes())
    return {}


def problem_of(folder: Path) -> str:
    """Why there is a registry that cannot be read, in words; empty when there is none, or one that
    can.
    """
    try:
        text = read_text(folder / "registry.json")
        if text is not None:
            document = json.loads(text)
            if document["schema_version"] not in READABLE:
                return f"it is of version {document['schema_version']}"
            models_of(document)
    except ModelSetError as error:
        return error.failure.message
    except ODD as error:
        return str(error) or type(error).__name__
    return ""


def remember(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Add or replace models' entries; raises ModelSetError."""
    _write(folder, _lines(read_registry(folder)) | _lines(entries))


def forget(folder: Path, keys: Collection[str]) -> None:
    """Take models out, so that the next download reads every byte of them before it believes
    in them; raises ModelSetError.
    """
    models = read_registry(folder)
    if any(key in models for key in keys):
        kept = {key: line for key, line in _lines(models).items() if key not in keys}
        _write(folder, kept)


def write_anew(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Make these the only entries, whatever was there; raises ModelSetError."""
    _write(folder, _lines(entries))


def holds(entry: Mapping[str, Any], digest: DigestOf = _read) -> bool:
    """Whether every file of an entry still has the sum it was remembered by, as `digest` says."""
    with contextlib.suppress(OSError, *ODD):
        rows = entry["files"]
        return bool(rows) and all(_has_sum(row, digest) for row in rows)
    return False


def entry_of(
    model: Model,
    pin: Pin,
    layout: Layout,
    roots: Roots,
    *,
    sha256: Mapping[str, str],
    date_added: str,
    digest: DigestOf = _read,
) -> dict[str, Any]:
    """What the registry says of a model that lies where its layout wants it.

    `sha256` maps digests of other kinds to the sha256 of the same bytes, where it is known;
    `digest` gives that of any other file. Raises OSError when a file has gone meanwhile.
    """
    rows = [
        _file_row(path, known or sha256.get(own, ""), digest)
        for path, own, known in _files(layout, roots)
    ]
    unique = list({row["path"]: row for row in rows}.values())
    return {
        **stated_fields(model, pin),
        "name": model.name,
        "type": model.category,
        "source": pin.source,
        "version": pin.revision,
        "path": os.fspath(roots[layout.root] / layout.folder),
        "size": sum(row["size"] for row in unique),
        "hash": hash_of(unique),
        "licence": model.licence,
        "library": model.library,
        "date_added": date_added,
        "files": unique,
    }


def is_remembered(entry: Mapping[str, Any] | None, layout: Layout, roots: Roots) -> bool:
    """Whether every file of a layout is one that was verified here and has not changed since."""
    if entry is None:
        return False
    with contextlib.suppress(*ODD):
        rows = {row["path"]: row for row in entry["files"]}
        return all(
            path in rows and is_unchanged(rows[path], path) for path, _, _ in _files(layout, roots)
        )
    return False


def _write(folder: Path, lines: Mapping[str, str]) -> None:
    schema = _SCHEMA.read_bytes()
    if _bytes_of(folder / SCHEMA_NAME) != schema:
        write_atomic(folder / SCHEMA_NAME, schema)
    write_atomic(folder / "registry.json", text_of(lines))


def _lines(models: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    if isinstance(models, Rows):
        return models.lines()
    return {key: line_of(key, _completed(key, entry)) for key, entry in models.items()}


def _completed(key: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(entry, dict) and "hash" in entry:
        return entry
    with contextlib.suppress(*ODD):
        return completed(key, entry)
    return entry  # of no form that anybody knows: it is not believed, but it is not ours to drop


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _files(layout: Layout, roots: Roots) -> Iterator[tuple[str, str, str]]:
    """Path, the artifact's digest, and the sha256 in hex where that is known from somewhere."""
    root = os.fspath(roots[layout.root])
    links = {row.artifact.digest: row.path for row in layout.placements if isinstance(row, Link)}
    for placement in layout.placements:
        if isinstance(placement, PutFile) and not placement.is_mutable:
            digest, path = placement.artifact.digest, f"{root}/{placement.path}"
            known = placement.artifact.hex if digest.startswith("sha256:") else ""
            if digest in links and not os.path.exists(path):
                path = f"{root}/{links[digest]}"  # a file itself, where links cannot be made
            yield path, digest, known
        elif isinstance(placement, InstallWheel):
            info = f"{placement.name}-{placement.version}.dist-info"
            yield from _recorded(root, f"{info}/RECORD", ())
        elif isinstance(placement, Unpack):
            yield from _recorded(f"{root}/{placement.path}", placement.record, placement.mutable)


def _recorded(folder: str, record: str, mutable: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """The files that a list names, but for those that their library changes."""
    yield f"{folder}/{record}", "", ""
    for row in record_rows(f"{folder}/{record}"):
        if not any(fnmatchcase(row.path, pattern) for pattern in mutable):
            encoded = row.digest.removeprefix("sha256=") + "="
            yield f"{folder}/{row.path}", "", base64.urlsafe_b64decode(encoded).hex()


def _file_row(path: str, sha256: str, digest: DigestOf) -> dict[str, Any]:
    stat = os.stat(path)
    if not sha256:
        sha256 = digest(path, "sha256") or ""
        if " " in sha256:  # words
            raise OSError(errno.EIO, sha256)
    return {"path": path, "size": stat.st_size, "sha256": sha256, "mtime_ns": stat.st_mtime_ns}


def _has_sum(row: Mapping[str, Any], digest: DigestOf) -> bool:
    size = os.stat(row["path"]).st_size
    return bool(size == row["size"] and digest(row["path"], "sha256") in (None, row["sha256"]))


def is_unchanged(row: Mapping[str, Any], path: str) -> bool:
    """Whether a file has the size and the time that a row says."""
    try:
        stat = os.stat(path)
    except OSError:
        return False
    return bool(row["size"] == stat.st_size and row["mtime_ns"] == stat.st_mtime_ns)
