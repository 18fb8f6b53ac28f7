"""The state of a project as one JSON file: settings, lock, registry and history, and no secrets.

The file names no path: each part has one place, which the settings of the machine decide.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.lock import parse_lock, parse_pin
from modelset.core.reading import parse_toml
from modelset.core.values import dataclass
from modelset.store.draft import draft
from modelset.store.files import read_text, saying, write_atomic
from modelset.store.registry import READABLE, is_unchanged
from modelset.store.roots import MODEL_ROOTS, Roots
from modelset.store.state_secrets import secrets_in, without_users

SCHEMA_VERSION = 1
PARTS = ("settings", "lock", "registry", "history")
_KIND = "modelset state"
_MOST = 512 * 1024 * 1024
_ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the parts with their sizes, and from which an address lost its user."""

    parts: Mapping[str, int]
    stripped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a state file, where it belongs, and what is there now."""

    name: str
    path: Path
    text: str
    before: str | None

    @property
    def differs(self) -> bool:
        """Whether something else is there."""
        return self.before is not None and self.before != self.text


def places_of(config: Path, lock: Path, registry: Path) -> dict[str, Path]:
    """Where each part lies on this machine."""
    files = (config, lock, registry / "registry.json", registry / "history.json")
    return dict(zip(PARTS, files, strict=True))


def export_state(target: Path, places: Mapping[str, Path], *, force: bool = False) -> Exported:
    """Write what there is of the parts to one file; raises ModelSetError.

    Addresses lose their user and password; any other secret is an error that names its place.
    """
    if not force and target.exists() and not _is_state(target):
        words = f"{target} is there already, and is no state of modelset"
        raise ModelSetError("usage", words, "name another file, or say --force")
    texts, stripped = {}, []
    for name in PARTS:
        text = read_text(places[name])
        if text is None:
            continue
        bare = without_users(text)
        if bare != text:
            stripped.append(name)
        if where := next(secrets_in(bare, is_toml=name == "settings"), ""):
            raise ModelSetError(
                "config-invalid",
                f"{places[name]} holds what looks like a secret, at {where}",
                "keep it in the environment or the credentials folder, then export again",
            )
        texts[name] = bare
    parts = {name: {"sha256": _sum(text), "text": text} for name, text in texts.items()}
    document = {"kind": _KIND, "schema_version": SCHEMA_VERSION, "parts": parts}
    write_atomic(target, (json.dumps(document, indent=1) + "\n").encode())
    return Exported({name: len(text.encode()) for name, text in texts.items()}, tuple(stripped))


def read_state(source: Path, places: Mapping[str, Path], roots: Roots) -> list[Part]:
    """The parts of a state file, each looked through; raises ModelSetError.

    Of the registry only those models stay whose files lie here, unchanged, below a root of ours.
    """
    texts = _texts_of(source)
    parts = []
    for name, text in texts.items():
        try:
            if name == "registry":
                text = _local(text, roots)
            elif name == "settings":
                parse_toml(text)
            elif name == "lock":
                parse_lock(text, where=f"the lock in {source}")
            else:
                _check_history(text)
        except _ODD as error:
            raise _refused(source, f"its {name} cannot be read: {error}") from error
        parts.append(Part(name, places[name], text, _before(places[name])))
    return parts


def settings_in(source: Path) -> str | None:
    """The settings that a state file holds, if any; raises ModelSetError."""
    text = _texts_of(source).get("settings")
    try:
        parse_toml(text or "")
    except _ODD as error:
        raise _refused(source, f"its settings cannot be read: {error}") from error
    return text


def import_state(parts: list[Part], moment: str, *, force: bool = False) -> dict[str, Path]:
    """Put parts in their places; what was there, and differs, is kept beside; returns these.

    Raises ModelSetError `usage` when something differs and may not be replaced.
    """
    differing = [part for part in parts if part.differs]
    if differing and not force:
        names = ", ".join(str(part.path) for part in differing)
        raise ModelSetError(
            "usage", f"the state differs from what is here: {names}", "replace these with --force"
        )
    kept = {}
    for part in differing:
        kept[part.name] = _free_name(part.path, moment)
        with draft(kept[part.name], None, part.before or "", like=part.path) as copy:
            copy.put()
    for part in parts:
        if part.before != part.text:
            with draft(part.path, part.before, part.text) as new:
                new.put()
    return kept


def _texts_of(source: Path) -> dict[str, str]:
    with saying("read", source):
        if source.stat().st_size > _MOST:
            raise _refused(source, "it is too large")
        data = source.read_bytes()
    try:
        document = json.loads(data)
        if document["kind"] != _KIND:
            raise _refused(source, "it is another kind of file")
        if document["schema_version"] != SCHEMA_VERSION:
            words = f"it is of version {document['schema_version']!r}, this program knows"
            raise _refused(source, f"{words} {SCHEMA_VERSION}")
        parts = document["parts"]
        unknown = sorted(set(parts) - set(PARTS))
        if unknown:
            raise _refused(source, f"it has an unknown part: {unknown[0]!r}")
        texts = {name: parts[name]["text"] for name in PARTS if name in parts}
        for name, text in texts.items():
            if _sum(text) != parts[name]["sha256"]:
                raise _refused(source, f"its {name} is damaged: the digest does not match")
    except _ODD as error:
        raise _refused(source, f"it cannot be read: {type(error).__name__}: {error}") from error
    return texts


def _refused(source: Path, why: str) -> ModelSetError:
    hint = "make it again with `modelset state export`"
    return ModelSetError("config-invalid", f"{source}: {why}", hint)


def _is_state(path: Path) -> bool:
    try:
        return bool(_texts_of(path))
    except ModelSetError:
        return False


def _local(text: str, roots: Roots) -> str:
    """The registry without what this machine does not have."""
    document = json.loads(text)
    if document["schema_version"] not in READABLE:
        raise ValueError(f"it is of version {document['schema_version']!r}")
    own = [os.path.realpath(roots[name]) for name in MODEL_ROOTS if name in roots]
    models = document["models"]
    kept = {key: entry for key, entry in models.items() if _is_here(entry, own)}
    if len(kept) == len(models):
        return text
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in kept.items())
    version = document["schema_version"]
    return f'{{"schema_version": {version}, "models": {{\n{rows}\n}}}}\n'


def _is_here(entry: Any, own: list[str]) -> bool:
    rows = entry["files"]
    return bool(rows) and all(
        _is_below(row["path"], own) and is_unchanged(row, row["path"]) for row in rows
    )


def _is_below(path: str, own: list[str]) -> bool:
    real = os.path.realpath(path)
    return os.path.isabs(path) and any(real.startswith(root.rstrip("/\\") + os.sep) for root in own)


def _check_history(text: str) -> None:
    document = json.loads(text)
    if document["schema_version"] != 1:
        raise ValueError(f"it is of version {document['schema_version']!r}")
    for key, entries in document["models"].items():
        for entry in entries:
            parse_pin(key, entry)


def _before(path: Path) -> str | None:
    """What lies at a path now, byte for byte, even when it is no text."""
    with saying("read", path):
        try:
            return path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None


def _free_name(path: Path, moment: str) -> Path:
    name = path.with_name(f"{path.name}.{moment}.bak")
    number = 1
    while os.path.lexists(name):
        number += 1
        name = path.with_name(f"{path.name}.{moment}-{number}.bak")
    return name


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
