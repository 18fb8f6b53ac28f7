"""What is made only when it is asked for, and what is served of folders that are not there."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.content import Content
from modelset.demo.folders import MODELS, Folders, zipped
from modelset.demo.hub import DemoHub
from modelset.demo.shelf import Shelf

Fetch = Callable[..., Any]


def test_values_are_made_once_and_late() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        time.sleep(0.02)
        return name.upper()

    shelf = Shelf({name: (lambda name=name: make(name)) for name in ("a", "b")})
    assert (list(shelf), len(shelf), "a" in shelf, "c" in shelf) == (["a", "b"], 2, True, False)
    assert made == []
    threads = [threading.Thread(target=shelf.__getitem__, args=("a",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert shelf["a"] is shelf["a"]
    assert shelf.get("c") is None
    with pytest.raises(KeyError):
        shelf["c"]


def test_a_maker_that_fails_is_asked_again() -> None:
    answers = iter([OSError("gone"), "here"])

    def make() -> object:
        found = next(answers)
        if isinstance(found, OSError):
            raise found
        return found

    shelf = Shelf({"a": make})
    with pytest.raises(OSError, match="gone"):
        shelf["a"]
    assert shelf["a"] == "here"


def test_archives_do_not_depend_on_the_order_of_files() -> None:
    one, two = Content(b"1"), Content(b"2")
    assert zipped({"b/c": one, "a": two}, "t").body == zipped({"a": two, "b/c": one}, "t").body
    assert zipped({"a": one}, "t").body != zipped({"a": two}, "t").body


def test_folders_leave_out_what_running_code_leaves_behind(tmp_path: Path) -> None:
    for name in ("m/x.py", "m/__pycache__/x.cpython-311.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    folders = Folders(tmp_path)
    assert list(folders.files("m")) == ["x.py"]
    assert folders.file("m/x.py") is folders.file("m/x.py")
    assert folders.inside("none") == []


def test_nothing_is_hashed_before_it_is_wanted() -> None:
    hub = DemoHub()
    with hub:
        assert hub.site.objects == {}
        assert len(hub.site.repos) > 30


def test_without_any_models_everything_is_missing(fetch: Fetch, tmp_path: Path) -> None:
    with DemoHub(models=tmp_path) as hub:
        assert hub.tables == ""
        for path in (
            "/hf/api/models/rhasspy/piper-voices",
            "/simple/silero-vad/",
            "/github-api/repos/snakers4/silero-vad/commits/master",
            "/ollama/v2/library/gemma2/manifests/9b",
        ):
            assert fetch(hub.url + path).status in (401, 404)
        listed = fetch(f"{hub.url}/vosk/vosk/models/model-list.json")
        assert (listed.status, json.loads(listed.body)) == (200, [])
        index = fetch(f"{hub.url}/raw/nltk/nltk_data/gh-pages/index.xml")
        assert index.status == 200
        assert b"<package " not in index.body
        assert json.loads(
            fetch(f"{hub.url}/raw/explosion/spacy-models/master/compatibility.json").body
        ) == {"spacy": {"3.8": {}}}


def test_with_some_models_the_others_are_served(fetch: Fetch, tmp_path: Path) -> None:
    shutil.copytree(MODELS / "gguf", tmp_path / "gguf")
    with DemoHub(models=tmp_path) as hub:
        assert set(hub.site.repos) == {
            "TheBloke/Mistral-7B-Instruct-v0.2-GGUF",
            "bartowski/Mistral-7B-Instruct-v0.3-GGUF",
            "TheBloke/phi-2-GGUF",
            "TheBloke/Llama-2-7B-Chat-GGUF",
        }
        found = fetch(f"{hub.url}/ollama/v2/library/gemma2/manifests/9b")
        kinds = [layer["mediaType"] for layer in json.loads(found.body)["layers"]]
        assert kinds == ["application/vnd.ollama.image.model"]
