"""What was asked of the hub, for those who want to count."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: which origin it came to ("hub" or "cdn"), and what it said.

    `path` is as it was sent, with its query. `range_header` is None when there was none.
    """

    origin: str
    method: str
    path: str
    had_authorization: bool
    range_header: str | None
    status: int


class Journal:
    """Keeps every request, and appends each to a file if there is one."""

    def __init__(self, file: Path | None = None) -> None:
        self._seen: list[Seen] = []
        self._lock = threading.Lock()
        self._file = file

    def add(self, seen: Seen) -> None:
        """Note one request."""
        with self._lock:
            self._seen.append(seen)
            if self._file is not None:
                with self._file.open("a", encoding="utf-8", newline="\n") as lines:
                    lines.write(json.dumps(asdict(seen)) + "\n")

    def all(self) -> list[Seen]:
        """Return every request so far, oldest first."""
        with self._lock:
            return list(self._seen)

    def clear(self) -> None:
        """Forget the requests kept in memory; the file stays as it is."""
        with self._lock:
            self._seen.clear()
