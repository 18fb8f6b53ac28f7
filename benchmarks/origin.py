"""The files that are fetched, laid out so that a plain web server answers as the Hub does."""

import hashlib
import json
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PIECE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class File:
    """One file of a repository, as it has to arrive."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Repo:
    """One repository."""

    id: str
    commit: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def url(self, origin: str, file: File) -> str:
        """Where a file is."""
        return f"{origin}/{self.id}/resolve/{self.commit}/{file.path}"


class Origin:
    """A folder that a web server serves; `add` puts repositories into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stamp = 1_500_000_000
        folder.mkdir(parents=True)

    def add(self, repo_id: str, sizes: Mapping[str, int]) -> Repo:
        """Write the files of a repository, and the two answers of the Hub's API about it."""
        commit = hashlib.sha1(repo_id.encode()).hexdigest()
        base = self.folder / repo_id / "resolve" / commit
        files, rows = [], []
        for path, size in sizes.items():
            place = base / path
            place.parent.mkdir(parents=True, exist_ok=True)
            digest = _write(place, size, seed=f"{repo_id}/{path}")
            # The server makes its ETag of size and time, and hf names its blobs after the ETag.
            self._stamp += 1
            os.utime(place, (self._stamp, self._stamp))
            files.append(File(path, size, digest))
            rows.append(_row(files[-1]))
        api = self.folder / "api" / "models" / repo_id
        info = {"id": repo_id, "sha": commit, "siblings": [{"rfilename": path} for path in sizes]}
        for name, answer in (
            ("revision/main", info),
            (f"revision/{commit}", info),
            (f"tree/{commit}", rows),
        ):
            place = api / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(json.dumps(answer), encoding="utf-8")
        return Repo(repo_id, commit, tuple(files))


def _row(file: File) -> dict[str, object]:
    """One line of the tree listing; every file is a large one, so its sha256 is listed."""
    oid = hashlib.sha1(file.sha256.encode()).hexdigest()
    large = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return {"type": "file", "path": file.path, "size": file.size, "oid": oid, "lfs": large}


def _write(place: Path, size: int, seed: str) -> str:
    """Fill a file with bytes that never repeat, so that a misplaced part is noticed."""
    source, digest = random.Random(seed), hashlib.sha256()
    with place.open("wb") as file:
        for at in range(0, size, PIECE):
            piece = source.randbytes(min(PIECE, size - at))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def find_wrong(repos: tuple[Repo, ...], folder: Path) -> list[str]:
    """The files that did not arrive below a folder, under their own path and byte by byte."""
    found: dict[str, list[Path]] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            found.setdefault(name, []).append(Path(place, name))
    digests: dict[Path, str] = {}
    return [
        f"{repo.id}/{file.path}"
        for repo in repos
        for file in repo.files
        if not any(
            _is(candidate, file, digests)
            for candidate in found.get(file.path.rpartition("/")[2], [])
        )
    ]


def _is(candidate: Path, file: File, digests: dict[Path, str]) -> bool:
    if not candidate.as_posix().endswith("/" + file.path) or not candidate.exists():
        return False
    if candidate.stat().st_size != file.size:
        return False
    if candidate not in digests:
        with candidate.open("rb") as opened:
            digests[candidate] = hashlib.file_digest(opened, "sha256").hexdigest()
    return digests[candidate] == file.sha256
