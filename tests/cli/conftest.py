"""A copy of the project with the demo set in it, made once; and commands run in it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import SHARED, Ran, run_process


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the project: its folder and an environment without settings."""

    folder: Path
    environ: Mapping[str, str]

    def run(
        self,
        *arguments: str,
        door: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Ran:
        """The command as a module, or through one of its doors."""
        program = [str(self.folder / "shared" / door)] if door else ["-m", "modelset"]
        return run_process(
            [sys.executable, *program, *arguments],
            env={**self.environ, **(env or {})},
            cwd=cwd or self.folder,
        )

    @property
    def requests(self) -> list[str]:
        return (self.folder / "out/demo/requests.log").read_text().splitlines()


def make_checkout(folder: Path) -> Checkout:
    shutil.copytree(SHARED, folder / "shared", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "scripts").mkdir()
    environ = {
        # Without the tools of the user: pip asks some of them for their version, and they leave
        # their settings in the home folder.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(folder / "shared"),
        "PYTHONUTF8": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return Checkout(folder, environ)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Ran]:
    """A fresh copy, in a path with a space and a quote, and its first download of the demo set."""
    checkout = make_checkout(tmp_path_factory.mktemp("cli") / "it's a project")
    return checkout, checkout.run("--demo", "--json", door="model_downloader.py")


@pytest.fixture
def demo(first_run: tuple[Checkout, Ran]) -> Checkout:
    """A copy of the project that holds the whole demo set; tests only read it."""
    checkout, ran = first_run
    assert ran.code == 0, ran.stderr
    return checkout
