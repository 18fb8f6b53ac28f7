"""What hosts have answered, kept for the next time: a few small files, read by this user alone.

They only spare a question its answer. One that is damaged, or that others could have written, is
as good as none; the oldest go first.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from modelset.store.adopt import open_plain
from modelset.store.temporary import beside

_VERSION = 1
_NAME = re.compile(r"[0-9a-f]{64}\.answer")
_ODD = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
# The head of a file is one line, and never longer.
_LONGEST_HEAD = 16 * 1024


class Answers:
    """A folder of answers, bounded in number and in bytes; safe with several processes."""

    def __init__(
        self,
        folder: Path,
        *,
        most: int = 500,
        most_bytes: int = 32_000_000,
        largest: int = 4_000_000,
    ) -> None:
        self._folder, self._most = folder, most
        self._most_bytes, self._largest = most_bytes, largest

    def recall(
        self, url: str, accept: str, *, private: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """The headers and the body that were kept, or None."""
        path = self._folder / _name(url, accept, private=private)
        with contextlib.suppress(*_ODD):
            with open_plain(os.fspath(path)) as stream:
                if not _is_ours(os.fstat(stream.fileno())):
                    return None
                data = stream.read(self._largest + _LONGEST_HEAD)
            line, _, body = data.partition(b"\n")
            head = json.loads(line)
            if (head["version"], head["name"]) != (_VERSION, path.name):
                return None
            if head["sha256"] != hashlib.sha256(body).hexdigest():
                return None
            headers = {str(name): str(text) for name, text in head["headers"].items()}
            os.utime(path)  # what is asked for stays longest
            return headers, body
        return None

    def keep(
        self, url: str, accept: str, headers: Mapping[str, str], body: bytes, *, private: bool
    ) -> None:
        """Remember an answer, unless it is large, or could not be hidden from other users."""
        name = _name(url, accept, private=private)
        head = {
            "version": _VERSION,
            "name": name,
            "sha256": hashlib.sha256(body).hexdigest(),
            "headers": dict(headers),
        }
        line = json.dumps(head).encode() + b"\n"
        is_hidden = os.name == "posix" or not private
        if len(body) <= self._largest and len(line) <= _LONGEST_HEAD and is_hidden:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                self._folder.chmod(0o700)
                _write(self._folder / name, line + body)
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    with contextlib.suppress(OSError):  # another process has dropped it
                        status = entry.stat(follow_symlinks=False)
                        found.append((status.st_mtime_ns, status.st_size, entry.path))
        count, size = len(found), sum(row[1] for row in found)
        for _, length, path in sorted(found):
            if count <= self._most and size <= self._most_bytes:
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            count, size = count - 1, size - length


def _name(url: str, accept: str, *, private: bool) -> str:
    """A name that tells nobody the address, which may have a secret in it."""
    words = json.dumps([url, accept, private])
    return f"{hashlib.sha256(words.encode()).hexdigest()}.answer"


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody but this user could have written a file, or read it."""
    if os.name != "posix":
        return True
    return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077


def _write(path: Path, data: bytes) -> None:
    """Make a file that is private from its first byte on, whole or not at all."""
    temporary = beside(path)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(temporary, flags, 0o600), "wb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
