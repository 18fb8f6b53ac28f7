"""Which job belongs to a model, by the library that its table names."""

from collections.abc import Callable, Mapping
from typing import Final

from modelset.trial import speech, texts, voices, weights
from modelset.trial.values import SkipError, Steps, Subject, api_words

Job = Callable[[Subject], Steps]

JOBS: Final[Mapping[str, Job]] = {
    "faster-whisper": speech.faster_whisper,
    "openai-whisper": speech.openai_whisper,
    "mlx-whisper": speech.mlx_whisper,
    "vosk": speech.vosk,
    "silero-vad": speech.silero_vad,
    "pyannote.audio": speech.pyannote,
    "silero": voices.silero,
    "coqui-tts": voices.coqui,
    "piper-tts": voices.piper,
    "spacy": texts.spacy,
    "sentence-transformers": texts.sentence_transformers,
    "transformers": texts.transformers,
    "nltk": texts.nltk,
    "vaderSentiment": texts.vader,
    "llama.cpp": weights.llama_cpp,
    "ollama": weights.ollama,
}


def job_for(subject: Subject) -> Job:
    """The job of a model; raises SkipError when there is none."""
    if "api" in (subject.source, subject.library):
        raise SkipError(api_words(subject.key))
    if not subject.library:
        return weights.by_kind
    job = JOBS.get(subject.library)
    if job is None:
        raise SkipError(f"no trial for library {subject.library}")
    return job
