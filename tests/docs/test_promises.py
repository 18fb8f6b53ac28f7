"""What the guide promises of later runs: nothing is asked, and nothing is believed unread."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.conftest import Project, RunModelset
from tests.docs.pages import GUIDE

from modelset.demo.hub import DemoHub

PROMISES = [
    "A run with nothing to do asks nothing of the network",
    "any other file that is found in place is read and hashed before it counts",
]


def damage(file: Path) -> None:
    """Change one byte, and neither the size nor the time."""
    stat = file.stat()
    body = bytearray(file.read_bytes())
    body[1000] ^= 1
    file.write_bytes(body)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def brought(project: Project, hub: DemoHub, hub_config: str, run_modelset: RunModelset) -> Project:
    """A project with one model."""
    project.config.write_text(hub_config)
    assert run_modelset("download", "whisper:base").code == 0
    return project


@pytest.fixture
def snapshot(brought: Project) -> Path:
    """A model that the registry has forgotten."""
    (brought.models_root / "registry" / "registry.json").unlink()
    folder = brought.models_root / "huggingface" / "hub" / "models--Systran--faster-whisper-base"
    (found,) = (folder / "snapshots").iterdir()
    return found


@pytest.mark.parametrize("promise", PROMISES)
def test_the_guide_promises_it(promise: str) -> None:
    assert promise in " ".join(GUIDE.text.split())


@pytest.mark.parametrize("options", [(), ("--locked",), ("--frozen",), ("--dry-run",)])
def test_a_run_with_nothing_to_do_makes_no_request(
    options: tuple[str, ...], brought: Project, hub: DemoHub, run_modelset: RunModelset
) -> None:
    hub.forget_requests()

    assert run_modelset("download", "whisper:base", *options).code == 0
    assert hub.requests == []


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "partly there"])
def test_a_damaged_file_is_fetched_again(
    is_whole: bool, snapshot: Path, hub: DemoHub, run_modelset: RunModelset
) -> None:
    damage((snapshot / "model.bin").resolve())
    if not is_whole:
        (snapshot / "config.json").resolve().unlink()
    hub.forget_requests()

    mended = run_modelset("download", "whisper:base")

    assert mended.code == 0
    assert any(seen.path.endswith("/model.bin") for seen in hub.requests)
    assert run_modelset("check", "--deep", "whisper:base").code == 0


def test_an_undamaged_file_is_not_fetched_again(
    snapshot: Path, hub: DemoHub, run_modelset: RunModelset
) -> None:
    hub.forget_requests()

    assert run_modelset("download", "whisper:base").code == 0
    assert hub.requests == []
