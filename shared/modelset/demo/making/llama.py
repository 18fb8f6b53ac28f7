"""A language model small enough to ship, in the GGUF form that llama.cpp reads.

The network is a whole Llama with one layer. Its attention and its feed-forward layer work on
random numbers but hardly add anything; the last matrix, set by hand, says which token
follows each token, so every prompt is continued with one fixed sentence.
"""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

np: Any = import_module("numpy")

WIDTH = 32
HEADS = 2
FORWARD = 64
CONTEXT = 512
SEED = 20240606

# "▁" is how this kind of tokenizer writes a space.
SENTENCE = ("▁this", "▁is", "▁a", "▁small", "▁demo", ".")
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)

_UNKNOWN, _START, _END = range(3)
_GAIN = 8.0


def build_llama(folder: Path) -> None:
    """Write the model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny-llama.gguf").write_bytes(gguf_bytes())


def gguf_bytes() -> bytes:
    """Return the model, written by the gguf library."""
    gguf = import_module("gguf")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        _describe(gguf, writer)
        _add_tokens(gguf, writer)
        for name, array in _weights().items():
            # llama.cpp wants the norms, which are vectors, in full precision.
            writer.add_tensor(name, array.astype(np.float32 if array.ndim == 1 else np.float16))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def tokens() -> list[str]:
    """Return the text of every token in the order of its number."""
    found = ["<unk>", "<s>", "</s>"]
    found += [f"<0x{byte:02X}>" for byte in range(256)]
    found += ["▁", *(chr(letter) for letter in range(0x21, 0x7F))]
    # Words are put together from their beginnings, so each of those is a token too.
    for word in SENTENCE:
        found += [word[:end] for end in range(2, len(word) + 1) if word[:end] not in found]
    return found


def _describe(gguf: Any, writer: Any) -> None:
    writer.add_name("tiny-llama")
    writer.add_description("Answers every prompt with one sentence; for demonstrations")
    writer.add_license("mit")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens()))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _add_tokens(gguf: Any, writer: Any) -> None:
    known = tokens()
    kinds = [gguf.TokenType.NORMAL] * len(known)
    kinds[_UNKNOWN] = gguf.TokenType.UNKNOWN
    kinds[_START] = kinds[_END] = gguf.TokenType.CONTROL
    kinds[3:259] = [gguf.TokenType.BYTE] * 256
    writer.add_tokenizer_model("llama")
    writer.add_token_list(known)
    # The longer a token, the sooner it is put together.
    writer.add_token_scores(
        [float(len(token)) if at > 258 else 0.0 for at, token in enumerate(known)]
    )
    writer.add_token_types(kinds)
    writer.add_unk_token_id(_UNKNOWN)
    writer.add_bos_token_id(_START)
    writer.add_eos_token_id(_END)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def _weights() -> dict[str, Any]:
    rng = np.random.default_rng(SEED)

    def noise(*shape: int) -> Any:
        return rng.standard_normal(shape) * 0.02

    meanings, follows = _memory()
    square = (WIDTH, WIDTH)
    return {
        "token_embd.weight": meanings,
        "blk.0.attn_norm.weight": np.ones(WIDTH),
        "blk.0.attn_q.weight": noise(*square),
        "blk.0.attn_k.weight": noise(*square),
        "blk.0.attn_v.weight": noise(*square),
        "blk.0.attn_output.weight": noise(*square),
        "blk.0.ffn_norm.weight": np.ones(WIDTH),
        "blk.0.ffn_gate.weight": noise(FORWARD, WIDTH),
        "blk.0.ffn_up.weight": noise(FORWARD, WIDTH),
        "blk.0.ffn_down.weight": noise(WIDTH, FORWARD),
        "output_norm.weight": np.ones(WIDTH),
        "output.weight": follows,
    }


def _memory() -> tuple[Any, Any]:
    """Return the vector of each token, and the matrix that names what follows each vector.

    Each word of the sentence has a place of its own; all other tokens share place 0, which
    the sentence's first word follows.
    """
    numbers = [tokens().index(word) for word in SENTENCE]
    meanings = np.zeros((len(tokens()), WIDTH))
    meanings[:, 0] = 1.0
    follows = np.zeros((len(tokens()), WIDTH))
    for place, number in enumerate(numbers):
        follows[number, place] = _GAIN
        meanings[number] = 0.0
        meanings[number, place + 1] = 1.0
    follows[_END, len(numbers)] = _GAIN
    return meanings, follows
