"""A project between two demo hubs: one of yesterday, and one whose models have moved on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Ran, config_for

from modelset.cli import main
from modelset.core.lock import Lock
from modelset.core.types import Pin
from modelset.demo.hub import DemoHub
from modelset.demo.repos import MODELS
from modelset.engine.lock import read_lock
from modelset.store.history import read_history

# What each is: a repository, an image, a folder with names that stay, a file without a digest.
HUB, IMAGE, FOLDER, PLAIN = "whisper:base", "ollama:gemma2:2b", "vad:silero-hub", "house:archive"
PLAIN_TABLE = f"""
[[model]]
key = "{PLAIN}"
category = "vosk"
source = "url"
licence = "MIT"
ref.url = "https://alphacephei.com/vosk/models/vosk-model-small-vn-0.4.zip"
ref.root = "vosk"
ref.path = "archive.zip"
"""


def make_newer(folder: Path) -> Path:
    """Copy the demo's models, and change one file of each of a few: also within its size."""
    shutil.copytree(MODELS, folder)
    for name in ("whisper-tiny-demo/config.json", "ollama/params.json", "vosk/README"):
        path = folder / name
        path.write_text((path.read_text() if path.exists() else "") + "\n")
    entry = folder / "silero-vad-hub" / "hubconf.py"
    text = entry.read_text()
    entry.write_text(text.replace("a", "b", 1))
    assert entry.stat().st_size == len(text.encode())
    return folder


@dataclass
class House:
    """A project of its own; `old` and `new` are hubs that run, `capture` takes what is printed."""

    folder: Path
    old: DemoHub
    new: DemoHub
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    tables: str = field(default=PLAIN_TABLE)

    def use(self, hub: DemoHub | None) -> None:
        """Lead every host to a hub, or to a port where nobody listens."""
        text = config_for(hub or self.old) + self.tables
        if hub is None:
            for url in (self.old.url, self.old.cdn_url):
                text = text.replace(url, "http://127.0.0.1:9")
        self.config.write_text(text)

    def use_both(self) -> None:
        """Lead to the new hub, and for what it lacks to the old one: a hub whose `main` has moved
        and whose older commits are still there.
        """
        older = iter(config_for(self.old).splitlines())
        lines = []
        for line in config_for(self.new).splitlines():
            other = next(older, "")
            if line.startswith('"https://'):
                line = line.removesuffix("]") + ", " + other.partition("= [")[2]
            lines.append(line)
        self.config.write_text("\n".join(lines) + self.tables)

    @property
    def config(self) -> Path:
        return self.folder / "modelset.toml"

    @property
    def lock_file(self) -> Path:
        return self.folder / "models.lock.json"

    @property
    def lock(self) -> Lock:
        return read_lock(self.lock_file)

    @property
    def history(self) -> dict[str, tuple[Pin, ...]]:
        return read_history(self.folder / "models" / "registry")

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "home"),
            "HF_TOKEN": "hf_demo",
            "MODELSET_CONFIG": str(self.config),
            "MODELSET_LOCK": str(self.lock_file),
            "MODELSET_OUT": str(self.folder / "out"),
            "MODELSET_MODELS_ROOT": str(self.folder / "models"),
            "MODELSET_SITE_PACKAGES": str(self.folder / "site-packages"),
            "MODELSET_MAX_ATTEMPTS": "1",
            "PATH": "/usr/bin:/bin",
        }

    def run(self, *arguments: str) -> Ran:
        """Run a command in this process."""
        with self.patch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(main, "_listen", lambda stop: None)
            code = main.main(arguments)
        said = self.capture.readouterr()
        document: Any = None
        with contextlib.suppress(ValueError):
            document = json.loads(said.out)
        return Ran(code, said.out, said.err, document)

    def asked(self, hub: DemoHub) -> list[str]:
        """The paths of every request to a hub since this was asked for the last time."""
        paths = [seen.path for seen in hub.requests]
        hub.forget_requests()
        return paths

    def presence(self, *keys: str) -> set[str]:
        """What a deep check says of models."""
        ran = self.run("check", *keys, "--deep", "--json")
        return {row["presence"] for row in ran.json["data"]["models"]}

    def other(self, folder: Path) -> House:
        """Another machine."""
        folder.mkdir()
        return House(folder, self.old, self.new, self.capture, self.patch, self.tables)


@contextlib.contextmanager
def house_in(
    folder: Path, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house between two hubs that run as long as the block."""
    home = folder / "one"
    home.mkdir()
    with DemoHub() as old, DemoHub(models=make_newer(folder / "newer")) as new:
        house = House(home, old, new, capture, patch)
        house.use(old)
        yield house
