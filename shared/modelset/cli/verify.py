"""modelset verify: every digest, offline; and each provider's own word on its key."""

import argparse

from modelset.cli.check import say_report, settings_of_check
from modelset.cli.options import add_selection, wishes_of
from modelset.cli.screen import Screen
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Verify, draw, and return the exit code."""
    models = ModelSet(settings_of_check(options), stop)
    return say_report("verify", screen, models, models.verify(wishes_of(options)))
