"""The Vosk demo model: made again to the byte, and heard by the real library.

The library ends its whole process on some errors, so it runs in a child only.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.making.vosk import Arc, build_vosk, graph_bytes
from modelset.demo.repos import MODELS

MODEL = MODELS / "vosk"
RunVosk = Callable[[str, Path], subprocess.CompletedProcess[str]]

# Speaks one line of JSON for each answer, so that a test can see how far a child came.
PRELUDE = """
import array, json, math, random, sys
import vosk

vosk.SetLogLevel(-1)
RATE = 16000
chance = random.Random(7)


def audio(sample, seconds=1.0, rate=RATE):
    samples = (round(sample(at / rate)) for at in range(int(rate * seconds)))
    return array.array("h", samples).tobytes()


def tone(pitch):
    return lambda time: 8000 * math.sin(2 * math.pi * pitch * time)


silence = audio(lambda time: 0)
hum = audio(tone(200))
whistle = audio(tone(4000))
hiss = audio(lambda time: chance.gauss(0, 1000))
murmur = audio(lambda time: chance.gauss(0, 4))


def hear(recognizer, sound):
    recognizer.AcceptWaveform(sound)
    return json.loads(recognizer.FinalResult())


def say(value):
    print(json.dumps(value), flush=True)


model = vosk.Model(sys.argv[1])
"""


@pytest.fixture
def run_vosk(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> RunVosk:
    """Return a function that runs a script with a model in a child process."""
    pytest.importorskip("vosk")
    return lambda script, model: run_python("-c", PRELUDE + script, str(model))


def _answers(run_vosk: RunVosk, script: str) -> list[Any]:
    process = run_vosk(script, MODEL)
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_made_again(tmp_path: Path) -> None:
    build_vosk(tmp_path / "first")
    build_vosk(tmp_path / "first")
    build_vosk(tmp_path / "second")
    kept = _files(MODEL)
    assert _files(tmp_path / "first") == _files(tmp_path / "second") == kept
    assert sum(map(len, kept.values())) < 4096
    assert {"README", "am/final.mdl", "conf/model.conf", "graph/HCLG.fst"} < set(kept)


def test_graph_form() -> None:
    body = graph_bytes([[Arc(2, 1, 4.0, 1)], [Arc(1, 0, 0.0, 1), Arc(0, 0, 0.0, 0)]])
    header = struct.Struct("<i i6s i8s iiQ qqq")
    magic, _, kind, _, arc, version, flags, _, start, states, arcs = header.unpack_from(body)
    assert (magic, kind, arc, version, flags) == (2125659606, b"vector", b"standard", 2, 0)
    assert (start, states, arcs) == (0, 2, 3)
    at = header.size
    first = struct.unpack_from("<fq iifi", body, at)
    assert first == (0.0, 1, 2, 1, 4.0, 1)
    at += struct.calcsize("<fq iifi")
    second = struct.unpack_from("<fq iifi iifi", body, at)
    assert second == (math.inf, 2, 1, 0, 0.0, 1, 0, 0, 0.0, 0)
    assert at + struct.calcsize("<fq iifi iifi") == len(body)


def test_hears_each_sound_twice(run_vosk: RunVosk) -> None:
    script = """
for turn in range(2):
    for sound in (silence, murmur, hum, whistle, hiss, hum + hiss):
        say(hear(vosk.KaldiRecognizer(model, RATE), sound)["text"])
recognizer = vosk.KaldiRecognizer(model, RATE)
for sound in (hum, silence, hiss, hum):
    say(hear(recognizer, sound)["text"])
"""
    expected = ["", "", "low", "high", "high", "low high"]
    assert _answers(run_vosk, script) == [*expected, *expected, "low", "", "high", "low"]


def test_stream_with_pauses_and_times(run_vosk: RunVosk) -> None:
    script = """
recognizer = vosk.KaldiRecognizer(model, RATE)
recognizer.SetWords(True)
stream = silence + hum + silence + hiss + silence
for at in range(0, len(stream), 3200):
    if recognizer.AcceptWaveform(stream[at : at + 3200]):
        say(json.loads(recognizer.Result()))
    else:
        json.loads(recognizer.PartialResult())
say(json.loads(recognizer.FinalResult()))
"""
    answers = _answers(run_vosk, script)
    assert [answer["text"] for answer in answers if answer["text"]] == ["low", "high"]
    words = [word for answer in answers for word in answer.get("result", ())]
    spans = [(word["word"], word["start"], word["end"]) for word in words]
    assert spans == [
        ("low", pytest.approx(1, abs=0.1), pytest.approx(2, abs=0.1)),
        ("high", pytest.approx(3, abs=0.1), pytest.approx(4, abs=0.1)),
    ]
    assert all(word["conf"] > 0.9 for word in words)


def test_other_ways_to_ask(run_vosk: RunVosk) -> None:
    script = """
slow = audio(tone(200), rate=8000)
say(hear(vosk.KaldiRecognizer(model, 8000), slow)["text"])
fast = audio(tone(4000), rate=48000)
say(hear(vosk.KaldiRecognizer(model, 48000), fast)["text"])
say(hear(vosk.KaldiRecognizer(model, RATE, '["low", "[unk]"]'), hum)["text"])
recognizer = vosk.KaldiRecognizer(model, RATE)
recognizer.SetMaxAlternatives(2)
say(hear(recognizer, hiss)["alternatives"][0]["text"])
say([model.vosk_model_find_word(word) for word in ("low", "high", "other")])
"""
    assert _answers(run_vosk, script) == ["low", "high", "low", "high", [1, 2, -1]]


def test_strange_audio(run_vosk: RunVosk) -> None:
    script = """
loudest = audio(lambda time: chance.choice((-32768, 32767)))
odd = hiss[:-1]
for sound in (b"", b"\\0", hiss[:2], hiss[:200], odd, loudest, chance.randbytes(32000)):
    say(hear(vosk.KaldiRecognizer(model, RATE), sound)["text"])
say(json.loads(vosk.KaldiRecognizer(model, RATE).FinalResult())["text"])
"""
    answers = _answers(run_vosk, script)
    assert answers == ["", "", "", "", "high", "high", "high", ""]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _swap(path: Path) -> None:
    path.write_bytes(path.read_bytes()[::-1])


@pytest.mark.parametrize("damage", [Path.unlink, _cut, _swap], ids=["gone", "cut", "reversed"])
@pytest.mark.parametrize("name", ["am/final.mdl", "graph/HCLG.fst"])
def test_a_damaged_model_is_refused(
    run_vosk: RunVosk, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(MODEL, model)
    damage(model / name)
    script = "say(hear(vosk.KaldiRecognizer(model, RATE), hiss))"
    process = run_vosk(script, model)
    assert process.returncode != 0
    assert process.stdout == ""
