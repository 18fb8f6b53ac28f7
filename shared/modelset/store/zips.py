"""Reads zip archives entry by entry, and believes nothing that an entry says about itself."""

import copy
import io
import itertools
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from modelset.store.entries import (
    MOST_ENTRIES,
    Entry,
    Rows,
    invalid,
    parts_of,
    reading,
    short,
    unsafe,
)
from modelset.store.files import CHUNK

_ENCRYPTED = 0x1 | 0x40 | 0x2000
# The others that zipfile knows may give gigabytes at once for a few bytes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADER = 30  # bytes of an entry's own header, at least
# The list of 100,000 entries with names of usual length, several times over.
_LARGEST_LIST = 64 * CHUNK
_LISTED = b"PK\x01\x02"


def zip_rows(path: Path) -> Rows:
    """Every entry of a zip, with its bytes; raises ModelSetError."""
    with reading(path):
        held = Bounded(path)
    with held:
        with reading(path):
            opened = zipfile.ZipFile(held)
        infos = opened.infolist()
        refuse_overlaps(path, infos, opened.start_dir)
        for info in infos:
            yield _entry(path, info), _bytes_of(path, opened, info)


class Bounded(io.BufferedReader):
    """A zip of which no more is held in memory at once than a list of entries may need."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._path = path

    def seek(self, place: int, whence: int = 0, /) -> int:
        """Move as ever; a place before the first byte is the archive's fault, not the disk's."""
        if whence == 0 and place < 0:
            raise zipfile.BadZipFile("something lies before its first byte")
        return super().seek(place, whence)

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as ever, but for what is too long; only a list of entries is read in one piece."""
        if size is None or size < 0:  # the last bytes of the file
            size = _LARGEST_LIST
        if size > _LARGEST_LIST:
            raise unsafe(self._path, f"a list of entries of {size} bytes")
        data = super().read(size)
        if len(data) > CHUNK and data.count(_LISTED) > MOST_ENTRIES:
            raise unsafe(self._path, f"more than {MOST_ENTRIES} entries")
        return data


def refuse_overlaps(path: Path, infos: list[zipfile.ZipInfo], end: int) -> None:
    """Bytes that several entries share are how a small zip unpacks to a hundred gigabytes."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, after in itertools.zip_longest(ordered, ordered[1:]):
        limit = end if after is None else after.header_offset
        if info.header_offset + _HEADER + info.compress_size > limit:
            raise unsafe(path, f"{short(info.filename)} overlaps another entry")


def _entry(path: Path, info: zipfile.ZipInfo) -> Entry:
    name, mode = info.filename, info.external_attr >> 16
    is_folder = name.endswith("/")
    if info.orig_filename != name:  # cut at a zero byte, turned round, or given twice
        parts_of(path, info.orig_filename, is_folder=is_folder)
    if info.flag_bits & _ENCRYPTED:
        raise unsafe(path, f"{short(name)} is encrypted")
    if info.compress_type not in _METHODS:
        raise invalid(path, f"{short(name)} is packed in a way that cannot be read here")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise unsafe(path, f"{short(name)} is a link or a device")
    if is_folder and info.file_size:
        raise unsafe(path, f"{short(name)} is a folder with bytes of its own")
    if stat.S_ISDIR(mode) and not is_folder:
        raise unsafe(path, f"{short(name)} is both a file and a folder")
    return Entry(name, info.file_size, is_folder, bool(mode & 0o111))


def _bytes_of(path: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    # zipfile cuts an entry off at its declared size. More than that must be seen, and so the copy
    # declares no end, and no checksum, which is then compared here.
    endless = copy.copy(info)
    endless.file_size = 1 << 62
    del endless.CRC
    sum_of_all = 0
    with reading(path):
        stream = opened.open(endless)
    with stream:
        while True:
            with reading(path):
                data = stream.read(CHUNK)
            if not data:
                break
            sum_of_all = zlib.crc32(data, sum_of_all)
            yield data
    if sum_of_all != info.CRC:
        raise invalid(path, f"{short(info.filename)} does not match its checksum")
