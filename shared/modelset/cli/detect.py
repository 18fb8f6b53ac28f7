"""modelset detect: models that other programs have put on this machine already."""

import argparse
import contextlib
from collections.abc import Callable, Mapping

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say
from modelset.core.errors import ModelSetError
from modelset.core.found import (
    Candidates,
    Item,
    Listing,
    Traces,
    items_of,
    of_the_right_size,
    recognise,
)
from modelset.core.layout import InstallWheel, Unpack
from modelset.core.lock import Lock
from modelset.core.report import envelope
from modelset.core.select import Wishes
from modelset.core.types import Choice
from modelset.core.values import dataclass
from modelset.core.words import size_text
from modelset.engine.adopt import survey
from modelset.engine.check import Seen
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.unpacked import Unpacked, entry_at
from modelset.model_set import ModelSet
from modelset.sources import SOURCES
from modelset.store.elsewhere import known_places, project_folders, user_home
from modelset.store.registry import read_registry

# What an item is to the archive that it may have come out of.
Judge = Callable[[Item, Seen, Unpack], str]


@dataclass(frozen=True, slots=True)
class Found:
    """A model in another program's folder: its keys, and what this set makes of it.

    `state` is `here`, `adopt`, `trust`, `unpinned`, `archive`, `other`, `installed` or `unknown`:
    nothing vouches for the files of an unpacked `archive`, and the policy may allow to `trust` it.
    """

    item: Item
    keys: tuple[str, ...]
    state: str
    is_wanted: bool


