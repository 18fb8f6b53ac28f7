"""How models are drawn: rows by category, for the download and the check alike."""

from collections.abc import Iterable
from typing import Protocol

from modelset.cli.screen import Mark, Screen, say_error
from modelset.core.formats import PICKLE
from modelset.core.report import group_by_category
from modelset.core.types import Failure, Outcome, Report, Status
from modelset.core.words import size_text
from modelset.model_set import ModelSet
from modelset.settings import Settings

_MARKS: dict[str, Mark] = {"present": "ok", "skipped": "none"}


class Failed(Protocol):
    """Whatever can have failed: an outcome, or the row of a command."""

    @property
    def failure(self) -> Failure | None:
        """Why, if it has."""


def say_failures(rows: Iterable[Failed]) -> None:
    """With --quiet: only what failed, and what mends it."""
    for row in rows:
        if row.failure is not None:
            say_error(row.failure.message, row.failure.hint)


def draw_header(screen: Screen, models: ModelSet) -> None:
    """Where the models are, and whether there is a token."""
    settings = models.settings
    screen.line(f"  Cache directory: {settings.models_root}")
    if settings.token:
        screen.row("ok", f"Hugging Face token found ({settings.origins['hf_token']})")
    else:
        screen.row("none", "No Hugging Face token: gated models are left out")


def draw_statuses(screen: Screen, models: ModelSet, report: Report) -> None:
    """One row a model, by category."""
    shown = [status.model for status in report.statuses]
    for category, rows in group_by_category(shown, models.catalog.categories):
        screen.line()
        screen.line(f"  {category.title}:")
        for row in rows:
            status = report.statuses[row]
            mark = _MARKS.get(status.presence, "bad" if status.tier == "critical" else "warn")
            screen.row(mark, status.model.name, status_words(status))
            for problem in status.problems[:3] if status.presence == "corrupt" else ():
                screen.line(f"      {problem}")
    draw_left_out(screen, report)


def draw_outcomes(screen: Screen, models: ModelSet, report: Report) -> None:
    """One row a model, by category, and what to do about those that failed."""
    shown = [outcome.model for outcome in report.outcomes]
    for category, rows in group_by_category(shown, models.catalog.categories):
        screen.line()
        screen.line(f"  {category.title}:")
        for row in rows:
            outcome = report.outcomes[row]
            failed: Mark = "bad" if outcome.tier == "critical" else "warn"
            mark: Mark = "ok" if outcome.failure is None else failed
            screen.row(mark, outcome.model.name, outcome_words(outcome))
    draw_left_out(screen, report)
    draw_hints(screen, report)


def draw_hints(screen: Screen, report: Report) -> None:
    """What mends the failures, each advice once."""
    hints = [outcome.failure.hint for outcome in report.outcomes if outcome.failure is not None]
    if any(hints):
        screen.line()
        for hint in dict.fromkeys(hint for hint in hints if hint):
            screen.line(f"  hint: {hint}")


def draw_left_out(screen: Screen, report: Report) -> None:
    """What is not for this machine, and why."""
    if report.left_out:
        screen.line()
        screen.line("  Left out:")
        for left in report.left_out:
            screen.row("none", left.model.key, left.why)


def status_words(status: Status) -> str:
    """A status in words."""
    size = size_text(status.bytes_have)
    source = status.model.source
    get = f"modelset download {status.model.key}"
    if status.presence == "present":
        kind = f", {PICKLE}" if PICKLE in status.formats else ""
        if source == "api":
            return f"Key found{', ' if status.detail else ''}{status.detail}"
        if source == "wheel":
            unfit = f", {status.detail}: {get}" if status.detail else ""
            return f"Installed (v{status.revision}, {size}{kind}){unfit}"
        word = "Registered" if source == "local" else "Cached"
        return f"{word} ({size}, revision {status.revision[:8]}{kind})"
    if source == "api":
        refused = f": {status.problems[0]}" if status.presence == "corrupt" else ""
        return f"Key refused{refused}" if refused else f"No key: set {status.model.ref['variable']}"
    want = size_text(status.bytes_want)
    if status.presence == "partial":
        return f"Partial ({size} of {want}): {get}  (resumes)"
    if status.presence == "unpinned":
        return f"Found, {status.detail}: {get}"
    if status.presence == "corrupt":
        return f"Corrupt: {get}"
    return f"Missing ({want}): {get}"


def outcome_words(outcome: Outcome) -> str:
    """An outcome in words."""
    if outcome.failure is not None:
        return f"{outcome.result.capitalize()} ({outcome.failure.code}): {outcome.failure.message}"
    if outcome.result == "ready":
        return f"Ready ({size_text(outcome.bytes_reused)})"
    return f"Downloaded ({size_text(outcome.bytes_moved)})"


def disk_words(settings: Settings, free: int) -> str:
    """Free space, and where."""
    return f"{size_text(free)} free in {settings.models_root}"
