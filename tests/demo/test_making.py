"""The demo models can be made again, to the byte."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from modelset.demo.making.vad import vad_wheel
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
