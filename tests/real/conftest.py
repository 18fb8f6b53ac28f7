"""What the real libraries are run with: models placed from the demo hub, and no network."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import SHARED, Ran, config_for, run_process

from modelset.demo.hub import DemoHub

TOKEN = "hf_demo"
MLX_REPO = "mlx-community/whisper-large-v3-mlx"
KEYS = (
    *("whisper:base", "whisper:large-v3", "vad:silero", "mlx-here:large-v3"),
    *("spacy:en_core_web_trf", "spacy:en_core_web_sm"),
    *("pyannote:speaker-diarization-3.1", "pyannote:speaker-diarization-community-1"),
)
# The catalog keeps MLX for Apple Silicon; a table of one's own puts it on any machine.
_OWN_TABLE = f"""
[[model]]
key = "mlx-here:large-v3"
category = "mlx"
source = "huggingface"
ref.repo = "{MLX_REPO}"
ref.required = ["config.json", "weights.*"]
"""
EVALUATED = 'eval "$1"; shift; exec "$@"'


@functools.cache
def _unshare() -> tuple[str, ...]:
    for prefix in (("unshare", "-n"), ("unshare", "-r", "-n")):
        try:
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except OSError:
            break
    return ()


@pytest.fixture(scope="session")
def cut_off() -> tuple[str, ...]:
    """The words before a command that take every network away from it, loopback too."""
    if not _unshare():
        pytest.skip("this machine does not let `unshare -n` take the network away")
    return _unshare()


@dataclass(frozen=True, slots=True)
class Placed:
    """A project whose models a download from the demo hub has placed."""

    folder: Path
    hub: DemoHub
    environ: Mapping[str, str]

    @property
    def hub_root(self) -> Path:
        return self.folder / "models" / "huggingface" / "hub"

    @property
    def site_packages(self) -> Path:
        return self.folder / "site-packages"

    def modelset(self, *arguments: str, before: tuple[str, ...] = (), timeout_s: float = 60) -> Ran:
        """The real command on this project."""
        command = [*before, sys.executable, "-m", "modelset", *arguments]
        return run_process(command, env=self.environ, cwd=self.folder, timeout_s=timeout_s)


@pytest.fixture(scope="session")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placed]:
    """Models of every family, placed by the real command from the demo hub."""
    with placing(tmp_path_factory.mktemp("placed"), KEYS, _OWN_TABLE) as found:
        yield found


def environ_of(folder: Path) -> dict[str, str]:
    """The environment of a project that keeps everything in one folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(SHARED),
        "PYTHONUTF8": "1",
        "HF_TOKEN": TOKEN,
        "MODELSET_CONFIG": str(folder / "modelset.toml"),
        "MODELSET_LOCK": str(folder / "models.lock.json"),
        "MODELSET_OUT": str(folder / "out"),
        "MODELSET_MODELS_ROOT": str(folder / "models"),
        "MODELSET_SITE_PACKAGES": str(folder / "site-packages"),
    }


@contextlib.contextmanager
def placing(folder: Path, keys: Sequence[str], tables: str = "") -> Iterator[Placed]:
    """A project into which the real command has brought models from a demo hub."""
    with DemoHub() as hub:
        (folder / "modelset.toml").write_text(config_for(hub) + tables)
        found = Placed(folder, hub, environ_of(folder))
        ran = found.modelset("download", *keys, "--json")
        assert ran.code == 0, ran.stderr
        assert {row["result"] for row in ran.json["data"]["outcomes"]} == {"downloaded"}
        yield found


RunOffline = Callable[[str], Ran]


@pytest.fixture
def run_offline(placed: Placed, cut_off: tuple[str, ...]) -> RunOffline:
    """Runs Python without a network, in the environment that `modelset env` prints and no other."""
    exports = placed.modelset("env", "--format", "shell")
    assert exports.code == 0, exports.stderr
    environ = {
        name: text
        for name, text in placed.environ.items()
        if not name.startswith(("MODELSET_", "PYTHONPATH", "HF_"))
    }

    def run(script: str) -> Ran:
        shell = ["sh", "-c", EVALUATED, "sh", exports.stdout, sys.executable, "-c", script]
        return run_process([*cut_off, *shell], env=environ, cwd=placed.folder, timeout_s=180)

    return run
