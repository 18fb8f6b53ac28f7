"""Unpacks verified archives into a fresh folder, with a record of every file, or not at all."""

import base64
import contextlib
import csv
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from modelset.core.errors import ModelSetError
from modelset.core.layout import Strip
from modelset.core.values import dataclass
from modelset.core.words import size_text
from modelset.store.entries import (
    MOST_ENTRIES,
    Entry,
    Names,
    Rows,
    invalid,
    parts_of,
    reading,
    short,
    unsafe,
)
from modelset.store.files import CHUNK, free_bytes, saying, sync_folder
from modelset.store.tars import tar_rows
from modelset.store.zips import zip_rows

# What unpacks to more than this many times its size, and so much besides, is no model.
LARGEST_RATIO = 200
_ALWAYS = 1_000_000

_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")


def unpack(
    archive: Path,
    folder: Path,
    *,
    strip: Strip,
    record: str,
    pause: Callable[[], None] = lambda: None,
    progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Unpack a verified zip or tar into a folder that is empty or not there yet.

    `strip` leaves out of the names nothing, the one folder that holds all, or all folders.
    `record` is the name of the list of files, written last. `pause` is called at least once every
    MiB and may raise; `progress` hears of the bytes written. Whatever is raised, the folder is
    gone: ModelSetError `archive-unsafe`, `archive-invalid`, `disk-full`.
    """
    _refuse_used(folder)
    try:
        plan = _plan(archive, strip, record, pause)
        _refuse_without_room(archive, folder, plan)
        folders = [folder, *(folder / name for name in plan.folders)]
        for made in folders:
            with saying("unpack into", made):
                made.mkdir(parents=True, exist_ok=True)
                os.chmod(made, 0o755)  # noqa: S103 - whatever the umask
            pause()
        lines = _write(archive, folder, plan, pause, progress)
        for made in reversed(folders):
            sync_folder(made)
            pause()
        _create(folder / record, _csv([*lines, (record, "", "")]), executable=False)
        sync_folder((folder / record).parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an archive holds, each entry with its name below the folder, and the folders."""

    entries: tuple[tuple[Entry, str], ...]
    folders: tuple[str, ...]
    most: int


def _rows(archive: Path, most: int, pause: Callable[[], None]) -> Rows:
    with reading(archive), open(archive, "rb") as stream:
        head = stream.read(8)
    return zip_rows(archive) if head.startswith(_ZIPS) else tar_rows(archive, head, most, pause)


def _plan(archive: Path, strip: Strip, record: str, pause: Callable[[], None]) -> _Plan:
    with reading(archive):
        most = LARGEST_RATIO * archive.stat().st_size + _ALWAYS
    found: list[tuple[Entry, tuple[str, ...]]] = []
    total = 0
    with contextlib.closing(_rows(archive, most, pause)) as rows:
        for entry, _ in rows:
            found.append((entry, parts_of(archive, entry.name, is_folder=entry.is_folder)))
            total += entry.size
            if len(found) > MOST_ENTRIES:
                raise unsafe(archive, f"more than {MOST_ENTRIES} entries")
            if total > most:
                raise unsafe(archive, f"{short(entry.name)}: unpacks to far more than its size")
            pause()
    if all(entry.is_folder for entry, _ in found):
        raise invalid(archive, "holds no file")
    names = Names(archive)
    names.add_file(record)
    entries = []
    for entry, parts in _stripped(archive, strip, found):
        name = "/".join(parts)
        if entry.is_folder and name:
            names.add(name, is_folder=True)
        elif not entry.is_folder:
            names.add_file(name)
        entries.append((entry, name))
    return _Plan(tuple(entries), tuple(names.folders), most)


def _stripped(
    archive: Path, strip: Strip, found: Iterable[tuple[Entry, tuple[str, ...]]]
) -> Iterator[tuple[Entry, tuple[str, ...]]]:
    top: str | None = None
    for entry, parts in found:
        if strip == "top" and parts:
            if parts[0] != (top := top or parts[0]) or (len(parts) == 1 and not entry.is_folder):
                raise invalid(
                    archive, f"{short(entry.name)} is not in one top folder with the rest"
                )
            yield entry, parts[1:]
        elif strip == "all":
            yield entry, () if entry.is_folder else parts[-1:]
        else:
            yield entry, parts


def _refuse_without_room(archive: Path, folder: Path, plan: _Plan) -> None:
    need = sum(entry.size for entry, _ in plan.entries)
    with saying("unpack into", folder):
        free = free_bytes(folder)
    if need > free:
        raise ModelSetError(
            "disk-full",
            f"{archive.name} unpacks to {size_text(need)}, and {size_text(free)} are free",
            "free some space and run the same command again",
        )


def _refuse_used(folder: Path) -> None:
    with saying("unpack into", folder):
        if folder.is_symlink() or (folder.exists() and any(folder.iterdir())):
            raise ModelSetError(
                "store-not-writable",
                f"cannot unpack into {folder}: something is there already",
                "remove it, then run the command again",
            )


def _write(
    archive: Path,
    folder: Path,
    plan: _Plan,
    pause: Callable[[], None],
    progress: Callable[[int], None],
) -> list[tuple[str, str, int]]:
    """Write every file; returns the lines of the record."""
    lines = []
    expected = iter(plan.entries)

    def watched(entry: Entry, body: Iterator[bytes]) -> Iterator[bytes]:
        left = entry.size
        for data in body:
            left -= len(data)
            if left < 0:
                raise unsafe(archive, f"{short(entry.name)} is longer than it declares")
            yield data
            progress(len(data))
            pause()
        if left:
            raise invalid(archive, f"damaged: {short(entry.name)} ends too early")

    with contextlib.closing(_rows(archive, plan.most, pause)) as rows:
        for found, body in rows:
            entry, name = next(expected, (None, ""))
            if entry != found:
                break
            if not found.is_folder:
                path = folder / name
                digest = _create(path, watched(found, body), executable=found.is_executable)
                lines.append((name, digest, found.size))
            pause()
        else:
            if next(expected, None) is None:
                return sorted(lines)
    raise invalid(archive, "changed while it was read")


def _create(path: Path, chunks: Iterable[bytes], *, executable: bool) -> str:
    """Make a durable file; returns its digest as a RECORD writes it."""
    hasher = hashlib.sha256()
    with saying("unpack into", path):
        stream = open(path, "xb", buffering=0)  # noqa: SIM115 - the next line closes it
    with stream:
        for data in chunks:
            hasher.update(data)
            with saying("write", path):
                _put(stream, data)
        with saying("write", path):
            os.chmod(path, 0o755 if executable else 0o644)
            os.fsync(stream.fileno())
    return "sha256=" + base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=")


def _put(stream: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _csv(lines: Iterable[tuple[str, str, int | str]]) -> Iterator[bytes]:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    whole = text.getvalue().encode()
    return (whole[start : start + CHUNK] for start in range(0, len(whole), CHUNK))
