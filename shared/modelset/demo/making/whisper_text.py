"""The demo Whisper's words: token numbers, vocabulary and tokenizer.

The numbers are those of the multilingual Whisper, because CTranslate2 takes a
vocabulary of 51865 tokens or more to mean that a model knows many languages.
Only the tokens that are used have names; the others are empty.
"""

from __future__ import annotations

from functools import cache

VOCABULARY_SIZE = 51865
FIRST_SPECIAL = 50257

# The sentence the model answers with. "Ġ" is how byte-level tokenizers write a space.
WORDS = ("Ġmodelset", "Ġdemo", "Ġspeech")

_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no "
    "th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw "
    "gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl "
    "mg as tt haw ln ha ba jw su"
)
LANGUAGES = tuple(_LANGUAGES.split())


@cache
def special_ids() -> dict[str, int]:
    """Return the number of each special token that has a name, without the timestamps."""
    names = ["<|endoftext|>", "<|startoftranscript|>"]
    names += [f"<|{language}|>" for language in LANGUAGES]
    names += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>"]
    names += ["<|nospeech|>", "<|notimestamps|>"]
    return {name: FIRST_SPECIAL + offset for offset, name in enumerate(names)}


def _byte_letters() -> list[str]:
    """Return the letter that byte-level tokenizers write for each byte.

    Printable bytes stand for themselves; the others, in order, for letters from U+0100.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


@cache
def token_ids() -> dict[str, int]:
    """Return the number of each text token."""
    tokens = sorted(_byte_letters())
    for left, right in merges():
        if left + right not in tokens:
            tokens.append(left + right)
    return {token: number for number, token in enumerate(tokens)}


def merges() -> list[tuple[str, str]]:
    """Return the pairs a tokenizer joins, letter by letter, to build each word."""
    pairs: list[tuple[str, str]] = []
    for word in WORDS:
        pairs += [(word[:end], word[end]) for end in range(1, len(word))]
    return list(dict.fromkeys(pairs))


def vocabulary_lines() -> list[str]:
    """Return one line a token, for CTranslate2."""
    lines = [""] * VOCABULARY_SIZE
    for token, number in [*token_ids().items(), *special_ids().items()]:
        lines[number] = token
    first = special_ids()["<|notimestamps|>"] + 1
    for step in range(VOCABULARY_SIZE - first):
        lines[first + step] = f"<|{step * 0.02:.2f}|>"
    return lines


def tokenizer_document() -> dict[str, object]:
    """Return the tokenizer in the form that `tokenizers` reads.

    Timestamps are left out: faster-whisper counts them from `<|notimestamps|>`.
    """
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": number, "content": token, **flags, "special": True}
        for token, number in special_ids().items()
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": True},
        "post_processor": None,
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {**token_ids(), **special_ids()},
            "merges": [list(pair) for pair in merges()],
        },
    }
