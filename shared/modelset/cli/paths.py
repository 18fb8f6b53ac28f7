"""modelset paths: each folder, and where its setting came from."""

import argparse

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.report import envelope
from modelset.engine.guard import Stop


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Draw, and return the exit code."""
    settings = settings_of(options)
    origins = settings.origins
    rows = [
        ["project", str(settings.project), ""],
        ["config", str(settings.config), origins["config"]],
        ["lock", str(settings.lock), origins["lock"]],
        ["out", str(settings.out), origins["out"]],
        ["models_root", str(settings.models_root), origins["models_root"]],
    ]
    rows += [
        [name, str(path), origins.get(f"roots.{name}", "models_root")]
        for name, path in settings.roots.items()
    ]
    screen.table(["folder", "path", "from"], rows)
    data = {name: {"path": path, "from": origin} for name, path, origin in rows}
    screen.document(envelope("paths", 0, {"paths": data}))
    return 0
