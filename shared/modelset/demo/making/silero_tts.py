"""A Silero speech package small enough to ship: it whistles, one tone for each letter."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

# The class is looked up by this name when the package is loaded.
MODULE = "demo_voice"

SOURCE = '''"""A demonstration voice: it whistles, one tone for each letter."""

import torch

RATES = (8000, 24000, 48000)


class DemoVoice(torch.nn.Module):
    """Turns text into sound."""

    def __init__(self, speakers):
        super().__init__()
        self.speakers = list(speakers)
        pitches = [110.0 + 40.0 * at for at in range(len(self.speakers))]
        self.register_buffer("pitches", torch.tensor(pitches))

    @torch.no_grad()
    def apply_tts(self, text=None, ssml_text=None, speaker=None, sample_rate=48000,
                  put_accent=True, put_yo=True):
        """Return the sound of a text as one row of numbers from -1 to 1."""
        text = text or ssml_text
        if not text:
            raise ValueError("there is no text to say")
        if sample_rate not in RATES:
            raise ValueError(f"sample_rate must be one of {RATES}")
        speaker = speaker or self.speakers[0]
        if speaker not in self.speakers:
            raise ValueError(f"speaker must be one of {self.speakers}")
        pitch = self.pitches[self.speakers.index(speaker)]
        letters = text.lower()
        steps = torch.tensor([float(ord(letter) % 24) for letter in letters])
        loud = torch.tensor([0.5 if letter.isalnum() else 0.0 for letter in letters])
        time = torch.arange(sample_rate // 16, dtype=torch.float32) / sample_rate
        tones = pitch * 2.0 ** (steps / 12)
        waves = torch.sin(2 * torch.pi * tones[:, None] * time) * loud[:, None]
        return waves.reshape(-1)

    def save_wav(self, audio_path="test.wav", **said):
        """Write the sound of a text as a 16-bit WAV file; return the file's path."""
        import wave

        sound = (self.apply_tts(**said) * 32767).to(torch.int16)
        with wave.open(audio_path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(said.get("sample_rate", 48000))
            file.writeframes(sound.numpy().tobytes())
        return audio_path
'''

SPEAKERS = ("aidar", "baya", "kseniya", "xenia", "eugene", "random")


def build_silero_tts(folder: Path) -> None:
    """Write the package."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "v4_ru.pt").write_bytes(package_bytes())


def package_bytes() -> bytes:
    """Return the package, written by torch: the source of the voice, and the voice."""
    package = import_module("torch.package")
    buffer = io.BytesIO()
    with _voice_module() as module, package.PackageExporter(buffer) as exporter:
        exporter.extern(["torch", "torch.**"])
        exporter.save_source_string(MODULE, SOURCE)
        with warnings.catch_warnings():
            # torch's own packager uses what torch calls outdated.
            warnings.filterwarnings("ignore", "TypedStorage is deprecated")
            exporter.save_pickle("tts_models", "model", module.DemoVoice(SPEAKERS))
    return buffer.getvalue()


@contextmanager
def _voice_module() -> Iterator[ModuleType]:
    """Give the source as a module that can be imported by its name, for a moment."""
    module = ModuleType(MODULE)
    exec(compile(SOURCE, MODULE, "exec"), module.__dict__)  # noqa: S102 - our own text
    sys.modules[MODULE] = module
    try:
        yield module
    finally:
        del sys.modules[MODULE]
