"""Partial files: the bytes of one artifact as they arrive, in any order, with a journal."""

import contextlib
import os
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.parts import Part, Parts
from modelset.core.types import Artifact
from modelset.store.files import saying
from modelset.store.journal import spans_of, stem_of, write_journal
from modelset.store.life import boot

# A journal at least this often for each connection, so that a kill costs less than the 8 MiB that
# are promised; and for all of them together, but for those that follow each other too fast.
FLUSH_BYTES = 4 * 1024 * 1024
_NOTE_S = 0.02
# The disk gets so many bytes at a time, so that the last ones do not take long.
SYNC_BYTES = 64 * 1024 * 1024
_MOST_PIECES = 1024  # that systems take in one call


class Partial:
    """The bytes that are here of one artifact, owned by this process.

    `parts` knows which ones; `validator` is the ETag they came with, from the address in
    `origin`. The journal is written ahead of the disk, because a killed process loses nothing
    that it wrote; what is `durable` survives a power cut as well.
    """

    def __init__(self, stem: Path, journal: Path, size: int, known: Mapping[str, Any]) -> None:
        self.path = stem.with_name(stem.name + ".part")
        self._journal = journal
        self._file = _open(self.path)
        here = min(os.fstat(self._file.fileno()).st_size, size)
        self.parts = Parts(size, spans_of(known.get("spans"), here))
        self._durable = spans_of(known.get("durable"), here)
        self.validator = str(known.get("validator", "")) if self.kept else ""
        self.origin = str(known.get("origin", "")) if self.kept else ""
        self._unnoted = self._unsynced = self._object = 0
        self._due = 0.0
        self._file.truncate(max((end for _, end in self.parts.spans()), default=0))

    @property
    def kept(self) -> int:
        """How many bytes are here."""
        return self.parts.kept

    def write(self, part: Part, pieces: list[bytes]) -> None:
        """Add the next bytes of a part; raises ModelSetError."""
        count = sum(map(len, pieces))
        with saying("write", self.path):
            _write_at(self._file, part.at, pieces, count)
        part.at += count
        self._unnoted += count
        self._unsynced += count
        if self._unnoted >= FLUSH_BYTES * len(self.parts.running):
            self.note()

    def came_from(self, origin: str, validator: str) -> None:
        """Remember which object the bytes belong to."""
        self.origin, self.validator = origin, validator

    def restart(self) -> None:
        """Throw the bytes away and begin at the start."""
        with saying("write", self.path):
            self._file.truncate(0)
        self.parts.restart()
        self._object += 1
        self._durable = []
        self.validator = self.origin = ""
        self.note()

    def note(self) -> None:
        """Say in the journal which bytes were written.

        Raises `partial-taken` when the file of this name is another process's by now.
        """
        with saying("write", self.path):
            if not self._journal.exists():
                raise ModelSetError(
                    "partial-taken",
                    f"another process took over {self.path}",
                    "run the same command again; it continues from what is there",
                )
            write_journal(
                self._journal,
                {
                    "spans": self.parts.spans(),
                    "durable": self._durable,
                    "boot": boot(),
                    "validator": self.validator,
                    "origin": self.origin,
                },
            )
        self._unnoted = 0

    def note_in_time(self, now: float) -> None:
        """The same where it is due at this time in seconds, of a clock that never jumps."""
        if self._unnoted >= FLUSH_BYTES and now >= self._due:
            self._due = now + _NOTE_S
            self.note()

    @property
    def wants_sync(self) -> bool:
        """Whether a power cut would cost much."""
        return self._unsynced >= SYNC_BYTES

    def sync(self) -> None:
        """Make what is written durable; may run beside a writer. Raises ModelSetError."""
        spans, self._unsynced, object_ = self.parts.spans(), 0, self._object
        with saying("write", self.path):
            os.fsync(self._file.fileno())
        if object_ == self._object:  # else these bytes were thrown away meanwhile
            self._durable = spans

    def release(self) -> None:
        """Keep the bytes for the next run and let others take them."""
        if not self._file.closed:
            with contextlib.suppress(ModelSetError):
                self.sync()
                self.note()
            self._file.close()
        if not self.kept:
            self._drop()
            return
        with contextlib.suppress(OSError):
            os.rename(self._journal, self._journal.with_name(f"{self.path.stem}.free.json"))

    def finish(self) -> None:
        """Make the whole file durable and close it; the claim stays until `forget`.

        Raises `partial-taken` when the file of this name is another process's by now.
        """
        self.sync()
        self.note()
        self._file.close()

    def quarantine(self) -> None:
        """Set wrong bytes aside, where nothing finds them as a model, and begin at the start."""
        with saying("set aside", self.path):
            self._file.close()
            aside(self.path, lambda place: os.replace(self.path, place))
            self._file = _open(self.path)
        self.restart()

    def forget(self) -> None:
        """The right bytes are in place: remove the claim, and wrong bytes set aside before."""
        self._file.close()
        self._drop()
        tidy(self.path.parent, self.path.stem)

    def _drop(self) -> None:
        if self._journal.exists():  # else the partial file is another process's by now
            self.path.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)


def set_aside(folder: Path, artifact: Artifact, data: bytes) -> None:
    """Keep wrong bytes that never were a partial file where people can look at them."""
    with saying("set aside", folder):
        aside(folder / f"{stem_of(artifact)}.part", lambda place: place.write_bytes(data))


def tidy(folder: Path, stem: str) -> None:
    """Remove wrong bytes that were set aside, now that the right ones are in place."""
    quarantine = folder / "quarantine"
    (quarantine / stem).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        quarantine.rmdir()


def aside(part: Path, put: Callable[[Path], object]) -> None:
    """Put wrong bytes where nothing finds them as a model.

    The end of another file may remove the folder while it is still empty: then once more.
    """
    quarantine = part.parent / "quarantine"
    for left in (2, 1, 0):
        quarantine.mkdir(parents=True, exist_ok=True)
        try:
            put(quarantine / part.stem)
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def _open(path: Path) -> FileIO:
    if path.is_symlink():
        raise ModelSetError(
            "store-not-writable",
            f"{path} leads elsewhere",
            "remove the symbolic link that was put there",
        )
    follow_none = getattr(os, "O_NOFOLLOW", 0)
    return FileIO(path, "r+" if path.exists() else "w+", opener=lambda name, flags: os.open(
        name, flags | follow_none, 0o666))  # fmt: skip


def _write_at(file: FileIO, at: int, pieces: list[bytes], count: int) -> None:
    if hasattr(os, "pwritev") and len(pieces) <= _MOST_PIECES:
        done = os.pwritev(file.fileno(), pieces, at)
        if done == count:
            return
        at, pieces = at + done, [b"".join(pieces)[done:]]
    file.seek(at)
    view = memoryview(b"".join(pieces))
    while view:
        view = view[file.write(view) :]
