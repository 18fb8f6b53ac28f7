"""modelset report: one page for people who would rather look than read."""

import argparse
import contextlib
import datetime
import json
from pathlib import Path
from typing import Any

from modelset.cli.check import settings_of_check
from modelset.cli.screen import Screen
from modelset.core.errors import ModelSetError
from modelset.core.html_report import page
from modelset.core.report import envelope
from modelset.core.report_data import (
    categories_data,
    changes_of,
    counts_of,
    downloads_of,
    state_of_report,
)
from modelset.core.select import Wishes
from modelset.core.values import asdict
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, stale_of
from modelset.model_set import ModelSet
from modelset.store.files import read_text, write_atomic, write_json


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--html", metavar="FILE", help="where the page goes (out/report.html)")
    parser.add_argument("--deep", action="store_true", help="read and hash every file")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Look, write the page, and return the exit code."""
    models = ModelSet(settings_of_check(options), stop)
    out = models.settings.out
    target = Path(options.html) if options.html else out / "report.html"
    made = f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
    data, state = gather(models, made, deep=options.deep)
    write_atomic(target, page(data).encode("utf-8"), durable=False)
    write_json(out / "report_state.json", state)
    _draw(screen, data, target)
    screen.document(envelope("report", 0, {"html": str(target), **data}))
    return 0


def gather(models: ModelSet, made: str, *, deep: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Everything that the page says, and what the next one compares itself with."""
    own = models.settings
    report = models.check(Wishes(), deep=deep)
    lock = read_lock(own.lock)
    state = state_of_report(made, report.statuses)
    data = {
        "made": made,
        "models_root": str(own.models_root),
        "deep": deep,
        "total_bytes": report.total_bytes,
        "counts": counts_of(report.statuses),
        "categories": categories_data(report.statuses, models.catalog.categories),
        "changes": changes_of(_document(own.out / "report_state.json"), state),
        "downloads": downloads_of(_document(own.out / "last_download.json")),
        "hardware": models.profile.to_json(),
        "recommendation": asdict(models.recommendation),
        "lock": {
            "path": str(own.lock),
            "models": len(lock),
            "stale": [row.key for row in stale_of((one.model for one in report.statuses), lock)],
        },
    }
    return data, state


def _document(path: Path) -> object:
    """What an earlier run has left, or None when it is not there or not to be read."""
    with contextlib.suppress(ModelSetError, ValueError, RecursionError):
        found: object = json.loads(read_text(path) or "null")
        return found
    return None


def _draw(screen: Screen, data: dict[str, Any], target: Path) -> None:
    screen.title("REPORT")
    for one in data["categories"]:
        present = sum(row["presence"] == "present" for row in one["models"])
        is_whole = present == len(one["models"])
        words = f"{size_text(one['bytes'])}, {present} of {len(one['models'])} present"
        screen.row("ok" if is_whole else "warn", one["title"], words)
    for row in data["changes"]["models"]:
        screen.row("none", row["key"], row["words"])
    screen.line()
    screen.line(f"  Total size: {size_text(data['total_bytes'])}")
    screen.row("ok", f"{target}")
