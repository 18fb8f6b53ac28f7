"""The real Hub client against the demo hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.hub import DemoHub

pytest.importorskip("huggingface_hub")

TINY = "Systran/faster-whisper-tiny"

SNAPSHOT = f"""
import json
from huggingface_hub import HfApi, scan_cache_dir, snapshot_download
where = snapshot_download("{TINY}")
again = snapshot_download("{TINY}", local_files_only=True)
renamed = snapshot_download("mobiuslabsgmbh/faster-whisper-large-v3-turbo")
apple = snapshot_download("mlx-community/whisper-large-v3-mlx")
cache = scan_cache_dir()
paths = HfApi().get_paths_info("{TINY}", ["model.bin", "missing"])
refs = HfApi().list_repo_refs("{TINY}")
print(json.dumps({{
    "where": where, "same": where == again, "renamed": renamed, "apple": apple,
    "warnings": [str(warning) for warning in cache.warnings],
    "repos": sorted(repo.repo_id for repo in cache.repos),
    "paths": [[path.path, path.lfs.sha256] for path in paths],
    "branch": refs.branches[0].target_commit,
}}))
"""

ERRORS = f"""
import json
from huggingface_hub import HfApi, hf_hub_download
api = HfApi()
gated = "pyannote/segmentation-3.0"
attempts = {{
    "entry": lambda: hf_hub_download("{TINY}", "missing"),
    "revision": lambda: hf_hub_download("{TINY}", "config.json", revision="v9"),
    "repo": lambda: hf_hub_download("Systran/missing", "config.json"),
    "gate_no_token": lambda: hf_hub_download(gated, "pytorch_model.bin", token=False),
    "gate_bad_token": lambda: hf_hub_download(gated, "pytorch_model.bin", token="hf_other"),
    "gate_no_licence": lambda: hf_hub_download(gated, "config.yaml", token="hf_demo_no_licence"),
    "gate_denied": lambda: api.auth_check(gated, token="hf_demo_denied"),
    "gate_check": lambda: api.auth_check(gated, token="hf_demo_no_licence"),
    "gate_open": lambda: hf_hub_download(gated, "pytorch_model.bin", token="hf_demo"),
    "whoami": lambda: api.whoami(token="hf_demo")["name"],
    "whoami_bad": lambda: api.whoami(token="hf_other"),
    "info": lambda: api.model_info(gated, token=False).gated,
    "tree": lambda: len(list(api.list_repo_tree(gated, token=False))),
}}
found = {{}}
for name, attempt in attempts.items():
    try:
        found[name] = attempt()
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""

PAGED = """
import json
from huggingface_hub import HfApi
tree = HfApi().list_repo_tree("pyannote/speaker-diarization-community-1", recursive=True)
print(json.dumps([entry.path for entry in tree]))
"""


def _answer(process: Any) -> Any:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize("prefix", ["/hf", ""])
def test_snapshots(hub: DemoHub, run_python: Callable[..., Any], prefix: str) -> None:
    found = _answer(run_python("-c", SNAPSHOT, env={"HF_ENDPOINT": hub.url + prefix}))
    tiny = hub.site.repos[TINY]
    folder = Path(found["where"])
    assert folder.name == tiny.commit == found["branch"]
    assert found["same"]
    assert found["warnings"] == []
    assert len(found["repos"]) == 3
    held = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert held == set(tiny.files)
    for path, file in tiny.files.items():
        assert (folder / path).read_bytes() == file.content.body
        assert (folder / path).resolve().name == file.etag
    assert "models--mobiuslabsgmbh--faster-whisper-large-v3-turbo" in found["renamed"]
    assert (Path(found["renamed"]) / "preprocessor_config.json").is_file()
    assert (Path(found["apple"]) / "weights.npz").is_file()
    assert found["paths"] == [["model.bin", tiny.files["model.bin"].content.sha256]]
    from_cdn = [seen for seen in hub.requests if seen.origin == "cdn"]
    assert len(from_cdn) == 3


def test_verify_command(hub: DemoHub, run_python: Callable[..., Any]) -> None:
    env = {"HF_ENDPOINT": hub.url + "/hf"}
    _answer(run_python("-c", SNAPSHOT, env=env))
    entry = "import sys; from huggingface_hub.cli.hf import main; sys.exit(main())"
    process = run_python("-c", entry, "cache", "verify", TINY, env=env)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "6 file" in process.stdout + process.stderr


def test_errors_and_gates(hub: DemoHub, run_python: Callable[..., Any]) -> None:
    found = _answer(run_python("-c", ERRORS, env={"HF_ENDPOINT": hub.url + "/hf"}))
    assert found.pop("gate_open").endswith("pytorch_model.bin")
    assert found.pop("tree") == 4
    assert found == {
        "entry": "RemoteEntryNotFoundError",
        "revision": "RevisionNotFoundError",
        "repo": "RepositoryNotFoundError",
        "gate_no_token": "GatedRepoError",
        "gate_bad_token": "GatedRepoError",
        "gate_no_licence": "GatedRepoError",
        "gate_denied": "DisabledRepoError",
        "gate_check": "GatedRepoError",
        "whoami": "demo",
        "whoami_bad": "HfHubHTTPError",
        "info": "auto",
    }
    assert any(seen.had_authorization for seen in hub.requests if seen.origin == "hub")
    assert not any(seen.had_authorization for seen in hub.requests if seen.origin == "cdn")


def test_tree_pages(run_python: Callable[..., Any]) -> None:
    with DemoHub(page_size=3) as hub:
        found = _answer(run_python("-c", PAGED, env={"HF_ENDPOINT": hub.url + "/hf"}))
        repo = hub.site.repos["pyannote/speaker-diarization-community-1"]
        assert found == sorted({*repo.files, *repo.folders} - {""})
        assert len([seen for seen in hub.requests if "/tree/" in seen.path]) == 4


def test_no_token_needed(run_python: Callable[..., Any]) -> None:
    script = (
        "import json; from huggingface_hub import snapshot_download;"
        "print(json.dumps(snapshot_download('pyannote/speaker-diarization-3.1')))"
    )
    with DemoHub(is_token_needed=False) as hub:
        found = _answer(run_python("-c", script, env={"HF_ENDPOINT": hub.url}))
    assert (Path(found) / "config.yaml").is_file()
