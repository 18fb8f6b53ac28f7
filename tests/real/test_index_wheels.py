"""Real wheels from the package index: verified, and at work without a network."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Project, RunModelset, run_process

pytestmark = pytest.mark.index

SENTENCE = "The quick brown fox jumps over the lazy dog, and the model hears every word of it."

# espeak-ng speaks at 22050 Hz; Silero VAD listens at 16000. Linear interpolation will do for it.
LISTEN = """
import array, json, sys, wave
import torch
import silero_vad
with wave.open(sys.argv[1]) as file:
    assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
    rate = file.getframerate()
    # In a stream the header cannot know the length: what is there counts.
    samples = torch.tensor(array.array("h", file.readframes(1 << 26)), dtype=torch.float32) / 32768
length = int(len(samples) * 16000 / rate)
voice = torch.nn.functional.interpolate(
    samples.view(1, 1, -1), size=length, mode="linear", align_corners=False
).view(-1)
silence = torch.zeros(16000)
model = silero_vad.load_silero_vad()
listen = lambda audio: silero_vad.get_speech_timestamps(audio, model, sampling_rate=16000)
print(json.dumps({
    "from": silero_vad.__file__,
    "length": length,
    "in_voice": listen(torch.cat([silence, voice, silence])),
    "in_silence": listen(torch.zeros(5 * 16000)),
}))
"""


def test_the_real_silero_vad_hears_a_voice_with_the_network_cut_off(
    project: Project, run_modelset: RunModelset, cut_off: tuple[str, ...], tmp_path: Path
) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")

    ran = run_modelset("download", "vad:silero", "--json", timeout_s=300)
    assert ran.code == 0, ran.stderr
    (outcome,) = ran.json["data"]["outcomes"]
    assert outcome["result"] == "downloaded"
    assert outcome["bytes_moved"] > 1_000_000

    offline = {**project.environ, "PYTHONPATH": str(project.site_packages)}
    spoken = tmp_path / "voice.wav"
    subprocess.run(["espeak-ng", "-w", spoken, SENTENCE], check=True, timeout=30)
    command = [*cut_off, sys.executable, "-c", LISTEN, spoken]
    heard = run_process(command, env=offline, cwd=tmp_path, timeout_s=120)
    assert heard.code == 0, heard.stderr
    found = json.loads(heard.stdout.splitlines()[-1])
    assert Path(found["from"]).is_relative_to(project.site_packages)
    assert found["in_silence"] == []
    speech = sum(part["end"] - part["start"] for part in found["in_voice"])
    assert speech > 0.6 * found["length"]
    assert found["in_voice"][0]["start"] > 12000
    assert found["in_voice"][-1]["end"] < found["length"] + 22000

    # Nothing is left to ask for: the same command works where there is nobody to ask.
    words = [sys.executable, "-m", "modelset", "download", "vad:silero", "--json"]
    again = run_process([*cut_off, *words], env=project.environ, cwd=project.folder)
    assert again.code == 0, again.stderr
    (outcome,) = again.json["data"]["outcomes"]
    assert (outcome["result"], outcome["bytes_moved"]) == ("ready", 0)
    deep = run_process(
        [*cut_off, sys.executable, "-m", "modelset", "check", "vad:silero", "--deep", "--json"],
        env=project.environ,
        cwd=project.folder,
    )
    assert deep.code == 0, deep.stdout + deep.stderr
    assert deep.json["data"]["models"][0]["presence"] == "present"


VADER = """
import json
import vaderSentiment.vaderSentiment as library
judge = library.SentimentIntensityAnalyzer()
print(json.dumps([library.__file__, judge.polarity_scores("a wonderful day")["compound"]]))
"""


def test_the_real_vader_sentiment_judges_with_the_network_cut_off(
    project: Project, run_modelset: RunModelset, cut_off: tuple[str, ...]
) -> None:
    ran = run_modelset("download", "nlu:vader-wheel", "--json", timeout_s=300)
    assert ran.code == 0, ran.stderr
    offline = {**project.environ, "PYTHONPATH": str(project.site_packages)}
    done = run_process([*cut_off, sys.executable, "-c", VADER], env=offline, cwd=project.folder)
    assert done.code == 0, done.stderr
    where, score = json.loads(done.stdout.splitlines()[-1])
    assert Path(where).is_relative_to(project.site_packages)
    assert score > 0.5
