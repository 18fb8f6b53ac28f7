"""modelset migrate: takes over what older set-ups left in their own places and settings."""

import argparse
import ast
import json
import os
import re
import shlex
import warnings
from collections.abc import Iterator
from typing import Any

from modelset.cli.adopt import add_trust, adopt, data_of, manner_of, plain, words_of
from modelset.cli.detect import Found, detect, listings_of
from modelset.cli.detect import data_of as found_data
from modelset.cli.models import say_failures
from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.errors import ModelSetError, exit_code_of
from modelset.core.found import Adoption, Listing
from modelset.core.legacy import KEYS, OWN_VARIABLES
from modelset.core.reading import parse_toml
from modelset.core.report import envelope
from modelset.core.select import with_locked
from modelset.core.types import Selection
from modelset.core.values import asdict, dataclass, replace
from modelset.core.words import size_text
from modelset.engine.adopt import survey
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.model_set import ModelSet
from modelset.store.adopt import plain_text
from modelset.store.elsewhere import named_place
from modelset.store.files import saying

# Only these settings' values are ever shown: those that `KEYS` names.
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_ROOT = "MODELSET_MODELS_ROOT"
_LEFT = {
    "here": "a model of this name is here already",
    "unpinned": "not locked: `modelset lock`, then migrate again",
    "archive": "nobody publishes digests of what is in it: `modelset download {key}`,"
    " or `modelset migrate --trust-first-use`",
    "trust": "another folder stands for its model, or it failed",
    "unknown": "no model of the catalog",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """An old setting, and the line that takes its place."""

    setting: str
    value: str
    line: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--config", default="", metavar="FILE", help="old settings: JSON, TOML, py")
    add_trust(parser)
    parser.add_argument("--move", action="store_true", help="remove the old files afterwards")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Migrate, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    old = list(legacy_settings(options.config)) if options.config else []
    listings = [one for one in listings_of(models, stop) if _is_old(one)]
    listings += _told(models, old, stop)
    lock = read_lock(models.settings.lock)
    choices = with_locked(models.catalog, Selection(()), lock).choices
    manner = manner_of(models, stop, dry_run=options.dry_run, move=options.move)
    rows = [row for row in adopt(models, choices, listings, manner) if row.taken or row.failure]
    origins = {one.origin for row in rows for one in row.taken}
    left = [
        found
        for found in detect(models, listings)
        if not any(file.path in origins for file in found.item.files)
    ]
    advice = [one for path, value in old for one in advise(path, value, _variables(models))]
    codes = [exit_code_of(row.failure) for row in rows if row.failure is not None]
    draw(screen, rows, left, advice, dry_run=options.dry_run)
    data = {
        "dry_run": options.dry_run,
        "models": [data_of(row) for row in rows],
        "left": [found_data(found) | {"why": why_left(found)} for found in left],
        "settings": [asdict(one) for one in advice],
    }
    screen.document(envelope("migrate", codes[0] if codes else 0, data))
    return codes[0] if codes else 0


def draw(
    screen: Screen, rows: list[Adoption], left: list[Found], advice: list[Advice], *, dry_run: bool
) -> None:
    """What was taken, what was left, and the new lines; with --quiet, only failures."""
    if screen.quiet:
        say_failures(rows)
        return
    screen.title("MIGRATION" + (" (nothing is changed)" if dry_run else ""))
    for row in rows:
        words = words_of(row, dry_run=dry_run) + (f"; {row.detail}" if row.detail else "")
        screen.row("ok" if row.failure is None else "bad", row.model.key, words)
    for found in left:
        size = size_text(found.item.size_bytes)
        screen.row("warn", found.item.name, f"Left ({size}): {why_left(found)}")
    if not rows and not left:
        screen.line("  No model lies in the places of older set-ups.")
    if advice:
        screen.line()
        screen.line("  Settings that are not needed any more, and what keeps their meaning:")
    for one in advice:
        screen.line(f"    {one.setting} = {one.value}")
        screen.line(f"      {one.line}")


def why_left(found: Found) -> str:
    """Why a model stays where it is."""
    other = "other bytes than those that are pinned"
    return _LEFT.get(found.state, other).format(key=found.keys[0] if found.keys else "")


def legacy_settings(path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The old settings in a file, each with the names that lead to it; raises ModelSetError."""
    with saying("read", path):
        try:
            text = plain_text(os.path.realpath(os.path.expanduser(path)))
        except UnicodeDecodeError as error:
            raise _unread(path) from error
    for parse in (json.loads, parse_toml):
        try:
            document = parse(text)
        except (ValueError, RecursionError):
            continue
        yield from _in_document(document)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in somebody's program
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _unread(path) from error
    yield from _in_program(tree)


def advise(path: tuple[str, ...], value: object, variables: frozenset[str]) -> Iterator[Advice]:
    """The lines that take the place of an old setting; `variables` are those of known keys."""
    setting, name = ".".join(path), path[-1]
    family = next((word for word in reversed(path[:-1]) if word), "")
    for text in _texts(value):
        if name == "api_key_env":
            yield _key_advice(setting, text, family, variables)
            continue
        folder = os.path.expanduser(text).rstrip("/") or "/"
        variable = next((own for word, own in OWN_VARIABLES.items() if word in setting), _ROOT)
        if name == "credentials_path":
            is_file = folder.endswith(".json")
            variable = "GOOGLE_APPLICATION_CREDENTIALS" if is_file else "MODELSET_CREDENTIALS_ROOT"
        elif name == "model_paths":
            # The library looks for a model by the name of its folder.
            variable, folder = "VOSK_MODEL_PATH", os.path.dirname(folder) or "."
        elif variable == _ROOT and os.path.basename(folder) == family:
            folder = os.path.dirname(folder) or "."
        yield Advice(setting, plain(text), f"{variable}={shlex.quote(plain(folder))}")


def _key_advice(setting: str, text: str, family: str, variables: frozenset[str]) -> Advice:
    if not _VARIABLE.fullmatch(text):
        # It may be the key itself.
        return Advice(setting, "(not shown)", "remove it, and put the key into the environment")
    own = next((one for one in sorted(variables) if family and one.startswith(family.upper())), "")
    if text in variables or not own:
        return Advice(setting, text, f"remove it: {text} is read from the environment")
    return Advice(setting, text, f'{own}="${text}"')


def _variables(models: ModelSet) -> frozenset[str]:
    rows = models.catalog.models.values()
    return frozenset(str(row.ref["variable"]) for row in rows if "variable" in row.ref)


def _is_old(listing: Listing) -> bool:
    return listing.place.is_legacy and not listing.place.is_own


def _told(models: ModelSet, old: list[tuple[tuple[str, ...], Any]], stop: Stop) -> list[Listing]:
    """What lies where old settings say."""
    places = []
    for path, value in old:
        for text in _texts(value) if path[-1] in ("download_root", "model_paths") else ():
            place = named_place(text, models.settings.roots)
            if place is not None and path[-1] == "model_paths":
                folder, name = os.path.split(place.path)
                place = replace(place, path=folder, only=(name,), root="vosk")
            # What lies in a root of ours has arrived, and must never be moved away.
            if place is not None and not place.is_own:
                places.append(replace(place, title="Legacy", is_legacy=True))
    return survey(places, models.settings.roots, stop)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [row for row in (value if isinstance(value, list | tuple) else [value])
            if isinstance(row, str) and row]  # fmt: skip


def _in_document(document: object) -> Iterator[tuple[tuple[str, ...], Any]]:
    waiting: list[tuple[tuple[str, ...], Any]] = [((), document)]
    for path, value in waiting:  # which grows while it is walked
        if path and path[-1] in KEYS:
            yield path, value
        elif isinstance(value, dict):
            waiting += [((*path, str(name)), row) for name, row in value.items()]
        elif isinstance(value, list):
            waiting += [(path, row) for row in value]


def _in_program(tree: ast.AST) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Nothing of the program is run; what is no plain value is passed over."""
    waiting: list[tuple[tuple[str, ...], ast.AST]] = [((), tree)]
    for path, node in waiting:  # which grows while it is walked
        if path and path[-1] in KEYS:
            try:
                yield path, ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
        elif isinstance(node, ast.Dict):
            for name, row in zip(node.keys, node.values, strict=True):
                word = str(name.value) if isinstance(name, ast.Constant) else ""
                waiting.append(((*path, word), row))
        elif isinstance(node, ast.keyword):
            waiting.append(((*path, node.arg or ""), node.value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            waiting.append(((*path, node.targets[0].id), node.value))
        else:
            waiting += [(path, child) for child in ast.iter_child_nodes(node)]


def _unread(path: str) -> ModelSetError:
    return ModelSetError(
        "config-invalid", f"{path} is neither JSON nor TOML nor Python", "mend its syntax"
    )
