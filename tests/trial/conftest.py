"""Subjects of trials, libraries that do what a test wants, and the demo set's models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SHARED

from modelset.engine.guard import Stop
from modelset.trial.run import try_model
from modelset.trial.values import Subject, Trial

MODELS = SHARED / "modelset" / "demo" / "models"

# Hides modules from Python as if they were not installed.
_HIDING = """
import sys
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *rest):
        if name.partition(".")[0] not in {names!r}:
            return self.finder.find_spec(name, *rest)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def subject_of(library: str, path: Path | str, **given: Any) -> Subject:
    """A model of a library at a path."""
    fields = {"key": "some:model", "source": "huggingface", "ref": {}, "roots": {}} | given
    return Subject(
        name=str(fields["key"]).partition(":")[2], library=library, path=str(path), **fields
    )


def demo_model(name: str) -> Path:
    """A model of the demo set; the test is skipped where it is not made."""
    path = MODELS / name
    if not path.exists():
        pytest.skip(f"the demo set has no {name}")
    return path


class Laboratory:
    """A folder with libraries of a test's own, and trials that find them before all others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.libraries = folder / "libraries"
        self.libraries.mkdir()
        self.log = folder / "log"
        self.environ: Mapping[str, str] = {
            **{name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ},
            "HOME": str(folder),
            "PYTHONPATH": str(self.libraries),
        }

    def library(self, name: str, text: str) -> None:
        """Write a library."""
        (self.libraries / f"{name}.py").write_text(text)

    def hide(self, *names: str) -> None:
        """Make libraries look as if they were not installed."""
        self.library("sitecustomize", _HIDING.format(names=set(names)))

    def try_it(self, subject: Subject, timeout_s: float = 60, **more: Any) -> Trial:
        """One trial; what the libraries say is in `log`."""
        environ = {**self.environ, **more.pop("environ", {})}
        stop = more.pop("stop", None) or Stop()
        return try_model(subject, environ, timeout_s, stop, log=self.log, **more)

    def try_vosk(
        self, loading: str, working: str = "", timeout_s: float = 60, **more: Any
    ) -> Trial:
        """A trial of a library that runs these lines when it loads a model and when it works."""
        self.library("vosk", _vosk(loading, working))
        return self.try_it(subject_of("vosk", self.folder), timeout_s, **more)

    @property
    def words(self) -> str:
        return self.log.read_text(errors="replace")


def _vosk(loading: str, working: str) -> str:
    def body(lines: str) -> str:
        return "".join(f"        {line}\n" for line in (lines or "pass").splitlines())

    return (
        "import os, subprocess, sys, time\n"
        f"class Model:\n    def __init__(self, path):\n{body(loading)}"
        f"class KaldiRecognizer:\n    def __init__(self, model, rate):\n{body(working)}"
        "    def AcceptWaveform(self, data):\n        assert len(data) == 32000\n"
        '    def FinalResult(self):\n        return \'{"text": "so it said"}\'\n'
    )


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    return Laboratory(tmp_path)
