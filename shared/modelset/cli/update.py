"""modelset update: compares the lock with the sources, and brings what has changed there."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from modelset.cli.download import session
from modelset.cli.lock import (
    STALE,
    draw_failures,
    failure_code,
    row_data,
    short,
    world_of,
)
from modelset.cli.models import draw_outcomes, say_failures
from modelset.cli.options import add_transfer
from modelset.cli.screen import Screen
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope, report_data
from modelset.core.select import Wishes
from modelset.core.types import Choice, Report, Selection
from modelset.core.values import replace
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.model_set import ModelSet
from modelset.store.files import write_json

if TYPE_CHECKING:
    from modelset.engine.locking import Pinned


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("keys", nargs="*", metavar="KEY", help="only these (all that are locked)")
    parser.add_argument(
        "--check", action="store_true", help="only compare; exit 9 when something is newer"
    )
    add_transfer(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Compare, bring what has changed, draw, and return the exit code."""
    from modelset.engine.locking import ask_sources, bring_changed, bytes_to_fetch

    with session(options) as settings:
        models = ModelSet(settings, stop)
        choices = _choices(models, tuple(options.keys))
        named = {models.catalog.get(key).key for key in options.keys}
        lock, terms = read_lock(settings.lock), models.terms
        report = Report()
        with world_of(models, screen) as world:
            again = [choice.model.key for choice in choices]
            rows = ask_sources(choices, lock, world, terms, again=again, brief=True)
            newer = [row for row in rows if _is_newer(row, named, check=options.check)]
            needs = {row.key: bytes_to_fetch(row, world.inspector) for row in newer}
            _draw(screen, rows, newer, needs)
            if newer and not options.check and not stop.event.is_set():
                selection = Selection(tuple(row.choice for row in newer))
                report = bring_changed(newer, world, terms, selection)
        code = failure_code(rows) or (STALE if options.check and newer else report.exit_code)
        report = replace(report, exit_code=code)
        _draw_end(screen, models, report, newer, check=options.check)
        updates = [row_data(row) | {"bytes_to_fetch": needs.get(row.key, 0)} for row in rows]
        document = envelope("update", code, report_data(report) | {"updates": updates})
        screen.document(document)
        if report.outcomes:
            write_json(settings.out / "last_download.json", document)
    return code


def _choices(models: ModelSet, keys: tuple[str, ...]) -> tuple[Choice, ...]:
    """What is named; otherwise everything in the lock that is for this machine."""
    if keys:
        return models.select(Wishes(keys=keys)).choices
    lock = read_lock(models.settings.lock)
    if not lock:
        raise ModelSetError(
            "lock-stale",
            f"{models.settings.lock} pins nothing that could be newer",
            "run `modelset lock`, or `modelset download`",
        )
    selection, _ = models.wanted(Wishes())
    return tuple(choice for choice in selection.choices if choice.model.key in lock)


def _is_newer(row: "Pinned", named: set[str], *, check: bool) -> bool:
    """Whether there is something to bring; what only the bytes could tell, when it is named."""
    if row.change == "unknown":
        return row.key in named and not check
    return row.change in ("moved", "new", "unlocked")


def _draw(
    screen: Screen, rows: Sequence["Pinned"], newer: Sequence["Pinned"], needs: Mapping[str, int]
) -> None:
    screen.title("UPDATE")
    if newer:
        screen.table(
            ["model", "old", "new", "need"],
            [
                [row.key, short(row.old), _new_words(row), size_text(needs[row.key])]
                for row in newer
            ],
        )
    chosen = {row.key for row in newer}
    draw_failures(screen, [row for row in rows if row.key not in chosen])
    same = sum(row.change == "same" for row in rows)
    to_come = size_text(sum(needs.values()))
    screen.line(f"  {len(newer)} newer ({to_come} to fetch), {same} as they were")


def _new_words(row: "Pinned") -> str:
    return short(row.new) if row.new is not None and row.new.is_exact else "only its bytes tell"


def _draw_end(
    screen: Screen, models: ModelSet, report: Report, newer: Sequence["Pinned"], *, check: bool
) -> None:
    """How it ended, and the next command."""
    if check and newer:
        screen.row("warn", "Newer revisions are there: run `modelset update`")
        return
    failed = [outcome for outcome in report.outcomes if outcome.failure is not None]
    if screen.quiet:
        say_failures(failed)
        return
    draw_outcomes(screen, models, report)
    screen.line()
    for outcome in failed:
        key = outcome.model.key
        words = f"`modelset update {key}` goes on, `modelset rollback {key}` goes back"
        screen.row("bad", key, words)
    if not failed and not report.exit_code:
        screen.row("ok", f"Up to date: {models.settings.lock}")
