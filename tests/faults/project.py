"""A project of its own in a temporary folder, on which the real commands run as processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"
DOOR = SHARED / "model_downloader.py"
# What is left under the models root when nothing is amiss, beside the models themselves.
REGISTRY = frozenset(f"registry/{name}.json" for name in ("registry", "schema", "placed"))


def await_true(what: str, condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for something to become true, for a bounded time."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {within_s} s"
        time.sleep(0.001)


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def document(self) -> dict[str, Any]:
        """The one document of `--json`."""
        return dict(json.loads(self.stdout))

    @property
    def outcomes(self) -> dict[str, dict[str, Any]]:
        """The outcomes by the models' keys."""
        return {row["key"]: row for row in self.document["data"]["outcomes"]}

    def failure(self, key: str) -> dict[str, str]:
        """Why a model failed."""
        failure = self.outcomes[key]["failure"]
        assert failure is not None, f"{key} did not fail"
        return dict(failure)


class Running:
    """A command at work."""

    def __init__(self, command: Sequence[str], env: dict[str, str], cwd: Path) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def send(self, number: int) -> None:
        """Send a signal to that process alone."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9, and wait until the process is gone."""
        self.send(signal.SIGKILL)
        assert self.end().code == -signal.SIGKILL

    def end(self, within_s: float = 60.0) -> Ran:
        """Wait for the end."""
        stdout, stderr = self.process.communicate(timeout=within_s)
        return Ran(self.process.returncode, stdout, stderr, time.monotonic() - self.began)


@dataclass(slots=True)
class Project:
    """The settings file, the environment and the folders; `close` ends what still runs."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    _tables: list[str] = field(default_factory=list)
    _running: list[Running] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("home", "tmp", "out"):
            (self.root / name).mkdir(parents=True)
        own = {
            "CONFIG": "modelset.toml",
            "LOCK": "models.lock.json",
            "OUT": "out",
            "MODELS_ROOT": "models",
            "CREDENTIALS_ROOT": "credentials",
            "SITE_PACKAGES": "site-packages",
        }
        self.env |= {f"MODELSET_{name}": str(self.root / place) for name, place in own.items()}
        self.env |= {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self.root / "home"),
            "XDG_CACHE_HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHONUTF8": "1",
        }
        self._write()

    @property
    def models(self) -> Path:
        """The models root."""
        return self.root / "models"

    @property
    def downloads(self) -> Path:
        """Where partial files lie."""
        return self.models / "downloads"

    @property
    def profile(self) -> Path:
        """The cached profile of the machine."""
        return self.root / "out" / "hardware_cache.json"

    def settings(self, text: str) -> None:
        """Add to the settings file: a section, or tables."""
        self._tables.append(text)
        self._write()

    def model(self, name: str, url: str, data: bytes, **other: Any) -> str:
        """Add a model that is one file; returns its key."""
        digest = other.pop("digest", None) or f"sha256:{hashlib.sha256(data).hexdigest()}"
        size = other.pop("size", len(data))
        rows = {
            "key": f"house:{name}",
            "category": "house",
            "source": "url",
            "tier": other.pop("tier", "available"),
        }
        ref = {"url": url, "digest": digest, "root": "whisper", "path": f"{name}.bin"}
        lines = [f"{field} = {json.dumps(value)}" for field, value in rows.items()]
        inner = ", ".join(f"{field} = {json.dumps(value)}" for field, value in ref.items())
        stated = "" if size is None else f", size = {size}"
        lines.append(f"ref = {{ {inner}{stated} }}")
        assert not other, f"unknown fields: {other}"
        self.settings("[[model]]\n" + "\n".join(lines))
        return f"house:{name}"

    def path(self, key: str) -> Path:
        """Where a model's file belongs."""
        return self.models / "whisper" / f"{key.partition(':')[2]}.bin"

    def part(self, data: bytes) -> Path:
        """The partial file of some bytes."""
        return self.downloads / f"sha256-{hashlib.sha256(data).hexdigest()}.part"

    def part_size(self, data: bytes) -> int:
        """Where the partial file ends."""
        try:
            return self.part(data).stat().st_size
        except FileNotFoundError:
            return 0

    def part_bytes(self, data: bytes) -> int:
        """How many bytes are in the partial file, in whole blocks: it may have holes."""
        try:
            return self.part(data).stat().st_blocks * 512
        except FileNotFoundError:
            return 0

    def journalled(self, data: bytes) -> int:
        """How many bytes the journal vouches for; 0 without one, or while it gets another name."""
        for journal in self.downloads.glob(f"{self.part(data).stem}.*.json"):
            with contextlib.suppress(FileNotFoundError):
                known = json.loads(journal.read_text(encoding="ascii"))
                return sum(end - start for start, end in known.get("spans", []))
        return 0

    def start(self, *arguments: str) -> Running:
        """Start the downloader."""
        running = Running([sys.executable, str(DOOR), *arguments], self.env, self.root)
        self._running.append(running)
        return running

    def run(self, *arguments: str, within_s: float = 60.0) -> Ran:
        """Run the downloader to its end."""
        return self.start(*arguments).end(within_s)

    def files(self) -> set[str]:
        """Every file below the models root, by its relative path."""
        return {
            path.relative_to(self.models).as_posix()
            for path in self.models.rglob("*")
            if not path.is_dir()
        }

    def assert_clean(self, **contents: bytes) -> None:
        """The models root holds exactly these models, and nobody left anything else anywhere."""
        expected = {f"whisper/{name}.bin" for name in contents} | REGISTRY
        assert self.files() == expected
        for name, data in contents.items():
            assert self.path(f"house:{name}").read_bytes() == data, f"{name} is not right"
        top = {"home", "tmp", "out", "models", "modelset.toml", "models.lock.json"}
        assert {path.name for path in self.root.iterdir()} <= top
        assert not list((self.root / "tmp").iterdir())

    def close(self) -> None:
        """End what still runs."""
        for running in self._running:
            running.process.kill()
            with contextlib.suppress(ValueError):  # the pipes are closed: it was waited for
                running.process.communicate()

    def _write(self) -> None:
        (self.root / "modelset.toml").write_text("\n\n".join(self._tables) + "\n", "utf-8")
