"""The names and the shapes of the weights that Coqui's networks have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Shapes = Iterator[tuple[str, tuple[int, ...]]]

MELS = 80
# Widths that Tacotron 2 has in any configuration.
WIDE, PRENET, CELLS, ATTENTION = 512, 256, 1024, 128
# Widths that VITS has in any configuration.
PREDICTOR, REACH, TURNS = 256, 9, 4
# Of Glow-TTS how many channels are mixed at once, and widths of MelGAN and of its bands of sound.
SPLITS = 4
MELGAN, SOUND_BANDS, BAND_TAPS = 384, 4, 63


def tacotron2(letters: int, frames: Iterable[tuple[str, int]]) -> Shapes:
    """Tacotron 2; of each of its decoders the name and how many frames it makes at once."""
    yield "embedding.weight", (letters, WIDE)
    for at in range(3):
        yield from _convolution(f"encoder.convolutions.{at}", (WIDE, WIDE, 5))
    for way in ("l0", "l0_reverse"):
        yield from _cells("encoder.lstm", WIDE // 2, WIDE, f"_{way}")
    for name, count in frames:
        yield from _decoder(name, count * MELS)
    for at, (given, made) in enumerate(pairwise((MELS, *[WIDE] * 4, MELS))):
        yield from _convolution(f"postnet.convolutions.{at}", (made, given, 5))


def _convolution(name: str, shape: tuple[int, int, int]) -> Shapes:
    yield from _with_bias(f"{name}.convolution1d", shape)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.batch_normalization.{part}", shape[:1]
    yield f"{name}.batch_normalization.num_batches_tracked", ()


def _cells(name: str, count: int, given: int, end: str = "") -> Shapes:
    yield f"{name}.weight_ih{end}", (4 * count, given)
    yield f"{name}.weight_hh{end}", (4 * count, count)
    yield f"{name}.bias_ih{end}", (4 * count,)
    yield f"{name}.bias_hh{end}", (4 * count,)


def _decoder(name: str, made: int) -> Shapes:
    yield f"{name}.prenet.linear_layers.0.linear_layer.weight", (PRENET, MELS)
    yield f"{name}.prenet.linear_layers.1.linear_layer.weight", (PRENET, PRENET)
    yield from _cells(f"{name}.attention_rnn", CELLS, WIDE + PRENET)
    attention = f"{name}.attention"
    yield f"{attention}.query_layer.linear_layer.weight", (ATTENTION, CELLS)
    yield f"{attention}.inputs_layer.linear_layer.weight", (ATTENTION, WIDE)
    yield from _with_bias(f"{attention}.v.linear_layer", (1, ATTENTION))
    yield f"{attention}.location_layer.location_conv1d.weight", (32, 2, 31)
    yield f"{attention}.location_layer.location_dense.linear_layer.weight", (ATTENTION, 32)
    yield from _cells(f"{name}.decoder_rnn", CELLS, CELLS + WIDE)
    yield from _with_bias(f"{name}.linear_projection.linear_layer", (made, CELLS + WIDE))
    yield from _with_bias(f"{name}.stopnet.1.linear_layer", (1, CELLS + made))


def hifigan(
    given: int, first: int, kernels: Sequence[int], *, blocks: Sequence[str], prefix: str = ""
) -> Shapes:
    """A HiFi-GAN generator, whose channels halve each time that the sound is stretched.

    `blocks` are the names of the convolutions that one of its blocks has, each three wide.
    """
    # Within VITS the first and the last are plain.
    ends = _with_norm if not prefix else _plain
    yield from ends(f"{prefix}conv_pre", (first, given, 7))
    yield f"{prefix}conv_pre.bias", (first,)
    channels = first
    for at, kernel in enumerate(kernels):
        yield from _with_norm(f"{prefix}ups.{at}", (channels, channels // 2, kernel))
        channels //= 2
        yield f"{prefix}ups.{at}.bias", (channels,)
        for block in blocks:
            yield from _norm_and_bias(f"{prefix}resblocks.{at}.{block}", (channels, channels, 3))
    yield from ends(f"{prefix}conv_post", (1, channels, 7))
    if not prefix:
        yield f"{prefix}conv_post.bias", (1,)


def vits(letters: int, hidden: int, heads: int, bands: int) -> Shapes:
    """VITS with one layer in its text encoder, its posterior encoder and each turn of its flow."""
    inner = 2 * hidden
    yield "text_encoder.emb.weight", (letters, hidden)
    for part in "kv":
        name = f"text_encoder.encoder.attn_layers.0.emb_rel_{part}"
        yield name, (1, REACH, hidden // heads)
    yield from _transformer("text_encoder.encoder", hidden, (hidden,))
    yield from _with_bias("text_encoder.proj", (inner, hidden, 1))
    yield from _with_bias("posterior_encoder.pre", (hidden, bands, 1))
    yield from _wavenet("posterior_encoder.enc", hidden)
    yield from _with_bias("posterior_encoder.proj", (inner, hidden, 1))
    for at in range(TURNS):
        yield from _with_bias(f"flow.flows.{at}.pre", (hidden, hidden // 2, 1))
        yield from _wavenet(f"flow.flows.{at}.enc", hidden)
        yield from _with_bias(f"flow.flows.{at}.post", (hidden // 2, hidden, 1))
    yield from _predictor("duration_predictor", hidden, PREDICTOR)


def glow_tts(letters: int, hidden: int) -> Shapes:
    """Glow-TTS with one layer in its text encoder, and one turn in its flow."""
    yield "encoder.emb.weight", (letters, hidden)
    for at in range(3):
        yield from _with_bias(f"encoder.prenet.conv_layers.{at}", (hidden, hidden, 5))
        yield from _layer_norm(f"encoder.prenet.norm_layers.{at}", (1, hidden, 1))
    yield from _with_bias("encoder.prenet.proj", (hidden, hidden, 1))
    yield from _transformer("encoder.encoder", hidden, (1, hidden, 1))
    yield from _with_bias("encoder.proj_m", (MELS, hidden, 1))
    yield from _predictor("encoder.duration_predictor", hidden, hidden)
    # Two frames at a time go through the flow.
    yield "decoder.flows.0.logs", (1, 2 * MELS, 1)
    yield "decoder.flows.0.bias", (1, 2 * MELS, 1)
    yield "decoder.flows.1.weight", (SPLITS, SPLITS)
    yield from _norm_and_bias("decoder.flows.2.start", (hidden, MELS, 1))
    yield from _with_bias("decoder.flows.2.end", (2 * MELS, hidden, 1))
    yield from _wavenet("decoder.flows.2.wn", hidden)


def multiband_melgan(stretches: Iterable[int]) -> Shapes:
    """The generator of a multi-band MelGAN with one block after each stretch of the sound."""
    yield from _norm_and_bias("layers.1", (MELGAN, MELS, 7))
    channels, at = MELGAN, 3
    for stretch in stretches:
        made = channels // 2
        yield from _with_norm(f"layers.{at}", (channels, made, 2 * stretch))
        yield f"layers.{at}.bias", (made,)
        block = f"layers.{at + 1}"
        yield from _norm_and_bias(f"{block}.blocks.0.2", (made, made, 3))
        yield from _norm_and_bias(f"{block}.blocks.0.4", (made, made, 1))
        yield from _norm_and_bias(f"{block}.shortcuts.0", (made, made, 1))
        channels, at = made, at + 3
    yield from _norm_and_bias(f"layers.{at + 1}", (SOUND_BANDS, channels, 7))
    yield "pqmf_layer.H", (SOUND_BANDS, 1, BAND_TAPS)
    yield "pqmf_layer.G", (1, SOUND_BANDS, BAND_TAPS)
    yield "pqmf_layer.updown_filter", (SOUND_BANDS,) * 3


def _transformer(name: str, hidden: int, norm: tuple[int, ...]) -> Shapes:
    for part in "qkvo":
        yield from _with_bias(f"{name}.attn_layers.0.conv_{part}", (hidden, hidden, 1))
    yield from _with_bias(f"{name}.ffn_layers.0.conv_1", (2 * hidden, hidden, 3))
    yield from _with_bias(f"{name}.ffn_layers.0.conv_2", (hidden, 2 * hidden, 3))
    for at in (1, 2):
        yield from _layer_norm(f"{name}.norm_layers_{at}.0", norm)


def _predictor(name: str, given: int, inner: int) -> Shapes:
    """What says how long each letter is."""
    for at, channels in ((1, given), (2, inner)):
        yield from _with_bias(f"{name}.conv_{at}", (inner, channels, 3))
        yield from _layer_norm(f"{name}.norm_{at}", (1, inner, 1))
    yield from _with_bias(f"{name}.proj", (1, inner, 1))


def _layer_norm(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.gamma", shape
    yield f"{name}.beta", shape


def _wavenet(name: str, hidden: int) -> Shapes:
    for part, made, kernel in (("in_layers", 2 * hidden, 5), ("res_skip_layers", hidden, 1)):
        yield from _norm_and_bias(f"{name}.{part}.0", (made, hidden, kernel))


def _with_bias(name: str, shape: tuple[int, ...]) -> Shapes:
    yield from _plain(name, shape)
    yield f"{name}.bias", shape[:1]


def _plain(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.weight", shape


def _with_norm(name: str, shape: tuple[int, ...]) -> Shapes:
    """Weights kept as directions and lengths."""
    yield f"{name}.weight_g", (shape[0], 1, 1)
    yield f"{name}.weight_v", shape


def _norm_and_bias(name: str, shape: tuple[int, ...]) -> Shapes:
    yield from _with_norm(name, shape)
    yield f"{name}.bias", shape[:1]
