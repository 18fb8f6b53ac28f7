"""Coqui's voices and vocoders: networks of the library's own kinds in very small files."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from modelset.demo.making import coqui_shapes as shapes
from modelset.demo.making.weaver import Weaver

SEED = 20240607
RATE = 22050

# One row of random numbers is the source of all weights; the tallest tensor has 4096 rows of 1536.
ROW, STEP = 10240, 2

# The letters, and four signs: nothing, the begin, the end, and between two letters.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
POINTS = "!'(),-.:;? "
SIGNS = {"pad": "<PAD>", "eos": "<EOS>", "bos": "<BOS>", "blank": "<BLNK>"}
KNOWN = len(LETTERS) + len(POINTS) + len(SIGNS)

# Frames of Tacotron 2 made at once, and how often: with nothing learned it would never end.
AT_ONCE, COARSE, STEPS = 2, 6, 43
# Frames of every letter in the other voices.
LONG = 3.0

HIDDEN, HEADS, BANDS = 8, 2, 513
KERNELS = (16, 16, 4, 4)
FIRST = 32
STRETCHES = (8, 4, 2)

_TEXT = {
    "use_phonemes": False,
    "text_cleaner": "english_cleaners",
    "characters": {**SIGNS, "characters": LETTERS, "punctuations": POINTS, "phonemes": None},
}
_HIFIGAN = {
    "upsample_factors": [8, 8, 2, 2],
    "upsample_kernel_sizes": list(KERNELS),
    "upsample_initial_channel": FIRST,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "resblock_type": "1",
}
_VITS = {
    "num_chars": KNOWN,
    "out_channels": BANDS,
    "hidden_channels": HIDDEN,
    "hidden_channels_ffn_text_encoder": 2 * HIDDEN,
    "num_heads_text_encoder": HEADS,
    "num_layers_text_encoder": 1,
    "num_layers_posterior_encoder": 1,
    "num_layers_flow": 1,
    "upsample_kernel_sizes_decoder": list(KERNELS),
    "upsample_initial_channel_decoder": FIRST,
    "resblock_type_decoder": "2",
    "resblock_kernel_sizes_decoder": [3],
    "resblock_dilation_sizes_decoder": [[1, 3, 5]],
    "use_sdp": False,
    "init_discriminator": False,
}
_GLOW = {
    "hidden_channels_enc": HIDDEN,
    "hidden_channels_dec": HIDDEN,
    "hidden_channels_dp": HIDDEN,
    "num_flow_blocks_dec": 1,
    "num_block_layers": 1,
    "use_encoder_prenet": True,
    "encoder_type": "rel_pos_transformer",
    "encoder_params": {
        "kernel_size": 3,
        "dropout_p": 0.1,
        "num_layers": 1,
        "num_heads": HEADS,
        "hidden_channels_ffn": 2 * HIDDEN,
    },
}
_TACOTRON = {
    "r": AT_ONCE,
    "double_decoder_consistency": True,
    "ddc_r": COARSE,
    "max_decoder_steps": STEPS,
    "num_chars": KNOWN,
    "out_channels": shapes.MELS,
    "decoder_output_dim": shapes.MELS,
}


@dataclass(frozen=True, slots=True)
class Voice:
    """One folder: what its config says, the shapes of its weights, and how large those are."""

    folder: str
    config: Mapping[str, object]
    shapes: Callable[[], shapes.Shapes]
    spread: float
    more: Mapping[str, object] = field(default_factory=dict)


def _tacotron_shapes() -> shapes.Shapes:
    return shapes.tacotron2(KNOWN, (("decoder", AT_ONCE), ("coarse_decoder", COARSE)))


def _vits_shapes() -> shapes.Shapes:
    blocks = ("convs.0", "convs.1")
    sound = shapes.hifigan(HIDDEN, FIRST, KERNELS, blocks=blocks, prefix="waveform_decoder.")
    return chain(shapes.vits(KNOWN, HIDDEN, HEADS, BANDS), sound)


def _hifigan_shapes() -> shapes.Shapes:
    blocks = [f"convs{part}.{at}" for part in (1, 2) for at in range(3)]
    return shapes.hifigan(shapes.MELS, FIRST, KERNELS, blocks=blocks)


# A checkpoint that has a place for the judge of the sound is read as that of a generator alone.
_ALONE: Mapping[str, object] = {"model_disc": {}}
VOICES = (
    Voice(
        "tts_models--en--ljspeech--tacotron2-DDC",
        {"model": "Tacotron2", **_TEXT, **_TACOTRON},
        _tacotron_shapes,
        0.03,
    ),
    Voice(
        "tts_models--en--ljspeech--glow-tts",
        {"model": "glow_tts", **_TEXT, "num_chars": KNOWN, **_GLOW},
        lambda: shapes.glow_tts(KNOWN, HIDDEN),
        0.3,
    ),
    Voice(
        "tts_models--en--ljspeech--vits",
        {"model": "vits", **_TEXT, "model_args": _VITS},
        _vits_shapes,
        0.3,
    ),
    Voice(
        "vocoder_models--en--ljspeech--hifigan_v2",
        {
            "generator_model": "hifigan_generator",
            "discriminator_model": "hifigan_discriminator",
            "generator_model_params": _HIFIGAN,
        },
        _hifigan_shapes,
        0.3,
        _ALONE,
    ),
    Voice(
        "vocoder_models--en--ljspeech--multiband-melgan",
        {
            "generator_model": "multiband_melgan_generator",
            "discriminator_model": "melgan_multiscale_discriminator",
            "generator_model_params": {"upsample_factors": list(STRETCHES), "num_res_blocks": 1},
        },
        lambda: shapes.multiband_melgan(STRETCHES),
        0.3,
        _ALONE,
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
    audio = {"sample_rate": RATE, "num_mels": shapes.MELS, "fft_size": 1024, "hop_length": 256}
    return {**named, "run_name": "demonstration", "audio": {**audio, "win_length": 1024}}


def weights(voice: Voice) -> bytes:
    """Return a folder's weights, saved by torch."""
    torch = import_module("torch")
    chance = torch.Generator().manual_seed(SEED)
    weaver = Weaver((torch.randn(ROW, generator=chance) * voice.spread).half(), STEP)
    state = {name: _tensor(weaver, voice, name, shape) for name, shape in voice.shapes()}
    # Saved through a buffer: given a path, torch writes the file's name into the archive.
    buffer = io.BytesIO()
    document = {"model": state, "config": dict(config(voice)), "step": 1, **voice.more}
    torch.save(document, buffer)
    return buffer.getvalue()


