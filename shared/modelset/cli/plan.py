"""modelset plan: what a download would do, and why; moves nothing."""

import argparse
from collections.abc import Mapping

from modelset.cli.download import session, terms_of
from modelset.cli.models import disk_words, draw_hints
from modelset.cli.options import add_download, add_selection, wishes_of
from modelset.cli.progress import Silence, make_progress
from modelset.cli.screen import Screen
from modelset.core.errors import KINDS, exit_code_of
from modelset.core.plan import SPARE_BYTES
from modelset.core.report import download_exit_code, envelope, model_data, report_data
from modelset.core.types import Choice, Failure, LeftOut, Report, Selection
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
        return run_in(ModelSet(settings, stop), options, screen)


def run_in(models: ModelSet, options: argparse.Namespace, screen: Screen) -> int:
    """Decide and draw within a session; returns the exit code."""
    selection = models.select(wishes_of(options))
    progress = Silence() if screen.as_json else make_progress(screen)
    try:
        terms = terms_of(options, models)
        report = models.download(wishes_of(options), terms, progress)
    finally:
        progress.close()
    return draw(screen, models, selection, report)


def draw(screen: Screen, models: ModelSet, selection: Selection, report: Report) -> int:
    """Selected, compatible, incompatible; what it needs and what is free. Returns the exit code:
    0, or what a download would refuse to begin for.
    """
    failures = {
        outcome.model.key: outcome.failure
        for outcome in report.outcomes
        if outcome.failure is not None
    }
    needs = _needs(selection, report, failures)
    selected = {choice.model.key for choice in selection.choices}
    everything = models.everything()
    others = [one.model.key for one in everything.choices if one.model.key not in selected]
    incompatible = everything.left_out
    free = free_bytes(models.settings.models_root)
    screen.title("PLAN")
    screen.line("  Compatible and selected")
    screen.table(
        ["model", "tier", "need", "why", "licence", "formats"],
        [
            [choice.model.key, choice.tier, *_row(choice, needs, failures)]
            for choice in selection.choices
        ],
    )
    draw_hints(screen, report)
    _draw_others(screen, others, incompatible)
    about = "about " if failures else ""
    to_come = sum(needs.values())
    screen.line(f"  {about}{size_text(to_come)} to fetch, {disk_words(models.settings, free)}")
    code = exit_code(report, to_come, free)
    data = report_data(report) | {
        "selected": [
            {**model_data(choice.model), "tier": choice.tier, "why": choice.why}
            for choice in selection.choices
        ],
        "compatible": others,
        "incompatible": [{"key": row.model.key, "why": row.why} for row in incompatible],
        "bytes_to_move": to_come,
        "free_bytes": free,
    }
    screen.document(envelope("plan", code, data))
    return code


def _draw_others(screen: Screen, others: list[str], incompatible: tuple[LeftOut, ...]) -> None:
    screen.line("  Compatible, not selected")
    screen.line(f"    {', '.join(others) or '-'}")
    screen.line("  Incompatible")
    for row in incompatible:
        screen.line(f"    {row.model.key}: {row.why}")
    screen.line()


def _needs(selection: Selection, report: Report, failures: Mapping[str, Failure]) -> dict[str, int]:
    """Bytes to come of each model; where the source did not answer, the catalog's figure."""
    known = {status.model.key: status.bytes_to_come for status in report.statuses}
    stated = {choice.model.key: choice.model.size_bytes for choice in selection.choices}
    return known | {key: stated[key] for key in failures if key in stated}


def _row(
    choice: Choice, needs: Mapping[str, int], failures: Mapping[str, Failure]
) -> tuple[str, ...]:
    key = choice.model.key
    need = size_text(needs[key]) if key in needs else "ready"
    failure = failures.get(key)
    why = choice.why if failure is None else f"{choice.why}; {failure.code}: {failure.message}"
    need = f"about {need}" if failure else need
    return need, why, choice.model.licence, ", ".join(choice.model.formats)


def exit_code(report: Report, to_come: int, free: int) -> int:
    """0, or what a download would end with; without a network a plan still holds."""
    if to_come and to_come + SPARE_BYTES > free:
        return KINDS["disk-full"].exit_code
    network = KINDS["network-unreachable"].exit_code
    return download_exit_code(
        [
            outcome
            for outcome in report.outcomes
            if outcome.failure is None or exit_code_of(outcome.failure) != network
        ]
    )