_WORDS = {
    "here": "here already",
    "adopt": "can be adopted",
    "unpinned": "not locked",
    "trust": "can be adopted, on trust",
    "archive": "only with --trust-first-use",
    "other": "other files",
    "installed": "elsewhere",
    "unknown": "",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--wanted", action="store_true", help="only what this set wants")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Look, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    listings = listings_of(models, stop)
    rows = [row for row in detect(models, listings) if row.is_wanted or not options.wanted]
    draw(screen, rows)
    notes = [note for listing in listings for note in listing.notes]
    if not screen.quiet:
        for note in notes:
            say(f"note: {note}")
    data = {"found": [data_of(row) for row in rows], "notes": notes}
    screen.document(envelope("detect", 0, data))
    return 0


def listings_of(models: ModelSet, stop: Stop) -> list[Listing]:
    """What lies in the folders of other programs; opens no file of a model."""
    own = models.settings
    places = known_places(
        own.environ, user_home(own.environ), project_folders(own.project), own.roots
    )
    return survey(places, own.roots, stop)


def detect(models: ModelSet, listings: list[Listing]) -> list[Found]:
    """Every model of the listings, in their order."""
    selection, lock = models.wanted(Wishes())
    traces = traces_of(models, lock)
    wanted = {choice.model.key: choice for choice in selection.choices}
    seen = _seen(models, traces, lock)
    judge = _judge_of(models, listings)
    return [
        _judged(item, recognise(item, traces, lock), seen, wanted, judge)
        for listing in listings
        for item in items_of(listing)
    ]


def traces_of(models: ModelSet, lock: Lock) -> Traces:
    """Where each model of the catalog and of the lock would lie below its root."""
    known = dict(models.catalog.models)
    for key in lock.keys() - known.keys():
        with contextlib.suppress(ModelSetError):  # a table that is there no more
            known[key] = models.catalog.get(key)
    return {
        key: SOURCES[model.source].trace(model.ref)
        for key, model in known.items()
        if model.source not in ("api", "local")
    }


def draw(screen: Screen, rows: list[Found]) -> None:
    """A table by place, and what it comes to."""
    if screen.quiet or screen.as_json:
        return
    screen.title("MODELS ON THIS MACHINE")
    cells = [
        [
            row.item.place.title,
            row.item.name,
            row.keys[0] + (f" (+{len(row.keys) - 1})" if len(row.keys) > 1 else "")
            if row.keys
            else "",
            str(row.item.count),
            size_text(row.item.size_bytes),
            _words(row),
        ]
        for row in rows
    ]
    if cells:
        screen.table(["place", "what", "model", "files", "size", "for this set"], cells)
    inodes = {file.inode: file.size for row in rows for file in row.item.files}
    places = len({row.item.place.path for row in rows})
    screen.line(f"  Found: {len(rows)} in {places} folders, {size_text(sum(inodes.values()))}")
    takeable = sum(row.state in ("adopt", "trust") for row in rows)
    if any(row.state == "unpinned" for row in rows):
        screen.line("  hint: `modelset lock` pins what is not locked; then it can be adopted")
    if any(row.state == "archive" for row in rows):
        screen.line("  hint: nobody publishes digests of what archives unpack to;")
        screen.line("        `modelset adopt --trust-first-use` takes such folders as they are")
    if takeable:
        screen.line(f"  `modelset adopt` can take {takeable} of them, without a copy on one disk")


def data_of(row: Found) -> dict[str, object]:
    """A found model for programs."""
    return {
        "place": row.item.place.title,
        "folder": row.item.place.path,
        "what": row.item.name,
        "keys": list(row.keys),
        "files": row.item.count,
        "size_bytes": row.item.size_bytes,
        "wanted": row.is_wanted,
        "state": row.state,
    }


def _words(row: Found) -> str:
    words = _WORDS[row.state]
    if row.state == "unknown" or row.is_wanted:
        return words
    return f"{words}; not wanted" if words else "not wanted"


def _seen(models: ModelSet, traces: Traces, lock: Lock) -> Mapping[str, Seen]:
    choices = [
        Choice(model, model.tier, "") for model in (models.catalog.get(key) for key in traces)
    ]
    looked = models.inspector.look(tuple(choices), lock)
    return {one.status.model.key: one for one in looked}


def _judge_of(models: ModelSet, listings: list[Listing]) -> Judge:
    """What judges folders that hold what was in an archive."""
    own = models.settings
    registry = read_registry(own.roots["registry"])
    pause = RunGuard(models.stop).check
    unpacked = Unpacked(own.roots, Candidates(listings), own.policy, pause)

    def judge(item: Item, seen: Seen, row: Unpack) -> str:
        assert seen.pin is not None
        assert seen.layout is not None
        if item.place.root != seen.layout.root or item.name != row.path:
            return "other"
        model, path = seen.status.model, f"{item.place.path}/{item.name}"
        entry = entry_at(registry, seen.pin)
        verdict = unpacked.judge(path, model, seen.layout, row, entry)
        fits = "trust" if own.policy.first_use else "archive"
        return {"known": "adopt", "fits": fits, "other": "other"}[verdict]

    return judge


def _judged(
    item: Item,
    keys: tuple[str, ...],
    seen: Mapping[str, Seen],
    wanted: Mapping[str, Choice],
    judge: Judge,
) -> Found:
    # Of several models the one that is wanted, then the one that can be taken, speaks for all.
    states = {key: _state(item, seen[key], judge) for key in keys}
    ranked = sorted(keys, key=lambda key: (key not in wanted, _ORDER.index(states[key]), key))
    if not ranked:
        return Found(item, (), "unknown", False)
    first = ranked[0]
    return Found(item, tuple(ranked), states[first], first in wanted)


_ORDER = ("adopt", "trust", "here", "installed", "archive", "unpinned", "other")


def _state(item: Item, seen: Seen, judge: Judge) -> str:
    if seen.pin is None or seen.layout is None or seen.findings is None:
        return "here" if item.place.is_own else "unpinned"
    if seen.status.presence == "present":
        return "here"
    lacking = [row for row in seen.pin.artifacts if row.digest in seen.findings.lacking]
    if of_the_right_size(item, lacking):
        return "adopt"
    if any(isinstance(row, InstallWheel) for row in seen.layout.placements):
        return "installed"
    unpacks = [row for row in seen.layout.placements if isinstance(row, Unpack)]
    return judge(item, seen, unpacks[0]) if unpacks else "other"
