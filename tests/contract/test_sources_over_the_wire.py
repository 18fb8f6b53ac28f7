"""The same promises with the demo hub behind the real wire, for models of the real catalog."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Project, config_for
from tests.contract.test_sources import assert_inside, exact
from tests.fakes.samples import model
from tests.fakes.web import hub_web

from modelset.core.lock import dump_lock, is_current, parse_lock
from modelset.core.types import Model
from modelset.demo.hub import DemoHub
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources import SOURCES

# Of every source that a server answers for, at least one.
KEYS = [
    "whisper:base",
    "whisper:large-v3-turbo",
    "mlx:large-v3-turbo",
    "pyannote:speaker-diarization-community-1",
    "spacy:en_core_web_sm",
    "vad:silero",
    "vad:silero-hub",
    "tts:piper-en_US-lessac-medium",
    "tts:silero-v4-ru",
    "vosk:small-en",
    "nlu:vader",
    "ollama:gemma2:2b",
    "api:openai-tts-1",
    "url",
]
# Hosts that the configuration of the other tests does not lead to the hub.
HOSTS = {
    "https://api.github.com/": "github-api",
    "https://alphacephei.com/": "vosk",
    "https://models.silero.ai/": "silero",
    "https://registry.ollama.ai/": "ollama",
    "https://api.openai.com/": "openai",
}


def config_of(hub: DemoHub) -> str:
    rows = [
        f'"{host}" = [{{ url = "{hub.url}/{part}/", credentials = true, only = true }}]'
        for host, part in HOSTS.items()
        if host not in config_for(hub)
    ]
    return config_for(hub) + "\n".join([*rows, ""])


def wanted(key: str, project: Project, hub: DemoHub) -> Model:
    if key != "url":
        return ModelSet(load_settings({}, project.environ, project.folder)).catalog.get(key)
    name = "en_core_web_sm-3.8.0-py3-none-any.whl"
    place = "https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0/"
    digest = "sha256:" + hub.site.wheels[name].content.sha256
    ref = {"url": place + name, "digest": digest, "root": "llm", "path": f"spacy/{name}"}
    return model("url", ref)


def test_there_is_one_of_every_source_that_asks_a_server(project: Project, hub: DemoHub) -> None:
    assert {wanted(key, project, hub).source for key in KEYS} == set(SOURCES) - {"local"}


@pytest.mark.parametrize("key", KEYS)
def test_a_model_resolves_twice_to_the_same_pin_with_a_safe_layout(
    project: Project, hub: DemoHub, key: str
) -> None:
    project.config.write_text(config_of(hub))
    wish = wanted(key, project, hub)
    source = SOURCES[wish.source]
    with hub_web(Path(project.config), token="hf_demo") as web:
        pin = source.resolve(wish, web)
        assert source.resolve(wish, web) == pin
    assert is_current(pin, wish)
    assert (pin.size_bytes > 0) == (wish.source != "api")
    assert all(artifact.url.startswith("https://") for artifact in pin.artifacts)
    pin = exact(pin)
    assert hub.url not in dump_lock([pin])
    assert hub.cdn_url not in dump_lock([pin])
    layout = source.layout(pin)
    assert_inside(layout)
    assert source.layout(parse_lock(dump_lock([pin]), where="x")[pin.key]) == layout
