"""Which files a deep look wants to read, and what has been read of them, each inode once."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from modelset.core.values import dataclass
from modelset.store.findings import Inode, read_digest
from modelset.store.registry import forget, read_registry, remember

# Device, inode, size and time of change: a name or a number alone may mean another file by now.
State = tuple[int, int, int, int]
# A file and an algorithm: two models may state different kinds of digests of one file.
Key = tuple[State, str]


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read; size in bytes."""

    path: str
    algorithm: str
    size: int
    state: State

    @property
    def key(self) -> Key:
        """What its digest is kept under."""
        return self.state, self.algorithm


class Wanted:
    """Answers a first look, which only notes what it would read; `trusted` files are not read."""

    def __init__(self, trusted: Collection[Inode] = ()) -> None:
        self._trusted = trusted
        self.jobs: dict[Key, Job] = {}

    def __call__(self, path: str, algorithm: str) -> None:
        """Note a file, and believe it for now."""
        with contextlib.suppress(OSError):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) not in self._trusted:
                job = Job(path, algorithm, status.st_size, _state(status))
                self.jobs.setdefault(job.key, job)


class Table:
    """Answers the second look out of what has been read; what is not in it is read then."""

    def __init__(
        self,
        digests: Mapping[Key, str],
        trusted: Collection[Inode] = (),
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._digests, self._trusted, self._pause = digests, trusted, pause

    def __call__(self, path: str, algorithm: str) -> str | None:
        """The digest in hex, words, or None for a file that is trusted."""
        with contextlib.suppress(OSError):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in self._trusted:
                return None
            if (key := (_state(status), algorithm)) in self._digests:
                return self._digests[key]
        return read_digest(path, algorithm, pause=self._pause)


def unchanged(rows: Iterable[Mapping[str, Any]]) -> set[Inode]:
    """The files whose size and time of change are those of a row of the registry."""
    found = set()
    for row in rows:
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            status = os.stat(row["path"])
            if (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns):
                found.add((status.st_dev, status.st_ino))
    return found


def doubt(folder: Path, keys: Collection[str]) -> None:
    """Make the next download read every byte of these models, and keep what their digests were:
    nothing else vouches for a list of files. Raises ModelSetError.
    """
    known = {key: entry for key, entry in read_registry(folder).items() if key in keys}
    doubted = {}
    with contextlib.suppress(KeyError, TypeError, ValueError):
        for key, entry in known.items():
            rows = [dict(row) | {"mtime_ns": 0} for row in entry["files"]]
            doubted[key] = dict(entry) | {"files": rows}
    forget(folder, known.keys() - doubted.keys())  # of another form than ours
    if doubted:
        remember(folder, doubted)


def _state(status: os.stat_result) -> State:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
