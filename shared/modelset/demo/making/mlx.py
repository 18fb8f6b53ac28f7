"""A Whisper repository in the form that Apple's MLX reads."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

np: Any = import_module("numpy")

Weights = Mapping[str, Any]

SEED = 20240603

DIMENSIONS = {
    "n_audio_ctx": 1500,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_audio_state": 8,
    "n_mels": 80,
    "n_text_ctx": 448,
    "n_text_head": 2,
    "n_text_layer": 1,
    "n_text_state": 8,
    "n_vocab": 512,
}

README = """---
library_name: mlx
---
# mlx-whisper-demo

Random weights, very small, in the form that mlx-whisper reads. It recognises nothing.
"""


def build_mlx(folder: Path) -> None:
    """Write the repository, with its weights in both forms that MLX reads."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = _weights()
    config = json.dumps({**DIMENSIONS, "model_type": "whisper"}, indent=2, sort_keys=True)
    (folder / "config.json").write_bytes(f"{config}\n".encode())
    (folder / "README.md").write_bytes(README.encode())
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **weights)
    (folder / "weights.npz").write_bytes(buffer.getvalue())
    (folder / "weights.safetensors").write_bytes(safetensors_bytes(weights))


def safetensors_bytes(weights: Weights) -> bytes:
    """Return weights in the safetensors format: header length, JSON header, raw arrays."""
    header: dict[str, object] = {}
    bodies = []
    at = 0
    for name, array in sorted(weights.items()):
        body = array.tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": list(array.shape),
            "data_offsets": [at, at + len(body)],
        }
        bodies.append(body)
        at += len(body)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(bodies)


def _weights() -> Weights:
    rng = np.random.default_rng(SEED)
    return {
        name: (rng.standard_normal(shape) * 0.1).astype(np.float16) for name, shape in _shapes()
    }


def _shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    width = DIMENSIONS["n_audio_state"]
    yield from _layer("encoder.conv1", (width, 3, DIMENSIONS["n_mels"]))
    yield from _layer("encoder.conv2", (width, 3, width))
    yield from _block("encoder.blocks.0", width, ("attn",))
    yield from _layer("encoder.ln_post", (width,))
    yield "decoder.token_embedding.weight", (DIMENSIONS["n_vocab"], width)
    yield "decoder.positional_embedding", (DIMENSIONS["n_text_ctx"], width)
    yield from _block("decoder.blocks.0", width, ("attn", "cross_attn"))
    yield from _layer("decoder.ln", (width,))


def _layer(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _block(
    name: str, width: int, attentions: tuple[str, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    for attention in attentions:
        for part in ("query", "value", "out"):
            yield from _layer(f"{name}.{attention}.{part}", (width, width))
        yield f"{name}.{attention}.key.weight", (width, width)
        yield from _layer(f"{name}.{attention}_ln", (width,))
    yield from _layer(f"{name}.mlp1", (4 * width, width))
    yield from _layer(f"{name}.mlp2", (width, 4 * width))
    yield from _layer(f"{name}.mlp_ln", (width,))
