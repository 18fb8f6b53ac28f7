"""Reads tar archives entry by entry, compressed or not, forward only, within bounds."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from modelset.store.entries import MOST_ENTRIES, Entry, Rows, invalid, reading, short, unsafe
from modelset.store.files import CHUNK

# How each compression begins; what begins otherwise is taken for a plain tar.
PACKED: Final[Mapping[bytes, Callable[[Path], Any]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_BLOCK = tarfile.BLOCKSIZE
# What all headers of one entry, and of all entries, may come to: tarfile holds them in memory.
_LARGEST_HEADERS = 1024 * 1024
_ALL_HEADERS = 4096 * MOST_ENTRIES
# What headers and padding may add to the bytes of the files.
_AROUND = 2 * _BLOCK * MOST_ENTRIES


def tar_rows(path: Path, head: bytes, most: int, pause: Callable[[], None]) -> Rows:
    """Every entry of a tar that begins with `head`, with its bytes; raises ModelSetError.

    It stops when more than `most` bytes come out, besides what surrounds the files. `pause` is
    called at least once every MiB and may raise.
    """
    opener = next((made for begin, made in PACKED.items() if head.startswith(begin)), None)
    with reading(path):
        stream: IO[bytes] = (opener or _plain)(path)
    with stream:
        tape = _Tape(path, stream, most + _AROUND, pause)
        with reading(path, "damaged" if opener else "neither a zip nor a tar"):
            tar = tarfile.TarFile(fileobj=tape)  # type: ignore[arg-type]
            info = tar.next()  # it has been read already
        while info is not None:
            yield _entry(path, tar, info), tape.bytes_of(info)
            tape.skip(tar.offset)
            info = _next(path, tape, tar)
        # tarfile ends at whatever is no header; but only a block of zeros is the end.
        if tape.header != bytes(_BLOCK):
            raise invalid(path, "damaged: it has no end")
        tape.skip(most + _AROUND + 1)  # up to the checksum of what is compressed


def _plain(path: Path) -> IO[bytes]:
    return open(path, "rb")


class _Tape:
    """The bytes of a tar, in which nothing leads back."""

    def __init__(self, path: Path, stream: IO[bytes], most: int, pause: Callable[[], None]) -> None:
        self._path, self._stream, self._most, self._pause = path, stream, most, pause
        self._at = self._of_headers = 0
        self.headers_here = 0
        self.header = b""

    def tell(self) -> int:
        """How many bytes have gone by."""
        return self._at

    def read(self, size: int) -> bytes:
        """The next bytes of a header, for tarfile."""
        self.headers_here += size
        self._of_headers += size
        if self.headers_here > _LARGEST_HEADERS or self._of_headers > _ALL_HEADERS:
            raise unsafe(self._path, "headers too large to be those of files")
        self.header = self._take(size)
        return self.header

    def seek(self, place: int) -> None:
        """Go forward, for tarfile; what lies there has gone by already."""
        if place != self._at:
            raise tarfile.ReadError(f"an entry that begins at byte {place}")

    def skip(self, place: int) -> None:
        """Go forward to a place, or to the end."""
        while self._at < place and self._take(min(CHUNK, place - self._at)):
            self._pause()

    def bytes_of(self, info: tarfile.TarInfo) -> Iterator[bytes]:
        """The bytes of an entry, fewer where the archive ends before it."""
        self.skip(info.offset_data)
        end = info.offset_data + (info.size if info.isreg() else 0)
        while data := self._take(min(CHUNK, end - self._at)):
            yield data

    def _take(self, size: int) -> bytes:
        with reading(self._path):
            data = self._stream.read(size)
        self._at += len(data)
        if self._at > self._most:
            raise unsafe(self._path, "unpacks to far more than its size")
        return data


def _next(path: Path, tape: _Tape, tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    tape.headers_here = 0
    vars(tar)["members"] = []  # it would keep them all
    with reading(path):
        return tar.next()


def _entry(path: Path, tar: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    name = info.name
    if info.isdir():
        return Entry(name, 0, True, False)
    if info.issym() or info.islnk():
        raise unsafe(path, f"{short(name)} is a link")
    if info.issparse() or any(key.startswith("GNU.sparse") for key in info.pax_headers):
        raise unsafe(path, f"{short(name)} is a sparse file")
    if not info.isreg():
        raise unsafe(path, f"{short(name)} is neither a file nor a folder")
    # A size that a later header gives says where nothing lies.
    blocks = -(-info.size // _BLOCK)
    if info.size < 0 or tar.offset != info.offset_data + blocks * _BLOCK:
        raise invalid(path, f"damaged: {short(name)} has two sizes")
    return Entry(name, info.size, False, bool(info.mode & 0o111))
