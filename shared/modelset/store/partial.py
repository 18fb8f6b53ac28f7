"""Partial files: claimed by one process, journalled, and taken over when their owner died.

A claim is the name of the journal, `DIGEST.OWNER.json`, and changes hands by rename, which is
atomic on every file system, shared ones too: nothing here depends on a file lock.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.store.files import CHUNK, saying
from modelset.store.owner import is_busy, is_foreign, owner

# A journal at least this often, so that a kill costs less than the 8 MiB that are promised.
FLUSH_BYTES = 4 * 1024 * 1024


class Partial:
    """The bytes that are here of one artifact, owned by this process.

    `kept` counts the bytes from the start that the journal vouches for or that arrived since;
    `validator` is the ETag they came with, from the address in `origin`.
    """

    def __init__(self, stem: Path, journal: Path, known: Mapping[str, object]) -> None:
        self.path = stem.with_name(stem.name + ".part")
        self._journal = journal
        self._file = open(self.path, "r+b" if self.path.exists() else "w+b", buffering=0)  # noqa: SIM115
        kept = known.get("kept", 0)
        size = os.fstat(self._file.fileno()).st_size
        self.kept = min(kept, size) if isinstance(kept, int) and kept > 0 else 0
        self.validator = str(known.get("validator", "")) if self.kept else ""
        self.origin = str(known.get("origin", "")) if self.kept else ""
        self._flushed = self.kept
        self._file.truncate(self.kept)
        self._file.seek(self.kept)

    def write(self, data: bytes) -> None:
        """Append bytes; raises ModelSetError."""
        with saying("write", self.path):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self.kept += len(data)
        if self.kept - self._flushed >= FLUSH_BYTES:
            self.flush()

    def came_from(self, origin: str, validator: str) -> None:
        """Remember which object the bytes belong to."""
        self.origin, self.validator = origin, validator

    def restart(self) -> None:
        """Throw the bytes away and begin at the start."""
        with saying("write", self.path):
            self._file.truncate(0)
            self._file.seek(0)
        self.kept = self._flushed = 0
        self.validator = self.origin = ""
        self.flush()

    def flush(self) -> None:
        """Make the bytes durable, then say so in the journal."""
        with saying("write", self.path):
            os.fsync(self._file.fileno())
            if not self._journal.exists():
                raise ModelSetError(
                    "partial-taken",
                    f"another process took over {self.path}",
                    "run the same command again; it continues from what is there",
                )
            _write_journal(
                self._journal,
                {"kept": self.kept, "validator": self.validator, "origin": self.origin},
            )
            self._flushed = self.kept

    def release(self) -> None:
        """Keep the bytes for the next run and let others take them."""
        if not self._file.closed:
            with contextlib.suppress(ModelSetError):
                self.flush()
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
        self.flush()
        self._file.close()

    def quarantine(self) -> None:
        """Set wrong bytes aside, where nothing finds them as a model, and begin at the start."""
        with saying("set aside", self.path):
            aside = self.path.parent / "quarantine"
            aside.mkdir(exist_ok=True)
            self._file.close()
            os.replace(self.path, aside / self.path.stem)
            self._file = open(self.path, "w+b", buffering=0)  # noqa: SIM115
        self.restart()

    def forget(self) -> None:
        """The right bytes are in place: remove the claim, and wrong bytes set aside before."""
        self._file.close()
        self._drop()
        aside = self.path.parent / "quarantine"
        (aside / self.path.stem).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            aside.rmdir()

    def _drop(self) -> None:
        if self._journal.exists():  # else the partial file is another process's by now
            self.path.unlink(missing_ok=True)
            self._journal.unlink(missing_ok=True)


def claim(folder: Path, artifact: Artifact) -> Partial | None:
    """The partial file of an artifact, new or taken over, or None while another process has it."""
    stem = folder / _stem(artifact)
    with saying("write to", folder):
        folder.mkdir(parents=True, exist_ok=True)
        journals = list(folder.glob(f"{stem.name}.*.json"))
        if any(is_busy(path) for path in journals):
            return None
        mine = folder / f"{stem.name}.{owner()}.json"
        part = stem.with_name(stem.name + ".part")
        for journal in journals:
            try:
                os.rename(journal, mine)
            except FileNotFoundError:
                return None
            if is_foreign(journal):
                _own_copy(part)
        if not journals:
            _write_journal(mine, {"kept": 0})
            # Every owner writes its journal first: with one there, it began this instant.
            others = (path for path in folder.glob(f"{stem.name}.*.json") if path != mine)
            if not _create(part) and any(others):
                mine.unlink()
                return None
        return Partial(stem, mine, _read_journal(mine))


def sweep(folder: Path) -> None:
    """Remove what killed processes left that no claim will find: journals without their bytes,
    half-written journals and copies.
    """
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            stem = path.name.partition(".")[0]
            lost = path.suffix == ".json" and not (folder / f"{stem}.part").exists()
            # Itself too: a claim's first journal is half-written before there is any other.
            if (lost or path.suffix in (".tmp", ".copy")) and not any(
                is_busy(journal) for journal in (path, *folder.glob(f"{stem}.*.json"))
            ):
                path.unlink(missing_ok=True)


def bytes_here(folder: Path) -> dict[str, int]:
    """How many bytes of which digest lie in partial files; no writes, one look at the folder."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".part"):
                algorithm, _, digits = entry.name[:-5].rpartition("-")
                found[f"{algorithm}:{digits}"] = entry.stat().st_size
    return found


def _stem(artifact: Artifact) -> str:
    return artifact.digest.replace(":", "-")


def _create(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    return True


def _own_copy(part: Path) -> None:
    """Copy to a new file, so that an owner who only slept writes to one that nobody reads."""
    if not part.exists():
        return
    copy = part.with_name(part.name + ".copy")
    with open(part, "rb") as reading, open(copy, "wb") as writing:
        while data := reading.read(CHUNK):
            writing.write(data)
    os.replace(copy, part)


def _write_journal(path: Path, known: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"schema_version": 1, **known}), encoding="ascii")
    os.replace(temporary, path)


def _read_journal(path: Path) -> dict[str, object]:
    try:
        known = json.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) and known.get("schema_version") == 1 else {}
