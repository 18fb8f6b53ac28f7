"""What a report page says, as data: the set by category, what changed, and the last download."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from modelset.core.report import group_by_category
from modelset.core.types import Category, Status
from modelset.core.words import size_text

STATE_VERSION = 1


def categories_data(
    statuses: Iterable[Status], categories: Mapping[str, Category]
) -> list[dict[str, Any]]:
    """Each category with its models and their size on this disk."""
    rows = list(statuses)
    found = []
    for category, indexes in group_by_category([row.model for row in rows], categories):
        models = [_model_data(rows[index]) for index in indexes]
        size = sum(model["bytes"] for model in models)
        found.append(
            {"name": category.name, "title": category.title, "bytes": size, "models": models}
        )
    return found


def counts_of(statuses: Iterable[Status]) -> dict[str, int]:
    """How many models there are of each presence."""
    names = ("present", "partial", "missing", "corrupt", "unpinned", "skipped")
    rows = list(statuses)
    return {name: sum(row.presence == name for row in rows) for name in names}


def state_of_report(made: str, statuses: Iterable[Status]) -> dict[str, Any]:
    """What the next report compares itself with."""
    models = {
        row.model.key: {
            "presence": row.presence,
            "bytes": row.bytes_have,
            "revision": row.revision,
        }
        for row in statuses
    }
    return {"schema_version": STATE_VERSION, "made": made, "models": models}


def changes_of(before: object, now: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from an earlier state, model by model; an odd or a newer one is no state."""
    if not isinstance(before, Mapping) or before.get("schema_version") != STATE_VERSION:
        return {"since": "", "models": []}
    known, models = before.get("models"), now["models"]
    if not isinstance(known, Mapping) or not isinstance(before.get("made"), str):
        return {"since": "", "models": []}
    rows = []
    for key in sorted({*known, *models}):
        old = known.get(key)
        words = _difference(old if isinstance(old, Mapping) else {}, models.get(key, {}))
        if words:
            rows.append({"key": key, "words": words})
    return {"since": before["made"], "models": rows}


def downloads_of(document: object) -> list[dict[str, Any]]:
    """How each model of the last download ended, with its rate in bytes a second; rows of another
    form are left out.
    """
    data = document.get("data") if isinstance(document, Mapping) else None
    outcomes = data.get("outcomes") if isinstance(data, Mapping) else None
    found = []
    for row in outcomes if isinstance(outcomes, list) else []:
        if not isinstance(row, Mapping) or not isinstance(row.get("key"), str):
            continue
        size, seconds = _number(row.get("bytes_moved")), _number(row.get("seconds"))
        failure = row.get("failure")
        found.append(
            {
                "key": row["key"],
                "result": str(row.get("result", "")),
                "bytes": int(size),
                "seconds": seconds,
                "rate": int(size / seconds) if size and seconds else 0,
                "failure": str(failure.get("message", "")) if isinstance(failure, dict) else "",
            }
        )
    return found


def _model_data(status: Status) -> dict[str, Any]:
    return {
        "key": status.model.key,
        "tier": status.tier,
        "presence": status.presence,
        "bytes": status.bytes_have,
        "bytes_want": status.bytes_want,
        "revision": status.revision,
        "licence": status.model.licence,
        "note": "; ".join(filter(None, (status.model.note, status.detail))),
        "path": status.path,
        "problems": list(status.problems),
    }


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if not new:
        return "no longer in the set"
    if not old:
        return f"new in the set: {new['presence']}"
    words = []
    if old.get("presence") != new["presence"]:
        words.append(f"{old.get('presence')}, now {new['presence']}")
    if old.get("revision") != new["revision"]:
        words.append(f"revision {_short(old.get('revision'))}, now {_short(new['revision'])}")
    grown = new["bytes"] - int(_number(old.get("bytes")))
    if grown:
        words.append(f"{'+' if grown > 0 else '-'}{size_text(abs(grown))}")
    return "; ".join(words)


def _short(revision: object) -> str:
    return str(revision or "none")[:12]


def _number(value: object) -> float:
    """A number that can be shown, 0 for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number and 0 <= value < 2**63 and math.isfinite(value)  # type: ignore[operator,arg-type]
    return float(value) if fits else 0.0  # type: ignore[arg-type]
