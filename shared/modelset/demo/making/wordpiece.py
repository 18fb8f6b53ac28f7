"""The words of the demo's BERT models: a small vocabulary and its tokenizer."""

from __future__ import annotations

import string
from collections.abc import Mapping

from modelset.demo.making.sentiment_words import FEELINGS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# Words that most sentences have; any other is put together from letters.
_PLAIN = (
    "a about all an and are as at be but by can car cat city cold cook country day dog drink "
    "eat film food for from garden go had has have he her his home house i in is it its kitten "
    "man meal movie music my not of on our people rain river road run runs she sleep sleeps "
    "sofa song speech sun that the their they this time to train very was water we weather "
    "were what with woman work world you your"
)


def vocabulary() -> list[str]:
    """Return every token in the order of its number."""
    letters = string.ascii_lowercase + string.digits
    words = sorted({*_PLAIN.split(), *FEELINGS} - set(letters))
    pieces = [f"##{letter}" for letter in letters]
    return [*SPECIAL, *string.punctuation, *letters, *pieces, *words]


def vocabulary_text() -> str:
    """Return the vocabulary as BERT keeps it: one token a line."""
    return "\n".join(vocabulary()) + "\n"


def tokenizer_config(kind: str, longest: int) -> Mapping[str, object]:
    """Return what a tokenizer of one kind is told beside its vocabulary."""
    return {
        "cls_token": "[CLS]",
        "do_basic_tokenize": True,
        "do_lower_case": True,
        "mask_token": "[MASK]",
        "model_max_length": longest,
        "never_split": None,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": kind,
        "unk_token": "[UNK]",
    }


def special_tokens() -> Mapping[str, str]:
    """Return the role of each special token."""
    return {f"{token[1:-1].lower()}_token": token for token in SPECIAL}


def tokenizer_document() -> Mapping[str, object]:
    """Return the whole tokenizer in the form that `tokenizers` reads."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    numbers = {token: number for number, token in enumerate(vocabulary())}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": numbers[token], "content": token, **flags, "special": True} for token in SPECIAL
        ],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _template(numbers),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": numbers,
        },
    }


def _template(numbers: Mapping[str, int]) -> Mapping[str, object]:
    def special(token: str, sentence: int) -> object:
        return {"SpecialToken": {"id": token, "type_id": sentence}}

    def text(name: str, sentence: int) -> object:
        return {"Sequence": {"id": name, "type_id": sentence}}

    single = [special("[CLS]", 0), text("A", 0), special("[SEP]", 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special("[SEP]", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [numbers[token]], "tokens": [token]}
            for token in ("[CLS]", "[SEP]")
        },
    }
