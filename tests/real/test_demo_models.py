"""The real libraries agree with what was placed from the demo hub, with the network cut off."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Ran, run_process
from tests.real.conftest import MLX_REPO, TOKEN, Placed, RunOffline

NO_NETWORK = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=2)
except ConnectionRefusedError:
    raise SystemExit("there is a network")
except OSError as error:
    print(error.strerror)
"""

WHISPER = """
import json, os
import numpy
from faster_whisper import WhisperModel
audio = (numpy.random.default_rng(0).standard_normal(48000) * 0.1).astype("float32")
model = WhisperModel("base", device="cpu", compute_type="int8", local_files_only=True)
heard = [part.text for part in model.transcribe(audio, language="en")[0]]
root = os.environ.pop("HF_HUB_CACHE")
again = WhisperModel("large-v3", device="cpu", local_files_only=True, download_root=root)
print(json.dumps([heard, [part.text for part in again.transcribe(audio, language="en")[0]]]))
"""

SPACY = """
import json
import spacy
found = {}
for name in ("en_core_web_trf", "en_core_web_sm"):
    pipeline = spacy.load(name)
    text = pipeline("Tim Cook lives in London.")
    found[name] = [pipeline.meta["version"], [entity.text for entity in text.ents]]
print(json.dumps(found))
"""

VAD = """
import json
import torch
import silero_vad
model = silero_vad.load_silero_vad()
time = torch.arange(32000) / 16000
voice = sum(torch.sin(2 * torch.pi * 150 * part * time) / part for part in range(1, 12)) * 0.1
silence = torch.zeros(16000)
audio = torch.cat([silence, voice, silence])
print(json.dumps([
    silero_vad.__file__,
    silero_vad.get_speech_timestamps(audio, model, sampling_rate=16000),
    silero_vad.get_speech_timestamps(silence, model, sampling_rate=16000),
]))
"""

SNAPSHOTS = """
import json
from pathlib import Path
from huggingface_hub import scan_cache_dir, snapshot_download
cache = scan_cache_dir()
found = {}
for repo in cache.repos:
    folder = Path(snapshot_download(repo.repo_id, local_files_only=True))
    found[repo.repo_id] = {
        path.relative_to(folder).as_posix(): path.resolve().name
        for path in folder.rglob("*") if path.is_file()
    }
print(json.dumps([found, [str(warning) for warning in cache.warnings]]))
"""

# Repository and file, as pyannote.audio 4 asks for them one by one.
PYANNOTE_FILES = [
    ("pyannote/speaker-diarization-3.1", "config.yaml"),
    ("pyannote/segmentation-3.0", "pytorch_model.bin"),
    ("pyannote/wespeaker-voxceleb-resnet34-LM", "pytorch_model.bin"),
    ("pyannote/speaker-diarization-community-1", "config.yaml"),
    ("pyannote/speaker-diarization-community-1", "segmentation/pytorch_model.bin"),
    ("pyannote/speaker-diarization-community-1", "embedding/pytorch_model.bin"),
    ("pyannote/speaker-diarization-community-1", "plda/plda.npz"),
    ("pyannote/speaker-diarization-community-1", "plda/xvec_transform.npz"),
]

PYANNOTE = f"""
import json
from huggingface_hub import hf_hub_download
found = []
for repo, path in {PYANNOTE_FILES!r}:
    folder, _, name = path.rpartition("/")
    found.append(hf_hub_download(repo, name, subfolder=folder or None, local_files_only=True))
print(json.dumps(found))
"""

MLX = f"""
import json
from pathlib import Path
import numpy
from huggingface_hub import snapshot_download
folder = Path(snapshot_download(repo_id={MLX_REPO!r}))
config = json.loads((folder / "config.json").read_text())
with numpy.load(folder / "weights.npz") as weights:
    shapes = {{name: list(weights[name].shape) for name in weights.files}}
print(json.dumps([config, shapes]))
"""


def needs(*libraries: str) -> None:
    for library in libraries:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


def answer(ran: Ran) -> Any:
    assert ran.code == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_the_children_of_these_tests_have_no_network(run_offline: RunOffline) -> None:
    ran = run_offline(NO_NETWORK)
    assert ran.code == 0, ran.stderr
    assert "unreachable" in ran.stdout


