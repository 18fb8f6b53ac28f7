"""A Hub cache whose snapshots hold files instead of links: as the Hub's own client leaves it where
links cannot be made, and as a copy that follows them does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.conftest import Project, RunModelset

KEYS = ("whisper:base", "pyannote:segmentation-3.0")


@pytest.fixture
def copied(project: Project, hub_config: str, run_modelset: RunModelset) -> Path:
    """The cache, with nothing that this machine remembers of it; nobody answers any more."""
    project.config.write_text(hub_config)
    token = {"HF_TOKEN": "hf_demo"}
    assert run_modelset("download", *KEYS, env=token).code == 0
    hub = project.models_root / "huggingface" / "hub"
    for snapshots in hub.glob("models--*/snapshots"):
        shutil.copytree(snapshots, snapshots.with_name("files"))
        shutil.rmtree(snapshots)
        shutil.rmtree(snapshots.with_name("blobs"))
        snapshots.with_name("files").rename(snapshots)
    shutil.rmtree(project.models_root / "registry")
    project.config.write_text("")
    return hub


def contents(hub: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in hub.glob("models--*/snapshots/*/**/*")
            if path.is_file()}  # fmt: skip


def test_it_is_whole_is_remembered_and_stays_as_it_is(
    copied: Path, project: Project, run_modelset: RunModelset
) -> None:
    before = contents(copied)
    assert before
    assert run_modelset("check", *KEYS, "--deep").code == 0
    ran = run_modelset("download", *KEYS, "--frozen", "--json", env={"HF_TOKEN": "hf_demo"})
    assert ran.code == 0, ran.stderr
    assert {row["result"] for row in ran.json["data"]["outcomes"]} == {"ready"}
    registry = json.loads((project.models_root / "registry/registry.json").read_text())
    assert {row["path"] for key in KEYS for row in registry["models"][key]["files"]} <= set(before)
    verified = run_modelset("verify", *KEYS, "--fast", "--json")
    assert verified.code == 0, verified.stderr
    assert contents(copied) == before


def test_what_is_added_to_it_takes_nothing_away(copied: Path, run_modelset: RunModelset) -> None:
    before = contents(copied)
    refs = list(copied.glob("models--*/refs/main"))
    for ref in refs:
        ref.unlink()
    assert run_modelset("check", *KEYS).code == 4
    ran = run_modelset("download", *KEYS, "--frozen", env={"HF_TOKEN": "hf_demo"})
    assert ran.code == 0, ran.stderr
    assert contents(copied) == before
    assert len(refs) == len(KEYS)
    assert all(ref.exists() for ref in refs)
    assert run_modelset("check", *KEYS, "--deep").code == 0
