"""modelset state: settings, lock, registry and history as one file, out and in; no secrets."""

import argparse
import datetime
from pathlib import Path
from typing import Any

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say
from modelset.core.report import envelope
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import turn
from modelset.settings import Settings
from modelset.store.state import export_state, import_state, places_of, read_state, settings_in


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("action", choices=["export", "import"], help="write it, or take it in")
    parser.add_argument("file", metavar="FILE", help="the one file that holds it")
    parser.add_argument(
        "--force", action="store_true", help="replace what differs; a copy of it stays beside"
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Write or take in, draw, and return the exit code."""
    file = Path(options.file)
    # The new settings say where the rest belongs; a file that is named may not be there yet.
    text = settings_in(file) if options.action == "import" else None
    settings = settings_of(options, text)
    screen.title("STATE")
    act = _export if options.action == "export" else _import
    data = act(settings, file, screen, force=options.force)
    data = {"action": options.action, "file": str(file), **data}
    screen.document(envelope("state", 0, data))
    return 0


def _places(settings: Settings) -> dict[str, Path]:
    return places_of(settings.config, settings.lock, settings.roots["registry"])


def _export(settings: Settings, file: Path, screen: Screen, *, force: bool) -> dict[str, Any]:
    done = export_state(file, _places(settings), force=force)
    for name, size in done.parts.items():
        screen.row("ok", name, size_text(size))
    for name in done.stripped:
        say(f"note: {name}: addresses are written without the user and the password in them")
    screen.line(f"  {file} holds no tokens and no keys: give those to the other machine yourself")
    return {"parts": dict(done.parts), "stripped": list(done.stripped)}


def _import(settings: Settings, file: Path, screen: Screen, *, force: bool) -> dict[str, Any]:
    moment = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
    with turn(settings.roots["registry"]):  # nobody pins anything meanwhile
        parts = read_state(file, _places(settings), settings.roots)
        kept = import_state(parts, moment, force=force)
    rows = []
    for part in parts:
        backup = str(kept.get(part.name, ""))
        is_same = part.before == part.text
        words = "is the same" if is_same else f"to {part.path}"
        screen.row("ok", part.name, words)
        if backup:
            screen.row("none", "", f"what was there: {backup}")
        rows.append(
            {"name": part.name, "path": str(part.path), "changed": not is_same, "backup": backup}
        )
    screen.line("  `modelset download --frozen` brings what the lock names,")
    screen.line("  `modelset registry --rebuild` remembers what is here already")
    return {"parts": rows}
