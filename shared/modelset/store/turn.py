"""One process at a time reads a small document and writes it anew, so that no entry is lost."""

import contextlib
import os
from pathlib import Path


class Turn:
    """The turn of this process in a folder; the system takes it back from one that dies.

    Nothing depends on it: where there is no such thing, two that write in the same instant may lose
    an entry, which the next run writes again.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):  # Windows opens no folder
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(folder, os.O_RDONLY)

    def take(self) -> bool:
        """Whether it is this process's turn now, or no turns can be had here."""
        try:
            import fcntl
        except ImportError:  # not on Windows
            return True
        try:
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def give_back(self) -> None:
        """Let the next one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
