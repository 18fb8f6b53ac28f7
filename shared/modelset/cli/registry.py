"""modelset registry: what was put on this machine, and --rebuild when that record is lost."""

import argparse
import datetime
from collections.abc import Mapping
from typing import Any

from modelset.cli.options import settings_of
from modelset.cli.progress import one_bar
from modelset.cli.screen import Screen
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.registry import rebuild
from modelset.model_set import ModelSet
from modelset.store.registry import problem_of, read_registry

_COLUMNS = ["model", "type", "version", "size", "format", "quantization", "added"]
_HINT = "run `modelset registry --rebuild`"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("keys", nargs="*", metavar="KEY", help="only these, and all about them")
    parser.add_argument(
        "--rebuild", action="store_true", help="make it anew from the lock and the disk; offline"
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Read or rebuild, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    own = models.settings
    folder = own.roots["registry"]
    left_out: Mapping[str, str] = {}
    if options.rebuild:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        known, hands = models.catalog.models, models.profile.cores_logical
        with one_bar(screen) as emit:
            made = rebuild(models.inspector, own.lock, known, stop, now, hands=hands, emit=emit)
        entries, left_out = dict(made.entries), made.left_out
    else:
        if problem := problem_of(folder):
            path = folder / "registry.json"
            raise ModelSetError("store-read-error", f"{path} cannot be read: {problem}", _HINT)
        entries = {key: dict(row) for key, row in read_registry(folder).items()}
    shown = {key: entries[key] for key in _asked(options.keys, models, entries)}
    _draw(screen, shown, left_out, in_full=bool(options.keys))
    data = {
        "path": str(folder / "registry.json"),
        "rebuilt": options.rebuild,
        "models": shown,
        "left_out": [{"key": key, "why": why} for key, why in left_out.items()],
    }
    screen.document(envelope("registry", 0, data))
    return 0


def _asked(keys: list[str], models: ModelSet, entries: Mapping[str, Any]) -> list[str]:
    """The keys to show; raises ModelSetError for one that is not here."""
    asked = []
    for key in keys:
        name = key if key in entries else models.catalog.get(key).key
        if name not in entries:
            hint = f"run `modelset download {name}`"
            raise ModelSetError("model-missing", f"{name} is not in the registry", hint)
        asked.append(name)
    return asked or sorted(entries)


def _draw(
    screen: Screen, shown: Mapping[str, Any], left_out: Mapping[str, str], *, in_full: bool
) -> None:
    screen.title("REGISTRY")
    if in_full:
        for entry in shown.values():
            _draw_entry(screen, entry)
    elif shown:
        screen.table(_COLUMNS, [_row(key, entry) for key, entry in shown.items()])
    for key, why in left_out.items():
        screen.row("warn", key, why)
    total = sum(_size(entry) for entry in shown.values())
    screen.row("ok" if shown else "none", f"{len(shown)} models, {size_text(total)}")


def _row(key: str, entry: Any) -> list[str]:
    if not isinstance(entry, dict):
        return [key, "cannot be read", "", "", "", "", ""]
    formats = entry.get("format")
    return [
        key,
        str(entry.get("type", "")),
        str(entry.get("version", ""))[:12],
        size_text(_size(entry)),
        ", ".join(map(str, formats)) if isinstance(formats, list) else "",
        str(entry.get("quantization") or ""),
        str(entry.get("date_added", ""))[:10],
    ]


def _draw_entry(screen: Screen, entry: Any) -> None:
    if not isinstance(entry, dict):
        return
    for name, value in entry.items():
        if name == "files":
            screen.line(f"  {name + ':':<14} {len(value)}")
        elif isinstance(value, dict):
            for inner, words in value.items():
                screen.line(f"  {name + ':':<14} {inner}: {_words(words)}")
        elif value not in (None, "", []):
            screen.line(f"  {name + ':':<14} {_words(value)}")
    screen.line()


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _size(entry: Any) -> int:
    size = entry.get("size") if isinstance(entry, dict) else 0
    return size if isinstance(size, int) else 0
