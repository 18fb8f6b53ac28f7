"""What lies in the caches that several programs share: every name of it, and who names what.

Paths are spelled without links on the way, so that two spellings of one file are one path; a link
that leads out of its folder is never followed.
"""

import json
import os
import re
import stat
from functools import cache
from pathlib import Path

from modelset.core.clean import Name, Repo, Revision

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"sha256-[0-9a-f]{64}")


class Spelling:
    """Spells paths without links on the way to them; remembers folders for one look."""

    def __init__(self) -> None:
        self._folder = cache(_real)

    def of(self, path: str | Path) -> str:
        """The name itself, in the real folder."""
        folder, _, name = _plain(os.path.abspath(path)).rpartition("/")
        return f"{self._folder(folder or '/').rstrip('/')}/{name}"

    def both(self, path: str | Path) -> tuple[str, str]:
        """The name itself, and what it leads to in the end."""
        return self.of(path), _real(path)


def name_at(path: str) -> Name | None:
    """A file or a link by a well spelled path; None for a folder, a pipe and what is not there."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    is_link = stat.S_ISLNK(found.st_mode)
    if not (is_link or stat.S_ISREG(found.st_mode)):
        return None
    # To read where a link leads, as a look does, counts as a use of it.
    used = found.st_mtime if is_link else max(found.st_mtime, found.st_atime)
    return Name(path, found.st_size, (found.st_dev, found.st_ino), found.st_nlink, used)


def names_below(folder: str) -> list[Name]:
    """Every file and link in a folder and below, none when the folder is a link or not there;
    raises OSError when it cannot all be seen.
    """
    if os.path.islink(folder) or not os.path.isdir(folder):
        return []
    found = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted([*files, *links]):
            one = name_at(f"{_plain(parent)}/{name}")
            if one is None:
                raise OSError(f"{parent}/{name} is no file")
            found.append(one)
    return found


def entries_of(folder: str) -> list[str]:
    """The names in a folder, sorted; none when it is a link or not there, raises OSError."""
    if os.path.islink(folder) or not os.path.isdir(folder):
        return []
    return sorted(os.listdir(folder))


def hub_folders(root: Path) -> list[str]:
    """The repositories of every kind in the Hub's cache, without those that lie elsewhere."""
    real = _real(root)
    paths = [f"{real}/{name}" for name in entries_of(real) if "--" in name]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def hub_repos(root: Path, spelling: Spelling) -> list[Repo]:
    """The repositories of models in the Hub's cache; raises OSError."""
    found = []
    for folder in hub_folders(root):
        if folder.rpartition("/")[2].startswith("models--"):
            try:
                found.append(_repo(folder, spelling))
            except (OSError, ValueError):
                found.append(Repo(folder, {}, {}, (), (), is_sound=False))
    return found


def ollama_manifests(root: Path, spelling: Spelling) -> dict[str, tuple[str, ...]] | None:
    """The blobs that each manifest of Ollama names; None when one of them cannot be read."""
    folder = spelling.of(root / "manifests")
    found = {}
    try:
        if os.path.islink(folder):
            return None
        for name in names_below(folder):
            with open(name.path, encoding="utf-8") as stream:
                document = json.load(stream)
            digests = [row["digest"] for row in (document["config"], *document["layers"])]
            paths = [spelling.both(root / "blobs" / one.replace(":", "-")) for one in digests]
            found[name.path] = tuple(path for both in paths for path in both)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found


def ollama_blobs(root: Path, spelling: Spelling) -> list[Name]:
    """The blobs of Ollama's store, without those that are on their way; raises OSError."""
    folder = spelling.of(root / "blobs")
    names = [name for name in entries_of(folder) if _BLOB.fullmatch(name)]
    return [one for name in names if (one := name_at(f"{folder}/{name}")) is not None]


def sha256_at(path: str) -> str:
    """The sha256 of a small file, in hex; nothing when it cannot be read."""
    import hashlib

    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def total_bytes(roots: list[Path]) -> int:
    """Bytes of every file below some folders, each inode once; no link is followed."""
    inodes: dict[tuple[int, int], int] = {}
    for root in {_real(path) for path in roots}:
        for parent, _, files in os.walk(root):
            names = (name_at(f"{parent}/{name}") for name in files)
            inodes |= {one.inode: one.size for one in names if one is not None}
    return sum(inodes.values())


def _repo(folder: str, spelling: Spelling) -> Repo:
    for below in ("refs", "snapshots", "blobs", "trees", ".no_exist"):
        if os.path.islink(f"{folder}/{below}"):
            raise OSError(f"{folder}/{below} leads elsewhere")
    refs = {name.path: name for name in names_below(f"{folder}/refs")}
    trees = [name[:-5] for name in entries_of(f"{folder}/trees") if name.endswith(".json")]
    commits = {
        *entries_of(f"{folder}/snapshots"),
        *trees,
        *entries_of(f"{folder}/.no_exist"),
    }
    blobs = [name_at(f"{folder}/blobs/{name}") for name in entries_of(f"{folder}/blobs")]
    return Repo(
        folder,
        refs,
        {path: _commit(path) for path in refs},
        tuple(_revision(folder, commit, spelling) for commit in sorted(commits)),
        # With a dot: what is on its way, of the Hub's client or of ours.
        tuple(one for one in blobs if one and "." not in one.path.rpartition("/")[2]),
    )


def _commit(path: str) -> str:
    with open(path, encoding="ascii") as stream:
        commit = stream.read(100).strip()
    if not _COMMIT.fullmatch(commit):
        raise ValueError(f"{path} names no commit")
    return commit


def _revision(folder: str, commit: str, spelling: Spelling) -> Revision:
    snapshot, absent = f"{folder}/snapshots/{commit}", f"{folder}/.no_exist/{commit}"
    if os.path.islink(snapshot) or (os.path.lexists(snapshot) and not os.path.isdir(snapshot)):
        raise OSError(f"{snapshot} is no folder")
    names = names_below(snapshot)
    entries = []
    for name in names:
        targets: tuple[str, ...] = ()
        if os.path.islink(name.path):
            if os.path.isdir(name.path):
                raise OSError(f"{name.path} leads to a folder")
            near = os.path.join(os.path.dirname(name.path), os.readlink(name.path))
            targets = spelling.both(near)
        entries.append((name.path, *dict.fromkeys(targets)))
    tree = name_at(f"{folder}/trees/{commit}.json")
    names = [*names, *([tree] if tree else []), *names_below(absent)]
    return Revision(snapshot, tuple(entries), tuple(names), (snapshot, absent))


def _real(path: str | Path) -> str:
    return _plain(os.path.realpath(path))


def _plain(path: str) -> str:
    return path.replace(os.sep, "/")


def _raise(error: OSError) -> None:
    raise error
