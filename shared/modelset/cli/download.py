"""modelset download: brings every missing model, verified."""

import argparse
import contextlib
from collections.abc import Iterator

from modelset.cli.models import draw_header, draw_outcomes, say_failures
from modelset.cli.options import add_download, add_selection, settings_of, wishes_of
from modelset.cli.progress import make_progress
from modelset.cli.screen import Screen
from modelset.core.report import envelope, report_data
from modelset.core.types import Report
from modelset.core.values import replace
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import Settings
from modelset.store.files import write_json


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    add_download(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Download, draw, and return the exit code."""
    if options.dry_run:
        from modelset.cli import plan

        return plan.run(options, screen, stop)
    with session(options) as settings:
        models = ModelSet(settings, stop)
        report = fetch(options, screen, models)
        draw(screen, models, report)
        document = envelope("download", report.exit_code, report_data(report))
        screen.document(document)
        write_json(settings.out / "last_download.json", document)
    return report.exit_code


@contextlib.contextmanager
def session(options: argparse.Namespace) -> Iterator[Settings]:
    """The settings of a run that may use the network; the demo's hub runs meanwhile."""
    if not options.demo:
        yield settings_of(options)
        return
    from modelset.demo.session import demo_hub

    with demo_hub(settings_of(options).project):
        yield settings_of(options)


def terms_of(options: argparse.Namespace, models: ModelSet) -> Terms:
    """How the download is to be done."""
    return replace(
        models.terms, locked=options.locked, frozen=options.frozen, dry_run=options.dry_run
    )


def fetch(options: argparse.Namespace, screen: Screen, models: ModelSet) -> Report:
    """The headline, then the work, shown as it goes."""
    settings = models.settings
    models.select(wishes_of(options))  # a wrong word is refused before anything is drawn
    screen.title("ML MODEL DOWNLOAD")
    draw_header(screen, models)
    screen.line(f"  Max parallel workers: {settings.max_workers}")
    advice = models.recommendation
    screen.line(f"  Recommended Whisper: {advice.whisper} ({advice.reason})")
    screen.line()
    progress = make_progress(screen)
    try:
        return models.download(wishes_of(options), terms_of(options, models), progress)
    finally:
        progress.close()


def draw(screen: Screen, models: ModelSet, report: Report) -> None:
    """The screen after a download; with --quiet, only what makes it fail."""
    if screen.quiet:
        say_failures(row for row in report.outcomes if row.tier == "critical")
        return
    screen.title("DOWNLOAD RESULTS")
    draw_outcomes(screen, models, report)
    screen.line()
    screen.title("SUMMARY")
    good = [outcome for outcome in report.outcomes if outcome.failure is None]
    bad = [outcome for outcome in report.outcomes if outcome.failure is not None]
    moved = sum(outcome.bytes_moved for outcome in report.outcomes)
    screen.line(f"  Total models processed: {len(report.outcomes)}")
    screen.row("ok", f"Ready: {len(good)} ({size_text(moved)} downloaded)")
    screen.row("bad" if bad else "ok", f"Missing: {len(bad)}")
    screen.line(f"  Total size: {size_text(report.total_bytes)}")
    screen.line()
    if not any(outcome.tier == "critical" for outcome in bad):
        screen.row("ok", "All critical models ready!")
    else:
        screen.row("bad", f"Critical models are missing (exit code {report.exit_code})")
