"""Builds a synthetic Hub cache, with the lock and the tables that go with it."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelset.core.layout import Link, PutFile, PutText
from modelset.core.lock import dump_lock
from modelset.core.types import Artifact, Pin
from modelset.sources import SOURCES

CATEGORY = "bench"
# A part of each repository is wanted, as in most tables of the catalog.
PATTERNS = ["config.json", "part-*"]


@dataclass(frozen=True, slots=True)
class Store:
    """One case: how many repositories, how many files in each, and the folder it lies in."""

    title: str
    repos: int
    files: int
    folder: Path

    @property
    def hub(self) -> Path:
        """The Hub cache, which both programs look at."""
        return self.folder / "hub"

    @property
    def environ(self) -> Mapping[str, str]:
        """What points modelset and the Hub's own command at this store, and at nothing else."""
        return {
            "MODELSET_CONFIG": str(self.folder / "modelset.toml"),
            "MODELSET_LOCK": str(self.folder / "models.lock.json"),
            "MODELSET_OUT": str(self.folder / "out"),
            "MODELSET_MODELS_ROOT": str(self.folder / "models"),
            "HF_HUB_CACHE": str(self.hub),
            "HF_HOME": str(self.folder / "home"),
        }

    def build(self) -> None:
        """Write it all: every file is there and has the digest that the lock names."""
        self.folder.mkdir(parents=True)
        pins, tables = [], []
        for number in range(self.repos):
            repo = f"bench/model-{number:03}"
            bodies = {
                self._name(place): f"{repo} {place}\n".encode() * 8 for place in range(self.files)
            }
            pin = _pin(f"bench:model-{number:03}", repo, bodies)
            _place(pin, self.hub, bodies)
            pins.append(pin)
            tables.append(
                f'[[model]]\nkey = "{pin.key}"\ncategory = "{CATEGORY}"\ntier = "critical"\n'
                f'source = "huggingface"\nref.repo = "{repo}"\n'
                f"ref.allow = {json.dumps(PATTERNS)}\nsize_bytes = {pin.size_bytes}\n"
            )
        (self.folder / "modelset.toml").write_text("\n".join(tables), encoding="utf-8")
        (self.folder / "models.lock.json").write_text(dump_lock(pins), encoding="utf-8")

    @staticmethod
    def _name(place: int) -> str:
        return "config.json" if place == 0 else f"part-{place % 3}/weights-{place:02}.bin"


def _pin(key: str, repo: str, bodies: Mapping[str, bytes]) -> Pin:
    commit = hashlib.sha1(repo.encode()).hexdigest()
    artifacts = tuple(
        Artifact(
            name,
            f"https://huggingface.co/{repo}/resolve/{commit}/{name}",
            len(body),
            _digest(name, body),
        )
        for name, body in bodies.items()
    )
    return Pin(key, "huggingface", {"repo": repo, "allow": PATTERNS}, commit, artifacts)


def _digest(name: str, body: bytes) -> str:
    """As the Hub does it: git's own for small texts, sha256 for what is large."""
    if name.endswith(".json"):
        return "git-sha1:" + hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    return "sha256:" + hashlib.sha256(body).hexdigest()


def _place(pin: Pin, hub: Path, bodies: Mapping[str, bytes]) -> None:
    for placement in SOURCES[pin.source].layout(pin).placements:
        assert isinstance(placement, PutFile | Link | PutText), placement
        path = hub / placement.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(placement, Link):
            os.symlink(placement.target, path)
        elif isinstance(placement, PutText):
            path.write_text(placement.text, encoding="utf-8", newline="")
        else:
            path.write_bytes(bodies[placement.artifact.name])
