"""Folders that somebody else has unpacked: what lies in them, what is known of it, the new name."""

import contextlib
import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.found import File
from modelset.core.layout import Layout, Unpack
from modelset.core.types import Artifact
from modelset.store.adopt import open_plain
from modelset.store.elsewhere import shown
from modelset.store.entries import MOST_ENTRIES, Names, parts_of, short, unsafe
from modelset.store.files import CHUNK, inside, saying, sync_folder, volume_of, write_atomic
from modelset.store.records import Recorded, record_rows, recorded
from modelset.store.roots import Roots
from modelset.store.scratch import scratch

_ODD = (ValueError, KeyError, TypeError, AttributeError)


def is_folder(path: str) -> bool:
    """Whether there is a folder under just this name, and no link on the way to it."""
    return os.path.isdir(path) and os.path.realpath(path) == path


def is_beside(path: str) -> bool:
    """Whether an archive of a folder's name lies beside it: it may still be being unpacked."""
    return os.path.lexists(f"{path}.zip")


def files_in(path: str, pause: Callable[[], None] = lambda: None) -> tuple[File, ...]:
    """Every file of a folder, by its name there, held to the rules for what comes in archives.

    Hidden names are the system's and no part of it. Raises ModelSetError `archive-unsafe` for
    links, devices, pipes and names that some system cannot hold, and for what cannot be read.
    """
    try:
        with saying("read", shown(path)):
            return tuple(sorted(_walk(path, pause), key=lambda file: file.name))
    except ModelSetError as error:
        if error.failure.code != "archive-unsafe":
            raise
        words = f"{shown(os.path.dirname(path))}/{error.failure.message}"
        hint = "take it out of that folder, or let `modelset download` fetch the model"
        raise ModelSetError("archive-unsafe", words, hint) from error


def _walk(path: str, pause: Callable[[], None]) -> Iterator[File]:
    here, count, folders = Path(path), 0, [""]
    names = Names(here)
    for folder in folders:  # which grows while it is walked
        with os.scandir(os.path.join(path, folder)) as entries:
            for entry in entries:
                pause()
                if entry.name.startswith("."):
                    continue
                name = f"{folder}/{entry.name}" if folder else entry.name
                if (count := count + 1) > MOST_ENTRIES:
                    raise unsafe(here, f"more than {MOST_ENTRIES} entries")
                is_below = entry.is_dir(follow_symlinks=False)
                parts_of(here, name, is_folder=is_below)
                if is_below:
                    names.add(name, is_folder=True)
                    folders.append(name)
                elif entry.is_file(follow_symlinks=False):
                    names.add_file(name)
                    status = entry.stat(follow_symlinks=False)
                    inode = status.st_dev, status.st_ino
                    yield File(name, entry.path, status.st_size, inode)
                else:
                    raise unsafe(here, f"{short(name)} is a link, a pipe or a device")


def file_at(path: Path, name: str) -> File | None:
    """A file of our own, or None."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return File(name, os.fspath(path), status.st_size, (status.st_dev, status.st_ino))


def known_rows(
    target: Path, record: str, entry: Mapping[str, Any] | None, others: Iterable[str]
) -> tuple[Artifact, ...]:
    """The files of an archive that was unpacked on this machine before, or nothing.

    The registry's `entry` vouches for the list of them, wherever that lies: in its place, in one
    of the `others`, or put together again. Without such an entry the list in its place counts, as
    it does for every check.
    """
    remembered = dict(_remembered(entry, target))
    own = f"{target}/{record}"
    vouched, _ = remembered.pop(record, ("", 0))
    if not vouched:
        return _artifacts(record_rows(own))
    for path in (own, *(f"{folder}/{record}" for folder in others)):
        if _sum_of(path) == vouched:
            return _artifacts(record_rows(path))
    rows = {name: (digest, size) for name, (digest, size) in remembered.items() if digest}
    if hashlib.sha256(_text(rows, record)).hexdigest() != vouched:
        return ()
    return _artifacts(
        Recorded(name, recorded(digest), size) for name, (digest, size) in rows.items()
    )


def write_record(folder: Path, record: str, rows: Mapping[str, tuple[str, int]]) -> None:
    """Write the list that unpacking writes: sha256 in hex and size of each file, by its name."""
    write_atomic(folder / record, _text(rows, record))
    with saying("write", folder / record):
        os.chmod(folder / record, 0o644)


@contextlib.contextmanager
def in_the_making(placement: Unpack, layout: Layout, roots: Roots) -> Iterator[Path]:
    """A new folder where no library looks; it gets its name, all at once, when the block ends
    well, and goes when it does not. Raises ModelSetError.
    """
    root = roots[layout.root]
    target = inside(root, placement.path)
    # A rename must not cross volumes; a name with a dot is none that a library asks for.
    is_near = volume_of(roots["downloads"]) == volume_of(root)
    with scratch(roots["downloads"] if is_near else root / ".modelset") as folder:
        new = folder / "new"
        with saying("write to", new):
            new.mkdir()
        yield new
        with saying("place", target):
            for made in (new, *(path for path in new.rglob("*") if path.is_dir())):
                made.chmod(0o755)
                sync_folder(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                os.replace(target, folder / "old")
            os.replace(new, target)
            sync_folder(target.parent)


def _remembered(
    entry: Mapping[str, Any] | None, target: Path
) -> Iterator[tuple[str, tuple[str, int]]]:
    """What the registry says of the files in a folder, by their names there."""
    with contextlib.suppress(*_ODD):
        for row in entry["files"] if entry is not None else ():
            name = str(row["path"]).removeprefix(f"{target}/")
            if name != row["path"]:
                yield name, (str(row["sha256"]), int(row["size"]))


def _artifacts(rows: Iterable[Recorded]) -> tuple[Artifact, ...]:
    """Rows as files with digests; none at all when one of them makes no sense."""
    import base64

    found = []
    with contextlib.suppress(*_ODD):
        for row in rows:
            encoded = row.digest.removeprefix("sha256=") + "="
            digest = base64.urlsafe_b64decode(encoded).hex()
            found.append(Artifact(row.path, "", row.size, f"sha256:{digest}"))
        return tuple(found)
    return ()


def _sum_of(path: str) -> str:
    hasher = hashlib.sha256()
    try:
        with open_plain(path) as stream:
            while data := stream.read(CHUNK):
                hasher.update(data)
    except OSError:
        return ""
    return hasher.hexdigest()


def _text(rows: Mapping[str, tuple[str, int]], record: str) -> bytes:
    lines: list[tuple[str, str, int | str]] = [
        (name, recorded(digest), size) for name, (digest, size) in sorted(rows.items())
    ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*lines, (record, "", "")])
    return text.getvalue().encode()
