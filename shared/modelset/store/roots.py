"""The folders that libraries look in, below one models root."""

from collections.abc import Mapping
from pathlib import Path

# Named roots and where they lie below the models root.
BELOW: Mapping[str, str] = {
    "huggingface": "huggingface/hub",
    "torch": "torch/hub",
    "whisper": "whisper",
    "silero": "silero",
    "vosk": "vosk",
    "tts": "tts",
    "piper": "piper",
    "ollama": "ollama",
    "llm": "llm",
    "nltk": "nltk_data",
    "registry": "registry",
    "downloads": "downloads",
}

# A library's own variables, and what lies below the folder that each names.
LIBRARY_ROOTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "huggingface": (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")),
    "torch": (("TORCH_HOME", "hub"),),
    "whisper": (("WHISPER_CACHE_DIR", ""),),
    "vosk": (("VOSK_MODEL_PATH", ""),),
    "tts": (("TTS_HOME", "tts"),),
    "ollama": (("OLLAMA_MODELS", ""),),
    "nltk": (("NLTK_DATA", ""),),
}
# Those that hold models, so that a table may name one.
MODEL_ROOTS = (*(name for name in BELOW if name not in ("registry", "downloads")), "site-packages")
Roots = Mapping[str, Path]


def roots_below(models_root: Path, own: Mapping[str, Path]) -> dict[str, Path]:
    """Every named root: a library's own setting where there is one, else below the models root.

    `own` also carries `site-packages`, which never lies below the models root by itself.
    """
    return {name: models_root / place for name, place in BELOW.items()} | dict(own)
