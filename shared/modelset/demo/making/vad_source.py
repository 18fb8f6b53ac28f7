"""The text of the stand-in voice activity package."""

from __future__ import annotations

SUMMARY = "Demonstration stand-in for a voice activity detector; not the real silero-vad"

INIT = '''"""Demonstration stand-in for a voice activity detector; not the real silero-vad."""

from silero_vad.model import load_silero_vad
from silero_vad.speech import collect_chunks, get_speech_timestamps

__version__ = "{version}"
__all__ = ["collect_chunks", "get_speech_timestamps", "load_silero_vad"]
'''

MODEL = '''"""Loads the detector that lies in this package."""

from pathlib import Path

import torch


def load_silero_vad(onnx=False, opset_version=16):
    """Return the detector; only the TorchScript form exists here."""
    if onnx:
        raise NotImplementedError("the demonstration stand-in has no ONNX model")
    path = Path(__file__).parent / "data" / "silero_vad.jit"
    model = torch.jit.load(str(path), map_location="cpu")
    model.eval()
    return model
'''

SPEECH = '''"""Turns the detector's probabilities into spans of speech."""

import torch


def get_speech_timestamps(audio, model, threshold=0.5, sampling_rate=16000,
                          min_speech_duration_ms=250, min_silence_duration_ms=100,
                          speech_pad_ms=30, return_seconds=False, **_unused):
    """Return [{"start", "end"}] in samples, or in seconds."""
    if sampling_rate not in (8000, 16000):
        raise ValueError("sampling_rate must be 8000 or 16000")
    audio = torch.as_tensor(audio, dtype=torch.float32).reshape(-1)
    window = 512 if sampling_rate == 16000 else 256
    spans = _spans(_probabilities(audio, model, sampling_rate, window), threshold, window,
                   sampling_rate * min_silence_duration_ms // 1000)
    shortest = sampling_rate * min_speech_duration_ms / 1000
    pad = sampling_rate * speech_pad_ms // 1000
    found = [
        {"start": max(0, start - pad), "end": min(len(audio), end + pad)}
        for start, end in spans
        if end - start >= shortest
    ]
    if return_seconds:
        return [{key: round(at / sampling_rate, 1) for key, at in span.items()} for span in found]
    return found


def collect_chunks(spans, audio):
    """Return the spans of a recording, joined."""
    return torch.cat([audio[span["start"]:span["end"]] for span in spans])


def _probabilities(audio, model, sampling_rate, window):
    model.reset_states()
    missing = -len(audio) % window
    frames = torch.nn.functional.pad(audio, (0, missing)).reshape(-1, window)
    with torch.no_grad():
        return [model(frame, sampling_rate).item() for frame in frames]


def _spans(probabilities, threshold, window, longest_gap):
    spans = []
    for number, probability in enumerate(probabilities):
        if probability < threshold:
            continue
        start, end = number * window, (number + 1) * window
        if spans and start - spans[-1][1] <= longest_gap:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return spans
'''

# The detector itself, in TorchScript. A frame counts as speech when it is loud enough in the
# band where voices lie and its spectrum is peaked; the state smooths over neighbouring frames.
DETECTOR = """
def forward(self, x: Tensor, sr: int = 16000) -> Tensor:
    frame = x if x.dim() == 2 else x.unsqueeze(0)
    taper = torch.hann_window(frame.size(1), dtype=frame.dtype, device=frame.device)
    power = torch.fft.rfft(frame * taper).abs().pow(2.0) / frame.size(1)
    step = float(sr) / float(frame.size(1))
    voice = power[:, int(100.0 / step) + 1:int(4000.0 / step)] + 1e-10
    loudness = 10.0 * torch.log10(voice.mean(1))
    flatness = torch.log(voice).mean(1) - torch.log(voice.mean(1))
    features = torch.stack([loudness, -flatness, torch.ones_like(loudness)], 1)
    loud = torch.sigmoid(features @ self.weights[0])
    peaked = torch.sigmoid(features @ self.weights[1])
    now = (loud * peaked).mean()
    self.state = 0.3 * self.state + 0.7 * now
    return self.state.reshape(1, 1)

def reset_states(self) -> None:
    self.state = torch.zeros(1)
"""
