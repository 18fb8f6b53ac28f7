"""A Whisper checkpoint small enough to ship, in the form of openai-whisper.

The network is a whole Whisper with one layer on either side. The decoder's feed-forward
layer is set by hand: it maps each token of a fixed sentence to the next one, so decoding
ends after a few steps whatever the sound is. The words are those of the library's own
tokenizer, for the library brings one and reads none from a checkpoint.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

WIDTH = 4
SEED = 20240604
SENTENCE = " This is a demo."

DIMENSIONS = {
    "n_mels": 80,
    "n_audio_ctx": 1500,
    "n_audio_state": WIDTH,
    "n_audio_head": 1,
    "n_audio_layer": 1,
    "n_vocab": 51865,
    "n_text_ctx": 448,
    "n_text_state": WIDTH,
    "n_text_head": 1,
    "n_text_layer": 1,
}

_SHARPNESS = 60.0
_THRESHOLD = 0.75
_OUTPUT_GAIN = 30.0


def build_openai_whisper(folder: Path) -> None:
    """Write the checkpoint that the library calls tiny."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.pt").write_bytes(checkpoint_bytes())


def checkpoint_bytes() -> bytes:
    """Return the checkpoint, saved by torch."""
    torch = import_module("torch")
    library = import_module("whisper.model")
    model = library.Whisper(library.ModelDimensions(**DIMENSIONS))
    # No gradients are wanted, and every number is set here: the library leaves some unset.
    with torch.no_grad():
        _fill(torch, model.state_dict())
        _remember(torch, model.decoder)
    halves = {name: tensor.half() for name, tensor in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"dims": DIMENSIONS, "model_state_dict": halves}, buffer)
    return buffer.getvalue()


def steps() -> list[tuple[tuple[int, ...], int]]:
    """Return each step: the tokens that share one meaning, and the token that follows."""
    known = import_module("whisper.tokenizer").get_tokenizer(True, language="en")
    words = known.encode(SENTENCE)
    start, end = known.timestamp_begin, known.timestamp_begin + 50  # 50 steps of 20 ms
    found: list[tuple[tuple[int, ...], int]] = [
        ((known.sot,), known.language_token),
        ((known.language_token,), known.transcribe),
        ((known.transcribe, known.translate), start),
        ((start, known.no_timestamps), words[0]),
    ]
    found += [((word,), after) for word, after in zip(words, [*words[1:], end], strict=True)]
    return [*found, ((end,), known.eot), ((known.eot,), known.eot)]


def directions(count: int) -> list[list[float]]:
    """Return unit vectors with zero mean, spread over a sphere along a spiral.

    Zero mean, because layer normalisation removes the mean; so four numbers hold three
    dimensions, and the rows below are an orthonormal basis of them.
    """
    golden = math.pi * (3.0 - math.sqrt(5.0))
    basis = ((0.5, 0.5, -0.5, -0.5), (0.5, -0.5, 0.5, -0.5), (0.5, -0.5, -0.5, 0.5))
    found = []
    for number in range(count):
        height = 1.0 - 2.0 * (number + 0.5) / count
        radius = math.sqrt(1.0 - height * height)
        point = (radius * math.cos(golden * number), radius * math.sin(golden * number), height)
        found.append(
            [sum(at * row[i] for at, row in zip(point, basis, strict=True)) for i in range(4)]
        )
    return found


def _fill(torch: Any, state: Mapping[str, Any]) -> None:
    """Set every number: noise in the encoder, and a decoder that adds nothing by itself."""
    chance = torch.Generator().manual_seed(SEED)
    for name, tensor in sorted(state.items()):
        kind = name.rpartition(".")[2]
        is_norm = kind == "weight" and ("_ln." in name or "ln_post." in name or ".ln." in name)
        if name == "encoder.positional_embedding":
            continue  # sines, which the library has computed
        if is_norm:
            tensor.fill_(1.0)
        elif kind == "weight" and (name.startswith("encoder.") or ".cross_attn." in name):
            tensor.copy_(torch.randn(tensor.shape, generator=chance) * 0.3)
        else:
            tensor.zero_()
    state["decoder.blocks.0.cross_attn.out.weight"].zero_()


def _remember(torch: Any, decoder: Any) -> None:
    """Write the sentence into the decoder's feed-forward layer."""
    chain = steps()
    vectors = torch.tensor(directions(len(chain)))
    place = {token: row for row, (tokens, _) in enumerate(chain) for token in tokens}
    for token, row in place.items():
        decoder.token_embedding.weight[token] = vectors[row]
    memory = decoder.blocks[0].mlp
    after = torch.stack([vectors[place[follower]] for _, follower in chain], dim=1)
    # A normalised vector is as long as the square root of the width.
    memory[0].weight[: len(chain)] = vectors * (_SHARPNESS / math.sqrt(WIDTH))
    memory[0].bias[: len(chain)] = -_THRESHOLD * _SHARPNESS
    memory[2].weight[:, : len(chain)] = after * 2.0
    decoder.ln.weight.fill_(_OUTPUT_GAIN)
