"""Folders shaped like Coqui's voices and vocoders: tiny weights, real file names."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

SEED = 20240607
RATE = 22050


@dataclass(frozen=True, slots=True)
class Voice:
    """One folder: the network its config names, and the shapes of a few of its weights."""

    folder: str
    config: Mapping[str, object]
    shapes: Mapping[str, tuple[int, ...]]


VOICES = (
    Voice(
        "tts_models--en--ljspeech--tacotron2-DDC",
        {"model": "Tacotron2", "double_decoder_consistency": True, "ddc_r": 6, "r": 2},
        {"embedding.weight": (129, 4), "decoder.linear_projection.weight": (160, 4)},
    ),
    Voice(
        "tts_models--en--ljspeech--glow-tts",
        {"model": "glow_tts", "hidden_channels_enc": 8, "use_encoder_prenet": True},
        {"encoder.emb.weight": (130, 4), "decoder.flows.0.logs": (1, 160, 1)},
    ),
    Voice(
        "tts_models--en--ljspeech--vits",
        {"model": "vits", "model_args": {"num_chars": 130, "hidden_channels": 8}},
        {"text_encoder.emb.weight": (130, 4), "waveform_decoder.conv_post.weight": (1, 8, 7)},
    ),
    Voice(
        "vocoder_models--en--ljspeech--hifigan_v2",
        {"generator_model": "hifigan_generator", "discriminator_model": "hifigan_discriminator"},
        {"conv_pre.weight_v": (8, 80, 7), "conv_post.weight_v": (1, 8, 7)},
    ),
    Voice(
        "vocoder_models--en--ljspeech--multiband-melgan",
        {"generator_model": "multiband_melgan_generator", "discriminator_model": "melgan"},
        {"layers.1.weight_v": (8, 80, 7), "layers.16.weight_v": (4, 8, 7)},
    ),
)


def build_coqui(folder: Path) -> None:
    """Write every folder."""
    for voice in VOICES:
        own = folder / voice.folder
        own.mkdir(parents=True, exist_ok=True)
        text = json.dumps(config(voice), indent=2)
        (own / "config.json").write_bytes(f"{text}\n".encode())
        (own / "model_file.pth").write_bytes(weights(voice))


def config(voice: Voice) -> Mapping[str, object]:
    """Return a folder's config.json."""
    # The config of a vocoder has a model too: it is the generator.
    named = {"model": voice.config.get("generator_model"), **voice.config}
    audio = {"sample_rate": RATE, "num_mels": 80, "fft_size": 1024, "hop_length": 256}
    return {**named, "run_name": "demonstration", "audio": {**audio, "win_length": 1024}}


def weights(voice: Voice) -> bytes:
    """Return a folder's weights, saved by torch."""
    torch = import_module("torch")
    chance = torch.Generator().manual_seed(SEED)
    state = {
        name: torch.randn(shape, generator=chance).half() for name, shape in voice.shapes.items()
    }
    # Saved through a buffer: given a path, torch writes the file's name into the archive.
    buffer = io.BytesIO()
    torch.save({"model": state, "config": dict(config(voice)), "step": 1}, buffer)
    return buffer.getvalue()
