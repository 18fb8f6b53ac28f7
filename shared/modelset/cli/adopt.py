"""modelset adopt: takes what the set needs from other programs' folders, by digest."""

import argparse
import datetime
from typing import Any

from modelset.cli.detect import listings_of
from modelset.cli.models import draw_hints
from modelset.cli.options import add_selection, settings_of, wishes_of
from modelset.cli.screen import Mark, Screen, say, say_error
from modelset.core.errors import KINDS, ModelSetError, exit_code_of
from modelset.core.found import Adoption, Candidates, Listing, Taken
from modelset.core.report import envelope, group_by_category
from modelset.core.types import Choice, Outcome, Report
from modelset.core.values import asdict, replace
from modelset.core.words import size_text
from modelset.engine.adopt import WHOLE, Adopt, Manner, survey
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.model_set import ModelSet
from modelset.store.elsewhere import named_place

_MARKS: dict[str, Mark] = {
    "adopted": "ok",
    "ready": "ok",
    "skipped": "none",
    "unpinned": "warn",
    "partly": "warn",
    "nothing": "warn",
    "failed": "bad",
}
_LISTED = 3
# What is not in the lock cannot be judged: the lock is out of date.
_CODES = {"unpinned": KINDS["lock-stale"].exit_code}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    parser.add_argument(
        "--from", dest="folder", default="", metavar="PATH", help="look there and nowhere else"
    )
    add_trust(parser)
    parser.add_argument("--dry-run", action="store_true", help="hash, and only say what fits")


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The option that lets folders count whose files nothing vouches for."""
    parser.add_argument(
        "--trust-first-use",
        action="store_true",
        default=None,
        help="take unpacked archives too: nobody publishes digests of what is in them",
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Adopt, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    choices = models.wanted(wishes_of(options))[0].choices
    listings = _listings(models, options.folder, stop)
    manner = manner_of(models, stop, dry_run=options.dry_run)
    rows = adopt(models, choices, listings, manner)
    code = 0 if options.dry_run else exit_code(rows)
    draw(screen, models, rows, dry_run=options.dry_run)
    notes = [note for listing in listings for note in listing.notes]
    for note in () if screen.quiet else notes:
        say(f"note: {note}")
    data = {
        "dry_run": options.dry_run,
        "models": [data_of(row) for row in rows],
        "bytes_linked": sum(row.bytes_by("linked", "cloned") for row in rows),
        "bytes_copied": sum(row.bytes_by("copied") for row in rows),
        "notes": notes,
    }
    screen.document(envelope("adopt", code, data))
    return code


def manner_of(models: ModelSet, stop: Stop, *, dry_run: bool, move: bool = False) -> Manner:
    """How to adopt under the settings."""
    return Manner(models.settings.policy, stop, _now, dry_run, move)


def adopt(
    models: ModelSet, choices: tuple[Choice, ...], listings: list[Listing], manner: Manner
) -> list[Adoption]:
    """Take what is lacking of the choices; raises ModelSetError when stopped."""
    # What lies in a root of ours is where it belongs, or wrong.
    foreign = [listing for listing in listings if not listing.place.is_own]
    return Adopt(models.inspector, Candidates(foreign), manner).run(
        choices, read_lock(models.settings.lock)
    )


def exit_code(rows: list[Adoption]) -> int:
    """0 when every critical model is here; the code of their one reason, otherwise 4."""
    codes = {
        _CODES.get(row.result, 4) if row.failure is None else exit_code_of(row.failure)
        for row in rows
        if row.tier == "critical" and row.result not in ("adopted", "ready", "skipped")
    }
    return 0 if not codes else codes.pop() if len(codes) == 1 else 4


def data_of(row: Adoption) -> dict[str, Any]:
    """An adoption for programs."""
    return {
        "key": row.model.key,
        "category": row.model.category,
        "tier": row.tier,
        "result": row.result,
        "bytes_linked": row.bytes_by("linked", "cloned"),
        "bytes_copied": row.bytes_by("copied"),
        "taken": [
            {"name": one.name, "size_bytes": one.size, "way": one.way, "from": plain(one.origin)}
            for one in row.taken
        ],
        "lacks": list(row.lacks),
        "detail": row.detail,
        "trusted": row.trusted,
        "failure": None if row.failure is None else asdict(row.failure),
    }


def draw(screen: Screen, models: ModelSet, rows: list[Adoption], *, dry_run: bool) -> None:
    """One row a model, by category; with --quiet, only what makes it fail."""
    if screen.quiet:
        for row in rows:
            if row.failure is not None and row.tier == "critical":
                say_error(row.failure.message, row.failure.hint)
        return
    screen.title("MODEL ADOPTION" + (" (nothing is changed)" if dry_run else ""))
    for category, numbers in group_by_category(
        [row.model for row in rows], models.catalog.categories
    ):
        screen.line()
        screen.line(f"  {category.title}:")
        for number in numbers:
            row = rows[number]
            screen.row(_MARKS[row.result], row.model.name, words_of(row, dry_run=dry_run))
    screen.line()
    linked = sum(row.bytes_by("linked", "cloned") for row in rows)
    copied = sum(row.bytes_by("copied") for row in rows)
    would = "would be " if dry_run else ""
    screen.line(
        f"  {would}linked: {size_text(linked)}, {would}copied: {size_text(copied)}".rstrip()
    )
    if not dry_run and any(row.trusted for row in rows):
        screen.line("  on trust: nobody publishes digests of these files; theirs hold from now on")
    if any(row.result in ("partly", "nothing") for row in rows):
        screen.line("  hint: `modelset download` brings what lacks, and only that")
    if any(row.result == "unpinned" for row in rows):
        screen.line("  hint: `modelset lock` pins what is not in the lock; then adopt again")
    failed = tuple(
        Outcome(row.model, row.tier, "failed", row.failure) for row in rows if row.failure
    )
    draw_hints(screen, Report(outcomes=failed))


def words_of(row: Adoption, *, dry_run: bool) -> str:
    """An adoption in words."""
    if row.failure is not None:
        return f"Failed ({row.failure.code}): {row.failure.message}"
    if row.result in ("ready", "skipped", "unpinned"):
        words = {"ready": "Ready", "skipped": "Left alone", "unpinned": "Not locked"}[row.result]
        return f"{words}: {row.detail}"
    lacks = ", ".join(row.lacks[:_LISTED])
    more = f" and {len(row.lacks) - _LISTED} more" if len(row.lacks) > _LISTED else ""
    if row.result == "nothing":
        return f"Nothing found of {lacks}{more}" + (f"; {row.detail}" if row.detail else "")
    origins = sorted({_folder_of(one) for one in row.taken if one.origin})
    from_where = f" from {plain(origins[0])}" if origins else ""
    size = size_text(sum(one.size for one in row.taken))
    many = f" and {len(origins) - 1} more" if len(origins) > 1 else ""
    ways = "would be taken" if dry_run else "/".join(sorted({one.way for one in row.taken}))
    verb = "Partly" if row.result == "partly" else "Can be adopted" if dry_run else "Adopted"
    verb += " on trust" if row.trusted else ""
    rest = f"; lacks {lacks}{more}" if lacks else ""
    return f"{verb} ({size} {ways}{from_where}{many}){rest}"


def _folder_of(one: Taken) -> str:
    """The folder of the model that a file was found in, or the file's own."""
    base = one.origin.removesuffix(f"/{one.name}")
    return base if base != one.origin else one.origin.rpartition("/")[0]


def plain(path: str) -> str:
    """A path without what a terminal would act on, or what no document can hold."""
    return "".join(sign if sign.isprintable() else "?" for sign in path)


def _listings(models: ModelSet, folder: str, stop: Stop) -> list[Listing]:
    if not folder:
        return listings_of(models, stop)
    roots = models.settings.roots
    place = named_place(folder, roots)
    if place is None:
        raise ModelSetError("usage", f"--from {folder}: there is no such folder", "check its name")
    # Whoever names a folder of ours means it.
    return survey([replace(place, is_own=False)], roots, stop, bounds=WHOLE, seconds=float("inf"))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
