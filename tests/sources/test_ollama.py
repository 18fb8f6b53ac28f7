"""Names, manifests and the store of Ollama."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.contract.samples.ollama import (
    KIND,
    MANIFEST,
    REGISTRY,
    THING,
    WHOLE,
    document_of,
    dumped,
    layer,
    web_of,
)
from tests.fakes.samples import model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import PutFile, PutText
from modelset.core.lock import dump_lock, parse_lock
from modelset.core.types import Artifact
from modelset.sources.ollama import SOURCE
from modelset.store.inspect import inspect
from modelset.store.place import place

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def test_the_manifest_is_asked_for_in_its_own_form() -> None:
    web = web_of(WHOLE)
    SOURCE.resolve(THING, web)
    assert web.asked == [MANIFEST]
    assert web.accepted == [DOCKER]


@pytest.mark.parametrize(
    ("name", "address", "path"),
    [
        ("gemma2:9b", "registry.ollama.ai/v2/library/gemma2/manifests/9b", "gemma2/9b"),
        ("gemma2", "registry.ollama.ai/v2/library/gemma2/manifests/latest", "gemma2/latest"),
        (
            "acme/thing:q4_K_M",
            "registry.ollama.ai/v2/acme/thing/manifests/q4_K_M",
            "registry.ollama.ai/acme/thing/q4_K_M",
        ),
        (
            "hf.co/bartowski/Thing-1.5B-GGUF:Q8_0",
            "hf.co/v2/bartowski/Thing-1.5B-GGUF/manifests/Q8_0",
            "hf.co/bartowski/Thing-1.5B-GGUF/Q8_0",
        ),
        (
            "models.example.org/acme/thing",
            "models.example.org/v2/acme/thing/manifests/latest",
            "models.example.org/acme/thing/latest",
        ),
    ],
)
def test_what_a_name_leaves_unsaid_is_filled_in(name: str, address: str, path: str) -> None:
    path = path if path.count("/") == 3 else f"registry.ollama.ai/library/{path}"
    ref = {"name": name}
    assert SOURCE.check_ref(ref) == []
    assert SOURCE.trace(ref) == ("ollama", f"manifests/{path}")
    web = FakeWeb(texts={f"https://{address}": dumped(WHOLE)})
    pin = SOURCE.resolve(model("ollama", ref), web)
    assert web.asked == [f"https://{address}"]
    place_ = address.partition("/manifests/")[0]
    assert all(row.url.startswith(f"https://{place_}/blobs/sha256:") for row in pin.artifacts)


@pytest.mark.parametrize(
    "name",
    [
        "", ":", "thing:", ":7b", "/thing", "acme//thing", "a/b/c/d", "thing:a:b", "thing:a/b",
        "../thing", "acme/..", "..:7b", "thing:..", "host/../thing", ".hidden", "acme/.x",
        "thing:.", "-x", "acme/-x", "thing:-x", "a b", "a\\b", "a\nb", "thing\n", "thing:7b\n",
        "a%2fb", "a?b", "a#b", "a@b", "user:pw@host/a/b", "thing@sha256:" + "0" * 64, "é", "\0",
        "https://host/a/b",
    ],
)  # fmt: skip
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    assert SOURCE.check_ref({"name": name}) == [
        "ref.name: should be `[host/][namespace/]model[:tag]`"
    ]


@pytest.mark.parametrize("name", [5, None, ["thing"], True, {}])
def test_a_name_that_is_no_text_is_refused(name: object) -> None:
    assert SOURCE.check_ref({"name": name}) == ["ref.name: should be a text"]


def test_the_config_and_every_layer_are_files() -> None:
    pin = SOURCE.resolve(THING, web_of(WHOLE))
    names = ("config", "model", "template", "license")
    assert [row.digest for row in pin.artifacts] == [f"sha256:{sha256(one)}" for one in names]
    assert [row.size for row in pin.artifacts] == [483, 5_000_000, 9, 9]
    weights = sha256("model")
    assert pin.artifacts[1] == Artifact(
        f"model-{weights[:12]}",
        f"{REGISTRY}/library/thing/blobs/sha256:{weights}",
        5_000_000,
        f"sha256:{weights}",
    )
    assert pin.size_bytes == 483 + 5_000_000 + 18


def test_a_layer_that_is_listed_twice_comes_once() -> None:
    pin = SOURCE.resolve(THING, web_of(document_of(layer("model"), layer("x"), layer("x"))))
    assert len(pin.artifacts) == 3


def test_the_store_has_blobs_by_their_digests_and_the_manifest_last() -> None:
    pin = SOURCE.resolve(THING, web_of(WHOLE))
    found = SOURCE.layout(pin)
    manifest = "manifests/registry.ollama.ai/library/thing/7b"
    assert (found.root, found.folder) == ("ollama", manifest)
    blobs = [f"blobs/sha256-{sha256(one)}" for one in ("config", "model", "template", "license")]
    assert [row.path for row in found.placements[:-1] if isinstance(row, PutFile)] == blobs
    assert found.placements[-1] == PutText(manifest, dumped(WHOLE))
    assert found.opened == f"blobs/sha256-{sha256('model')}"


def test_a_model_of_many_pieces_opens_none_of_them() -> None:
    pieces = document_of(layer("one", "tensor"), layer("two", "tensor"))
    assert SOURCE.layout(SOURCE.resolve(THING, web_of(pieces))).opened == ""


ODD = {
    "indented": json.dumps(WHOLE, indent=3),
    "a line at the end": dumped(WHOLE) + "\n",
    "lines as Windows ends them": json.dumps(WHOLE, indent=2).replace("\n", "\r\n") + "\r\n",
    "blanks around": "\n\t " + dumped(WHOLE) + " \r",
    "keys twice": '{"schemaVersion":1,' + dumped(WHOLE)[1:],
    "other letters": dumped(WHOLE | {"note": "Größe"}).replace("\\u00f6", "ö"),
    "more fields": dumped(WHOLE | {"annotations": {"a": "b"}}),
}


@pytest.mark.parametrize("name", ODD)
def test_a_manifest_is_kept_byte_for_byte(tmp_path: Path, name: str) -> None:
    text = ODD[name]
    pin = SOURCE.resolve(THING, web_of(text))
    assert pin.revision == hashlib.sha256(text.encode()).hexdigest()
    pin = parse_lock(dump_lock([pin]), where="x")[pin.key]
    manifest = SOURCE.layout(pin).placements[-1]
    assert isinstance(manifest, PutText)
    layout = type(SOURCE.layout(pin))("ollama", (manifest,), manifest.path)
    roots = {"ollama": tmp_path}
    place(layout, roots, {})
    assert (tmp_path / manifest.path).read_bytes() == text.encode()
    assert inspect(layout, roots).presence() == "present"


def test_the_same_manifest_with_other_white_space_is_another_revision() -> None:
    pins = [SOURCE.resolve(THING, web_of(text)) for text in ODD.values()]
    assert len({pin.revision for pin in pins}) == len(ODD)


def test_a_blob_of_another_kind_of_digest_is_refused() -> None:
    odd = layer("model", digest="sha512:" + "0" * 128)
    with pytest.raises(ModelSetError, match="odd digest"):
        SOURCE.resolve(THING, web_of(document_of(odd)))


def test_a_tag_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ModelSetError) as caught:
        SOURCE.resolve(THING, FakeWeb())
    assert caught.value.failure.code == "not-found"


def test_the_kind_of_a_layer_decides_which_is_the_weights() -> None:
    rows = document_of(layer("adapter"), layer("gguf", mediaType=f"{KIND}model"))
    found = SOURCE.layout(SOURCE.resolve(THING, web_of(rows)))
    assert found.opened == f"blobs/sha256-{sha256('gguf')}"
