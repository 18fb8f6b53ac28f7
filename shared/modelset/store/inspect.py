"""What the disk holds of a layout: presence and size at once, digests with `deep`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from modelset.core.types import (
    Artifact,
    InstallWheel,
    Layout,
    Link,
    Presence,
    PutFile,
    PutText,
)
from modelset.core.values import dataclass, field
from modelset.store.files import feed, hasher_for
from modelset.store.roots import Roots

Inode = tuple[int, int]


class Installed:
    """The distributions in folders of packages, each folder as it was when first asked about."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, list[str]]] = {}

    def versions(self, site_packages: str, name: str) -> list[str]:
        """The dist-info folders of a distribution, whichever way its name is spelled."""
        known = self._known.get(site_packages)
        if known is None:
            known = self._known[site_packages] = {}
            for entry in _entries(site_packages):
                if entry.endswith(".dist-info"):
                    known.setdefault(normal(entry[:-10].rpartition("-")[0]), []).append(entry)
        return known.get(normal(name), [])


@dataclass(slots=True)
class Findings:
    """What an inspection saw of one layout; sizes in bytes, each inode once."""

    bytes_have: int = 0
    inodes: dict[Inode, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)  # digests that have to come again
    found: int = 0
    deep: bool = False
    pause: Callable[[], None] = lambda: None

    def presence(self) -> Presence:
        """The verdict over all files."""
        if self.corrupt:
            return "corrupt"
        if self.missing:
            return "partial" if self.found else "missing"
        return "present"


def inspect(
    layout: Layout,
    roots: Roots,
    *,
    deep: bool = False,
    pause: Callable[[], None] = lambda: None,
    installed: Installed | None = None,
) -> Findings:
    """Compare a layout with the disk; opens no socket and imports no library of a model.

    With `deep`, every file is read and hashed; `pause` is called in between and may raise. Many
    looks at one moment share `installed`, so that a folder of packages is listed once.
    """
    found = Findings(deep=deep, pause=pause)
    root = os.fspath(roots[layout.root])
    shown: set[str] = set()  # digests of files that a link has led to: no second look
    for placement in reversed(layout.placements):
        if isinstance(placement, Link):
            if _file(found, f"{root}/{placement.path}", placement.artifact):
                shown.add(placement.artifact.digest)
        elif isinstance(placement, PutFile):
            artifact = placement.artifact
            if artifact.digest not in shown and not _file(
                found, f"{root}/{placement.path}", artifact
            ):
                found.lacking.add(artifact.digest)
        elif isinstance(placement, PutText):
            _text(found, f"{root}/{placement.path}", placement.text)
        else:
            _wheel(found, root, placement, Installed() if installed is None else installed)
    found.bytes_have = sum(found.inodes.values())
    return found


def digest_of(path: str, artifact: Artifact, *, pause: Callable[[], None] = lambda: None) -> str:
    """The digest of a file by the artifact's algorithm, in hex; an unreadable one gives words."""
    hasher = hasher_for(artifact)
    try:
        feed(path, hasher.update, pause=pause)
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return hasher.hexdigest()


def _file(found: Findings, path: str, artifact: Artifact) -> bool:
    """Whether a file is there and right: by its size, and with `deep` by its digest."""
    try:
        stat = os.stat(path)
    except OSError:
        found.missing.append(path)
        return False
    found.inodes[stat.st_dev, stat.st_ino] = stat.st_size
    if stat.st_size != artifact.size:
        return _wrong(found, path, artifact, f"{stat.st_size} bytes, expected {artifact.size}")
    if found.deep and (actual := digest_of(path, artifact, pause=found.pause)) != artifact.hex:
        return _wrong(found, path, artifact, f"{actual}, expected {artifact.hex}")
    found.found += 1
    return True


def _wrong(found: Findings, path: str, artifact: Artifact, words: str) -> bool:
    found.corrupt.append(f"{path}: {words}")
    found.lacking.add(artifact.digest)
    return False


def _text(found: Findings, path: str, text: str) -> None:
    try:
        with open(path, encoding="utf-8") as stream:
            actual = stream.read(len(text) + 1)
    except (OSError, UnicodeDecodeError):
        actual = None
    if actual != text:
        found.missing.append(path)


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of a wheel's RECORD."""

    path: str
    digest: str
    size: int


def _wheel(found: Findings, root: str, wheel: InstallWheel, installed: Installed) -> None:
    info = f"{wheel.name}-{wheel.version}.dist-info"
    others = [name for name in installed.versions(root, wheel.name) if name != info]
    rows = list(record_rows(f"{root}/{info}/RECORD"))
    if not rows:
        found.missing.append(f"{root}/{info}/RECORD")
    for name in others:
        found.missing.append(f"{root}/{info} (instead of {name})")
    for row in rows:
        path = f"{root}/{row.path}"
        try:
            stat = os.stat(path)
        except OSError:
            found.missing.append(path)
            continue
        found.inodes[(stat.st_dev, stat.st_ino)] = stat.st_size
        if stat.st_size != row.size or (found.deep and record_digest(path) != row.digest):
            found.corrupt.append(f"{path}: not what {info}/RECORD lists")
        else:
            found.found += 1
    if found.missing or found.corrupt:
        found.lacking.add(wheel.artifact.digest)


def trace(root: Path, pattern: str) -> str:
    """Something on the disk that looks like a model nobody has pinned, or nothing."""
    return next((os.fspath(path) for path in sorted(root.glob(pattern))), "")


def record_rows(path: str) -> Iterator[Recorded]:
    """The files with a digest that a RECORD lists; nothing when it is missing or not readable."""
    import csv  # here and below, because a check without wheels must not pay for it

    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return
    for row in rows:
        if len(row) == 3 and row[1].startswith("sha256=") and row[2].isdigit():
            yield Recorded(row[0], row[1], int(row[2]))


def record_digest(path: str) -> str:
    """A file's sha256 as a RECORD writes it."""
    import base64
    import hashlib

    hasher = hashlib.sha256()
    try:
        feed(path, hasher.update)
    except OSError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=")


def normal(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
