"""A new text for a file of the user's own, which takes its place only once somebody agrees."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.values import dataclass
from modelset.store.files import read_text, saying, sync_folder
from modelset.store.temporary import beside


@dataclass(frozen=True, slots=True)
class Draft:
    """The new text in a file of its own, in the folder of the one that it may replace."""

    path: Path
    target: Path
    old: str | None

    def commit(self) -> None:
        """Let the new text take its place.

        Raises ModelSetError, also when the old one has changed since it was read.
        """
        if read_text(self.target) != self.old:
            raise ModelSetError(
                "store-read-error",
                f"{self.target} was changed by somebody else meanwhile",
                "nothing was written; run the same command again",
            )
        self.put()

    def put(self) -> None:
        """The same, whatever is there now."""
        with saying("write", self.target):
            os.replace(self.path, self.target)
            sync_folder(self.target.parent)


@contextlib.contextmanager
def draft(path: Path, old: str | None, text: str, *, like: Path | None = None) -> Iterator[Draft]:
    """A draft that nothing is left of unless it is committed; raises ModelSetError.

    It is as private as the old file, or as another that it is `like`, which may hold a password; a
    link to the old one stays a link.
    """
    target = Path(os.path.realpath(path))
    with saying("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        model = target if old is not None else like
        mode = stat.S_IMODE(model.stat().st_mode) if model is not None else None
        own = beside(target)
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if mode else 0o666)
    try:
        with saying("write", target), open(descriptor, "wb") as stream:
            if mode is not None:
                os.chmod(own, mode)
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        yield Draft(own, target, old)
    finally:
        own.unlink(missing_ok=True)
