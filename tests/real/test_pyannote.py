"""pyannote.audio loads what was placed from the demo hub, and runs it, with the network cut off."""

from __future__ import annotations

import importlib.metadata
import json
import sys

import pytest
from tests.conftest import Ran, run_process
from tests.real.conftest import Placed, RunOffline

# What each does in its trial.
DONE = {
    "pyannote:speaker-diarization-3.1": "looked for speakers in 1 s of sound",
    "pyannote:speaker-diarization-community-1": "looked for speakers in 1 s of sound",
    "pyannote:segmentation-3.0": ", 7) numbers",
    "pyannote:wespeaker-voxceleb-resnet34-LM": "into (1, 256) numbers",
    "pyannote:plda": "read a table of 128 dimensions",
}

# The library says at length which decoder of sound files it misses; sound in memory needs none.
SOUND = """
import json, math, warnings
warnings.simplefilter("ignore")
import torch
from pyannote.audio import Model, Pipeline
from pyannote.audio.core.plda import PLDA
time = torch.arange(32000) / 16000
voice = sum(torch.sin(2 * math.pi * 150 * part * time) / part for part in range(1, 12)) * 0.1
silence = torch.zeros(16000)
"""

MODELS = f"""{SOUND}
segmentation = Model.from_pretrained("pyannote/segmentation-3.0").eval()
embedding = Model.from_pretrained("pyannote/wespeaker-voxceleb-resnet34-LM").eval()
with torch.inference_mode():
    chances = segmentation(torch.cat([silence, voice, silence])[None, None]).exp()
    numbers = embedding(voice[None, None])
place = "pyannote/speaker-diarization-community-1"
parts = [Model.from_pretrained(place, subfolder=name) for name in ("segmentation", "embedding")]
table = PLDA.from_pretrained(place, subfolder="plda")
print(json.dumps({{
    "classes": [type(model).__name__ for model in (segmentation, embedding, *parts)],
    "powerset": segmentation.specifications.powerset,
    "outcomes": chances.shape[-1],
    "sums": [chances.sum(-1).min().item(), chances.sum(-1).max().item()],
    "numbers": list(numbers.shape),
    "finite": bool(torch.isfinite(numbers).all()),
    "different": int((numbers != numbers[0, 0]).sum()),
    "told": list(table(numbers.numpy()).shape),
    "phi": [len(table.phi), bool((table.phi > 0).all())],
}}))
"""

PIPELINE = """
pipeline = Pipeline.from_pretrained({name!r})
def heard(sound):
    found = pipeline({{"waveform": sound[None], "sample_rate": 16000}})
    turns = found.speaker_diarization.itertracks(yield_label=True)
    return [[turn.start, turn.end, speaker] for turn, _, speaker in turns]
print(json.dumps([
    type(pipeline.clustering).__name__,
    heard(voice),
    heard(torch.cat([silence, voice, silence])),
    heard(torch.cat([silence, voice, silence, silence, silence])),
    heard(silence),
]))
"""


@pytest.fixture
def run_library(run_offline: RunOffline) -> RunOffline:
    """Runs a script with the library, where the library can be imported at all."""
    for package in ("torch", "torchaudio", "pyannote.audio"):
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    ran = run_offline("import torchaudio")
    if ran.code:
        said = ran.stderr.strip().rpartition("\n")[2]
        pytest.skip(f"no build of torchaudio loads beside a torch for the processor alone: {said}")
    return run_offline


def answer(ran: Ran) -> object:
    assert ran.code == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_the_models_are_of_the_real_classes(run_library: RunOffline) -> None:
    found = answer(run_library(MODELS))
    assert isinstance(found, dict)
    assert found.pop("sums") == pytest.approx([1, 1], abs=1e-4)
    assert found.pop("different") > 200
    assert found == {
        "classes": ["PyanNet", "WeSpeakerResNet34"] * 2,
        "powerset": True,
        "outcomes": 7,
        "numbers": [1, 256],
        "finite": True,
        "told": [1, 128],
        "phi": [128, True],
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pyannote/speaker-diarization-3.1", "AgglomerativeClustering"),
        ("pyannote/speaker-diarization-community-1", "VBxClustering"),
    ],
)
def test_the_pipelines_hear_who_speaks_when(
    run_library: RunOffline, name: str, expected: str
) -> None:
    found = answer(run_library(SOUND + PIPELINE.format(name=name)))
    assert isinstance(found, list)
    clustering, alone, between, longer, silence = found
    assert clustering == expected
    # The last is longer than what the network hears at once, so that there is something to cluster.
    for turns, begins in ((alone, 0), (between, 1), (longer, 1)):
        assert {speaker for _, _, speaker in turns} == {"SPEAKER_00"}
        assert turns[0][0] == pytest.approx(begins, abs=0.3)
        assert turns[-1][1] == pytest.approx(begins + 2, abs=0.3)
        assert sum(end - start for start, end, _ in turns) > 1.5
    assert silence == []


@pytest.mark.usefixtures("run_library")
def test_the_trials_pass(placed: Placed) -> None:
    command = [sys.executable, "-m", "modelset", "test", *DONE, "--json"]
    ran = run_process(command, env=placed.environ, cwd=placed.folder, timeout_s=300)
    assert ran.code == 0, ran.stdout + ran.stderr
    trials = {row["key"]: row for row in ran.json["data"]["trials"]}
    assert {key: row["result"] for key, row in trials.items()} == dict.fromkeys(DONE, "passed")
    for key, words in DONE.items():
        assert trials[key]["used"].startswith("pyannote.audio ")
        assert words in trials[key]["detail"]
