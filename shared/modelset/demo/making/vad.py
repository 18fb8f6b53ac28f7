"""The stand-in voice activity wheel and the TorchScript detector inside it."""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path

from modelset.demo.making import vad_source
from modelset.demo.making.wheel_file import WheelSpec, wheel_bytes

VERSION = "6.2.3.post0"

# Rows: loud, peaked. Columns: loudness in dB, peakedness, bias.
WEIGHTS = ((0.6, 0.0, 21.0), (0.0, 4.0, -4.0))


def build_vad_wheel(folder: Path) -> None:
    """Write the wheel into a folder."""
    spec = vad_wheel(detector_bytes())
    (folder / spec.filename).write_bytes(wheel_bytes(spec))


def vad_wheel(detector: bytes) -> WheelSpec:
    """Return the contents of the wheel around a detector."""
    files = {
        "silero_vad/__init__.py": vad_source.INIT.format(version=VERSION).encode(),
        "silero_vad/model.py": vad_source.MODEL.encode(),
        "silero_vad/speech.py": vad_source.SPEECH.encode(),
        "silero_vad/data/__init__.py": b"",
        "silero_vad/data/silero_vad.jit": detector,
    }
    return WheelSpec(
        name="silero_vad",
        version=VERSION,
        summary=vad_source.SUMMARY,
        licence="MIT",
        files=files,
        requires=("torch>=1.12.0",),
    )


def detector_bytes() -> bytes:
    """Return the detector, saved by torch."""
    torch = import_module("torch")

    class Detector(torch.jit.ScriptModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weights", torch.tensor(WEIGHTS))
            self.register_buffer("state", torch.zeros(1))

    module = Detector()
    # Defined from text: compiled from a Python function, the archive would hold the path of
    # the file that the function lies in.
    module.define(vad_source.DETECTOR)
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()
