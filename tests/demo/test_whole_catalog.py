"""A demo lacks nothing: every model of the built-in catalog has an answer."""

from __future__ import annotations

from pathlib import Path

from tests.fakes.web import hub_web

from modelset.core.errors import ModelSetError
from modelset.demo.hub import DemoHub
from modelset.demo.session import TOKEN, demo_config
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources import SOURCES

# Nothing is downloaded for these.
_WITHOUT_FILES = ("api", "local")


def test_every_model_resolves_to_files_of_the_demo(hub: DemoHub, tmp_path: Path) -> None:
    config = tmp_path / "modelset.toml"
    config.write_text(demo_config(hub.url, hub.cdn_url, hub.tables))
    environ = {"MODELSET_CONFIG": str(config), "HOME": str(tmp_path)}
    models = ModelSet(load_settings({}, environ, tmp_path)).catalog.models
    problems = {}
    with hub_web(config, token=TOKEN) as web:
        for key, model in models.items():
            if model.source in _WITHOUT_FILES or "*" in key:
                continue
            try:
                pin = SOURCES[model.source].resolve(model, web)
            except ModelSetError as error:
                problems[key] = str(error)
            else:
                # The real files would be far larger: these are the demo's own.
                assert 0 < pin.size_bytes < 2_000_000, key
    assert problems == {}
    assert {model.source for model in models.values()} <= set(SOURCES)
