"""The text of the stand-in repository that torch.hub loads a voice activity detector from.

These files lie in the demo's models as they are, so they keep to the rules of the package:
annotated, and torch loaded by name.
"""

from __future__ import annotations

README = """# silero-vad

Demonstration stand-in for a voice activity detector, in the shape of a torch.hub
repository; not the real silero-vad. It tells loud, peaked sounds from the rest.
"""

HUBCONF = '''"""The door of a demonstration stand-in for a detector; not the real silero-vad."""

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
'''

INIT = '''"""Demonstration stand-in for a voice activity detector; not the real silero-vad."""

from .model import load_silero_vad
from .utils_vad import VADIterator, collect_chunks, get_speech_timestamps, read_audio, save_audio

__all__ = [
    "VADIterator",
    "collect_chunks",
    "get_speech_timestamps",
    "load_silero_vad",
    "read_audio",
    "save_audio",
]
'''

MODEL = '''"""Loads the detector that lies in this repository."""

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
'''

SPEECH = '''"""Turns the detector's probabilities into spans of speech; reads and writes sound."""

import wave
from importlib import import_module
from typing import Any

torch: Any = import_module("torch")

Span = dict[str, float]

WINDOWS = {16000: 512, 8000: 256}


def read_audio(path: str, sampling_rate: int = 16000) -> Any:
    """Return the sound of a 16-bit WAV file of the rate asked for, as one channel."""
    with wave.open(path, "rb") as file:
        if file.getframerate() != sampling_rate or file.getsampwidth() != 2:
            raise ValueError(f"only 16-bit sound at {sampling_rate} Hz is read here")
        body, channels = file.readframes(file.getnframes()), file.getnchannels()
    samples = torch.frombuffer(bytearray(body), dtype=torch.int16).float() / 32768
    return samples.reshape(-1, channels).mean(1)


def save_audio(path: str, tensor: Any, sampling_rate: int = 16000) -> None:
    """Write a sound as a 16-bit WAV file."""
    samples = (tensor.reshape(-1).clamp(-1, 1) * 32767).to(torch.int16)
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sampling_rate)
        file.writeframes(samples.numpy().tobytes())


def collect_chunks(spans: list[Span], audio: Any) -> Any:
    """Return the spans of a recording, joined."""
    return torch.cat([audio[int(span["start"]) : int(span["end"])] for span in spans])


def get_speech_timestamps(
    audio: Any,
    model: Any,
    threshold: float = 0.5,
    sampling_rate: int = 16000,
    min_speech_duration_ms: int = 250,
    return_seconds: bool = False,
    **options: Any,
) -> list[Span]:
    """Return where speech starts and ends, in samples or in seconds."""
    audio = torch.as_tensor(audio, dtype=torch.float32).reshape(-1)
    seen = VADIterator(model, threshold, sampling_rate, **_own(options))
    window = WINDOWS[sampling_rate]
    spans: list[Span] = []
    # Silence is put after the end, for a span ends only when silence has lasted.
    silence = sampling_rate - (len(audio) + sampling_rate) % window
    for frame in torch.nn.functional.pad(audio, (0, silence)).reshape(-1, window):
        found = seen(frame) or {}
        if "start" in found:
            spans.append({"start": found["start"], "end": len(audio)})
        if "end" in found:
            spans[-1]["end"] = min(len(audio), found["end"])
    shortest = sampling_rate * min_speech_duration_ms / 1000
    kept = [span for span in spans if span["end"] - span["start"] >= shortest]
    if return_seconds:
        return [{key: round(at / sampling_rate, 1) for key, at in span.items()} for span in kept]
    return kept


def _own(options: dict[str, Any]) -> dict[str, Any]:
    known = ("min_silence_duration_ms", "speech_pad_ms")
    return {name: options[name] for name in known if name in options}


class VADIterator:
    """Told one window of sound after the other, says where speech starts and ends."""

    def __init__(
        self,
        model: Any,
        threshold: float = 0.5,
        sampling_rate: int = 16000,
        min_silence_duration_ms: int = 100,
        speech_pad_ms: int = 30,
    ) -> None:
        if sampling_rate not in WINDOWS:
            raise ValueError("sampling_rate must be 8000 or 16000")
        self.model = model
        self.threshold = threshold
        self.sampling_rate = sampling_rate
        self.gap = sampling_rate * min_silence_duration_ms // 1000
        self.pad = sampling_rate * speech_pad_ms // 1000
        self.reset_states()

    def reset_states(self) -> None:
        """Forget what was heard."""
        self.model.reset_states()
        self.speaking = False
        self.last = 0
        self.at = 0

    def __call__(self, window: Any, return_seconds: bool = False) -> Span | None:
        """Return a start or an end when this window brings one."""
        with torch.no_grad():
            probability = self.model(window, self.sampling_rate).item()
        self.at += len(window)
        if probability >= self.threshold:
            self.last = self.at
            if not self.speaking:
                self.speaking = True
                return self._told("start", max(0, self.at - len(window) - self.pad), return_seconds)
        elif self.speaking and self.at - self.last > self.gap:
            self.speaking = False
            return self._told("end", self.last + self.pad, return_seconds)
        return None

    def _told(self, what: str, at: int, in_seconds: bool) -> Span:
        return {what: round(at / self.sampling_rate, 1) if in_seconds else at}
'''

DATA = '"""The detector itself."""\n'
