"""Jobs of the libraries that speak: each says a few words."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.core.values import replace
from modelset.trial import places
from modelset.trial.values import SkipError, Steps, Subject, UnfitError

_ENGLISH = "This is a test."
_RUSSIAN = "Это проверка."
# Silero's voices of these languages know Latin letters; nearly all others are Cyrillic.
_LATIN = frozenset(["en", "de", "es", "fr", "indic", "multi", "lj"])
_SILERO_RATE = 24_000


def silero(subject: Subject) -> Steps:
    """A voice of Silero, which is a torch package with its own program in it."""
    torch: Any = import_module("torch")
    packages: Any = import_module("torch.package")
    yield "torch"
    file = places.one_file(subject, "*.pt")
    model = packages.PackageImporter(str(file)).load_pickle("tts_models", "model")
    model.to(torch.device("cpu"))
    yield ""
    is_latin = _LATIN & set(re.split(r"[^a-z]+", file.stem.lower()))
    options = {"text": _ENGLISH if is_latin else _RUSSIAN, "sample_rate": _SILERO_RATE}
    if speakers := getattr(model, "speakers", None):
        options["speaker"] = next((name for name in speakers if name != "random"), speakers[0])
    sound = model.apply_tts(**options)
    yield _spoken(len(sound), _SILERO_RATE)


def piper(subject: Subject) -> Steps:
    """A voice of Piper: the network and its description beside it."""
    library: Any = import_module("piper")
    yield "piper-tts"
    voice = library.PiperVoice.load(str(places.one_file(subject, "*.onnx")))
    yield ""
    parts = list(voice.synthesize(_ENGLISH))
    length = sum(len(part.audio_int16_bytes) // 2 // part.sample_channels for part in parts)
    yield _spoken(length, parts[0].sample_rate if parts else 1)


def coqui(subject: Subject) -> Steps:
    """A voice of Coqui, from its folder, with the vocoder that the library names for it."""
    top = places.folder(subject)
    if top.name.startswith("vocoder_models--"):
        raise SkipError("a vocoder does not speak by itself: test the voice that needs it")
    library: Any = import_module("TTS.api")
    manage: Any = import_module("TTS.utils.manage")
    yield "coqui-tts"
    config = top / "config.json"
    # XTTS wants the folder and finds its several files itself.
    is_xtts = '"xtts"' in places.text(config)
    model = top if is_xtts else places.one_file(subject, "model_file.pth", "model.pth", "*.pth")
    vocoder = _vocoder(subject, top.name, manage.ModelManager().models_dict)
    try:
        voice = library.TTS(
            model_path=str(model), config_path=str(config), progress_bar=False, **vocoder
        )
    except Exception as error:
        if "espeak" in str(error):  # a program of the machine, which is not the voice's fault
            raise SkipError(f"needs espeak-ng on this machine: {error}") from error
        raise
    yield ""
    speakers, languages = voice.speakers, voice.languages
    sound = voice.tts(
        _ENGLISH,
        speaker=speakers[0] if speakers else None,
        language=("en" if "en" in languages else languages[0]) if languages else None,
    )
    yield _spoken(len(sound), voice.synthesizer.output_sample_rate)


def _vocoder(subject: Subject, name: str, known: Any) -> dict[str, str]:
    """The options for a voice's vocoder; none for a voice without one, or unknown."""
    for part in name.split("--"):
        known = known.get(part) or {}
    wanted = known.get("default_vocoder")
    if not wanted:
        return {}
    folder = Path(subject.roots["tts"], str(wanted).replace("/", "--"))
    beside = replace(subject, path=str(folder), ref={})
    weights = places.one_file(beside, "model_file.pth", "model.pth", "*.pth", "*.pth.tar")
    return {"vocoder_path": str(weights), "vocoder_config_path": str(folder / "config.json")}


def _spoken(samples: int, rate: int) -> str:
    if not samples:
        raise UnfitError("the voice said nothing")
    return f"spoke for {samples / rate:.1f} s"
