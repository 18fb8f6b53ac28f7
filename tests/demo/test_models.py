"""The demo models: their size, their wheels, and that the real libraries load them."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.repos import MODELS
from modelset.store.pickles import dangers

WHEELS = sorted((MODELS / "wheels").glob("*.whl"))


def _wheels(*packages: str) -> list[Path]:
    return [wheel for wheel in WHEELS if wheel.name.split("-")[0] in packages]


def test_total_size() -> None:
    total = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    assert total < 2_500_000


def test_the_wheels_are_there() -> None:
    assert [wheel.name.split("-")[0] for wheel in WHEELS] == [
        "de_core_news_sm",
        "en_core_web_lg",
        "en_core_web_md",
        "en_core_web_sm",
        "en_core_web_trf",
        "es_core_news_sm",
        "fr_core_news_sm",
        "silero_vad",
        "vaderSentiment",
        "xx_ent_wiki_sm",
    ]


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.name)
def test_wheel_record(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        record = next(name for name in names if name.endswith(".dist-info/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert sorted(row[0] for row in rows) == sorted(names)
        for name, digest, size in rows:
            if name == record:
                continue
            body = archive.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=")
            assert digest == f"sha256={expected.decode()}"
            assert int(size) == len(body)
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("package", ["silero_vad", "vaderSentiment"])
def test_stand_in_says_so(package: str) -> None:
    (wheel,) = _wheels(package)
    info = "-".join(wheel.name.split("-")[:2])
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{info}.dist-info/METADATA").decode()
    assert "Demonstration stand-in" in metadata


@pytest.mark.parametrize("compute_type", ["int8", "default"])
def test_whisper_transcribes(compute_type: str) -> None:
    faster_whisper = pytest.importorskip("faster_whisper")
    numpy = pytest.importorskip("numpy")
    model = faster_whisper.WhisperModel(
        str(MODELS / "whisper-tiny-demo"), device="cpu", compute_type=compute_type
    )
    audio = (numpy.random.default_rng(0).standard_normal(16000 * 3) * 0.1).astype("float32")
    expected = [" modelset demo speech"]
    for options in ({"language": "en"}, {"language": "vi"}, {}, {"word_timestamps": True}):
        segments, info = model.transcribe(audio, **options)
        assert [segment.text for segment in segments] == expected
        assert info.language == options.get("language", "en")
    segments, _ = model.transcribe(audio, vad_filter=True)
    assert list(segments) == []


LOAD_SPACY = """
import spacy
for name in ("en_core_web_sm", "en_core_web_trf"):
    pipeline = spacy.load(name)
    found = pipeline("Tim Cook lives in London.")
    assert [entity.text for entity in found.ents] == ["Tim Cook", "London"], found.ents
    assert [token.tag_ for token in found][:3] == ["NNP", "NNP", "VBZ"]
"""

LOAD_VAD = """
import torch
from silero_vad import __version__, get_speech_timestamps, load_silero_vad
assert __version__ == "6.2.3.post0"
model = load_silero_vad()
time = torch.arange(32000) / 16000
voice = sum(torch.sin(2 * torch.pi * 150 * part * time) / part for part in range(1, 12)) * 0.1
silence = torch.zeros(16000)
found = get_speech_timestamps(torch.cat([silence, voice, silence]), model, sampling_rate=16000)
assert len(found) == 1, found
assert abs(found[0]["start"] - 16000) < 2000 and abs(found[0]["end"] - 48000) < 2000, found
assert get_speech_timestamps(silence, model) == []
"""


@pytest.mark.parametrize(
    ("library", "wheels", "script"),
    [
        ("spacy", _wheels("en_core_web_sm", "en_core_web_trf"), LOAD_SPACY),
        ("torch", _wheels("silero_vad"), LOAD_VAD),
    ],
    ids=["spacy", "vad"],
)
def test_wheels_load(
    run_python: Callable[..., Any], tmp_path: Path, library: str, wheels: list[Path], script: str
) -> None:
    pytest.importorskip(library)
    site = tmp_path / "site"
    # A wheel of pure Python is installed by unpacking it.
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    process = run_python("-c", script, env={"PYTHONPATH": str(site)})
    assert process.returncode == 0, process.stderr


# What the checkpoints name of the library, which this test does without.
TASKS = "pyannote.audio.core.task"
NAMED = {f"{TASKS}.{name}" for name in ("Specifications", "Problem", "Resolution")}
CHECKPOINTS = sorted(MODELS.rglob("pytorch_model.bin"))


def test_the_pyannote_checkpoints_are_there() -> None:
    assert [path.relative_to(MODELS).as_posix() for path in CHECKPOINTS] == [
        "segmentation-3.0/pytorch_model.bin",
        "speaker-diarization-community-1/embedding/pytorch_model.bin",
        "speaker-diarization-community-1/segmentation/pytorch_model.bin",
        "wespeaker-voxceleb-resnet34-LM/pytorch_model.bin",
    ]


@pytest.mark.parametrize("path", CHECKPOINTS, ids=lambda path: path.parent.name)
def test_pyannote_checkpoint(path: Path) -> None:
    torch = pytest.importorskip("torch")
    assert dangers(path, path.name) == []
    assert set(torch.serialization.get_unsafe_globals_in_checkpoint(path)) == NAMED
    kinds = {name: _Named.called(name) for name in NAMED}
    with torch.serialization.safe_globals([(kind, name) for name, kind in kinds.items()]):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    held = checkpoint["pyannote.audio"]
    problem, resolution, duration, *rest = held["specifications"].given
    assert duration > 1
    state = checkpoint["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())
    if held["architecture"]["class"] == "PyanNet":
        assert (problem.given, resolution.given) == ((1,), (1,))
        assert rest[2:] == [["speaker#1", "speaker#2", "speaker#3"], 2, True]
        assert state["classifier.weight"].shape[0] == 7  # no one, one of three, two of three
    else:
        assert (problem.given, resolution.given) == ((3,), (2,))
        assert state["resnet.seg_1.weight"].shape == (256, 5120)
        assert sum(tensor.numel() for tensor in state.values()) > 6_000_000
    assert path.stat().st_size < 100_000


class _Named:
    """Stands for a class of the library: keeps what it is called with."""

    def __init__(self, *given: Any) -> None:
        self.given = given

    @classmethod
    def called(cls, name: str) -> type:
        module, _, last = name.rpartition(".")
        return type(last, (cls,), {"__module__": module})


def test_pyannote_tables_fit_together() -> None:
    numpy = pytest.importorskip("numpy")
    folder = MODELS / "speaker-diarization-community-1" / "plda"
    shapes = {}
    for path in sorted(folder.iterdir()):
        with numpy.load(path) as arrays:
            shapes |= {name: arrays[name].shape for name in arrays.files}
            assert all(numpy.isfinite(arrays[name]).all() for name in arrays.files)
            if path.name == "plda.npz":
                assert (arrays["psi"] > 0).all()
                assert numpy.linalg.matrix_rank(arrays["tr"]) == 128
            else:
                assert numpy.linalg.matrix_rank(arrays["lda"]) == 128
    assert shapes == {
        "mean1": (256,),
        "mean2": (128,),
        "lda": (256, 128),
        "mu": (128,),
        "tr": (128, 128),
        "psi": (128,),
    }
