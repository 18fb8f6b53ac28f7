"""Jobs of the libraries that listen: each hears one second of sound."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.trial import places
from modelset.trial.sound import RATE, pcm, tone
from modelset.trial.values import SkipError, Steps, Subject


def faster_whisper(subject: Subject) -> Steps:
    """Whisper in CTranslate2, in eight bits on the processor."""
    numpy: Any = import_module("numpy")
    library: Any = import_module("faster_whisper")
    yield "faster-whisper"
    model = library.WhisperModel(
        subject.path, device="cpu", compute_type="int8", local_files_only=True
    )
    yield ""
    parts, _ = model.transcribe(numpy.array(tone(), "float32"))
    yield _heard("".join(part.text for part in parts))


def openai_whisper(subject: Subject) -> Steps:
    """OpenAI's Whisper from its checkpoint."""
    numpy: Any = import_module("numpy")
    library: Any = import_module("whisper")
    yield "openai-whisper"
    model = library.load_model(str(places.one_file(subject, "*.pt")), device="cpu")
    yield ""
    found = model.transcribe(numpy.array(tone(), "float32"), fp16=False)
    yield _heard(found["text"])


def mlx_whisper(subject: Subject) -> Steps:
    """Whisper on Apple's own chips."""
    if sys.platform != "darwin" or os.uname().machine != "arm64":
        raise SkipError("mlx-whisper needs Apple Silicon")
    numpy: Any = import_module("numpy")
    library: Any = import_module("mlx_whisper")
    loading: Any = import_module("mlx_whisper.load_models")
    yield "mlx-whisper"
    loading.load_model(subject.path)
    yield ""
    found = library.transcribe(numpy.array(tone(), "float32"), path_or_hf_repo=subject.path)
    yield _heard(found["text"])


def vosk(subject: Subject) -> Steps:
    """A Vosk model, from its folder."""
    library: Any = import_module("vosk")
    yield "vosk"
    model = library.Model(str(places.folder(subject)))
    yield ""
    listener = library.KaldiRecognizer(model, RATE)
    listener.AcceptWaveform(pcm())
    yield _heard(json.loads(listener.FinalResult())["text"])


def silero_vad(subject: Subject) -> Steps:
    """Silero VAD: out of its wheel, or out of a copy of its repository as torch.hub keeps it."""
    torch: Any = import_module("torch")
    if subject.source == "torchhub":
        yield from _vad_of_hub(subject, torch)
        return
    library: Any = places.own_module(subject, "silero_vad")
    yield "silero-vad"
    model = library.load_silero_vad()
    yield ""
    found = library.get_speech_timestamps(torch.tensor(tone()), model, sampling_rate=RATE)
    yield _voices(found)


def _vad_of_hub(subject: Subject, torch: Any) -> Steps:
    tree = places.folder(subject)
    if "torchaudio" in places.text(tree / "hubconf.py"):
        import_module("torchaudio")  # torch.hub would only say that something is missing
    yield "torch"
    entry = str(subject.ref.get("entry") or "silero_vad")
    model, tools = torch.hub.load(str(tree), entry, source="local", trust_repo=True)
    yield ""
    yield _voices(tools[0](torch.tensor(tone()), model, sampling_rate=RATE))


def pyannote(subject: Subject) -> Steps:
    """A pipeline of pyannote.audio, one of its models, or the PLDA files alone."""
    torch: Any = import_module("torch")
    library: Any = import_module("pyannote.audio")
    plda: Any = import_module("pyannote.audio.core.plda")
    yield "pyannote.audio"
    sound = torch.tensor(tone())[None]
    config, weights = _parts(subject)
    if config is not None:
        pipeline = library.Pipeline.from_pretrained(config)
        yield ""
        pipeline({"waveform": sound, "sample_rate": RATE})
        yield "looked for speakers in 1 s of sound"
    elif weights is not None:
        model = library.Model.from_pretrained(weights)
        model.eval()
        yield ""
        with torch.inference_mode():
            found = model(sound[None])
        yield f"turned 1 s of sound into {tuple(found.shape)} numbers"
    else:
        table = plda.PLDA.from_pretrained(places.one_file(subject, "plda.npz").parent)
        yield ""
        yield f"read a table of {table.lda_dimension} dimensions"


def _parts(subject: Subject) -> tuple[Path | None, Path | None]:
    """The configuration of a pipeline, or the weights of a model; neither for PLDA files.

    What the catalog requires decides: another model may have put its files into the same folder.
    """
    required = subject.ref.get("required")
    names = [str(name) for name in required] if isinstance(required, list | tuple) else []
    top = places.folder(subject)
    config, weights = top / "config.yaml", top / "pytorch_model.bin"
    if not names:
        names = [one.name for one in (config, weights) if one in places.files(subject, one.name)]
    if config.name in names and "pipeline:" in places.text(config):
        return config, None
    return None, weights if weights.name in names else None


def _heard(text: str) -> str:
    return f'heard "{text.strip()[:60]}"' if text.strip() else "heard nothing in 1 s of tone"


def _voices(found: list[Any]) -> str:
    return "took 1 s of tone for speech" if found else "found no speech in 1 s of tone"
