"""What the child process does: shuts the network, loads one model, works, measures, answers."""

import faulthandler
import importlib.metadata
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable

from modelset.engine.guard import RunGuard, Stop
from modelset.probe.system import this_system
from modelset.trial.jobs import job_for
from modelset.trial.network import namespace, refuse_network
from modelset.trial.values import SkipError, Subject, UnfitError, one_line, read_order

# Modules whose packages are called otherwise.
_PACKAGES = {
    "faster_whisper": "faster-whisper",
    "whisper": "openai-whisper",
    "silero_vad": "silero-vad",
    "pyannote": "pyannote.audio",
    "mlx_whisper": "mlx-whisper",
    "TTS": "coqui-tts",
    "piper": "piper-tts",
    "vosk": "vosk",
    "llama_cpp": "llama-cpp-python",
    "gguf": "gguf",
    "safetensors": "safetensors",
    "onnxruntime": "onnxruntime",
    "sentence_transformers": "sentence-transformers",
    "transformers": "transformers",
    "spacy": "spacy",
    "spacy_curated_transformers": '"spacy-curated-transformers<1"',
    "nltk": "nltk",
    "vaderSentiment": "vaderSentiment",
    "torch": "torch",
    "torchaudio": "torchaudio",
    "numpy": "numpy",
}


def serve() -> None:
    """Read one order, try its model, write the result, and end without a farewell.

    The result goes to what was the standard output; by then that of the process is the log, so
    that whatever a library prints, in Python or below it, is not taken for the result.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    faulthandler.enable()
    refuse_network()
    subject, outside = read_order(os.fdopen(0, encoding="utf-8").read())
    document = attempt(subject)
    inside = namespace()
    apart = inside and outside and inside != outside
    document["isolation"] = "namespace" if apart else "audit hook"
    os.write(answer, json.dumps(document).encode())
    # At once: libraries may leave threads that never end, or fall over while they are taken apart.
    os._exit(0)


def attempt(subject: Subject) -> dict[str, object]:
    """Try a model in this process; returns a trial's fields, whatever the library does."""
    found: dict[str, object] = {"load_s": 0.0, "job_s": 0.0, "used": ""}
    clock = RunGuard(Stop()).now
    try:
        _work(subject, clock, found)
    except SkipError as reason:
        found |= {"result": "skipped", "detail": str(reason)}
    except UnfitError as error:
        found |= {"result": "failed", "detail": str(error)}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        found |= _judge(subject, error, is_imported=bool(found["used"]))
    return found | {"peak_bytes": peak_bytes()}


def _work(subject: Subject, clock: Callable[[], float], found: dict[str, object]) -> None:
    steps = job_for(subject)(subject)
    found["used"] = _with_version(next(steps))
    start = clock()
    next(steps)
    loaded = clock()
    found["load_s"] = round(loaded - start, 4)
    words = next(steps)
    found |= {"job_s": round(clock() - loaded, 4), "result": "passed", "detail": words}


def _with_version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package


def _judge(subject: Subject, error: BaseException, *, is_imported: bool) -> dict[str, object]:
    """Whether an error is the model's, or that of a library which is not whole."""
    missing = str(getattr(error, "name", "")).partition(".")[0]
    # Only packages that we know are named as something to install: a model may ask for any name,
    # and say of one that is here that it is not.
    if isinstance(error, ModuleNotFoundError) and missing in _PACKAGES and not _is_here(missing):
        own = subject.library
        if own in _PACKAGES.values() and own == _with_version(own):  # which brings what it needs
            words = f"{own} is not installed: pip install {own}"
        else:
            words = f"{missing} is not installed: pip install {_PACKAGES[missing]}"
        return {"result": "skipped", "detail": words}
    said = one_line("".join(traceback.format_exception_only(error)))
    if not is_imported and isinstance(error, ImportError | OSError):
        library = subject.library or "the library"
        return {"result": "skipped", "detail": f"{library} cannot be imported: {said}"}
    return {"result": "failed", "detail": said}


def _is_here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def peak_bytes() -> int:
    """The most memory that this process has held."""
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Not from getrusage where there is another way: Linux begins it with the parent's figure.
    for line in this_system().text("proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
