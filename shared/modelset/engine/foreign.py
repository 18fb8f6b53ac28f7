"""Verifies what other programs have put into the libraries' folders, as far as anything vouches."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from modelset.core.found import File, Listing, Place
from modelset.core.layout import Credential, InstallWheel, Unpack
from modelset.core.types import Model
from modelset.core.values import replace
from modelset.core.vouch import Foreign, judge, promise_of, stated_digests, tree_of
from modelset.engine.adopt import WHOLE
from modelset.engine.check import Seen
from modelset.engine.digests import read_all
from modelset.engine.guard import RunGuard
from modelset.engine.verify import Manner
from modelset.store.adopt import plain_text
from modelset.store.digests import Table, Wanted
from modelset.store.elsewhere import look
from modelset.store.findings import Inode
from modelset.store.roots import Roots

# What a cache keeps for itself, by its root: the first part of the name, or the second.
_OWN = {
    "huggingface": ((".locks", "CACHEDIR.TAG", "version.txt"), ("refs", "trees", ".no_exist")),
    "ollama": (("manifests",), ()),
}
_UNFINISHED = (".incomplete", ".lock")
_NO_MODELS = ("registry", "downloads", "site-packages", "credentials", "local")


def verify_foreign(
    seen: Collection[Seen], roots: Roots, models: Iterable[Model], manner: Manner
) -> list[Foreign]:
    """Every file that no pin names, with what its own name or a list beside it says of it.

    Raises ModelSetError `stopped` or `terminated`.
    """
    pause = RunGuard(manner.stop).check
    pinned, digests = _pinned(seen), stated_digests(models)
    found: list[Foreign] = []
    wanted = Wanted()
    for listing in _listings(roots, pause):
        for foreign in _foreign(listing, pinned, digests):
            found.append(foreign)
            if foreign.promise:
                wanted(foreign.path, foreign.promise.partition(":")[0])
    table = Table(read_all(wanted.jobs.values(), manner.hands, manner.emit, manner.stop))
    return [_judged(row, table) if row.promise else row for row in found]


def _judged(row: Foreign, table: Table) -> Foreign:
    algorithm = row.promise.partition(":")[0]
    actual = table(row.path, algorithm) or ""
    said = actual if " " in actual else f"{algorithm}:{actual}"
    return replace(row, word=judge(row.promise, actual), actual=said)


def _listings(roots: Roots, pause: Callable[[], None]) -> Iterator[Listing]:
    """What lies in each folder of ours that libraries look in, other folders of ours left out."""

    def is_late() -> bool:
        pause()
        return False

    for name, path in roots.items():
        if name not in _NO_MODELS:
            place = Place(name, name, os.path.realpath(path))
            yield look(place, roots, bounds=WHOLE, is_late=is_late)


def _foreign(
    listing: Listing, pinned: tuple[Collection[Inode], Collection[str]], digests: Mapping[str, str]
) -> Iterator[Foreign]:
    root, inodes, names = listing.place.root, *pinned
    trees = dict(_trees(listing)) if root == "huggingface" else {}
    named: dict[Inode, File] = {}
    promises: dict[Inode, set[str]] = {}
    for file in listing.files:
        if file.inode in inodes or f"{root}/{file.name}" in names or _is_own(root, file.name):
            continue
        # One file may have many names: each that vouches has to be kept.
        named.setdefault(file.inode, file)
        promise = promise_of(root, file.name, trees, digests)
        promises.setdefault(file.inode, set()).update([promise] if promise else [])
    for inode, file in named.items():
        for promise in sorted(promises[inode]) or [""]:
            yield Foreign(file.path, file.size, promise)


def _trees(listing: Listing) -> Iterator[tuple[tuple[str, str], Mapping[str, str]]]:
    """The lists of a Hub cache, by repository and commit; those that cannot be read are none."""
    for file in listing.files:
        parts = file.name.split("/")
        if len(parts) == 3 and parts[1] == "trees" and parts[2].endswith(".json"):
            with contextlib.suppress(OSError, ValueError):
                yield (parts[0], parts[2][:-5]), tree_of(plain_text(file.path))


def _is_own(root: str, name: str) -> bool:
    parts = name.split("/")
    first, second = _OWN.get(root, ((), ()))
    is_list = parts[-1].startswith(".modelset-") and name.endswith(".record")
    is_ours = parts[0] in first or (len(parts) > 1 and parts[1] in second)
    return is_ours or is_list or name.endswith(_UNFINISHED)


def _pinned(seen: Collection[Seen]) -> tuple[set[Inode], set[str]]:
    """The inodes that pins name, and the names of what is checked as text."""
    inodes: set[Inode] = set()
    names: set[str] = set()
    for one in seen:
        if one.layout is None or one.findings is None:
            continue
        inodes |= one.findings.inodes.keys()
        for row in one.layout.placements:
            if isinstance(row, Unpack):
                names.add(f"{one.layout.root}/{row.path}/{row.record}")
            elif not isinstance(row, InstallWheel | Credential):
                names.add(f"{one.layout.root}/{row.path}")
    return inodes, names
