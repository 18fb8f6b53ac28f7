"""What an inspection saw of a layout, file by file, and how it learns the digest of a file."""

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType

from modelset.core.types import Presence
from modelset.core.values import dataclass, field
from modelset.store.files import feed

Inode = tuple[int, int]
# The digest of a path by an algorithm: in hex, or words that say why there is none; None for a
# file that is believed without being read.
DigestOf = Callable[[str, str], str | None]
# A file shorter than this is read at once.
_SMALL = 64 * 1024
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def read_digest(path: str, algorithm: str, *, pause: Callable[[], None] = lambda: None) -> str:
    """The digest of a file, in hex; an unreadable one gives words. `pause` may raise."""
    import hashlib  # here, because a quick check must start fast

    try:
        handle = os.open(path, _FLAGS)
        try:
            data = os.read(handle, _SMALL)
            size = os.fstat(handle).st_size
        finally:
            os.close(handle)
        if algorithm == "git-sha1":
            hasher = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        else:
            hasher = hashlib.new(algorithm, usedforsecurity=False)
        if len(data) == size:  # to look for more would take longer than its bytes
            hasher.update(data)
            pause()
        else:
            feed(path, hasher.update, pause=pause)
    except OSError as error:
        return f"unreadable ({error.strerror})"
    return hasher.hexdigest()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a deep look reads: `records` are the sha256 of lists of files that were verified, by
    their paths, because no list holds its own digest.
    """

    digest: DigestOf
    records: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Wrong:
    """A file that is not as it should be: both in words, or as `algorithm:hex`."""

    path: str
    expected: str
    actual: str = "missing"


@dataclass(slots=True)
class Findings:
    """What an inspection saw of one layout; sizes in bytes, each inode once."""

    bytes_have: int = 0
    inodes: dict[Inode, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)  # digests that have to come again
    found: int = 0
    unfit: str = ""  # why a whole model cannot be loaded here
    reading: Reading | None = None  # none for a quick look
    pause: Callable[[], None] = lambda: None

    def presence(self) -> Presence:
        """The verdict over all files."""
        if self.corrupt:
            return "corrupt"
        if self.missing:
            return "partial" if self.found else "missing"
        return "present"

    def lack(self, path: str, expected: str, words: str = "", actual: str = "missing") -> None:
        """Note a file that is not there, or not as a library wants it."""
        self.missing.append(path + words)
        self.wrong.append(Wrong(path, expected, actual))

    def spoil(self, path: str, expected: str, actual: str, words: str) -> None:
        """Note a file that holds something else."""
        self.corrupt.append(f"{path}: {words}")
        self.wrong.append(Wrong(path, expected, actual))

    def differs(self, path: str, algorithm: str, expected: str) -> str:
        """What a deep look finds instead of a digest; empty when it is right or not looked at."""
        if self.reading is None:
            return ""
        actual = self.reading.digest(path, algorithm)
        return "" if actual is None or actual == expected else actual
