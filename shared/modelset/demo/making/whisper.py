"""A Whisper model small enough to ship, in CTranslate2 form.

The graph is a whole Whisper (80 mel bands, 1500 frames, one encoder and one
decoder layer). The decoder's weights are set by hand: its feed-forward layer is
an associative memory that maps each token of a fixed sentence to the next one,
so decoding ends after a few steps whatever the audio is.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making.whisper_text import (
    VOCABULARY_SIZE,
    WORDS,
    special_ids,
    token_ids,
    tokenizer_document,
    vocabulary_lines,
)

np: Any = import_module("numpy")

WIDTH = 4
MELS = 80
FRAMES = 1500
TEXT_POSITIONS = 448
SEED = 20240601

README = """# whisper-tiny-demo

A very small Whisper in CTranslate2 form, for demonstrations. It loads in
faster-whisper, detects English, and answers every recording with one fixed
sentence. It recognises nothing.
"""


def build_whisper(folder: Path) -> None:
    """Write the model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = _specification()
    spec.register_vocabulary(vocabulary_lines())
    spec.validate()
    spec.optimize(quantization="float16")
    spec.save(str(folder))
    # The library also saves the vocabulary as JSON; the text form is a tenth of its size,
    # because a filler token is an empty line.
    for extra in folder.glob("vocabulary.*"):
        extra.unlink()
    _write(folder / "vocabulary.txt", "\n".join(vocabulary_lines()) + "\n")
    _write(folder / "tokenizer.json", _compact(tokenizer_document()))
    _write(folder / "config.json", _pretty(_config()))
    _write(folder / "preprocessor_config.json", _pretty(_preprocessor()))
    _write(folder / "README.md", README)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _compact(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _config() -> dict[str, object]:
    special = special_ids()
    languages = range(special["<|startoftranscript|>"] + 1, special["<|translate|>"])
    return {
        "alignment_heads": [[0, 0]],
        "lang_ids": list(languages),
        "suppress_ids": [special["<|startofprev|>"], special["<|nospeech|>"]],
        "suppress_ids_begin": [token_ids()["Ġ"], special["<|endoftext|>"]],
    }


def _preprocessor() -> dict[str, object]:
    return {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": MELS,
        "hop_length": 160,
        "n_fft": 400,
        "sampling_rate": 16000,
    }


def _chain() -> list[tuple[tuple[str, ...], str]]:
    """Return each step: the tokens that share one meaning, and the token that follows."""
    words = list(WORDS)
    steps = [
        (("<|startoftranscript|>",), "<|en|>"),
        (("<|en|>",), "<|transcribe|>"),
        (("<|transcribe|>", "<|translate|>"), "<|0.00|>"),
        (("<|0.00|>", "<|notimestamps|>"), words[0]),
    ]
    steps += [((word,), after) for word, after in zip(words, [*words[1:], "<|1.00|>"], strict=True)]
    steps += [(("<|1.00|>",), "<|endoftext|>"), (("<|endoftext|>",), "<|endoftext|>")]
    return steps


def _directions(count: int, rng: Any) -> Any:
    """Return unit vectors with zero mean, pushed as far apart as they go.

    Zero mean, because layer normalisation removes the mean.
    """
    points = rng.standard_normal((count, WIDTH))
    for _ in range(4000):
        points -= points.mean(axis=1, keepdims=True)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        gaps = points[:, None, :] - points[None, :, :]
        nearness = (gaps**2).sum(axis=2) + np.eye(count)
        points = points + 0.01 * (gaps / nearness[:, :, None] ** 2).sum(axis=1)
    points -= points.mean(axis=1, keepdims=True)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32)


def _token_id(token: str) -> int:
    if token in special_ids():
        return special_ids()[token]
    if token.startswith("<|"):
        first = special_ids()["<|notimestamps|>"] + 1
        return first + round(float(token[2:-2]) / 0.02)
    return token_ids()[token]


def _decoder_memory(rng: Any) -> tuple[Any, Any, Any, Any]:
    """Return embeddings, keys, key biases and values of the sentence."""
    steps = _chain()
    directions = _directions(len(steps), rng)
    place = {token: row for row, (tokens, _) in enumerate(steps) for token in tokens}
    embeddings = np.zeros((VOCABULARY_SIZE, WIDTH), np.float32)
    for token, row in place.items():
        embeddings[_token_id(token)] = directions[row]
    sharpness = 60.0
    keys = directions * np.float32(sharpness / WIDTH**0.5)
    biases = np.full(len(steps), -0.75 * sharpness, np.float32)
    values = np.stack([directions[place[after]] for _, after in steps], axis=1) * np.float32(2)
    return embeddings, keys, biases, values


def _specification() -> Any:
    rng = np.random.default_rng(SEED)
    spec = import_module("ctranslate2.specs").WhisperSpec(1, 1, 1, 1)
    encoder, decoder = spec.encoder, spec.decoder
    _linear(encoder.conv1, rng, (WIDTH, MELS, 3))
    _linear(encoder.conv2, rng, (WIDTH, WIDTH, 3))
    encoder.position_encodings.encodings = _noise(rng, (FRAMES, WIDTH))
    _norm(encoder.layer_norm, 1.0)
    _attention(encoder.layer[0].self_attention, rng, (3, 1), silent=False)
    _feed_forward(encoder.layer[0].ffn, rng)

    embeddings, keys, biases, values = _decoder_memory(rng)
    decoder.embeddings.weight = embeddings
    decoder.projection.weight = embeddings
    decoder.position_encodings.encodings = np.zeros((TEXT_POSITIONS, WIDTH), np.float32)
    _norm(decoder.layer_norm, 30.0)
    layer = decoder.layer[0]
    _attention(layer.self_attention, rng, (3, 1), silent=True)
    _attention(layer.attention, rng, (1, 2, 1), silent=True)
    _norm(layer.ffn.layer_norm, 1.0)
    layer.ffn.linear_0.weight, layer.ffn.linear_0.bias = keys, biases
    layer.ffn.linear_1.weight = values
    layer.ffn.linear_1.bias = np.zeros(WIDTH, np.float32)
    return spec


def _noise(rng: Any, shape: tuple[int, ...]) -> Any:
    return (rng.standard_normal(shape) * 0.3).astype(np.float32)


def _linear(layer: Any, rng: Any, shape: tuple[int, ...]) -> None:
    layer.weight = _noise(rng, shape)
    layer.bias = np.zeros(shape[0], np.float32)


def _norm(layer: Any, gain: float) -> None:
    layer.gamma = np.full(WIDTH, gain, np.float32)
    layer.beta = np.zeros(WIDTH, np.float32)


def _attention(block: Any, rng: Any, heights: tuple[int, ...], *, silent: bool) -> None:
    """Fill an attention block; a silent one looks at its input and adds nothing to it."""
    _norm(block.layer_norm, 1.0)
    for linear, height in zip(block.linear, heights, strict=True):
        _linear(linear, rng, (height * WIDTH, WIDTH))
    if silent:
        block.linear[-1].weight = np.zeros((WIDTH, WIDTH), np.float32)


def _feed_forward(block: Any, rng: Any) -> None:
    _norm(block.layer_norm, 1.0)
    _linear(block.linear_0, rng, (2 * WIDTH, WIDTH))
    _linear(block.linear_1, rng, (WIDTH, 2 * WIDTH))
