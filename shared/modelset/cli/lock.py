"""modelset lock: pins what the catalog wants, and moves no model."""

import argparse
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelset.cli.download import session
from modelset.cli.models import say_failures
from modelset.cli.options import add_selection, settings_of, wishes_of
from modelset.cli.progress import make_progress
from modelset.cli.screen import Screen, say_error
from modelset.core.errors import KINDS, exit_code_of
from modelset.core.lock import Lock
from modelset.core.report import envelope
from modelset.core.select import Wishes
from modelset.core.types import Choice, Model, Pin, Selection
from modelset.core.values import asdict, replace
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, stale_of
from modelset.model_set import ModelSet
from modelset.settings import Settings

if TYPE_CHECKING:  # --check must not load a socket library
    from modelset.engine.locking import Pinned
    from modelset.engine.task import World

STALE = KINDS["lock-stale"].exit_code
_MIXED = 4
_COLUMNS = ["model", "old", "new", "files", "size", "licence"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 9 when it is stale; offline"
    )
    parser.add_argument(
        "--upgrade", nargs="*", metavar="KEY", help="ask anew what is pinned: these, or all"
    )
    parser.add_argument("--timeout", metavar="SECONDS", help="for each model's answers (300)")
    parser.add_argument("--connections", metavar="N", help="models asked side by side (16)")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Ask, write, draw, and return the exit code."""
    if options.check:
        return _check(options, screen, ModelSet(settings_of(options), stop))
    from modelset.engine.locking import ask_sources, write_pins

    with session(options) as settings:
        models = ModelSet(settings, stop)
        selection = _selection(models, wishes_of(options), options.upgrade or ())
        keys = [choice.model.key for choice in selection.choices]
        again = [models.catalog.get(key).key for key in options.upgrade or ()]
        if options.upgrade == []:
            again = keys
        lock = read_lock(settings.lock)
        with world_of(models, screen) as world:
            rows = ask_sources(selection.choices, lock, world, models.terms, again=again)
            write_pins(rows, world)
    code = _exit_code(rows)
    _draw(screen, settings, rows)
    data = {"lock": str(settings.lock), "models": [row_data(row) for row in rows]}
    screen.document(envelope("lock", code, data))
    return code


@contextlib.contextmanager
def world_of(models: ModelSet, screen: Screen) -> Iterator["World"]:
    """What a run over the network works on, shown as it goes."""
    progress = make_progress(screen)
    try:
        with models.world(progress) as world:
            yield world
    finally:
        progress.close()


def failure_code(rows: Iterable["Pinned"]) -> int:
    """0 when every source has answered; the one code of those that did not, otherwise 4."""
    codes = {exit_code_of(row.failure) for row in rows if row.failure is not None}
    return _MIXED if len(codes) > 1 else max(codes, default=0)


def row_data(row: "Pinned") -> dict[str, Any]:
    """A model's pins for programs."""
    pin = row.pin
    return {
        "key": row.key,
        "tier": row.choice.tier,
        "change": row.change,
        "old_revision": row.old.revision if row.old else "",
        "new_revision": row.new.revision if row.new else pin.revision if pin else "",
        "files": len(pin.artifacts) if pin else 0,
        "size_bytes": pin.size_bytes if pin else 0,
        "licence": row.choice.model.licence,
        "failure": asdict(row.failure) if row.failure else None,
        "detail": note_of(row),
    }


def draw_failures(screen: Screen, rows: Sequence["Pinned"]) -> None:
    """What there is to say of single models, and what mends those that failed."""
    if screen.quiet:
        say_failures(rows)
        return
    for row in rows:
        if row.failure is not None:
            screen.row("bad", row.key, f"{row.failure.code}: {row.failure.message}")
        elif note := note_of(row):
            screen.row("warn" if row.change == "unlocked" else "none", row.key, note)
    hints = [row.failure.hint for row in rows if row.failure is not None]
    for hint in dict.fromkeys(hint for hint in hints if hint):
        screen.line(f"  hint: {hint}")


