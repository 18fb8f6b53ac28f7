"""The lock: exactly which files each model is, as text and as values."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, Model, Pin, check_name
from modelset.core.values import replace

VERSION = 1
Lock = Mapping[str, Pin]
EMPTY: Lock = MappingProxyType({})


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
        return {key: _pin(key, entry) for key, entry in document["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelSetError("lock-invalid", f"{where} cannot be read: {error}", hint) from error


def dump_lock(pins: Iterable[Pin]) -> str:
    """The text of a lock file: sorted, so that the same pins give the same bytes."""
    models = {pin.key: _entry(pin) for pin in sorted(pins, key=lambda pin: pin.key)}
    return json.dumps({"schema_version": VERSION, "models": models}, indent=1) + "\n"


def is_current(pin: Pin | None, model: Model) -> bool:
    """Whether a pin still says what the catalog wants."""
    return pin is not None and pin.source == model.source and dict(pin.ref) == dict(model.ref)


def learned(pin: Pin, sha256: Mapping[str, str]) -> Pin:
    """The pin with the digests that the first download told, by what stood for them."""
    artifacts = tuple(
        row if row.is_exact else replace(row, digest=f"sha256:{sha256[row.digest]}")
        for row in pin.artifacts
    )
    old, new = pin.artifacts[0].hex[:12], artifacts[0].hex[:12]
    revision = new if pin.revision == old else pin.revision
    return replace(pin, artifacts=artifacts, revision=revision)


def _pin(key: str, entry: Mapping[str, Any]) -> Pin:
    artifacts = tuple(
        Artifact(row["name"], row["url"], row["size"], row["digest"]) for row in entry["files"]
    )
    if not (isinstance(entry["source"], str) and isinstance(entry["ref"], dict)):
        raise TypeError(f"{key}: source or ref is odd")
    check_name(entry["revision"])  # it becomes a part of paths
    if not all(artifact.is_exact for artifact in artifacts):
        raise ValueError(f"{key}: a digest is missing")
    manifest = entry.get("manifest", "")
    if not isinstance(manifest, str):
        raise TypeError(f"{key}: manifest is odd")
    return Pin(key, entry["source"], entry["ref"], entry["revision"], artifacts, manifest)


def _entry(pin: Pin) -> dict[str, object]:
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
