"""What killed runs and other programs' libraries leave behind, and what the registry says we put
there; a look, which changes nothing.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelset.core.clean import DAY_S, Item, Kind, Name
from modelset.store.owner import is_busy, is_foreign
from modelset.store.roots import Roots
from modelset.store.stock import Spelling, entries_of, hub_folders, name_at, names_below

_STEM = re.compile(r"(?:sha256|first-use)-[0-9a-f]{64}|(?:git-)?sha1-[0-9a-f]{40}|md5-[0-9a-f]{32}")
# What Xet fills again by itself; `staging` is no such thing: an upload goes on from there.
_XET = frozenset(["chunk_cache", "chunk-cache", "shard_cache", "shard-cache", "logs"])
# Roots that hold no models, or files that are the user's own.
_NO_MODELS = ("local", "credentials", "registry", "downloads")
# Roots that a bound of size does not speak of.
_NOT_COUNTED = ("local", "credentials", "registry", "site-packages")


def model_folders(roots: Roots, spelling: Spelling) -> list[str]:
    """The folders below which a model may be removed."""
    return [spelling.both(path)[1] for name, path in roots.items() if name not in _NO_MODELS]


def counted_folders(roots: Roots) -> list[Path]:
    """The folders that a bound of size speaks of."""
    return [path for name, path in roots.items() if name not in _NOT_COUNTED]


def unchanged(rows: Iterable[Mapping[str, Any]], roots: Roots, spelling: Spelling) -> list[Name]:
    """Of the registry's rows, the files in a folder of models that are still what was put there,
    with what Python has compiled of them; raises what an odd row leads to.
    """
    folders = model_folders(roots, spelling)
    found = []
    for row in rows:
        path = spelling.of(str(row["path"]))
        name = name_at(path)
        if name is None or not any(path.startswith(f"{folder}/") for folder in folders):
            continue
        if name.size == row["size"] and os.lstat(path).st_mtime_ns == row["mtime_ns"]:
            found += [name, *_compiled(path)]
    return found


def _compiled(path: str) -> Iterator[Name]:
    folder, _, file = path.rpartition("/")
    if file.endswith(".py"):
        cached = re.compile(re.escape(file[:-3]) + r"\.[\w-]+(\.opt-\d)?\.pyc")
        for other in entries_of(f"{folder}/__pycache__"):
            name = name_at(f"{folder}/__pycache__/{other}")
            if name is not None and cached.fullmatch(other):
                yield name


def waiting(folder: Path, spelling: Spelling) -> list[Item]:
    """Partial files and wrong bytes set aside that no process is at work on; raises OSError."""
    place = spelling.both(folder)[1]
    groups: dict[str, list[str]] = {}
    for name in entries_of(place):
        if _STEM.fullmatch(name.partition(".")[0]):
            groups.setdefault(name.partition(".")[0], []).append(name)
    busy = {
        stem
        for stem, names in groups.items()
        if any(is_busy(Path(place, name)) for name in names if name.endswith((".json", ".tmp")))
    }
    items = []
    for stem in groups.keys() - busy:
        # The journal goes last: while there is one, others know that the file is somebody's.
        order = sorted(groups[stem], key=lambda name: name.endswith(".json"))
        items.append(_item("partial", stem, "part of a download", [f"{place}/{n}" for n in order]))
    for stem in entries_of(f"{place}/quarantine"):
        if _STEM.fullmatch(stem) and stem not in busy:
            path = f"{place}/quarantine/{stem}"
            items.append(_item("aside", stem, "wrong bytes that were set aside", [path]))
    return items


def digest_of_stem(stem: str) -> str:
    """The digest that the names of a partial file begin with."""
    algorithm, _, digits = stem.rpartition("-")
    return f"{algorithm}:{digits}"


def is_at_work(folder: Path) -> bool:
    """Whether a process downloads into a folder at this moment."""
    return any(is_busy(path) for path in folder.glob("*.json"))


def scratches(roots: Roots, spelling: Spelling, now: float) -> list[Item]:
    """Scratch folders of processes that have ended; raises OSError."""
    places = [roots["downloads"], *(path / ".modelset" for path in roots.values())]
    items = []
    for place in dict.fromkeys(spelling.both(path)[1] for path in places):
        for entry in entries_of(place):
            path = f"{place}/{entry}"
            if not (entry.startswith("scratch.") and entry.endswith(".folder")):
                continue
            if os.path.islink(path) or is_busy(Path(path)):
                continue
            names = names_below(path)
            last = max([os.lstat(path).st_mtime, *(name.used for name in names)])
            # Nothing tells from here whether a process of another machine has ended.
            if not is_foreign(Path(path)) or now - last >= DAY_S:
                why = "what a run unpacked and left behind"
                items.append(Item("scratch", entry, why, tuple(names), tops=(path,), used=last))
    return items


def library_leftovers(root: Path, now: float) -> list[Item]:
    """What the Hub's own client leaves: ends of downloads that it never takes up again, and the
    empty files that it locked; nothing younger than a day. Raises OSError.
    """
    items = []
    for folder in hub_folders(root):
        for entry in entries_of(f"{folder}/blobs"):
            if entry.endswith(".incomplete"):
                why = "a download that the Hub's client does not resume"
                items.append(_item("leftover", entry, why, [f"{folder}/blobs/{entry}"]))
    locks = os.path.realpath(root / ".locks").replace(os.sep, "/")
    for name in names_below(locks) if not os.path.islink(root / ".locks") else ():
        if name.size == 0 and name.path.endswith(".lock"):
            title = name.path.rpartition("/")[2]
            top = os.path.dirname(name.path)
            items.append(Item("leftover", title, "a lock", (name,), tops=(top,), used=name.used))
    return [item for item in items if now - item.used >= DAY_S]


def xet_caches(variables: Mapping[str, str], hub: Path) -> list[Item]:
    """The caches of Xet, which fill again by themselves, where its own rules have them."""
    places = [Path(variables["HF_XET_CACHE"])] if variables.get("HF_XET_CACHE") else []
    if not places and variables.get("HF_HOME"):
        places = [Path(variables["HF_HOME"], "xet")]
    if not places and hub.name == "hub":
        places = [hub.parent / "xet"]
    items = []
    for place in map(os.path.realpath, places):
        above = [place, *(f"{place}/{entry}" for entry in entries_of(place))]
        for folder in above:
            for entry in entries_of(folder) if not os.path.islink(folder) else ():
                if entry in _XET and (names := names_below(f"{folder}/{entry}")):
                    top = f"{folder}/{entry}"
                    why = "a cache of Xet, which fills again by itself"
                    last = max(name.used for name in names)
                    items.append(Item("cache", top, why, tuple(names), tops=(top,), used=last))
    return items


def _item(kind: Kind, title: str, why: str, paths: list[str]) -> Item:
    names = tuple(name for path in paths if (name := name_at(path)) is not None)
    return Item(kind, title, why, names, used=max((name.used for name in names), default=0.0))
