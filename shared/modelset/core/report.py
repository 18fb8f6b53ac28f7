"""What a run amounts to: one exit code, and one document for programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelset.core.errors import exit_code_of
from modelset.core.types import Category, Model, Outcome, Report, Status
from modelset.core.values import asdict

SCHEMA_VERSION = 1


def check_exit_code(statuses: Sequence[Status], *, strict: bool) -> int:
    """0 every critical model is ready, 4 one is not, 3 an optional one is not, with `strict`."""
    bad = [status for status in statuses if status.presence not in ("present", "skipped")]
    corrupt = [status for status in bad if status.presence == "corrupt"]
    if any(status.tier == "critical" for status in bad):
        critical = [status for status in bad if status.tier == "critical"]
        return 8 if all(status.presence == "corrupt" for status in critical) else 4
    if corrupt and strict:
        return 8
    return 3 if bad and strict else 0


def is_key(status: Status) -> bool:
    """Whether a status says that a provider's key is here."""
    return status.model.source == "api" and status.presence == "present"


def download_exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 every critical model is ready; the code of their one shared reason, otherwise 4."""
    codes = {
        exit_code_of(outcome.failure)
        for outcome in outcomes
        if outcome.tier == "critical" and outcome.failure is not None
    }
    if not codes:
        return 0
    return codes.pop() if len(codes) == 1 else 4


def group_by_category(
    models: Sequence[Model], categories: Mapping[str, Category]
) -> list[tuple[Category, list[int]]]:
    """Indexes of the models of each category, in the catalog's order of categories."""
    grouped: dict[str, list[int]] = {name: [] for name in categories}
    for index, model in enumerate(models):
        grouped.setdefault(model.category, []).append(index)
    return [
        (categories.get(name, Category(name, name)), rows) for name, rows in grouped.items() if rows
    ]


def envelope(command: str, exit_code: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """The one versioned document that every command prints with `--json`; sizes are bytes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "exit_code": exit_code,
        "data": dict(data),
    }


def model_data(model: Model) -> dict[str, Any]:
    """What the catalog says of a model, for programs."""
    return {
        "key": model.key,
        "category": model.category,
        "tier": model.tier,
        "source": model.source,
        "size_bytes": model.size_bytes,
        "licence": model.licence,
        "gate": model.gate,
        "library": model.library,
        "formats": list(model.formats),
        "memory": model.memory,
        "speed": model.speed,
        "note": model.note,
    }


def report_data(report: Report) -> dict[str, Any]:
    """A report for programs."""
    return {
        "models": [_status_data(status) for status in report.statuses],
        "outcomes": [outcome_data(outcome) for outcome in report.outcomes],
        "left_out": [{"key": row.model.key, "why": row.why} for row in report.left_out],
        "available": [model.key for model in report.available],
        "total_bytes": report.total_bytes,
        "notes": list(report.notes),
    }


def _status_data(status: Status) -> dict[str, Any]:
    return {
        "key": status.model.key,
        "category": status.model.category,
        "tier": status.tier,
        "presence": status.presence,
        "bytes_have": status.bytes_have,
        "bytes_want": status.bytes_want,
        "revision": status.revision,
        "path": status.path,
        "detail": status.detail,
        "formats": list(status.formats),
        "problems": list(status.problems),
    }


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    """What became of a model, for programs."""
    failure = None if outcome.failure is None else asdict(outcome.failure)
    return {
        "key": outcome.model.key,
        "category": outcome.model.category,
        "tier": outcome.tier,
        "result": outcome.result,
        "failure": failure,
        "bytes_moved": outcome.bytes_moved,
        "bytes_reused": outcome.bytes_reused,
        "seconds": round(outcome.seconds, 3),
        "detail": outcome.detail,
    }
