"""Journals of partial files: which bytes are here, and which object they belong to."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.core.parts import Span, joined
from modelset.core.types import Artifact

_SCHEMA = 2


def stem_of(artifact: Artifact) -> str:
    """What the names of an artifact's partial file and journal begin with."""
    return artifact.digest.replace(":", "-")


def bytes_here(folder: Path) -> dict[str, int]:
    """How many bytes of which digest lie in partial files; no writes, one look at the folder."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                algorithm, _, digits = entry.name.partition(".")[0].rpartition("-")
                spans = spans_of(read_journal(Path(entry.path)).get("spans"), None)
                found[f"{algorithm}:{digits}"] = sum(end - start for start, end in spans)
    return found


def write_journal(path: Path, known: Mapping[str, object]) -> None:
    """Replace what a journal says, whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"schema_version": _SCHEMA, **known}), encoding="ascii")
    os.replace(temporary, path)


def read_journal(path: Path) -> dict[str, Any]:
    """What a journal says; nothing when it cannot be read or is of another version."""
    try:
        known = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and known.get("schema_version") == _SCHEMA else {}


def spans_of(known: Any, size: int | None) -> list[Span]:
    """The spans that a journal lists, none of them beyond the file's end; nothing of nonsense."""
    try:
        spans = [(int(start), int(end)) for start, end in known or ()]
    except (TypeError, ValueError):
        return []
    if any(start < 0 for start, _ in spans):
        return []
    return joined((start, end if size is None else min(end, size)) for start, end in spans)
