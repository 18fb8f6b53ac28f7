"""modelset clean: shows what nothing needs any more, and removes it with --yes."""

import argparse
import datetime
import re
from typing import Any

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say, say_error
from modelset.core.clean import DAY_S, Rules
from modelset.core.errors import KINDS, ModelSetError, exit_code_of
from modelset.core.report import envelope
from modelset.core.select import Wishes
from modelset.core.values import asdict
from modelset.core.words import size_text
from modelset.engine.clean import Cleaned, Cleaner
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.engine.needed import Memory
from modelset.model_set import ModelSet
from modelset.sources import SOURCES
from modelset.store.history import read_history
from modelset.store.registry import read_registry

_TITLES = {
    "revision": "Earlier revisions",
    "orphan": "Models that nothing wants",
    "blob": "Files that nothing names",
    "partial": "Parts of downloads",
    "aside": "Wrong bytes, set aside",
    "scratch": "Scratch folders",
    "leftover": "What libraries left behind",
    "cache": "Caches",
}

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("keys", nargs="*", metavar="KEY", help="only what belongs to these models")
    parser.add_argument(
        "--keep",
        default="2",
        metavar="N",
        help="earlier revisions that stay for a way back (2)",
    )
    parser.add_argument(
        "--older-than", default="0", metavar="DAYS", help="only what was not used for so long"
    )
    parser.add_argument(
        "--max-size", metavar="SIZE", help="only until the models take no more than this: 50G"
    )
    parser.add_argument("--orphans", action="store_true", help="models that nothing wants, too")
    parser.add_argument(
        "--foreign", action="store_true", help="snapshots of other programs that no ref names, too"
    )
    parser.add_argument("--partials", action="store_true", help="downloads that could go on, too")
    parser.add_argument("--caches", action="store_true", help="caches that fill again, too")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--dry-run", action="store_true", help="only show it (the default)")
    group.add_argument("--yes", action="store_true", help="remove it")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Look, remove if told to, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    rules = rules_of(options, models)
    cleaner = cleaner_of(models, wants_selection=rules.orphans)
    cleaned = cleaner.clean(rules, stop) if options.yes else Cleaned(cleaner.look(rules))
    code = _exit_code(cleaned)
    draw(screen, cleaned, rules, is_done=options.yes)
    screen.document(envelope("clean", code, data_of(cleaned, is_done=options.yes)))
    return code


def rules_of(options: argparse.Namespace, models: ModelSet) -> Rules:
    """What the options ask for; raises ModelSetError `usage` and `unknown-model`."""
    days = _number("--older-than", options.older_than, float)
    return Rules(
        keep=_number("--keep", options.keep, int),
        unused_s=days * DAY_S,
        max_size=None if options.max_size is None else size_of(options.max_size),
        keys=frozenset(_key(models, key) for key in options.keys),
        orphans=options.orphans,
        foreign=options.foreign,
        caches=options.caches,
        partials=options.partials,
    )


def size_of(text: str) -> int:
    """The bytes that a text such as `50G` or `1.5TiB` means; raises ModelSetError `usage`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ModelSetError("usage", f"--max-size: {text} is not a size", "such as 500M or 50G")
    unit = (found[2] or "").lower()
    return int(float(found[1]) * (1024 if unit.endswith("i") else 1000) ** _POWERS[unit[:1]])


def cleaner_of(models: ModelSet, *, wants_selection: bool) -> Cleaner:
    """What looks at the folders of a project, and cleans them."""
    own = models.settings
    chosen = models.select(Wishes()).choices if wants_selection else ()

    def recall() -> Memory:
        return Memory(
            read_lock(own.lock),
            read_history(own.roots["registry"]),
            read_registry(own.roots["registry"]),
            frozenset(choice.model.key for choice in chosen),
            models.catalog.models,
        )

    return Cleaner(SOURCES, own.roots, recall, _now, own.environ)


def data_of(cleaned: Cleaned, *, is_done: bool) -> dict[str, Any]:
    """What was found and done, for programs."""
    cleaning = cleaned.seen.cleaning
    return {
        "dry_run": not is_done,
        "items": [
            {
                "kind": step.item.kind,
                "key": step.item.key,
                "name": step.item.title,
                "why": step.item.why,
                "bytes": step.size,
                "paths": [name.path for name in (*step.item.names, *step.blobs)],
                "last_used": _moment(step.item.used),
                "removed": number in cleaned.done,
                "failure": asdict(cleaned.failures[number]) if number in cleaned.failures else None,
            }
            for number, step in enumerate(cleaning.steps)
        ],
        "bytes_to_free": cleaning.size,
        "bytes_freed": cleaned.size,
        "total_bytes": cleaning.total,
        "fits": cleaning.fits,
        "busy": cleaned.seen.is_busy,
    }


def draw(screen: Screen, cleaned: Cleaned, rules: Rules, *, is_done: bool) -> None:
    """What goes and why, by kind, and how to have it removed."""
    cleaning = cleaned.seen.cleaning
    screen.title("CLEAN" if is_done else "CLEAN (DRY RUN)")
    for kind, title in _TITLES.items():
        rows = [row for row in enumerate(cleaning.steps) if row[1].item.kind == kind]
        if rows:
            screen.line()
            screen.line(f"  {title}:")
        for number, step in rows:
            key = f" of {step.item.key}" if step.item.key not in ("", step.item.title) else ""
            words = f"{size_text(step.size)}, {step.item.why}{key}"
            if number in cleaned.failures:
                screen.row("bad", step.item.title, cleaned.failures[number].message)
            elif is_done and number not in cleaned.done:
                screen.row("warn", step.item.title, "changed meanwhile, so it stays")
            else:
                screen.row("ok" if is_done else "none", step.item.title, words)
    screen.line()
    if cleaned.seen.is_busy:
        say("note: a download is at work here, so models are left alone")
    if rules.max_size is not None:
        left = cleaning.total - (cleaned.size if is_done else cleaning.size)
        screen.line(f"  {size_text(left)} of models and downloads remain")
    if not cleaning.fits:
        assert rules.max_size is not None
        say_error(
            f"what is left does not fit into {size_text(rules.max_size)}: the rest is needed",
            "`--orphans` and a smaller `--keep` take more; else take models out of the lock",
        )
    for failure in cleaned.failures.values():
        say_error(failure.message, failure.hint)
    if is_done:
        screen.row("ok", f"{size_text(cleaned.size)} freed")
    elif cleaning.steps:
        screen.line(
            f"  {size_text(cleaning.size)} can be freed: the same command with --yes does it"
        )
    else:
        screen.row("ok", "Nothing to clean")


def _exit_code(cleaned: Cleaned) -> int:
    for failure in cleaned.failures.values():
        return exit_code_of(failure)
    return 0 if cleaned.seen.cleaning.fits else KINDS["disk-full"].exit_code


def _key(models: ModelSet, key: str) -> str:
    """A key as the catalog spells it, or of a model that only the disk still knows."""
    own = models.settings
    try:
        return models.catalog.get(key).key
    except ModelSetError:
        folder = own.roots["registry"]
        if key in {*read_lock(own.lock), *read_history(folder), *read_registry(folder)}:
            return key
        raise


def _number(option: str, text: str, kind: Any) -> Any:
    try:
        number = kind(text)
    except ValueError:
        number = -1
    if not 0 <= number < 1e6:
        raise ModelSetError("usage", f"{option}: {text} is not a number, 0 or more")
    return number


def _moment(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="seconds")


def _now() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()
