"""Plain files and archives: what hosts serve at an address that says nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from modelset.demo.content import Content
from modelset.demo.folders import Folders, zipped
from modelset.demo.shelf import Shelf

WHISPER_HOST = "openaipublic.azureedge.net"
SILERO_HOST = "models.silero.ai"
VOSK_HOST = "alphacephei.com"
NLTK_DATA = "raw.githubusercontent.com/nltk/nltk_data/gh-pages"
COQUI_RELEASE = "github.com/coqui-ai/TTS/releases/download/v0.6.1_models"

WHISPER_NAMES = (
    *("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium"),
    *("large-v1", "large-v2", "large-v3", "large-v3-turbo"),
)
VOSK_NAMES = (
    *("vosk-model-small-en-us-0.15", "vosk-model-small-ru-0.22", "vosk-model-small-vn-0.4"),
    *("vosk-model-small-de-0.15", "vosk-model-small-es-0.42", "vosk-model-small-fr-0.22"),
    *("vosk-model-en-us-0.22", "vosk-model-en-us-0.22-lgraph", "vosk-model-ru-0.42"),
)
_SILERO_VOICES = (
    *("ru/v3_1_ru", "ru/v4_ru", "ru/v5_5_ru"),
    *("en/v3_en", "de/v3_de", "es/v3_es", "fr/v3_fr"),
)
_WHISPER = "openai-whisper/tiny.pt"
_SILERO = "silero-tts/v4_ru.pt"
_LEXICON = "nltk/vader_lexicon.txt"

_Makers = Iterator[tuple[str, Callable[[], Content]]]


def build_files(folders: Folders) -> Shelf[Content]:
    """Return every file by its address without `https://`; each is made when it is asked for."""
    parts = (_whisper, _silero, _vosk, _nltk, _coqui)
    return Shelf({address: make for part in parts for address, make in part(folders)})


def whisper_address(content: Content, name: str) -> str:
    """Return where a checkpoint lies: its digest is a part of the address."""
    return f"{WHISPER_HOST}/main/whisper/models/{content.sha256}/{name}.pt"


def whisper_checkpoint(folders: Folders) -> Content | None:
    """Return the one checkpoint that is served under every name, if it is there."""
    return folders.file(_WHISPER) if folders.has(_WHISPER) else None


def vosk_address(name: str) -> str:
    """Return where the archive of a Vosk model lies."""
    return f"{VOSK_HOST}/vosk/models/{name}.zip"


def lexicon_address() -> str:
    """Return where the one package of the language toolkit lies."""
    return f"{NLTK_DATA}/packages/sentiment/vader_lexicon.zip"


def _whisper(folders: Folders) -> _Makers:
    content = whisper_checkpoint(folders)
    if content is not None:
        for name in WHISPER_NAMES:
            yield whisper_address(content, name), partial(folders.file, _WHISPER)


def _silero(folders: Folders) -> _Makers:
    for name in _SILERO_VOICES if folders.has(_SILERO) else ():
        yield f"{SILERO_HOST}/models/tts/{name}.pt", partial(folders.file, _SILERO)


def _vosk(folders: Folders) -> _Makers:
    for name in VOSK_NAMES if folders.has("vosk") else ():
        yield vosk_address(name), partial(_archive, folders, "vosk", name)


def _nltk(folders: Folders) -> _Makers:
    def lexicon() -> Content:
        return zipped({"vader_lexicon.txt": folders.file(_LEXICON)}, "vader_lexicon")

    if folders.has(_LEXICON):
        yield lexicon_address(), lexicon


def _coqui(folders: Folders) -> _Makers:
    for name in folders.inside("coqui"):
        yield f"{COQUI_RELEASE}/{name}.zip", partial(_archive, folders, f"coqui/{name}", name)


def _archive(folders: Folders, folder: str, top: str) -> Content:
    return zipped(folders.files(folder), top)
