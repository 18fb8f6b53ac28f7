"""The configuration and the environment of a demo run."""

from __future__ import annotations

import json
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

from modelset.demo.session import demo_config, demo_environ, demo_hub

RELEASE = "https://github.com/coqui-ai/TTS/releases/download/v0.6.1_models"

# One address of each host that the built-in catalog leads to.
ADDRESSES = (
    "https://huggingface.co/api/models/rhasspy/piper-voices",
    "https://api.github.com/repos/snakers4/silero-vad/commits/master",
    "https://raw.githubusercontent.com/snakers4/silero-vad/master/hubconf.py",
    "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/index.xml",
    "https://raw.githubusercontent.com/explosion/spacy-models/master/compatibility.json",
    f"{RELEASE}/vocoder_models--en--ljspeech--hifigan_v2.zip",
    "https://alphacephei.com/vosk/models/model-list.json",
    "https://models.silero.ai/models/tts/ru/v4_ru.pt",
    "https://registry.ollama.ai/v2/library/gemma2/manifests/2b",
)
KEYS = {
    "https://api.openai.com/v1/models": {"Authorization": "Bearer demo-key"},
    "https://api.anthropic.com/v1/models": {"x-api-key": "demo-key"},
    "https://api.elevenlabs.io/v1/models": {"xi-api-key": "demo-key"},
    "https://api.vsegpt.ru/v1/models": {"Authorization": "Bearer demo-key"},
}
HIDDEN = (
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "ELEVENLABS_API_KEY",
    "VSEGPT_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GITHUB_TOKEN",
    "OLLAMA_HOST",
    "OLLAMA_MODELS",
    "NLTK_DATA",
    "MODELSET_CREDENTIALS_ROOT",
)


def opened(config: dict[str, Any], address: str, headers: dict[str, str]) -> bytes:
    """What a mirror answers instead of a host."""
    (prefix,) = (prefix for prefix in config["mirrors"] if address.startswith(prefix))
    ((mirror),) = config["mirrors"][prefix]
    assert mirror["only"]
    assert not headers or mirror["credentials"]
    request = urllib.request.Request(address.replace(prefix, mirror["url"]), headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return bytes(answer.read())


def test_every_host_is_the_demos_own(tmp_path: Path) -> None:
    with demo_hub(tmp_path):
        config = tomllib.loads((tmp_path / "out" / "demo" / "modelset.toml").read_text())
        assert config["policy"] == {"first_use": True}
        for address in ADDRESSES:
            assert opened(config, address, {})
        for address, headers in KEYS.items():
            assert json.loads(opened(config, address, headers))
        tables = config["model"]
        assert len(tables) == 12
        for table in tables[:2]:
            assert len(opened(config, table["ref"]["url"], {})) == table["size_bytes"]


def test_credentials_go_to_the_hub_and_the_services_alone() -> None:
    config = tomllib.loads(demo_config("http://127.0.0.1:1", "http://127.0.0.1:2"))
    told = {prefix for prefix, (mirror,) in config["mirrors"].items() if mirror.get("credentials")}
    assert told == {"https://huggingface.co/", *(address[:-9] for address in KEYS)}
    assert "model" not in config


def test_nothing_of_the_users_own_reaches_a_demo(tmp_path: Path) -> None:
    environ = demo_environ(tmp_path, dict.fromkeys(HIDDEN, "mine") | {"PATH": "/bin"})
    assert "mine" not in environ.values()
    assert environ["PATH"] == "/bin"
    assert environ["HF_TOKEN"] == "hf_demo"
    for name in ("MODELSET_CONFIG", "MODELSET_MODELS_ROOT"):
        assert Path(environ[name]).is_relative_to(tmp_path)
