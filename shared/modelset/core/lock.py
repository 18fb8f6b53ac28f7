"""The lock: exactly which files each model is, as text and as values."""

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, Model, Pin, check_name
from modelset.core.values import replace

VERSION = 1
Lock = Mapping[str, Pin]
EMPTY: Lock = MappingProxyType({})
# The licence of each key, as the catalog states it.
Licences = Mapping[str, str]
UNKNOWN: Licences = MappingProxyType({})

# What a document of another form than ours leads to.
_ODD = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# What git leaves in a file that two branches have changed; no line of a sound lock begins so.
_CONFLICT = re.compile(r"^(?:<{7}|>{7}|\|{7})(?: |$)", re.MULTILINE)


def parse_lock(text: str, *, where: str) -> Lock:
    """The pins of a lock file's text; raises ModelSetError `lock-invalid`."""
    hint = f"restore {where} from version control, or delete it to lock afresh"
    try:
        document = json.loads(text)
        version = document["schema_version"]
        if version != VERSION:
            raise ModelSetError(
                "lock-invalid",
                f"{where} has schema version {version}, this program knows {VERSION}",
                "update modelset",
            )
        return {key: parse_pin(key, entry) for key, entry in document["models"].items()}
    except _ODD as error:
        if _CONFLICT.search(text):
            raise ModelSetError(
                "lock-invalid",
                f"{where} holds the conflict markers of a merge",
                f"take one side whole (`git checkout --ours {where}`, or --theirs), then run "
                "`modelset lock`, which adds what the catalog wants beyond it",
            ) from error
        raise ModelSetError("lock-invalid", f"{where} cannot be read: {error}", hint) from error


def dump_lock(pins: Iterable[Pin], licences: Licences = UNKNOWN) -> str:
    """The text of a lock file: sorted, so that the same pins give the same bytes, and one file a
    line, so that a difference shows what has changed and no more.
    """
    rows = [
        f"  {_text(pin.key)}: {_entry_text(pin, licences.get(pin.key, ''))}"
        for pin in sorted(pins, key=lambda pin: pin.key)
    ]
    models = _block("{", rows, " }")
    return f'{{\n "schema_version": {VERSION},\n "models": {models}\n}}\n'


def licences_of(text: str) -> Licences:
    """The licences that a sound lock's text states."""
    models = json.loads(text)["models"]
    return {key: entry["licence"] for key, entry in models.items() if entry.get("licence")}


def is_current(pin: Pin | None, model: Model) -> bool:
    """Whether a pin still says what the catalog wants."""
    return pin is not None and pin.source == model.source and dict(pin.ref) == dict(model.ref)


def is_same(one: Pin, other: Pin) -> bool:
    """Whether two pins are one revision with the same bytes, wherever these come from."""
    return (
        one.revision == other.revision
        and one.manifest == other.manifest
        and [(row.name, row.size, row.digest) for row in one.artifacts]
        == [(row.name, row.size, row.digest) for row in other.artifacts]
    )


def pin_before(model: Model, now: Pin | None, history: Iterable[Pin], revision: str = "") -> Pin:
    """The pin to go back to: the newest that is another one, or the one of a revision, which may
    be cut short; raises ModelSetError `usage`.
    """
    others = [pin for pin in history if now is None or not is_same(now, pin)]
    found = [pin for pin in others if is_current(pin, model) and pin.revision.startswith(revision)]
    look = f"`modelset rollback {model.key} --list` shows what it has been"
    if found and (not revision or len(found) == 1):
        return found[0]
    if found:
        names = ", ".join(pin.revision for pin in found)
        raise ModelSetError("usage", f"{model.key}: {revision} may be any of {names}", look)
    if revision:
        raise ModelSetError("usage", f"{model.key} was never pinned at {revision} here", look)
    if others:
        raise ModelSetError(
            "usage",
            f"{model.key}: every pin before this one is of another `source` or `ref`",
            f"change its table in the catalog back, then run `modelset download {model.key}`",
        )
    raise ModelSetError(
        "usage",
        f"{model.key} has had no other pin on this machine",
        "restore models.lock.json from version control, then run `modelset download --frozen`",
    )


def learned(pin: Pin, sha256: Mapping[str, str]) -> Pin:
    """The pin with the digests that the first download told, by what stood for them."""
    artifacts = tuple(
        row if row.is_exact else replace(row, digest=f"sha256:{sha256[row.digest]}")
        for row in pin.artifacts
    )
    old, new = pin.artifacts[0].hex[:12], artifacts[0].hex[:12]
    revision = new if pin.revision == old else pin.revision
    return replace(pin, artifacts=artifacts, revision=revision)


def parse_pin(key: str, entry: Mapping[str, Any]) -> Pin:
    """The pin that a document's entry means; raises what an odd one leads to."""
    artifacts = tuple(
        Artifact(row["name"], row["url"], row["size"], row["digest"]) for row in entry["files"]
    )
    if not (isinstance(entry["source"], str) and isinstance(entry["ref"], dict)):
        raise TypeError(f"{key}: source or ref is odd")
    check_name(entry["revision"])  # it becomes a part of paths
    if not all(artifact.is_exact for artifact in artifacts):
        raise ValueError(f"{key}: a digest is missing")
    manifest = entry.get("manifest", "")
    if not (isinstance(manifest, str) and isinstance(entry.get("licence", ""), str)):
        raise TypeError(f"{key}: manifest or licence is odd")
    return Pin(key, entry["source"], entry["ref"], entry["revision"], artifacts, manifest)


def dump_pin(pin: Pin) -> dict[str, object]:
    """The entry of a pin in a document."""
    files = [
        {"name": row.name, "url": row.url, "size": row.size, "digest": row.digest}
        for row in pin.artifacts
    ]
    entry: dict[str, object] = {
        "source": pin.source,
        "ref": dict(pin.ref),
        "revision": pin.revision,
        "files": files,
    }
    return entry | {"manifest": pin.manifest} if pin.manifest else entry


def _entry_text(pin: Pin, licence: str) -> str:
    # Files keep the order of their source: for some layouts it has a meaning.
    parts = dump_pin(pin) | {"ref": dict(sorted(pin.ref.items()))}
    files = parts.pop("files")
    assert isinstance(files, list)
    if licence:
        parts["licence"] = licence
    rows = [f"   {_text(name)}: {_text(value)}" for name, value in parts.items()]
    lines = [f"    {_text(row)}" for row in files]
    return _block("{", [*rows, f'   "files": {_block("[", lines, "   ]")}'], "  }")


def _block(opening: str, rows: list[str], closing: str) -> str:
    if not rows:
        return opening + closing.strip()
    return f"{opening}\n" + ",\n".join(rows) + f"\n{closing}"


def _text(value: object) -> str:
    return json.dumps(value)
