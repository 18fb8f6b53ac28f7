"""Models as the Ollama registry holds them: a manifest and the blobs that it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from modelset.demo.content import Content
from modelset.demo.folders import Folders
from modelset.demo.shelf import Shelf

MANIFEST_KIND = "application/vnd.docker.distribution.manifest.v2+json"
NAMES = ("library/gemma2:9b", "library/gemma2:2b", "library/llama3.1:8b", "library/qwen2.5:7b")

_CONFIG_KIND = "application/vnd.docker.container.image.v1+json"
_WEIGHTS = "gguf/tiny-llama.gguf"
# The layers in the order of a manifest; without the weights there is no model.
_LAYERS = {
    "model": _WEIGHTS,
    "template": "ollama/template.txt",
    "license": "ollama/license.txt",
    "params": "ollama/params.json",
}


@dataclass(frozen=True, slots=True)
class Image:
    """One model; `blobs` holds its configuration and layers by their digests."""

    manifest: Content
    blobs: Mapping[str, Content]


def build_images(folders: Folders) -> Shelf[Image]:
    """Return every model by `namespace/name:tag`; each is made when it is first asked for."""
    names = NAMES if folders.has(_WEIGHTS) else ()
    return Shelf({name: partial(_image, folders, name) for name in names})


def _image(folders: Folders, name: str) -> Image:
    layers = {kind: folders.file(path) for kind, path in _LAYERS.items() if folders.has(path)}
    config = _config(name, list(layers.values()))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_KIND,
        "config": _named(_CONFIG_KIND, config),
        "layers": [
            _named(f"application/vnd.ollama.image.{kind}", content)
            for kind, content in layers.items()
        ],
    }
    blobs = {f"sha256:{content.sha256}": content for content in (config, *layers.values())}
    return Image(Content(_packed(manifest)), blobs)


def _config(name: str, layers: list[Content]) -> Content:
    document = {
        "model_format": "gguf",
        "model_family": "llama",
        "model_families": ["llama"],
        # The one field that differs, so that models of the same layers have their own manifests.
        "model_type": name.rpartition(":")[2].upper(),
        "file_type": "F16",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
    }
    return Content(_packed(document))


def _named(kind: str, content: Content) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{content.sha256}", "size": content.size}


def _packed(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
