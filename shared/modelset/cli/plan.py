"""modelset plan: what a download would do, and why; moves nothing."""

import argparse

from modelset.cli.download import session, terms_of
from modelset.cli.models import disk_words
from modelset.cli.options import add_download, add_selection, wishes_of
from modelset.cli.progress import make_progress
from modelset.cli.screen import Screen
from modelset.core.report import envelope, model_data, report_data
from modelset.core.types import Report, Selection
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet
from modelset.store.files import free_bytes


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    add_download(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Decide, draw, and return the exit code."""
    options.dry_run = True
    with session(options) as settings:
        models = ModelSet(settings, stop)
        progress = make_progress(quiet=options.quiet or options.json)
        report = models.download(wishes_of(options), terms_of(options, settings), progress)
        progress.close()
    draw(screen, models, models.select(wishes_of(options)), report)
    return report.exit_code


def draw(screen: Screen, models: ModelSet, selection: Selection, report: Report) -> None:
    """Selected, compatible, incompatible; then what it needs and what is free."""
    left = {status.model.key: status for status in report.statuses}
    ended = {outcome.model.key: outcome for outcome in report.outcomes}
    screen.title("PLAN")
    rows = []
    for choice in selection.choices:
        key = choice.model.key
        outcome, status = ended.get(key), left.get(key)
        if status is not None:
            need = size_text(max(status.bytes_want - status.bytes_have, 0))
        else:
            failed = outcome is not None and outcome.failure is not None
            need = outcome.failure.code if failed and outcome and outcome.failure else "ready"
        rows.append([key, choice.tier, need, choice.why, choice.model.licence])
    screen.line("  Compatible and selected")
    screen.table(["model", "tier", "need", "why", "licence"], rows)
    for outcome in report.outcomes:
        if outcome.failure is not None:
            screen.row("bad", outcome.failure.message)
            screen.line(f"      hint: {outcome.failure.hint}")
    others = [model for model in models.compatible() if model.key not in {row[0] for row in rows}]
    screen.line("  Compatible, not selected")
    screen.line("    " + (", ".join(model.key for model in others) or "-"))
    screen.line("  Incompatible")
    for row in models.incompatible():
        screen.line(f"    {row.model.key}: {row.why}")
    to_come = sum(max(status.bytes_want - status.bytes_have, 0) for status in report.statuses)
    free = free_bytes(models.settings.models_root)
    screen.line()
    screen.line(f"  {size_text(to_come)} to fetch, {disk_words(models.settings, free)}")
    data = report_data(report) | {
        "selected": [
            {**model_data(choice.model), "tier": choice.tier, "why": choice.why}
            for choice in selection.choices
        ],
        "compatible": [model.key for model in others],
        "incompatible": [{"key": row.model.key, "why": row.why} for row in models.incompatible()],
        "bytes_to_move": to_come,
        "free_bytes": free,
    }
    screen.document(envelope("plan", report.exit_code, data))
