"""The demo models can be made again, to the byte."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.making import ollama, sentiment_words, wordpiece
from modelset.demo.making.vad import vad_wheel
from modelset.demo.making.vad_hub import hub_files
from modelset.demo.making.vader import lexicon_text, vader_wheel
from modelset.demo.making.wheel_file import WheelSpec, wheel_bytes
from modelset.demo.repos import MODELS


def test_wheel_bytes_depend_on_contents_alone() -> None:
    files = {"demo/b.py": b"b", "demo/a.py": b"a"}
    backwards = dict(reversed(files.items()))
    spec = WheelSpec("demo", "1.0", "A demo", "MIT", files)
    assert spec.filename == "demo-1.0-py3-none-any.whl"
    assert wheel_bytes(spec) == wheel_bytes(WheelSpec("demo", "1.0", "A demo", "MIT", backwards))


def test_mlx_again(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    from modelset.demo.making.mlx import build_mlx

    build_mlx(tmp_path)
    kept = MODELS / "mlx-whisper-demo"
    for name in ("config.json", "README.md", "weights.safetensors"):
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes()
    with numpy.load(tmp_path / "weights.npz") as made, numpy.load(kept / "weights.npz") as old:
        assert made.files == old.files
        assert all((made[name] == old[name]).all() for name in made.files)
    body = (tmp_path / "weights.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", body[:8])
    assert body[8 : 8 + length].startswith(b'{"decoder')


def test_whisper_again(tmp_path: Path) -> None:
    pytest.importorskip("ctranslate2")
    pytest.importorskip("numpy")
    from modelset.demo.making.whisper import build_whisper

    build_whisper(tmp_path)
    kept = MODELS / "whisper-tiny-demo"
    for name in ("config.json", "tokenizer.json", "vocabulary.txt", "preprocessor_config.json"):
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes()
    # Weights pass through floating-point mathematics, which may differ between machines.
    assert (tmp_path / "model.bin").stat().st_size == (kept / "model.bin").stat().st_size


def test_vad_wheel_again() -> None:
    kept = MODELS / "wheels" / vad_wheel(b"").filename
    with zipfile.ZipFile(kept) as archive:
        detector = archive.read("silero_vad/data/silero_vad.jit")
    again = zipfile.ZipFile(io.BytesIO(wheel_bytes(vad_wheel(detector))))
    with again, zipfile.ZipFile(kept) as archive:
        assert again.namelist() == archive.namelist()
        # Contents, not archive bytes: zlib may compress differently elsewhere.
        for name in again.namelist():
            assert again.read(name) == archive.read(name)


# Name of the builder, the libraries that it needs, and what it makes that only depends on
# our own text and numbers; the rest follows the versions of the libraries.
BUILT = {
    "openai-whisper": (("torch", "tiktoken"), ()),
    "vad-hub": (("torch",), ("hubconf.py", "README.md", "model.py", "utils_vad.py")),
    "sentence-bert": (
        ("torch", "transformers"),
        ("README.md", "vocab.txt", "tokenizer.json", "modules.json", "sentence_bert_config.json"),
    ),
    "distilbert": (("torch", "transformers"), ("README.md", "vocab.txt", "model.safetensors")),
    "llama": (("gguf",), ()),
    "ollama": ((), ("template.txt", "params.json", "license.txt")),
    "piper": (("onnx",), ("voice.onnx.json",)),
    "silero-tts": (("torch",), ()),
    "coqui": (("torch",), ("config.json",)),
    "pyannote": (("torch",), ("config.yaml", "README.md")),
    "lexicon": ((), ("vader_lexicon.txt",)),
    "spacy-rules": (("spacy",), ()),
}
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_demo_models.py"


@pytest.mark.parametrize("name", BUILT)
def test_made_twice(run_python: Callable[..., Any], tmp_path: Path, name: str) -> None:
    libraries, own = BUILT[name]
    for library in ("numpy", *libraries):
        pytest.importorskip(library)
    made = [_made(run_python, tmp_path / seed, name, seed) for seed in ("1", "2")]
    assert made[0] == made[1]
    kept = {path: (MODELS / path).read_bytes() for path in made[0]}
    for path, body in made[0].items():
        if path.rpartition("/")[2] in own:
            assert body == kept[path], path
        else:
            assert len(body) == pytest.approx(len(kept[path]), rel=0.2), path


def _made(run_python: Callable[..., Any], out: Path, name: str, seed: str) -> dict[str, bytes]:
    """Run one builder in a process of its own, where sets have another order each time."""
    arguments = ("--only", name, "--out", str(out))
    done = run_python(str(SCRIPT), *arguments, env={"PYTHONHASHSEED": seed})
    assert done.returncode == 0, done.stderr
    files = [path for path in out.rglob("*") if path.is_file()]
    assert files
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_a_builder_that_is_not_there(run_python: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    done = run_python(str(SCRIPT), "--only", "nothing", "--out", str(tmp_path))
    assert done.returncode == 2
    assert all(name in done.stderr for name in BUILT)
    assert list(tmp_path.iterdir()) == []


def test_hub_files_again() -> None:
    kept = MODELS / "silero-vad-hub"
    detector = (kept / "src" / "silero_vad" / "data" / "silero_vad.jit").read_bytes()
    there = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    made = hub_files(detector)
    assert {name for name in there if "__pycache__" not in name} == set(made)
    assert all((kept / name).read_bytes() == body for name, body in made.items())


def test_the_hub_and_the_wheel_hold_one_detector() -> None:
    with zipfile.ZipFile(MODELS / "wheels" / vad_wheel(b"").filename) as archive:
        detector = archive.read("silero_vad/data/silero_vad.jit")
    inner = MODELS / "silero-vad-hub" / "src" / "silero_vad" / "data" / "silero_vad.jit"
    assert inner.read_bytes() == detector


def test_vader_wheel_again() -> None:
    spec = vader_wheel()
    again = zipfile.ZipFile(io.BytesIO(wheel_bytes(spec)))
    with again, zipfile.ZipFile(MODELS / "wheels" / spec.filename) as archive:
        assert again.namelist() == archive.namelist()
        for name in again.namelist():
            assert again.read(name) == archive.read(name)


def test_words_are_judged_within_the_scale() -> None:
    assert all(0 < abs(mean) <= 4 for mean in sentiment_words.FEELINGS.values())
    assert not lexicon_text().endswith("\n")


def test_the_vocabulary_names_each_token_once() -> None:
    known = wordpiece.vocabulary()
    assert len(known) == len(set(known))
    assert tuple(known[: len(wordpiece.SPECIAL)]) == wordpiece.SPECIAL
    assert set(sentiment_words.FEELINGS) <= set(known)


def test_the_template_closes_what_it_opens() -> None:
    assert ollama.TEMPLATE.count("{{ if") == ollama.TEMPLATE.count("{{ end }}") == 2
