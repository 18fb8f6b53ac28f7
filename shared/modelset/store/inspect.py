"""What the disk holds of a layout: presence and size at once, digests with `deep`."""

import json
import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import MappingProxyType

from modelset.core.layout import Credential, InstallWheel, Layout, Link, PutFile, PutText, Unpack
from modelset.core.types import Artifact
from modelset.core.versions import fits
from modelset.store.findings import Findings, Inode, Reading, read_digest
from modelset.store.records import Recorded, record_rows, recorded
from modelset.store.roots import Roots

__all__ = [
    "Findings",
    "Inode",
    "Installed",
    "digest_of",
    "inspect",
    "normal",
    "record_rows",
    "trace",
]


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


def inspect(
    layout: Layout,
    roots: Roots,
    *,
    deep: bool = False,
    pause: Callable[[], None] = lambda: None,
    installed: Installed | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    reading: Reading | None = None,
) -> Findings:
    """Compare a layout with the disk; opens no socket and imports no library of a model.

    With `deep`, every file is read and hashed, or looked up in `reading`; `pause` is called in
    between and may raise. Many looks at one moment share `installed`, so that a folder of packages
    is listed once. Keys may be in `variables`, those of the environment.
    """
    found = Findings(pause=pause)
    if deep:
        found.reading = reading or Reading(partial(read_digest, pause=pause))
    root = os.fspath(roots[layout.root])
    shown: set[str] = set()  # digests of files that a link has led to: no second look
    for placement in reversed(layout.placements):
        if isinstance(placement, Link):
            if _file(found, f"{root}/{placement.path}", placement):
                shown.add(placement.artifact.digest)
        elif isinstance(placement, PutFile):
            artifact = placement.artifact
            if artifact.digest not in shown and not _file(
                found, f"{root}/{placement.path}", placement
            ):
                found.lacking.add(artifact.digest)
        elif isinstance(placement, PutText):
            _text(found, f"{root}/{placement.path}", placement.text)
        elif isinstance(placement, Unpack):
            folder = f"{root}/{placement.path}"
            _recorded(
                found, folder, placement.record, placement.artifact, mutable=placement.mutable
            )
        elif isinstance(placement, Credential):
            _credential(found, root, placement, variables)
        else:
            _wheel(found, root, placement, Installed() if installed is None else installed)
    if layout.guarded and not found.missing:
        _guarded(found, root, layout)
    found.bytes_have = sum(found.inodes.values())
    return found


def digest_of(path: str, artifact: Artifact, *, pause: Callable[[], None] = lambda: None) -> str:
    """The digest of a file by the artifact's algorithm, in hex; an unreadable one gives words."""
    return read_digest(path, artifact.digest.partition(":")[0], pause=pause)


def _file(found: Findings, path: str, placement: PutFile | Link) -> bool:
    """Whether a file is there and right: by its size, and with `deep` by its digest."""
    artifact = placement.artifact
    try:
        stat = os.stat(path)
    except OSError:
        found.lack(path, artifact.digest)
        return False
    found.inodes[stat.st_dev, stat.st_ino] = stat.st_size
    if placement.is_mutable:
        found.found += 1
        return True
    algorithm = artifact.digest.partition(":")[0] if artifact.is_exact else "sha256"
    if stat.st_size != artifact.size:
        words = f"{stat.st_size} bytes", f"{artifact.size} bytes"
        found.spoil(path, f"{words[1]}, {artifact.digest}", words[0], ", expected ".join(words))
    elif actual := found.differs(path, algorithm, artifact.hex):
        said = actual if " " in actual else f"{algorithm}:{actual}"
        found.spoil(path, artifact.digest, said, f"{actual}, expected {artifact.hex}")
    else:
        found.found += 1
        return True
    found.lacking.add(artifact.digest)
    return False


def _guarded(found: Findings, root: str, layout: Layout) -> None:
    """What its library refuses, because others than its owner may change it."""
    for placement in layout.placements:
        if isinstance(placement, PutFile) and os.name == "posix":
            path = f"{root}/{placement.path}"
            if os.stat(path).st_mode & 0o022:
                words = " (others may change it, so the library refuses it)"
                found.lack(path, "a file that only its owner may change", words, words.strip(" ()"))


