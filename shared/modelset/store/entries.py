"""Entries of archives: names that are safe and distinct on every system, and what is refused."""

import contextlib
import lzma
import re
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.types import check_name
from modelset.core.values import dataclass
from modelset.store.files import translate

MOST_ENTRIES = 100_000
# Longer names are ones that some system cannot hold, or that only a trap has.
_LONGEST_NAME = 1024
_LONGEST_PART = 255
_DEEPEST = 64

_RESERVED = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9\u00b9\u00b2\u00b3]) *(?:\..*)?",
    re.IGNORECASE | re.DOTALL,
)
# Controls, halves of characters, line ends: nothing that a name of a file is written with.
_NO_LETTERS = frozenset(["Cc", "Cs", "Zl", "Zp"])
_HINT = "report it to whoever publishes the archive"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of an archive, as the archive declares it; sizes in bytes."""

    name: str
    size: int
    is_folder: bool
    is_executable: bool


# An entry, and its bytes for whoever wants them before the next entry is asked for.
Row = tuple[Entry, Iterator[bytes]]
Rows = Generator[Row, None, None]


def unsafe(archive: Path, words: str) -> ModelSetError:
    """The error for an archive that would do harm."""
    return ModelSetError("archive-unsafe", f"{archive.name}: {words}", _HINT)


def invalid(archive: Path, words: str) -> ModelSetError:
    """The error for an archive that is damaged, or is none."""
    return ModelSetError("archive-invalid", f"{archive.name}: {words}", _HINT)


@contextlib.contextmanager
def reading(archive: Path, words: str = "damaged") -> Iterator[None]:
    """Turn what the libraries raise over a damaged archive into a ModelSetError."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise translate(error, "read", archive) from error
        raise invalid(archive, f"{words}: {error}") from error  # gzip and bz2 speak so
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
        *(EOFError, LookupError, ValueError, ArithmeticError, MemoryError),
        RuntimeError,  # of zipfile; it is also what a nest of headers and a new method end in
    ) as error:
        raise invalid(archive, f"{words}: {error or type(error).__name__}") from error


def short(name: str) -> str:
    """A name from an archive as a message may show it."""
    return ascii(name) if len(name) <= 120 else ascii(name[:120]) + "..."


def parts_of(archive: Path, name: str, *, is_folder: bool) -> tuple[str, ...]:
    """The parts of a safe name, none for the folder itself; raises ModelSetError.

    A `./` in front is left out, because `tar` writes it for the whole of a folder.
    """
    if is_folder and name in (".", "./"):
        return ()
    plain = name.removeprefix("./")
    if is_folder:
        plain = plain.removesuffix("/")
    try:
        check_name(plain)
    except ValueError:
        raise unsafe(archive, f"an unsafe name: {short(name)}") from None
    parts = tuple(plain.split("/"))
    reason = _reason(plain, parts)
    if reason:
        raise unsafe(archive, f"{reason}: {short(name)}")
    return parts


def _reason(name: str, parts: tuple[str, ...]) -> str:
    if not name.isprintable() and any(unicodedata.category(one) in _NO_LETTERS for one in name):
        return "a name with control characters"
    longest = max(len(part.encode()) for part in parts)
    if len(name.encode()) > _LONGEST_NAME or longest > _LONGEST_PART or len(parts) > _DEEPEST:
        return "a name too long for some systems"
    if any(part.endswith((".", " ")) for part in parts):
        return "a name that ends in a dot or a space"
    if any(_RESERVED.fullmatch(part) for part in parts):
        return "a name that Windows keeps for itself"
    return ""


class Names:
    """The names of one folder, told apart no better than the least able file system does."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._known: dict[str, tuple[str, bool]] = {}

    def add(self, name: str, *, is_folder: bool) -> None:
        """Take a name and the folders that it lies in; raises ModelSetError for a collision."""
        key = _folded(name)
        known, was_folder = self._known.setdefault(key, (name, is_folder))
        if known != name:
            words = "differ only in case or in how a letter is written"
            raise unsafe(self._archive, f"{short(known)} and {short(name)} {words}")
        if was_folder != is_folder:
            raise unsafe(self._archive, f"a file and a folder are both called {short(name)}")
        parent = name.rpartition("/")[0]
        if parent:
            self.add(parent, is_folder=True)

    def add_file(self, name: str) -> None:
        """Take the name of a file, which nothing else may have."""
        if self._known.get(_folded(name)) == (name, False):
            raise unsafe(self._archive, f"two files are called {short(name)}")
        self.add(name, is_folder=False)

    @property
    def folders(self) -> list[str]:
        """Every folder, each after the one that it lies in."""
        return sorted(name for name, is_folder in self._known.values() if is_folder)


def _folded(name: str) -> str:
    """What two names share that some system takes for one."""
    if name.isascii():
        return name.lower()
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    # Marks of direction and joiners: not seen, and to the older systems of Apple not there.
    return "".join(one for one in plain if unicodedata.category(one) != "Cf")
