"""Finds the pickles in a file: a plain one, or what PyTorch and numpy make of several."""

import ast
import copy
import io
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from modelset.core.errors import ModelSetError
from modelset.store.opcodes import Seen, look
from modelset.store.tars import tar_rows
from modelset.store.zips import Bounded, refuse_overlaps

# Entries that a library loads as pickles by their names; any other may be one, or be data.
_LOADED: Final = (".pkl", ".pickle", ".joblib")
_LOADED_FROM_TAR: Final = ("pickle", "storages", "tensors")

_ZIPS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_SEVEN: Final = b"7z\xbc\xaf\x27\x1c"
_ARRAY: Final = b"\x93NUMPY"
# The number that PyTorch before 1.6 begins with; it reads so many pickles, and then plain data.
_LEGACY: Final = re.compile(
    rb"\x80[\x02-\x05](?:\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19\.", re.DOTALL
)
_LEGACY_PICKLES: Final = 5
# Numbers of a model may happen to be gigabytes of instructions: a second's worth of them is enough.
_MOST_IN_DATA: Final = 1_000_000
_LONGEST_HEADER: Final = 64 * 1024
# What the parser warns of on the terminal.
_ODD: Final = re.compile(r"\\|\d(?:and|else|for|if|in|is|not|or)")
# What zipfile raises over an entry that it cannot open, or not read the first bytes of.
_DAMAGE: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error),
    *(EOFError, LookupError, ValueError, ArithmeticError, RuntimeError, MemoryError),
)

# An entry of the file or nothing, what was seen there, and whether it is surely loaded as a pickle.
Look = tuple[str, Seen, bool]


def looks(path: Path, stream: io.BufferedReader) -> Iterator[Look]:
    """Look at every pickle in a file, whose kind is told by what it contains.

    What cannot be read is seen as damaged; raises OSError and ModelSetError when the disk fails.
    """
    head = stream.peek(tarfile.BLOCKSIZE)[: tarfile.BLOCKSIZE]
    if head.startswith(_ZIPS):
        yield from _in_zip(path)
    elif head.startswith(_SEVEN):
        yield "", Seen(damage="it is a 7z archive"), True
    elif _is_tar(head):
        yield from _in_tar(path, head)
    else:
        yield from _in_stream("", stream, is_sure=True)


def _in_stream(where: str, stream: io.BufferedReader, *, is_sure: bool) -> Iterator[Look]:
    """Every pickle of a file or an entry, one after the other."""
    head = stream.peek(64)
    if head.startswith(_ARRAY):
        yield from _in_array(where, stream)
        return
    most = _LEGACY_PICKLES if _LEGACY.match(head) else 0
    count = 0
    while count == 0 or (count < most if most else is_sure and stream.peek(1)):
        seen = look(stream, None if is_sure else _MOST_IN_DATA)
        yield where, seen, is_sure
        if seen.damage:
            return
        count += 1


def _in_zip(path: Path) -> Iterator[Look]:
    with Bounded(path) as held:
        try:
            opened = zipfile.ZipFile(held)
            refuse_overlaps(path, opened.infolist(), opened.start_dir)
        except (ModelSetError, *_DAMAGE) as error:
            yield "", Seen(damage=str(error)), True
            return
        known: set[str] = set()
        for info in opened.infolist():
            name = info.filename
            if name in known:
                yield name, Seen(damage="there are two entries of this name"), True
            known.add(name)
            # PyTorch may leave the checksums out, and the readers that load a model ask for none.
            unchecked = copy.copy(info)
            del unchecked.CRC
            try:
                # Without a buffer of its own, every byte is a call through three layers.
                with _buffered(opened.open(unchecked)) as stream:
                    yield from _in_stream(name, stream, is_sure=name.lower().endswith(_LOADED))
            except _DAMAGE as error:
                yield name, Seen(damage=str(error)), True


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _in_tar(path: Path, head: bytes) -> Iterator[Look]:
    """The form that PyTorch had first; the data between its pickles cannot be told from them, so
    that a whole one counts as what cannot be read.
    """
    try:
        for entry, body in tar_rows(path, head, path.stat().st_size, lambda: None):
            is_sure = entry.name in _LOADED_FROM_TAR or entry.name.lower().endswith(_LOADED)
            stream = _buffered(_Joined(body))
            if not entry.is_folder:
                yield from _in_stream(entry.name, stream, is_sure=is_sure)
    except ModelSetError as error:
        if not error.kind.code.startswith("archive-"):
            raise
        yield "", Seen(damage=str(error)), True


def _buffered(stream: Any) -> io.BufferedReader:
    return io.BufferedReader(stream)


class _Joined(io.RawIOBase):
    """Pieces of bytes as one file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        """It is read, and nothing else."""
        return True

    def readinto(self, room: Any, /) -> int:
        """The next bytes, as many as there is room for."""
        data = self._rest or next(self._pieces, b"")
        count = min(len(room), len(data))
        room[:count] = data[:count]
        self._rest = data[count:]
        return count


def _in_array(where: str, stream: IO[bytes]) -> Iterator[Look]:
    """The pickle that follows the header of an array of objects."""
    try:
        version = stream.read(len(_ARRAY) + 2)[-2]
        form = "<H" if version == 1 else "<L"
        (length,) = struct.unpack(form, stream.read(struct.calcsize(form)))
        if version > 3 or length > _LONGEST_HEADER:
            raise ValueError("its header is not one that numpy writes")
        text = stream.read(length).decode("latin-1").strip()
        if _ODD.search(text):
            raise ValueError("its header is not one that numpy writes")
        header = ast.literal_eval(text)
        holds_objects = _holds_objects(header["descr"])
    except Exception as error:  # whatever a hostile text makes the parser raise
        if isinstance(error, OSError):
            raise
        yield where, Seen(damage=str(error)), True
        return
    if holds_objects:
        yield where, look(stream), True


def _holds_objects(kind: Any) -> bool:
    """Whether numpy would unpickle; in doubt it would."""
    if isinstance(kind, str):
        return "O" in kind or "object" in kind
    if isinstance(kind, list):
        return any(_holds_objects(field[1]) for field in kind)
    return not isinstance(kind, tuple) or _holds_objects(kind[0])
