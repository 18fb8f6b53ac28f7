"""Claims on partial files: one process at a time, taken over when it died.

A claim is the name of the journal, `DIGEST.OWNER.json`, and changes hands by rename, which is
atomic on every file system, shared ones too: nothing here depends on a file lock.
"""

import contextlib
import os
from pathlib import Path

from modelset.core.types import Artifact
from modelset.store.files import CHUNK, saying
from modelset.store.journal import read_journal, stem_of, write_journal
from modelset.store.life import boot
from modelset.store.owner import is_busy, is_foreign, owner
from modelset.store.partial import Partial


def claim(folder: Path, artifact: Artifact) -> Partial | None:
    """The partial file of an artifact, new or taken over, or None while another process has it."""
    stem = folder / stem_of(artifact)
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
            write_journal(mine, {})
            # Every owner writes its journal first: with one there, it began this instant.
            others = (path for path in folder.glob(f"{stem.name}.*.json") if path != mine)
            if not _create(part) and any(others):
                mine.unlink()
                return None
        known = read_journal(mine)
        if any(is_foreign(journal) for journal in journals) and not (
            boot() and known.get("boot") == boot()
        ):
            # What another machine had not on the disk, or this one before its last start, may
            # never have got there.
            known = {**known, "spans": known.get("durable")}
        return Partial(stem, mine, artifact.size, known)


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