def note_of(row: "Pinned") -> str:
    """Why a source's answer could not be pinned, and what can."""
    if row.new is None or row.new.is_exact:
        return ""
    learn = f"nobody publishes its digest: `modelset download {row.key}` pins what comes"
    if row.old is None or row.change == "unlocked":
        return learn
    again = f"`modelset update {row.key}` fetches it"
    if row.change == "unknown":
        return f"nobody publishes its digest, and its size is the same: {again} to see"
    sizes = f"{size_text(row.new.size_bytes)} now, {size_text(row.old.size_bytes)} pinned"
    return f"its file was replaced ({sizes}): {again}"


def short(pin: Pin | None) -> str:
    """A revision as tables show it."""
    return pin.revision[:12] if pin else "-"


def _draw(screen: Screen, settings: Settings, rows: Sequence["Pinned"]) -> None:
    screen.title("LOCK")
    table = []
    for row in rows:
        pin = row.pin
        count = str(len(pin.artifacts)) if pin else "-"
        size = size_text(pin.size_bytes) if pin else "-"
        new = "-" if row.failure else short(pin)
        table.append([row.key, short(row.old), new, count, size, row.choice.model.licence])
    screen.table(_COLUMNS, table)
    draw_failures(screen, rows)
    changes = [row.change for row in rows]
    added, moved = changes.count("new"), changes.count("moved")
    words = f"{added} new, {moved} moved" if added or moved else "nothing has changed"
    open_ones = [change for change in changes if change in ("failed", "unlocked")]
    screen.row("bad" if open_ones else "ok", f"{settings.lock}: {words}")
    if open_ones:
        screen.row("none", f"{len(open_ones)} of {len(rows)} could not be pinned")


def _exit_code(rows: Sequence["Pinned"]) -> int:
    """An optional model may wait for its first download; nothing else may be left open."""
    waits = any(row.change == "unlocked" and row.choice.tier == "critical" for row in rows)
    return failure_code(rows) or (STALE if waits else 0)


def _selection(models: ModelSet, wishes: Wishes, more: Iterable[str] = ()) -> Selection:
    """What is wanted; by default what is in the lock too, and always what is to be upgraded."""
    selection, _ = models.wanted(wishes)
    more = tuple(more)
    known = {choice.model.key for choice in selection.choices}
    added = models.select(Wishes(keys=more)).choices if more else ()
    new = [choice for choice in added if choice.model.key not in known]
    return replace(selection, choices=(*selection.choices, *new))


def _check(options: argparse.Namespace, screen: Screen, models: ModelSet) -> int:
    """Compare the catalog with the lock, without a single socket; returns the exit code."""
    path = models.settings.lock
    lock = read_lock(path)
    choices = _selection(models, wishes_of(options), options.upgrade or ()).choices
    stale = {model.key: _why(model, lock) for model in stale_of((c.model for c in choices), lock)}
    waiting = [choice.model.key for choice in choices if _may_wait(choice, lock)]
    bad = [key for key in stale if key not in waiting]
    screen.title("LOCK")
    for key, why in stale.items():
        screen.row("warn" if key in waiting else "bad", key, why)
    data: dict[str, Any] = {
        "lock": str(path),
        "models": [choice.model.key for choice in choices],
        "stale": [{"key": key, "why": stale[key]} for key in bad],
        "waiting": waiting,
    }
    if bad:
        message = f"{path} does not match the catalog for {', '.join(bad)}"
        hint = "run `modelset lock`, and commit what it writes"
        say_error(message, hint)
        data["error"] = {"code": "lock-stale", "message": message, "hint": hint}
    else:
        screen.row("ok", f"{path} says what the catalog wants, of {len(choices)} models")
    code = STALE if bad else 0
    screen.document(envelope("lock", code, data))
    return code


def _why(model: Model, lock: Lock) -> str:
    pin = lock.get(model.key)
    if pin is None:
        return "not in the lock"
    old, new = ({"source": one.source, **one.ref} for one in (pin, model))
    differing = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    words = [f"{name} {old.get(name)} instead of {new.get(name)}" for name in differing]
    return f"the lock has {', '.join(words)}"


def _may_wait(choice: Choice, lock: Lock) -> bool:
    """Whether only a download can pin it, because its table states no digest."""
    model = choice.model
    is_plain = model.source == "url" and not model.ref.get("digest")
    return is_plain and choice.tier != "critical" and model.key not in lock
