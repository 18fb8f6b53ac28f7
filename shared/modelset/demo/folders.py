"""The demonstration models on disk, and archives made of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from modelset.demo.content import Content

MODELS = Path(__file__).parent / "models"

# The time of every entry, so that the same files make the same archive.
_TIME = (1980, 1, 1, 0, 0, 0)
# A plain file that anybody may read, as Unix writes it into an archive.
_UNIX, _MODE = 3, 0o100644 << 16


class Folders:
    """The folders of models; each file is read once, when it is first wanted."""

    def __init__(self, root: Path = MODELS) -> None:
        self.root = root
        self._read: dict[str, Content] = {}

    def has(self, path: str) -> bool:
        """Tell whether a folder or a file is there."""
        return (self.root / path).exists()

    def inside(self, folder: str) -> list[str]:
        """Return the names in a folder, none when it is not there."""
        place = self.root / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def file(self, path: str) -> Content:
        """Return one file; the same object each time, so that its digests are computed once."""
        # Two threads may both read it; setdefault lets only one of the two objects stay.
        known = self._read.get(path)
        return known or self._read.setdefault(path, Content((self.root / path).read_bytes()))

    def files(self, folder: str) -> dict[str, Content]:
        """Return every file of a folder by its path in it."""
        place = self.root / folder
        paths = sorted(path.relative_to(place).as_posix() for path in _plain_files(place))
        return {path: self.file(f"{folder}/{path}") for path in paths}


def zipped(files: Mapping[str, Content], top: str) -> Content:
    """Return an archive of files in one top folder; the same files make the same bytes."""
    # Stored, not compressed: what a compressor writes differs from machine to machine.
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(f"{top}/{path}", _TIME)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            archive.writestr(entry, files[path].body)
    return Content(body.getvalue())


def unzipped_size(archive: Content) -> int:
    """Return how many bytes the files in an archive have together."""
    with zipfile.ZipFile(io.BytesIO(archive.body)) as opened:
        return sum(entry.file_size for entry in opened.infolist())


def _plain_files(place: Path) -> list[Path]:
    # What running a model's own code from here may leave behind is no part of the model.
    return [path for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc"]