def _text(found: Findings, path: str, text: str) -> None:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            actual = stream.read(len(text) + 1)
    except (OSError, UnicodeDecodeError):
        actual = None
    if actual != text:
        found.lack(path, f"the text {text[:80]!r}", actual="another text, or none")


def _wheel(found: Findings, root: str, wheel: InstallWheel, installed: Installed) -> None:
    info = f"{wheel.name}-{wheel.version}.dist-info"
    for name in installed.versions(root, wheel.name):
        if name != info:
            found.lack(f"{root}/{info}", wheel.version, f" (instead of {name})", name)
    _recorded(found, root, f"{info}/RECORD", wheel.artifact)
    if not found.missing:
        found.unfit = _unfit(root, wheel, installed)


def _unfit(root: str, wheel: InstallWheel, installed: Installed) -> str:
    """What spaCy would say of a pipeline that was made for another version of it."""
    try:
        with open(f"{root}/{wheel.name}/meta.json", encoding="utf-8") as stream:
            wanted = json.load(stream)["spacy_version"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    for info in installed.versions(root, "spacy"):
        version = info.removesuffix(".dist-info").rpartition("-")[2]
        if isinstance(wanted, str) and not fits(version, wanted):
            return f"made for spaCy {wanted}, {version} is installed"
    return ""


def _recorded(
    found: Findings,
    folder: str,
    record: str,
    artifact: Artifact,
    mutable: tuple[str, ...] = (),
) -> None:
    """The files that a list below a folder names; only the presence of `mutable` ones counts."""
    place = f"{folder}/{record}"
    rows = list(record_rows(place))
    if not rows:
        found.lack(place, f"the list of the files of {artifact.name}", actual="missing or empty")
    known = found.reading.records.get(place, "") if found.reading is not None else ""
    if rows and known and (actual := found.differs(place, "sha256", known)):
        found.spoil(place, f"sha256:{known}", f"sha256:{actual}", "not what was verified here")
        rows = []  # they name anything
    for row in rows:
        path = f"{folder}/{row.path}"
        try:
            stat = os.stat(path)
        except OSError:
            found.lack(path, row.digest)
            continue
        found.inodes[(stat.st_dev, stat.st_ino)] = stat.st_size
        found.pause()
        if any(fnmatchcase(row.path, pattern) for pattern in mutable):
            found.found += 1
        elif actual := _unlike(found, path, row, stat.st_size):
            expected = f"{row.size} bytes, {row.digest}"
            found.spoil(path, expected, actual, f"not what {record} lists")
        else:
            found.found += 1
    if found.missing or found.corrupt:
        found.lacking.add(artifact.digest)


def _unlike(found: Findings, path: str, row: Recorded, size: int) -> str:
    """What is there instead of a file that a list names; empty when it is that file."""
    if size != row.size:
        return f"{size} bytes"
    actual = found.reading.digest(path, "sha256") if found.reading is not None else None
    said = None if actual is None else recorded(actual)
    return "" if said in (None, row.digest) else str(said)


def _credential(
    found: Findings, root: str, credential: Credential, variables: Mapping[str, str]
) -> None:
    """A key that is not blank: in a variable, or in a file."""
    told = variables.get(credential.variable, "").strip()
    place = told if credential.is_file and told else f"{root}/{credential.path}"
    if (told and not credential.is_file) or _has_words(place):
        found.found += 1
    else:
        words = f", or {credential.variable} in the environment"
        found.lack(place, "a key", words)


def _has_words(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return bool(stream.read(1024).strip())
    except OSError:
        return False


def trace(root: Path, pattern: str) -> str:
    """Something on the disk that looks like a model nobody has pinned, or nothing."""
    return next((os.fspath(path) for path in sorted(root.glob(pattern))), "")


def normal(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return name.lower().replace("_", "-").replace(".", "-")


def _entries(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
