"""modelset bootstrap: profile the machine, download its models, check them."""

import argparse

from modelset.cli import check, download, plan
from modelset.cli.options import add_download, add_selection, wishes_of
from modelset.cli.screen import Screen
from modelset.core.report import envelope, report_data
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet
from modelset.store.files import write_json


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    add_download(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Do the three steps, draw each, and return the exit code of the download."""
    with download.session(options) as settings:
        models = ModelSet(settings, stop)
        profile = models.profile
        screen.line(
            f"  Machine: {profile.cpu_name}, {size_text(profile.memory_bytes)} memory,"
            f" {', '.join(gpu.name for gpu in profile.gpus) or 'no GPU'}"
        )
        if options.dry_run:
            return plan.run_in(models, options, screen)
        if not settings.on_start:
            screen.line(f"  Nothing is downloaded ({settings.origins['on_start']})")
            report = models.check(wishes_of(options))
            return check.say_report("check", screen, models, report)
        fetched = download.fetch(options, screen, models)
        download.draw(screen, models, fetched)
        done = envelope("download", fetched.exit_code, report_data(fetched))
        write_json(settings.out / "last_download.json", done)
        if stop.code:
            screen.document(done)
            return fetched.exit_code
        checked = models.check(wishes_of(options))
    screen.line()
    check.draw(screen, models, checked)
    document = envelope(
        "bootstrap",
        fetched.exit_code or checked.exit_code,
        {"download": report_data(fetched), "check": report_data(checked)},
    )
    screen.document(document)
    write_json(
        settings.out / "last_check.json", envelope("check", checked.exit_code, report_data(checked))
    )
    return fetched.exit_code or checked.exit_code
