"""A registry of Ollama models: a manifest, and blobs named by their digests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from tests.fakes.samples import DIGESTS, DOCUMENTS, JSON, SIZES, Sample, model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

REGISTRY = "https://registry.ollama.ai/v2"
MANIFEST = f"{REGISTRY}/library/thing/manifests/7b"
KIND = "application/vnd.ollama.image."


def layer(name: str, kind: str = "", **changes: Any) -> dict[str, Any]:
    row = {"mediaType": KIND + (kind or name), "digest": f"sha256:{sha256(name)}", "size": 9}
    return row | changes


def document_of(*layers: Any, **changes: Any) -> dict[str, Any]:
    config = {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "digest": f"sha256:{sha256('config')}",
        "size": 483,
    }
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": config,
        "layers": list(layers),
    } | changes


def web_of(document: Any) -> FakeWeb:
    return FakeWeb(texts={MANIFEST: document if isinstance(document, str) else dumped(document)})


def dumped(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))


WHOLE = document_of(layer("model", size=5_000_000), layer("template"), layer("license"))
THING = model("ollama", {"name": "thing:7b"})
ELSEWHERE = model("ollama", {"name": "models.example.org/acme/thing"})
SAMPLES = {
    "library": Sample(THING, lambda: web_of(WHOLE)),
    "elsewhere": Sample(
        ELSEWHERE,
        lambda: FakeWeb(
            texts={"https://models.example.org/v2/acme/thing/manifests/latest": dumped(WHOLE)}
        ),
    ),
    "a layer twice": Sample(
        THING, lambda: web_of(document_of(layer("model"), layer("license"), layer("license")))
    ),
    "odd white space": Sample(THING, lambda: web_of(json.dumps(WHOLE, indent=3) + "\r\n \n")),
}
BAD_REF = ({"name": "a/b/c/d:e", "extra": 1}, ("ref.name: should be", "ref.extra"))


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for text in ("", "<html>", "{", "[" * 100_000, "9" * 5000):
        found[f"the manifest is {text[:9]!r}"] = THING, web_of(text)
    for word, document in DOCUMENTS.items():
        found[f"the manifest is {word}"] = THING, web_of(dumped(document))
        config = document_of(layer("model"), config=document)
        found[f"the config is {word}"] = THING, web_of(config)
        if word not in ("a list", "empty"):
            found[f"the layers are {word}"] = THING, web_of(document_of(layers=document))
    for word, row in {"a list": [], "a text": "x", "nothing": None, "a number": 5}.items():
        found[f"a layer is {word}"] = THING, web_of(document_of(row))
    for word, size in SIZES.items():
        found[f"a size is {word}"] = THING, web_of(document_of(layer("model", size=size)))
    for word, digest in DIGESTS.items():
        told = f"sha256:{digest}" if isinstance(digest, str) else digest
        found[f"a digest is {word}"] = THING, web_of(document_of(layer("model", digest=told)))
    for told in ("md5:" + "0" * 32, "sha256:../" + "0" * 61, sha256("model"), None):
        odd = document_of(layer("model", digest=told))
        found[f"a digest is {str(told)[:12]!r}"] = THING, web_of(odd)
    for field in ("mediaType", "digest", "size"):
        row = {name: value for name, value in layer("model").items() if name != field}
        found[f"a layer without {field}"] = THING, web_of(document_of(row))
    for field in ("config", "layers"):
        odd = {name: value for name, value in WHOLE.items() if name != field}
        found[f"a manifest without {field}"] = THING, web_of(odd)
    return found


EVIL = _evil()
LAYERS = st.fixed_dictionaries(
    {
        "mediaType": st.just(f"{KIND}model") | JSON,
        "digest": st.just(f"sha256:{sha256('model')}") | JSON,
        "size": st.just(9) | JSON,
    }
)
FUZZ = (
    THING,
    st.builds(lambda one, two: web_of(document_of(one, two)), LAYERS | JSON, LAYERS | JSON)
    | st.builds(lambda document: web_of(dumped(document)), JSON)
    | st.text(max_size=20).map(web_of),
)
