"""The Ollama registry, and the services that only tell whether a key is good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelset.demo.folders import MODELS
from modelset.demo.hub import DemoHub

Fetch = Callable[..., Any]

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
LAYER = "application/vnd.ollama.image."
MODELS_SERVED = [("gemma2", "9b"), ("gemma2", "2b"), ("llama3.1", "8b"), ("qwen2.5", "7b")]


def manifest(hub: DemoHub, fetch: Fetch, model: str = "gemma2", tag: str = "9b") -> Any:
    address = f"{hub.url}/ollama/v2/library/{model}/manifests/{tag}"
    answer = fetch(address, headers={"Accept": DOCKER})
    assert (answer.status, answer.headers["Content-Type"]) == (200, DOCKER)
    return json.loads(answer.body)


@pytest.mark.parametrize(("model", "tag"), MODELS_SERVED)
def test_every_blob_of_a_model(hub: DemoHub, fetch: Fetch, model: str, tag: str) -> None:
    found = manifest(hub, fetch, model, tag)
    assert (found["schemaVersion"], found["mediaType"]) == (2, DOCKER)
    bodies = {}
    for row in (found["config"], *found["layers"]):
        address = f"{hub.url}/ollama/v2/library/{model}/blobs/{row['digest']}"
        head = fetch(address, "HEAD")
        assert (head.status, head.headers["Content-Length"]) == (200, str(row["size"]))
        answer = fetch(address)
        assert answer.status == 307
        assert answer.headers["Location"].startswith(hub.cdn_url + "/")
        body = fetch(answer.headers["Location"]).body
        assert (f"sha256:{hashlib.sha256(body).hexdigest()}", len(body)) == (
            row["digest"],
            row["size"],
        )
        assert fetch(answer.headers["Location"].partition("?")[0]).status == 403
        bodies[row["mediaType"]] = body
    assert bodies[LAYER + "model"] == (MODELS / "gguf" / "tiny-llama.gguf").read_bytes()
    assert bodies[LAYER + "template"] == (MODELS / "ollama" / "template.txt").read_bytes()
    assert set(bodies) == {found["config"]["mediaType"]} | {
        LAYER + kind for kind in ("model", "template", "params", "license")
    }
    config = json.loads(bodies[found["config"]["mediaType"]])
    assert (config["model_format"], config["model_family"]) == ("gguf", "llama")
    assert config["rootfs"]["diff_ids"] == [row["digest"] for row in found["layers"]]


def test_models_share_layers_but_not_manifests(hub: DemoHub, fetch: Fetch) -> None:
    first, second = manifest(hub, fetch), manifest(hub, fetch, "qwen2.5", "7b")
    assert first["layers"] == second["layers"]
    assert first["config"] != second["config"]


def test_a_blob_is_only_where_its_model_is(hub: DemoHub, fetch: Fetch) -> None:
    digest = manifest(hub, fetch)["config"]["digest"]
    assert fetch(f"{hub.url}/ollama/v2/library/qwen2.5/blobs/{digest}").status == 404
    assert fetch(f"{hub.url}/ollama/v2/library/gemma2/blobs/{digest}").status == 307


def test_blob_in_part(hub: DemoHub, fetch: Fetch) -> None:
    weights = manifest(hub, fetch)["layers"][0]
    moved = fetch(f"{hub.url}/ollama/v2/library/gemma2/blobs/{weights['digest']}")
    part = fetch(moved.headers["Location"], headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"GGUF")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("library/gemma2/manifests/1b", "MANIFEST_UNKNOWN"),
        ("library/none/manifests/latest", "MANIFEST_UNKNOWN"),
        ("nobody/gemma2/manifests/9b", "MANIFEST_UNKNOWN"),
        (f"library/gemma2/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        (f"library/none/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("library/gemma2/blobs/sha256:..%2f..", "NAME_INVALID"),
        ("library/gemma2/blobs/md5:0", "DIGEST_INVALID"),
        ("gemma2/manifests/9b", "NAME_INVALID"),
    ],
)
def test_registry_errors(hub: DemoHub, fetch: Fetch, path: str, code: str) -> None:
    answer = fetch(f"{hub.url}/ollama/v2/{path}")
    assert answer.status == 404
    assert [error["code"] for error in json.loads(answer.body)["errors"]] == [code]


SERVICES = [
    ("openai/v1/models/tts-1", "Authorization", "Bearer "),
    ("openai/v1/models", "Authorization", "Bearer "),
    ("vsegpt/v1/models", "Authorization", "Bearer "),
    ("anthropic/v1/models", "x-api-key", ""),
    ("elevenlabs/v1/models", "xi-api-key", ""),
]


@pytest.mark.parametrize(("path", "header", "prefix"), SERVICES)
def test_a_key_is_good_or_not(
    hub: DemoHub, fetch: Fetch, path: str, header: str, prefix: str
) -> None:
    good = fetch(f"{hub.url}/{path}", headers={header: f"{prefix}demo-key"})
    assert good.status == 200
    assert json.loads(good.body)
    for headers in ({}, {header: f"{prefix}other"}, {header: prefix}, {"X-Other": "demo-key"}):
        refused = fetch(f"{hub.url}/{path}", headers=headers)
        assert refused.status == 401
        assert json.loads(refused.body)
        assert b"other" not in refused.body
        assert b"demo-key" not in refused.body


def test_no_service_takes_the_key_of_another_place(hub: DemoHub, fetch: Fetch) -> None:
    as_bearer = {"Authorization": "Bearer demo-key"}
    assert fetch(f"{hub.url}/anthropic/v1/models", headers=as_bearer).status == 401
    assert fetch(f"{hub.url}/openai/v1/models", headers={"x-api-key": "demo-key"}).status == 401


def test_openai_answers_about_the_model_that_was_asked_for(hub: DemoHub, fetch: Fetch) -> None:
    key = {"Authorization": "Bearer demo-key"}
    found = json.loads(fetch(f"{hub.url}/openai/v1/models/tts-1", headers=key).body)
    assert (found["id"], found["object"]) == ("tts-1", "model")
    refused = json.loads(fetch(f"{hub.url}/openai/v1/models/tts-1").body)
    assert refused["error"]["type"] == "invalid_request_error"
    assert fetch(f"{hub.url}/openai/v1/other", headers=key).status == 404


def test_an_owner_on_the_hub_may_have_the_name_of_a_service(hub: DemoHub, fetch: Fetch) -> None:
    answer = fetch(f"{hub.url}/openai/whisper-tiny/resolve/main/config.json")
    assert (answer.status, answer.headers["X-Error-Code"]) == (401, "RepoNotFound")
