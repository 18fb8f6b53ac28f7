"""Loads the detector that lies in this repository."""

from importlib import import_module
from pathlib import Path
from typing import Any

torch: Any = import_module("torch")


def load_silero_vad(onnx: bool = False, opset_version: int = 16) -> Any:
    """Return the detector; only the TorchScript form exists here, whatever the opset."""
    if onnx:
        raise NotImplementedError("the demonstration stand-in has no ONNX model")
    path = Path(__file__).parent / "data" / "silero_vad.jit"
    model = torch.jit.load(str(path), map_location="cpu")
    model.eval()
    return model
