"""What every test stands on: no network but loopback, projects of their own, the real command."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.hub import DemoHub
from modelset.demo.session import demo_config

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"

# All that a child process gets of this machine's own environment.
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "COVERAGE_PROCESS_START")
_KEPT_FOR_INDEX = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "HOME")

_blocking = False


def _is_outside(host: object) -> bool:
    if not isinstance(host, str) or host in ("", "localhost"):
        return False
    with contextlib.suppress(ValueError):
        return not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    return True


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what leaves this machine; an audit hook, so that no way of calling gets past it."""
    if not _blocking:
        return
    host: object = None
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    if _is_outside(host):
        raise RuntimeError(f"{event} to {host!r}: only tests marked `index` may leave loopback")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def only_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of the test process leaves loopback, except in tests marked `index`."""
    global _blocking
    _blocking = request.node.get_closest_marker("index") is None
    yield
    _blocking = False


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a configuration, a lock and roots of its own; `environ` leads there."""

    folder: Path
    environ: Mapping[str, str]

    @property
    def config(self) -> Path:
        return self.folder / "modelset.toml"

    @property
    def lock(self) -> Path:
        return self.folder / "models.lock.json"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def models_root(self) -> Path:
        return self.folder / "models"

    @property
    def site_packages(self) -> Path:
        return self.folder / "site-packages"


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Project:
    """An empty project that no setting of this machine reaches."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "modelset.toml").write_text("")
    names = _KEPT
    if request.node.get_closest_marker("index") is not None:
        names += _KEPT_FOR_INDEX
    kept = {name: text for name, text in os.environ.items() if name.upper().startswith(names)}
    own = {
        "MODELSET_CONFIG": str(folder / "modelset.toml"),
        "MODELSET_LOCK": str(folder / "models.lock.json"),
        "MODELSET_OUT": str(folder / "out"),
        "MODELSET_MODELS_ROOT": str(folder / "models"),
        "MODELSET_CREDENTIALS_ROOT": str(folder / "credentials"),
        "MODELSET_SITE_PACKAGES": str(folder / "site-packages"),
        "HF_HOME": str(folder / "models" / "huggingface"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(SHARED),
        "PYTHONUTF8": "1",
    }
    return Project(folder, {"HOME": str(folder / "home"), **kept, **own})


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str
    json: Any = field(default=None, repr=False)


def run_process(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout_s: float = 60,
) -> Ran:
    """Run a command to its end, within a time limit; `json` is what it printed, if it is that."""
    done = subprocess.run(
        [str(word) for word in command],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    document = None
    with contextlib.suppress(ValueError):
        document = json.loads(done.stdout)
    return Ran(done.returncode, done.stdout, done.stderr, document)


RunModelset = Callable[..., Ran]


def run_own(
    project: Project,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 60,
) -> Ran:
    """The real command, in a child process, on a project."""
    command = [sys.executable, "-m", "modelset", *arguments]
    environ = {**project.environ, **(env or {})}
    return run_process(command, env=environ, cwd=cwd or project.folder, timeout_s=timeout_s)


@pytest.fixture
def run_modelset(project: Project) -> RunModelset:
    """The real command, in a child process, on the test's own project."""
    return functools.partial(run_own, project)


@pytest.fixture
def hub() -> Iterator[DemoHub]:
    """The demo hub, in this process."""
    with DemoHub() as running:
        yield running


def config_for(hub: DemoHub) -> str:
    """What a modelset.toml says so that every host is this hub."""
    return demo_config(hub.url, hub.cdn_url, hub.tables)


@pytest.fixture
def hub_config(hub: DemoHub) -> str:
    """The text of a modelset.toml that leads to the test's hub."""
    return config_for(hub)
