"""modelset env: what to export so that libraries find the models, and stay offline."""

import argparse
import os
import shlex
import sysconfig

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.report import envelope
from modelset.engine.guard import Stop
from modelset.settings import Settings
from modelset.store.files import is_there


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument(
        "--format", choices=["shell", "dotenv", "powershell", "docker"], default="shell"
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Draw, and return the exit code."""
    settings = settings_of(options)
    variables = exports(settings)
    for name, value in variables.items():
        screen.line(_line(options.format, name, value))
    screen.document(envelope("env", 0, {"variables": variables}))
    return 0


def exports(settings: Settings) -> dict[str, str]:
    """Each variable that a library reads; the Hub's clients read theirs when they are imported."""
    roots = settings.roots
    _, *others = settings.environ.get("NLTK_DATA", "").split(os.pathsep)
    found = {
        "HF_HUB_CACHE": str(roots["huggingface"]),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYANNOTE_METRICS_ENABLED": "0",
        "LLAMA_CACHE": str(roots["huggingface"]),
        "LLAMA_OFFLINE": "1",
        "TORCH_HOME": str(roots["torch"].parent),
        "WHISPER_CACHE_DIR": str(roots["whisper"]),
        "VOSK_MODEL_PATH": str(roots["vosk"]),
        "TTS_HOME": str(roots["tts"].parent),
        "OLLAMA_MODELS": str(roots["ollama"]),
        "NLTK_DATA": os.pathsep.join([str(roots["nltk"]), *others]),
    }
    if str(roots["site-packages"]) != sysconfig.get_path("purelib"):
        found["PYTHONPATH"] = str(roots["site-packages"])
    if is_there(roots["whisper"]) and roots["whisper"].name == "whisper":
        # openai-whisper has no variable of its own; this one moves the Hub's token as well.
        found["XDG_CACHE_HOME"] = str(roots["whisper"].parent)
        if is_there(settings.hub_token_file):
            found["HF_TOKEN_PATH"] = str(settings.hub_token_file)
    return found


def _line(form: str, name: str, value: str) -> str:
    if form == "powershell":
        quoted = value.replace("'", "''")
        return f"$env:{name} = '{quoted}'"
    if form == "docker":
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'ENV {name}="{escaped}"'
    if form == "dotenv":
        return f"{name}={value}"
    return f"export {name}={shlex.quote(value)}"
