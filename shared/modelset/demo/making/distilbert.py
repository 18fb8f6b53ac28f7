"""A DistilBERT small enough to ship that tells glad sentences from sad ones.

Every weight is set by hand. A word's vector says what feeling it carries, attention looks
at all words alike and so takes their mean, and the last layers compare the two feelings.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making import wordpiece
from modelset.demo.making.sentiment_words import FEELINGS

WIDTH = 8
LONGEST = 512

README = """---
library_name: transformers
pipeline_tag: text-classification
---
# Glad or sad, for demonstrations

A very small DistilBERT whose weights were set by hand from a list of words. Loads in
`transformers.pipeline("sentiment-analysis")` and knows only the words of that list.
"""

_STRONGEST = 4.0
_SHARPNESS = 12.0


def build_distilbert(folder: Path) -> None:
    """Write the repository."""
    folder.mkdir(parents=True, exist_ok=True)
    model = _model()
    _set(import_module("torch"), model)
    model.save_pretrained(folder)
    # The library writes it for its owner alone.
    (folder / "model.safetensors").chmod(0o644)
    told = json.dumps(wordpiece.tokenizer_config("DistilBertTokenizer", LONGEST), indent=2)
    (folder / "tokenizer_config.json").write_bytes(f"{told}\n".encode())
    (folder / "vocab.txt").write_bytes(wordpiece.vocabulary_text().encode())
    (folder / "README.md").write_bytes(README.encode())


def _model() -> Any:
    transformers = import_module("transformers")
    config = transformers.DistilBertConfig(
        vocab_size=len(wordpiece.vocabulary()),
        dim=WIDTH,
        hidden_dim=WIDTH,
        n_layers=1,
        n_heads=1,
        max_position_embeddings=LONGEST,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
        architectures=["DistilBertForSequenceClassification"],
        finetuning_task="sst-2",
    )
    return transformers.DistilBertForSequenceClassification(config)


def _set(torch: Any, model: Any) -> None:
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.fill_(1.0 if "layer_norm.weight" in name or "LayerNorm.weight" in name else 0.0)
        words = model.distilbert.embeddings.word_embeddings.weight
        for number, token in enumerate(wordpiece.vocabulary()):
            words[number] = torch.tensor(_vector(token))
        attention = model.distilbert.transformer.layer[0].attention
        # Queries and keys stay zero: every word is looked at alike.
        attention.v_lin.weight.copy_(torch.eye(WIDTH))
        attention.out_lin.weight.copy_(8.0 * torch.eye(WIDTH))
        model.pre_classifier.weight.copy_(torch.eye(WIDTH))
        model.classifier.weight[0, 1] = _SHARPNESS
        model.classifier.weight[1, 0] = _SHARPNESS


def _vector(token: str) -> list[float]:
    """Return a word's vector; its mean is zero, for normalisation takes the mean away.

    The first two numbers are gladness and sadness. The last ones are as large as needed for
    every vector to be equally long, so that normalisation keeps weak feelings weak.
    """
    feeling = FEELINGS.get(token, 0.0) / _STRONGEST
    rest = (1.0 - feeling * feeling) ** 0.5
    return [feeling, -feeling, rest, -rest, *[0.0] * (WIDTH - 4)]
