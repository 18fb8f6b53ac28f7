"""The real clients against the newer parts of the demo hub."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.folders import MODELS
from modelset.demo.hub import DemoHub

RunPython = Callable[..., Any]

DISTIL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
PINNED = "714eb0fa89d2f80546fda750413ed43d93601a13"
REPOS = {
    "sentence-transformers/all-MiniLM-L6-v2": "1_Pooling/config.json",
    "sentence-transformers/all-mpnet-base-v2": "modules.json",
    DISTIL: "model.safetensors",
    "TheBloke/Mistral-7B-Instruct-v0.2-GGUF": "mistral-7b-instruct-v0.2.Q4_K_M.gguf",
    "bartowski/Mistral-7B-Instruct-v0.3-GGUF": "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf",
    "TheBloke/phi-2-GGUF": "phi-2.Q4_K_M.gguf",
    "TheBloke/Llama-2-7B-Chat-GGUF": "llama-2-7b-chat.Q4_K_M.gguf",
    "rhasspy/piper-voices": "en/en_US/lessac/medium/en_US-lessac-medium.onnx.json",
    "tts-hub/XTTS-v2": "speakers_xtts.pth",
}

SNAPSHOTS = """
import json, sys
from huggingface_hub import snapshot_download
print(json.dumps({name: snapshot_download(name) for name in sys.argv[1:]}))
"""

REVISIONS = f"""
import json
from huggingface_hub import hf_hub_download
found = {{
    name: hf_hub_download("{DISTIL}", "config.json", revision=name)
    for name in ("714eb0f", "{PINNED}", "main")
}}
print(json.dumps(found))
"""

# The client takes the addresses of the index as they stand: here they go where a mirror leads.
NLTK = """
import json, sys, urllib.request
import nltk.downloader
hub, folder = sys.argv[1:]
host = "https://raw.githubusercontent.com"
nltk.downloader.urlopen = lambda url, **named: urllib.request.urlopen(
    url.replace(host, hub + "/raw"), **named
)
client = nltk.downloader.Downloader(server_index_url=host + "/nltk/nltk_data/gh-pages/index.xml")
assert client.download("vader_lexicon", download_dir=folder, quiet=True, raise_on_error=True)
print(json.dumps(client.status("vader_lexicon", folder)))
"""


def answer(process: Any) -> Any:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_snapshots_of_every_new_repository(hub: DemoHub, run_python: RunPython) -> None:
    pytest.importorskip("huggingface_hub")
    found = answer(run_python("-c", SNAPSHOTS, *REPOS, env={"HF_ENDPOINT": f"{hub.url}/hf"}))
    for name, path in REPOS.items():
        repo, folder = hub.site.repos[name], Path(found[name])
        assert folder.name == repo.commit
        assert path in repo.files
        held = {own.relative_to(folder).as_posix() for own in folder.rglob("*") if own.is_file()}
        assert held == set(repo.files)
        for own, file in repo.files.items():
            assert (folder / own).read_bytes() == file.content.body
            assert (folder / own).resolve().name == file.etag
    assert len({Path(folder).name for folder in found.values()}) == len(REPOS)


def test_a_pinned_commit_answers_to_its_short_name(hub: DemoHub, run_python: RunPython) -> None:
    pytest.importorskip("huggingface_hub")
    found = answer(run_python("-c", REVISIONS, env={"HF_ENDPOINT": f"{hub.url}/hf"}))
    assert {Path(path).parent.name for path in found.values()} == {PINNED}
    assert Path(found["714eb0f"]).parents[2].joinpath("refs/714eb0f").read_text() == PINNED


def test_what_a_voice_and_a_cloner_are_made_of(hub: DemoHub) -> None:
    voices = hub.site.repos["rhasspy/piper-voices"].files
    for place, code in {
        "en/en_US/lessac/medium": "en_US-lessac-medium",
        "ru/ru_RU/irina/medium": "ru_RU-irina-medium",
        "vi/vi_VN/vais1000/medium": "vi_VN-vais1000-medium",
    }.items():
        own = {path for path in voices if path.startswith(place)}
        assert own == {
            f"{place}/{name}" for name in (f"{code}.onnx", f"{code}.onnx.json", "MODEL_CARD")
        }
        assert voices[f"{place}/{code}.onnx"].is_lfs
    cloner = hub.site.repos["tts-hub/XTTS-v2"].files
    assert {"config.json", "model.pth", "vocab.json", "hash.md5", "mel_stats.pth"} <= set(cloner)
    assert cloner["hash.md5"].content.body.decode().strip() == cloner["model.pth"].content.md5
    assert b"*.pth filter=lfs" in cloner[".gitattributes"].content.body


def test_nltk_downloads(hub: DemoHub, run_python: RunPython, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    folder = tmp_path / "nltk_data"
    folder.mkdir(mode=0o755)
    assert answer(run_python("-c", NLTK, hub.url, str(folder))) == "installed"
    archive = folder / "sentiment" / "vader_lexicon.zip"
    with zipfile.ZipFile(archive) as opened:
        held = opened.read("vader_lexicon/vader_lexicon.txt")
    assert held == (MODELS / "nltk" / "vader_lexicon.txt").read_bytes()


def test_pip_downloads_the_lexicon_in_a_wheel(
    hub: DemoHub, run_python: RunPython, tmp_path: Path
) -> None:
    pytest.importorskip("pip")
    index = ["--isolated", "--index-url", f"{hub.url}/simple/", "--no-deps"]
    process = run_python(
        "-m", "pip", "download", "-q", *index, "-d", str(tmp_path), "vaderSentiment"
    )
    assert process.returncode == 0, process.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("vaderSentiment-3.3.2")
    assert wheel.read_bytes() == hub.site.wheels[wheel.name].content.body
