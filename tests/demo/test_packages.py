"""Releases, raw files and the package index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.demo.hub import DemoHub

Fetch = Callable[..., Any]

RELEASES = "/github/explosion/spacy-models/releases/download"
RAW = "/raw/explosion/spacy-models/master"
VAD = "silero_vad-6.2.3.post0-py3-none-any.whl"


@pytest.mark.parametrize("package", ["en_core_web_sm", "en_core_web_trf"])
def test_release(hub: DemoHub, fetch: Fetch, package: str) -> None:
    release = f"{package}-3.8.0"
    answer = fetch(f"{hub.url}{RELEASES}/{release}/{release}-py3-none-any.whl")
    described = json.loads(fetch(f"{hub.url}{RAW}/meta/{release}.json").body)
    assert answer.status == 302
    assert answer.headers["Location"].startswith(hub.cdn_url)
    wheel = fetch(answer.headers["Location"]).body
    assert hashlib.sha256(wheel).hexdigest() == described["checksum_whl"]
    assert f"{described['lang']}_{described['name']}" == package
    assert (described["version"], described["requirements"]) == ("3.8.0", [])
    assert described["size"] == "1 MB"
    assert {"spacy_version", "license"} <= set(described)


def test_compatibility(hub: DemoHub, fetch: Fetch) -> None:
    table = json.loads(fetch(f"{hub.url}{RAW}/compatibility.json").body)
    assert table["spacy"]["3.8"]["en_core_web_trf"] == ["3.8.0"]


def test_what_was_not_released(hub: DemoHub, fetch: Fetch) -> None:
    for path in (
        f"{RELEASES}/silero_vad-6.2.3.post0/{VAD}",
        f"{RELEASES}/x/en_core_web_sm-3.8.0-py3-none-any.whl",
        f"{RAW}/meta/en_core_web_sm-3.7.0.json",
        "/simple/en-core-web-sm/",
        "/nowhere",
    ):
        assert fetch(hub.url + path).status == 404


def test_index_as_html(hub: DemoHub, fetch: Fetch) -> None:
    assert fetch(f"{hub.url}/simple/Silero_VAD").headers["Location"] == "/simple/silero-vad/"
    page = fetch(f"{hub.url}/simple/silero-vad/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert b"silero-vad" in fetch(f"{hub.url}/simple/").body
    sha256 = hub.site.wheels[VAD].content.sha256
    assert f"{VAD}#sha256={sha256}".encode() in page.body


def test_index_as_json(hub: DemoHub, fetch: Fetch) -> None:
    kind = "application/vnd.pypi.simple.v1+json"
    page = fetch(f"{hub.url}/simple/silero-vad/", headers={"Accept": kind})
    assert page.headers["Content-Type"].startswith(kind)
    (file,) = json.loads(page.body)["files"]
    body = fetch(file["url"]).body
    assert (len(body), hashlib.sha256(body).hexdigest()) == (file["size"], file["hashes"]["sha256"])
    metadata = fetch(file["url"] + ".metadata").body
    assert hashlib.sha256(metadata).hexdigest() == file["core-metadata"]["sha256"]


def test_pip_downloads(hub: DemoHub, run_python: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("pip")
    index = ["--isolated", "--index-url", f"{hub.url}/simple/", "--no-deps"]
    process = run_python(
        "-m", "pip", "download", "-q", *index, "-d", str(tmp_path / "wheels"), "silero-vad"
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "wheels" / VAD).read_bytes() == hub.site.wheels[VAD].content.body
