"""The demo as a run meets it: an ordinary configuration that points at the embedded hub."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelset.store.files import write_atomic
from modelset.store.roots import LIBRARY_ROOTS

# The token that the demo hub's gated models open for.
TOKEN = "hf_demo"  # noqa: S105 - it opens nothing but the demo hub

# What a demo must not see, so that it never writes into the user's own folders.
_HIDDEN = frozenset(name for places in LIBRARY_ROOTS.values() for name, _ in places) | {
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_ENDPOINT",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ELEVENLABS_API_KEY",
    "VSEGPT_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GITHUB_TOKEN",
    "OLLAMA_HOST",
}

_CONFIG = """\
# Written by the demo; its hub listens only while a demo runs.
[download]
index_url = "{hub}/simple/"

[policy]
first_use = true

[mirrors]
"https://huggingface.co/" = [{{ url = "{hub}/hf/", credentials = true, only = true }}]
"https://github.com/" = [{{ url = "{hub}/github/", only = true }}]
"https://api.github.com/" = [{{ url = "{hub}/github-api/", only = true }}]
"https://raw.githubusercontent.com/" = [{{ url = "{hub}/raw/", only = true }}]
"https://alphacephei.com/" = [{{ url = "{hub}/vosk/", only = true }}]
"https://models.silero.ai/" = [{{ url = "{hub}/silero/", only = true }}]
"https://openaipublic.azureedge.net/" = [{{ url = "{hub}/whisper/", only = true }}]
"https://registry.ollama.ai/" = [{{ url = "{hub}/ollama/", only = true }}]
"https://api.openai.com/" = [{{ url = "{hub}/openai/", credentials = true, only = true }}]
"https://api.anthropic.com/" = [{{ url = "{hub}/anthropic/", credentials = true, only = true }}]
"https://api.elevenlabs.io/" = [{{ url = "{hub}/elevenlabs/", credentials = true, only = true }}]
"https://api.vsegpt.ru/" = [{{ url = "{hub}/vsegpt/", credentials = true, only = true }}]
"https://packages.example.org/cdn/" = [{{ url = "{cdn}/", only = true }}]
"https://packages.example.org/hub/" = [{{ url = "{hub}/", only = true }}]
"""


def demo_environ(project: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a demo run: its own root, and nothing of the user's own libraries."""
    root = project / "out" / "demo"
    config = root / "modelset.toml"
    if not config.exists():
        write_atomic(config, b"# Written anew by the next demo run.\n")
    own = {
        name: value
        for name, value in environ.items()
        if name not in _HIDDEN and not name.startswith(("MODELSET_", "IRENE_"))
    }
    return own | {
        "MODELSET_CONFIG": str(config),
        "MODELSET_LOCK": str(root / "models.lock.json"),
        "MODELSET_OUT": environ.get("MODELSET_OUT", str(project / "out")),
        "MODELSET_MODELS_ROOT": str(root / "models"),
        "MODELSET_SITE_PACKAGES": str(root / "site-packages"),
        "HF_TOKEN": TOKEN,
    }


def demo_config(hub: str, cdn: str, tables: str = "") -> str:
    """The text of a modelset.toml that leads every host to a demo hub."""
    return _CONFIG.format(hub=hub, cdn=cdn) + (f"\n{tables}" if tables else "")


@contextlib.contextmanager
def demo_hub(project: Path) -> Iterator[None]:
    """A hub in a child process, and the configuration that leads to it.

    It logs one line a request in `out/demo/requests.log`, and ends with this process however
    this process ends, because it then loses its standard input.
    """
    root = project / "out" / "demo"
    root.mkdir(parents=True, exist_ok=True)
    log = root / "requests.log"
    log.write_bytes(b"")
    command = [sys.executable, "-m", "modelset.demo", "--log", str(log)]
    source_root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=source_root,
        # A Ctrl-C at the terminal is for the run; the hub goes when the run has ended.
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        config = demo_config(ready["hub"], ready["cdn"], ready["tables"])
        write_atomic(root / "modelset.toml", config.encode())
        try:
            yield
        finally:
            process.stdin.close()
            process.wait(timeout=5)
