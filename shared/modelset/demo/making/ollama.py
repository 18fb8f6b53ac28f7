"""The small layers of an Ollama model, whose weights are the demo's language model."""

from __future__ import annotations

import json
from pathlib import Path

from modelset.demo.making.llama import CONTEXT

# What `llama.CHAT_TEMPLATE` says, in the language of Go's templates.
TEMPLATE = (
    "{{ if .System }}system: {{ .System }}\n{{ end }}"
    "{{ if .Prompt }}user: {{ .Prompt }}\n{{ end }}"
    "assistant:{{ .Response }}"
)

LICENCE = """This model was made for demonstrations. It holds no knowledge and answers everything
with one sentence. Anybody may use, change and share it for any purpose, without any
warranty.
"""


def build_ollama(folder: Path) -> None:
    """Write each layer as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "template.txt").write_bytes(TEMPLATE.encode())
    (folder / "license.txt").write_bytes(LICENCE.encode())
    settings = {"num_ctx": CONTEXT, "stop": ["user:", "</s>"], "temperature": 0}
    text = json.dumps(settings, separators=(",", ":"))
    (folder / "params.json").write_bytes(text.encode())
