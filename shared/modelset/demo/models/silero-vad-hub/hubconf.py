"""The door of a demonstration stand-in for a detector; not the real silero-vad."""

from importlib import import_module
from typing import Any

dependencies = ["torch"]


def silero_vad(
    onnx: bool = False, force_onnx_cpu: bool = False, opset_version: int = 16
) -> tuple[Any, tuple[Any, ...]]:
    """Return the detector and the five functions that go with it."""
    package = import_module("src.silero_vad")
    model = package.load_silero_vad(onnx=onnx, opset_version=opset_version)
    names = (
        "get_speech_timestamps",
        "save_audio",
        "read_audio",
        "VADIterator",
        "collect_chunks",
    )
    return model, tuple(getattr(package, name) for name in names)
