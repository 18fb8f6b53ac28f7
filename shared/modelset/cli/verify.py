"""modelset verify: every digest, offline; and each provider's own word on its key."""

import argparse
import gc
from collections.abc import Sequence

from modelset.cli.check import draw, settings_of_check
from modelset.cli.options import add_selection, settings_of, wishes_of
from modelset.cli.progress import make_progress, one_bar
from modelset.cli.screen import Screen, say_error
from modelset.core.events import Emit
from modelset.core.report import check_exit_code, envelope, report_data
from modelset.core.select import Wishes, with_locked
from modelset.core.types import Outcome, Report, Selection
from modelset.core.values import asdict, replace
from modelset.core.vouch import Foreign
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.engine.verify import Manner, Verified, remove_lists
from modelset.model_set import ModelSet
from modelset.store.files import is_there, write_json

# So many files of a kind are shown; the document has them all.
_MOST_SHOWN = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    group = parser.add_argument_group("how")
    group.add_argument(
        "--fast", action="store_true", help="believe what has not changed since it was verified"
    )
    group.add_argument("--repair", action="store_true", help="fetch the broken files again")
    group.add_argument(
        "--foreign", action="store_true", help="also what other programs put into these folders"
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Verify, draw, and return the exit code."""
    gc.disable()  # what a look at every file makes, it needs until it ends
    if not options.repair:
        # Without a lock a check shows the demo set; what others put here needs no lock.
        settings = settings_of(options) if options.foreign else settings_of_check(options)
        return _run_in(ModelSet(settings, stop), options, screen)
    from modelset.cli.download import session  # only a repair has a use for what downloads

    with session(options) as settings:
        return _run_in(ModelSet(settings, stop), options, screen)


def _run_in(models: ModelSet, options: argparse.Namespace, screen: Screen) -> int:
    wishes = wishes_of(options)
    with one_bar(screen) as emit:
        found = models.verified(wishes, fast=options.fast, emit=emit)
    foreign: list[Foreign] = []
    if options.foreign or not is_there(models.settings.lock):
        with one_bar(screen) as emit:
            foreign = _foreign(models, emit)
    report: Report = found.report
    outcomes: tuple[Outcome, ...] = ()
    if options.repair and found.broken:
        report, outcomes = _repair(models, screen, found)
    corrupt = [row for row in foreign if row.word == "corrupt"]
    code = report.exit_code or (8 if corrupt else 0)
    report = replace(report, exit_code=code, outcomes=outcomes)
    draw(screen, models, report)
    _draw_files(screen, found, outcomes)
    _draw_foreign(screen, foreign)
    data = report_data(report) | {
        "bytes_read": found.bytes_read,
        "files": [asdict(row) for row in found.files],
        "foreign": [asdict(row) for row in foreign],
    }
    document = envelope("verify", code, data)
    screen.document(document)
    write_json(models.settings.out / "last_check.json", document)
    return code


def _foreign(models: ModelSet, emit: Emit) -> list[Foreign]:
    """What lies in our folders and belongs to no pin of the lock."""
    from modelset.engine.foreign import verify_foreign

    lock = read_lock(models.settings.lock)
    locked = with_locked(models.catalog, Selection(()), lock).choices
    seen = models.inspector.look(locked, lock)
    manner = Manner(models.profile.cores_logical, models.stop, emit)
    return verify_foreign(seen, models.settings.roots, models.catalog.models.values(), manner)


def _repair(
    models: ModelSet, screen: Screen, found: Verified
) -> tuple[Report, tuple[Outcome, ...]]:
    """Fetch what is broken, exactly as it is pinned, and verify those models again."""
    remove_lists(found.lists)
    terms = replace(models.terms, frozen=True)
    wishes = Wishes(keys=found.broken)
    progress = make_progress(screen)
    try:
        outcomes = models.download(wishes, terms, progress).outcomes
    finally:
        progress.close()
    with one_bar(screen) as emit:
        after = {
            row.model.key: row
            for row in models.verified(wishes, fast=False, emit=emit).report.statuses
        }
    statuses = tuple(
        replace(after[row.model.key], tier=row.tier) if row.model.key in found.broken else row
        for row in found.report.statuses
    )
    unasked = found.report.exit_code if found.report.exit_code in (5, 12) else 0
    code = check_exit_code(statuses, strict=False) or unasked
    failed = next((row.failure for row in outcomes if row.failure is not None), None)
    if failed is not None:
        say_error(failed.message, failed.hint)
    return replace(found.report, statuses=statuses, exit_code=code), outcomes


def _draw_files(screen: Screen, found: Verified, outcomes: Sequence[Outcome]) -> None:
    """Each bad file: what it should be, what it is, and what mends it."""
    screen.line(f"  Read and hashed: {size_text(found.bytes_read)}")
    if found.files:
        screen.line()
        screen.line("  Damaged files:")
    for row in found.files[:_MOST_SHOWN]:
        screen.row("bad", row.path)
        screen.line(f"      expected {row.expected}")
        screen.line(f"      actual   {row.actual}")
        if not outcomes:
            screen.line(f"      mend     {row.mend}")
    _draw_rest(screen, len(found.files))
    for outcome in outcomes:
        if outcome.failure is None:
            moved = size_text(outcome.bytes_moved)
            screen.row("ok", outcome.model.key, f"mended, {moved} fetched")
        else:
            screen.row("bad", outcome.model.key, outcome.failure.message)


def _draw_foreign(screen: Screen, foreign: Sequence[Foreign]) -> None:
    """What no pin names: how much of it is right, each file that is not, and what nobody knows."""
    if not foreign:
        return
    by_word: dict[str, list[Foreign]] = {"ok": [], "corrupt": [], "unknown": []}
    for row in foreign:
        by_word[row.word].append(row)
    screen.line()
    screen.line("  Files of other programs, which no pin names:")
    for word, rows in by_word.items():
        size = size_text(sum(row.size for row in rows))
        screen.line(f"    {word}: {len(rows)} ({size})")
    for row in by_word["corrupt"][:_MOST_SHOWN]:
        screen.row("bad", row.path)
        screen.line(f"      expected {row.promise}")
        screen.line(f"      actual   {row.actual}")
        screen.line("      mend     remove it, and let its own program fetch it again")
    _draw_rest(screen, len(by_word["corrupt"]))
    for row in by_word["unknown"][:_MOST_SHOWN]:
        screen.row("none", row.path, "unknown: nothing vouches for it")
    _draw_rest(screen, len(by_word["unknown"]))


def _draw_rest(screen: Screen, count: int) -> None:
    if count > _MOST_SHOWN:
        screen.line(f"    and {count - _MOST_SHOWN} more; --json names them all")
