"""modelset rollback: back to what was pinned before, offline when its files are still here."""

import argparse
from collections.abc import Sequence
from typing import Any

from modelset.cli.download import session
from modelset.cli.lock import short, world_of
from modelset.cli.models import draw_outcomes, say_failures
from modelset.cli.options import add_transfer, settings_of
from modelset.cli.screen import Screen
from modelset.core.lock import is_current, is_same, pin_before
from modelset.core.report import envelope, report_data
from modelset.core.types import Choice, Pin, Report
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.engine.locking import Pinned, bytes_to_fetch, roll_back
from modelset.model_set import ModelSet
from modelset.store.files import write_json
from modelset.store.history import read_history


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("key", metavar="KEY", help="the model, such as whisper:base")
    parser.add_argument(
        "--to", default="", metavar="REVISION", help="this one (the newest before), or its start"
    )
    parser.add_argument("--list", action="store_true", help="only show what there is to go back to")
    add_transfer(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Go back, draw, and return the exit code."""
    if options.list:
        return _list(options, screen, ModelSet(settings_of(options), stop))
    with session(options) as settings:
        models = ModelSet(settings, stop)
        choice, now, history = _known(models, options.key)
        pin = pin_before(choice.model, now, history, options.to)
        with world_of(models, screen) as world:
            need = bytes_to_fetch(Pinned(choice, now, pin), world.inspector)
            screen.title("ROLLBACK")
            screen.line(f"  {choice.model.key}: from {short(now)} back to {short(pin)}")
            fetch = f"{size_text(need)} to fetch" if need else "its files are here: no network"
            screen.line(f"  {fetch}")
            report = roll_back(choice, pin, world, models.terms)
        _draw_end(screen, models, report, pin, need)
        data = report_data(report) | {
            "key": choice.model.key,
            "old_revision": now.revision if now else "",
            "new_revision": pin.revision,
            "bytes_to_fetch": need,
        }
        document = envelope("rollback", report.exit_code, data)
        screen.document(document)
        write_json(settings.out / "last_download.json", document)
    return report.exit_code


def _known(models: ModelSet, key: str) -> tuple[Choice, Pin | None, Sequence[Pin]]:
    """The model, its pin now, and those before; raises ModelSetError."""
    model = models.catalog.get(key)
    now = read_lock(models.settings.lock).get(model.key)
    history = read_history(models.settings.roots["registry"]).get(model.key, ())
    return Choice(model, "critical", "asked for"), now, history


def _list(options: argparse.Namespace, screen: Screen, models: ModelSet) -> int:
    choice, now, history = _known(models, options.key)
    before = [pin for pin in history if now is None or not is_same(now, pin)]
    rows: list[dict[str, Any]] = []
    for pin in ([now] if now else []) + before:
        need = bytes_to_fetch(Pinned(choice, now, pin), models.inspector)
        rows.append(
            {
                "revision": pin.revision,
                "is_pinned": pin is now,
                "is_possible": pin is not now and is_current(pin, choice.model),
                "files": len(pin.artifacts),
                "size_bytes": pin.size_bytes,
                "bytes_to_fetch": need,
            }
        )
    screen.title("ROLLBACK")
    screen.line(f"  {choice.model.key}, newest first")
    screen.table(
        ["revision", "files", "size", "need", ""],
        [
            [
                row["revision"],
                str(row["files"]),
                size_text(row["size_bytes"]),
                size_text(row["bytes_to_fetch"]) if row["bytes_to_fetch"] else "here",
                _words(row),
            ]
            for row in rows
        ],
    )
    if not before:
        screen.row("none", "There is nothing to go back to")
    screen.document(envelope("rollback", 0, {"key": choice.model.key, "pins": rows}))
    return 0


def _words(row: dict[str, Any]) -> str:
    if row["is_pinned"]:
        return "pinned now"
    return "" if row["is_possible"] else "of another `source` or `ref`"


def _draw_end(screen: Screen, models: ModelSet, report: Report, pin: Pin, need: int) -> None:
    failed = [outcome for outcome in report.outcomes if outcome.failure is not None]
    if screen.quiet:
        say_failures(failed)
        return
    if failed or need:
        draw_outcomes(screen, models, report)
        screen.line()
    if failed:
        words = f"{pin.key} stays pinned as it was; `modelset check {pin.key}` says what is here"
        screen.row("bad", words)
    else:
        screen.row("ok", f"{pin.key} is at {short(pin)}; the same command again goes back")
