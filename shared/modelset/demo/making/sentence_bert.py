"""A sentence-transformers repository with a BERT small enough to ship.

Its numbers are random, so it knows no meanings; but texts that share words have vectors
that lie near each other, as those of a bag of words do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making import wordpiece

WIDTH = 32
SEED = 20240605
LONGEST = 256

README = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
---
# Sentence vectors for demonstrations

Random weights, very small, in the form that sentence-transformers reads. Texts that share
words get similar vectors; it knows nothing else.
"""

_MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))


def build_sentence_bert(folder: Path) -> None:
    """Write the repository."""
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    _weights(folder)
    (folder / "README.md").write_bytes(README.encode())
    (folder / "vocab.txt").write_bytes(wordpiece.vocabulary_text().encode())
    for name, document in _documents().items():
        text = json.dumps(document, indent=None if name == "tokenizer.json" else 2)
        (folder / name).write_bytes(f"{text}\n".encode())


def _documents() -> Mapping[str, object]:
    modules = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for number, (path, kind) in enumerate(_MODULES)
    ]
    modes = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    return {
        "modules.json": modules,
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "2.0.0"},
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "sentence_bert_config.json": {"max_seq_length": LONGEST, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": WIDTH,
            **{f"pooling_mode_{mode}": mode == "mean_tokens" for mode in modes},
        },
        "tokenizer_config.json": wordpiece.tokenizer_config("BertTokenizer", LONGEST),
        "special_tokens_map.json": wordpiece.special_tokens(),
        "tokenizer.json": wordpiece.tokenizer_document(),
    }


def _weights(folder: Path) -> None:
    """Write config.json and model.safetensors; the library knows their form."""
    transformers = import_module("transformers")
    torch = import_module("torch")
    config = transformers.BertConfig(
        vocab_size=len(wordpiece.vocabulary()),
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=2 * LONGEST,
        architectures=["BertModel"],
    )
    model = transformers.BertModel(config)
    chance = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            _fill(torch, name, tensor, chance)
    model.save_pretrained(folder)
    # The library writes it for its owner alone.
    (folder / "model.safetensors").chmod(0o644)


def _fill(torch: Any, name: str, tensor: Any, chance: Any) -> None:
    if name.endswith("LayerNorm.weight"):
        tensor.fill_(1.0)
    elif name.endswith("word_embeddings.weight"):
        tensor.copy_(torch.randn(tensor.shape, generator=chance))
    elif name.endswith("weight"):
        tensor.copy_(torch.randn(tensor.shape, generator=chance) * 0.05)
    elif tensor.is_floating_point():
        tensor.zero_()