def test_faster_whisper_transcribes(run_offline: RunOffline) -> None:
    needs("faster_whisper")
    assert answer(run_offline(WHISPER)) == [[" modelset demo speech"], [" modelset demo speech"]]


def test_spacy_runs_both_pipelines(run_offline: RunOffline) -> None:
    needs("spacy")
    expected = ["3.8.0", ["Tim Cook", "London"]]
    found = answer(run_offline(SPACY))
    assert found == {"en_core_web_trf": expected, "en_core_web_sm": expected}


def test_the_demo_silero_vad_finds_the_voice(placed: Placed, run_offline: RunOffline) -> None:
    needs("torch")
    where, in_voice, in_silence = answer(run_offline(VAD))
    assert Path(where).is_relative_to(placed.site_packages)
    assert len(in_voice) == 1
    assert abs(in_voice[0]["start"] - 16000) < 2000
    assert in_silence == []


def test_the_hub_client_finds_every_repository_whole(
    placed: Placed, run_offline: RunOffline
) -> None:
    found, warnings = answer(run_offline(SNAPSHOTS))
    assert warnings == []
    assert len(found) == 7
    for repo, files in found.items():
        served = placed.hub.site.repos[repo].files
        assert files
        assert files == {path: served[path].etag for path in files}
    # A whole repository has its tree listing, which makes the client look for every file of it.
    assert set(found[MLX_REPO]) == set(placed.hub.site.repos[MLX_REPO].files)
    trees = placed.hub_root / f"models--{MLX_REPO.replace('/', '--')}" / "trees"
    assert [path.stem for path in trees.iterdir()] == [placed.hub.site.repos[MLX_REPO].commit]


def test_the_tree_listing_makes_the_client_see_a_lost_file(
    placed: Placed, run_offline: RunOffline
) -> None:
    snapshots = placed.hub_root / f"models--{MLX_REPO.replace('/', '--')}" / "snapshots"
    (readme,) = snapshots.glob("*/README.md")
    hidden = placed.folder / "README.hidden"
    readme.rename(hidden)
    try:
        ran = run_offline(SNAPSHOTS)
    finally:
        hidden.rename(readme)
    assert ran.code != 0
    assert "IncompleteSnapshotError" in ran.stderr


def test_every_file_that_pyannote_asks_for_is_found(
    placed: Placed, run_offline: RunOffline
) -> None:
    found = [Path(path) for path in answer(run_offline(PYANNOTE))]
    assert len(found) == len(PYANNOTE_FILES)
    for path, (repo, name) in zip(found, PYANNOTE_FILES, strict=True):
        assert path.read_bytes() == placed.hub.site.repos[repo].files[name].content.body


def test_numpy_reads_what_mlx_whisper_loads(run_offline: RunOffline) -> None:
    needs("numpy")
    config, shapes = answer(run_offline(MLX))
    assert config["n_mels"] == 128 or config["n_mels"] == 80
    assert shapes["decoder.token_embedding.weight"] == [config["n_vocab"], config["n_text_state"]]


def test_the_hub_command_verifies_every_repository(placed: Placed) -> None:
    entry = "import sys; from huggingface_hub.cli.hf import main; sys.exit(main())"
    environ = {
        "PATH": placed.environ["PATH"],
        "HOME": placed.environ["HOME"],
        "HF_HUB_CACHE": str(placed.hub_root),
        "HF_ENDPOINT": f"{placed.hub.url}/hf",
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": "127.0.0.1",
    }
    folders = sorted(placed.hub_root.glob("models--*"))
    assert len(folders) == 7
    for folder in folders:
        repo = folder.name.removeprefix("models--").replace("--", "/")
        checked = sum(path.is_symlink() for path in folder.glob("snapshots/*/**/*"))
        command = [sys.executable, "-c", entry, "cache", "verify", repo]
        ran = run_process(command, env=environ)
        assert ran.code == 0, f"{repo}: {ran.stdout}{ran.stderr}"
        assert f"{checked} file" in ran.stdout + ran.stderr