def _tensor(weaver: Weaver, voice: Voice, name: str, shape: tuple[int, ...]) -> Any:
    torch = import_module("torch")
    if not shape:
        return torch.tensor(0)
    if name.startswith("pqmf_layer."):
        return _bands(name.rpartition(".")[2], shape)
    if name == "decoder.flows.1.weight":
        return torch.eye(shape[0])  # the flow is turned around, which this one can be
    fixed = _fixed(name)
    if fixed is not None:
        return weaver.filled(fixed, *shape)
    return weaver.woven(*shape)


def _fixed(name: str) -> float | None:
    """The number of which a tensor consists, where it is not of random ones."""
    if name.endswith("stopnet.1.linear_layer.bias"):
        return -10.0
    if name.endswith("duration_predictor.proj.bias"):
        return math.log(LONG)
    still = ("stopnet.1.linear_layer.weight", "duration_predictor.proj.weight")
    if name.endswith((*still, "flows.2.end.weight", ".bias", ".beta", ".running_mean", ".logs")):
        return 0.0
    ones = (".gamma", ".weight_g", ".running_var", ".batch_normalization.weight")
    return 1.0 if name.endswith(ones) else None


def _bands(name: str, shape: tuple[int, ...]) -> Any:
    """Filters that split sound into bands, and put it together again."""
    torch = import_module("torch")
    count = shapes.SOUND_BANDS
    if name == "updown_filter":
        steps = torch.zeros(shape)
        for band in range(count):
            steps[band, band, 0] = 1.0
        return steps
    times = torch.arange(shapes.BAND_TAPS) - shapes.BAND_TAPS // 2
    window = torch.hann_window(shapes.BAND_TAPS, periodic=False) / shapes.BAND_TAPS
    pitch = (2 * torch.arange(count)[:, None] + 1) * math.pi / (2 * count)
    return (2 * torch.cos(pitch * times) * window).reshape(shape)
