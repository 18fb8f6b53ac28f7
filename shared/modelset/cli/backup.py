"""modelset backup: a dated copy of settings, lock, registry and history; the old ones go."""

import argparse
import datetime
import re
from pathlib import Path

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import turn
from modelset.settings import Settings
from modelset.store.backups import Thinned, free_name, tag_of, thin_out
from modelset.store.files import is_there, state_of
from modelset.store.state import Exported, export_state, places_of


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="where they go (out/backups)")
    parser.add_argument("--keep", default="14", metavar="N", help="so many stay (14)")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Write one, remove what is too old, draw, and return the exit code."""
    keep = _number(options.keep)
    settings = settings_of(options)
    folder = Path(options.folder).absolute() if options.folder else settings.out / "backups"
    file, done, thinned = _back_up(settings, folder, keep)
    size = (state_of(file) or (0, 0, 0))[1]
    _draw(screen, file, size, done, thinned)
    data = {
        "file": str(file),
        "bytes": size,
        "parts": dict(done.parts),
        "stripped": list(done.stripped),
        "keep": keep,
        "removed": [str(path) for path in thinned.removed],
        "left": [str(path) for path in thinned.left],
    }
    screen.document(envelope("backup", 0, data))
    return 0


def _back_up(settings: Settings, folder: Path, keep: int) -> tuple[Path, Exported, Thinned]:
    registry = settings.roots["registry"]
    places = places_of(settings.config, settings.lock, registry)
    if not any(is_there(path) for path in places.values()):
        # Else many of these would in time push out those that hold something.
        words = f"there is nothing to back up: no settings, no lock {settings.lock}, no registry"
        raise ModelSetError(
            "usage", words, "run `modelset download` first, or see `modelset paths`"
        )
    moment = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
    tag = tag_of(places)
    with turn(registry):  # nobody pins anything meanwhile
        file = free_name(folder, tag, moment)
        done = export_state(file, places)
    return file, done, thin_out(file, tag, keep)


def _draw(screen: Screen, file: Path, size: int, done: Exported, thinned: Thinned) -> None:
    screen.title("BACKUP")
    for name, length in done.parts.items():
        screen.row("ok", name, size_text(length))
    for name in done.stripped:
        say(f"note: {name}: addresses are written without the user and the password in them")
    for path in thinned.removed:
        screen.row("none", f"removed {path.name}")
    for path in thinned.left:
        say(f"warning: {path} is too old and cannot be removed")
    screen.line(f"  {file}: {size_text(size)}, and no tokens or keys in it")
    screen.line("  `modelset state import FILE` takes it in again")


def _number(text: str) -> int:
    if re.fullmatch(r"[1-9][0-9]{0,5}", text):
        return int(text)
    raise ModelSetError(
        "usage", f"--keep {text}: not a whole number from 1 on", "such as --keep 14"
    )
