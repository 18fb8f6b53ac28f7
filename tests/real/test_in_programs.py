"""`ModelSet.path` and `ensure`, as programs call them; revisions and versions side by side."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.conftest import config_for
from tests.real.conftest import environ_of

from modelset.core.errors import ModelSetError
from modelset.core.select import Wishes
from modelset.core.types import Status
from modelset.demo.hub import DemoHub
from modelset.demo.repos import MODELS
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import load_settings

ENSURE = """
import json, sys
from modelset.model_set import ModelSet
print(json.dumps([str(ModelSet.open().ensure(key)) for key in sys.argv[1:]]))
"""


def models_in(folder: Path, more: Mapping[str, str] | None = None) -> ModelSet:
    return ModelSet(load_settings({}, {**environ_of(folder), **(more or {})}, folder))


def look(folder: Path, *keys: str, deep: bool = False) -> tuple[Status, ...]:
    return models_in(folder).check(Wishes(keys=keys), deep=deep).statuses


@pytest.fixture
def folder(tmp_path: Path, hub: DemoHub) -> Path:
    (tmp_path / "modelset.toml").write_text(config_for(hub))
    return tmp_path


def test_ensure_brings_what_is_missing_and_gives_what_a_library_loads(folder: Path) -> None:
    models = models_in(folder)
    with pytest.raises(ModelSetError) as caught:
        models.path("vosk:vi")
    assert caught.value.failure.code == "model-missing"
    assert "modelset download vosk:small-vi" in caught.value.failure.hint

    place = models.ensure("vosk:vi")
    assert place == folder / "models" / "vosk" / "vosk-model-small-vn-0.4"
    assert (place / "am" / "final.mdl").is_file()
    assert models.path("vosk:small-vi") == place

    blob = models.ensure("ollama:gemma2:2b")
    assert blob.read_bytes()[:4] == b"GGUF"
    package = models.ensure("spacy:en_core_web_sm")
    assert (package / "meta.json").is_file()
    assert (models.ensure("whisper:tiny") / "model.bin").is_file()
    assert models.ensure("llm:phi-2").joinpath("phi-2.Q4_K_M.gguf").is_file()


def test_what_is_there_is_given_at_once_and_without_a_request(folder: Path, hub: DemoHub) -> None:
    models = models_in(folder)
    models.ensure("whisper:base")
    hub.forget_requests()
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        models.ensure("whisper:base")
        times.append(time.perf_counter() - begin)
    assert hub.requests == []
    # The promise is 5 ms; a machine that is busy gets ten times as much.
    assert statistics.median(times) < 0.05


def test_a_file_that_is_lost_or_cut_comes_again(folder: Path) -> None:
    models = models_in(folder)
    weights = models.ensure("whisper:base") / "model.bin"
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:1000])
    assert (models.ensure("whisper:base") / "model.bin").read_bytes() == whole


def test_an_error_says_what_failed(folder: Path) -> None:
    models = models_in(folder)
    for key, code in (("vosk:nothing", "unknown-model"), ("ollama:nobody:1b", "not-found")):
        with pytest.raises(ModelSetError) as caught:
            models.ensure(key)
        assert caught.value.failure.code == code


def test_several_processes_may_want_the_same_models_at_once(folder: Path) -> None:
    keys = ["whisper:base", "vosk:vi", "ollama:gemma2:2b", "spacy:en_core_web_sm"]
    command = [sys.executable, "-c", ENSURE, *keys]
    children = [
        subprocess.Popen(
            command,
            env=environ_of(folder),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    ended = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * 4, ended
    assert len({out for out, _ in ended}) == 1
    assert all(Path(place).exists() for place in json.loads(ended[0][0]))
    assert {row.presence for row in look(folder, *keys, deep=True)} == {"present"}


def test_revisions_of_one_model_lie_side_by_side(tmp_path: Path) -> None:
    """Two hubs stand for one whose `main` has moved on."""
    newer = tmp_path / "newer"
    shutil.copytree(MODELS, newer)
    tokens = newer / "whisper-tiny-demo" / "config.json"
    tokens.write_text(tokens.read_text() + "\n")
    with DemoHub() as old, DemoHub(models=newer) as new:
        config = tmp_path / "modelset.toml"
        config.write_text(config_for(old))
        first = models_in(tmp_path).ensure("whisper:base")
        (commit,) = {repo.commit for repo in new.site.repos.values() if repo.id.endswith("er-base")}
        config.write_text(config_for(new))
        second = models_in(tmp_path).ensure(f"whisper:base@{commit}")
    models = models_in(tmp_path)
    assert second.name == commit != first.name
    assert second.parent == first.parent
    assert models.path("whisper:base") == first
    assert (first.parents[1] / "refs" / "main").read_text() == first.name
    assert (first / "config.json").read_bytes() != (second / "config.json").read_bytes()
    assert (first / "model.bin").samefile(second / "model.bin")


def test_a_pipeline_for_another_spacy_is_told_and_replaced(folder: Path) -> None:
    site = folder / "site-packages"
    models = models_in(folder)
    models.ensure("spacy:en_core_web_sm")
    info = site / "spacy-3.9.1.dist-info"
    info.mkdir()
    (row,) = look(folder, "spacy:en_core_web_sm")
    assert row.presence == "present"
    assert "3.9.1 is installed" in row.detail
    info.rename(site / "spacy-3.8.18.dist-info")
    (row,) = look(folder, "spacy:en_core_web_sm")
    assert row.detail == ""


def test_versions_of_a_model_of_ones_own_are_registered_and_told_apart(folder: Path) -> None:
    own = folder / "nlu"
    tables = ""
    for version in ("v1.0", "v2.0"):
        (own / version).mkdir(parents=True)
        (own / version / "weights.safetensors").write_bytes(version.encode())
        (own / version / "config.json").write_text("{}")
        tables += (
            f'[[model]]\nkey = "local:intents-{version}"\ncategory = "nlu"\nsource = "local"\n'
            f'ref.path = "{own / version}"\n'
        )
    config = folder / "modelset.toml"
    config.write_text(config.read_text() + tables)
    models = models_in(folder)
    assert models.ensure("local:intents-v1.0") == own / "v1.0"
    assert models.ensure("local:intents-v2.0") == own / "v2.0"
    (own / "v2.0" / "weights.safetensors").write_bytes(b"v2.1")
    keys = ("local:intents-v1.0", "local:intents-v2.0")
    assert [row.presence for row in look(folder, *keys, deep=True)] == ["present", "corrupt"]
    assert models.download(Wishes(keys=keys), Terms()).exit_code == 0
    assert [row.presence for row in look(folder, *keys, deep=True)] == ["present", "present"]
    assert (own / "v2.0" / "weights.safetensors").read_bytes() == b"v2.1"
