"""modelset check: what is on this disk, without a single socket."""

import argparse
import datetime
import gc
from typing import Any

from modelset.cli.models import draw_header, draw_statuses
from modelset.cli.options import add_selection, settings_of, wishes_of
from modelset.cli.screen import WIDTH, Screen, say, say_error
from modelset.core.report import envelope, report_data
from modelset.core.types import Report
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet
from modelset.settings import Settings
from modelset.store.files import is_there, write_json


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    parser.add_argument("--deep", action="store_true", help="read and hash every file")
    parser.add_argument("--strict", action="store_true", help="optional models count too (exit 3)")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Check, draw, and return the exit code."""
    gc.disable()  # what a check makes, it needs until it ends
    settings = settings_of_check(options)
    models = ModelSet(settings, stop)
    report = models.check(wishes_of(options), deep=options.deep, strict=options.strict)
    return say_report("check", screen, models, report)


def settings_of_check(options: argparse.Namespace) -> Settings:
    """The settings; for people, those of the demo set while there is nothing else to look at."""
    settings = settings_of(options)
    if (
        not options.demo
        and not options.events
        and not is_there(settings.lock)
        and _has_demo(settings)
    ):
        say("note: nothing is locked yet, so this shows the demo set in out/demo")
        options.demo = True
        settings = settings_of(options)
    return settings


def say_report(command: str, screen: Screen, models: ModelSet, report: Report) -> int:
    """Draw a report and leave it behind for other programs; returns the exit code."""
    draw(screen, models, report)
    document = envelope(command, report.exit_code, report_data(report))
    screen.document(document)
    write_json(models.settings.out / "last_check.json", document)
    return report.exit_code


def draw(screen: Screen, models: ModelSet, report: Report) -> None:
    """The screen of a check; with --quiet, only what makes it fail."""
    if screen.quiet and report.exit_code:
        bad = [status.model.key for status in report.statuses if status.presence != "present"]
        say_error(f"not ready: {', '.join(bad)}", "run `modelset download`")
    if screen.as_json:
        return
    import textwrap  # here, because a check for programs draws nothing and must start fast

    screen.title("ML MODEL STATUS CHECK")
    draw_header(screen, models)
    screen.line(f"  Check time: {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S}")
    draw_statuses(screen, models, report)
    screen.line()
    screen.line(f"  Total size: {size_text(report.total_bytes)}")
    if report.available:
        screen.line()
        screen.line("  Available (modelset download FAMILY:NAME):")
        families: dict[str, list[str]] = {}
        for model in report.available:
            families.setdefault(model.key.partition(":")[0], []).append(model.name)
        for family, names in families.items():
            words = f"{family}: {', '.join(names)}"
            for line in textwrap.wrap(
                words, WIDTH - 4, subsequent_indent="  ", break_on_hyphens=False
            ):
                screen.line(f"    {line}")
    screen.line()
    screen.title("SUMMARY")
    missing = [status.tier for status in report.statuses if status.presence != "present"]
    screen.line(f"  Total models checked: {len(report.statuses)}")
    screen.row("ok", f"Cached/Installed: {len(report.statuses) - len(missing)}")
    screen.row("ok" if not missing else "bad", f"Missing: {len(missing)}")
    screen.line()
    draw_verdict(screen, missing)


def draw_verdict(screen: Screen, missing_tiers: list[Any]) -> None:
    """The last line: what it all means."""
    if "critical" in missing_tiers:
        screen.row("bad", "Critical models are missing: run `modelset download`")
    elif missing_tiers:
        screen.row("ok", "All critical models ready; optional ones are missing")
    else:
        screen.row("ok", "All models ready!")


def _has_demo(settings: Settings) -> bool:
    return is_there(settings.project / "out" / "demo" / "models.lock.json")
