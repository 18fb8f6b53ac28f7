"""Models of an Ollama registry, laid out as its server's own store; no server is needed.

Names, manifests and store as Ollama 0.33 has them: blobs are trusted by their names alone, so a
manifest comes last.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile, PutText
from modelset.core.refs import ref_problems
from modelset.core.types import Artifact, Model, Pin
from modelset.core.values import dataclass

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_MODEL = "application/vnd.ollama.image.model"
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(
    rf"(?:(?P<host>{_PART})/)?(?:(?P<space>{_PART})/)?(?P<model>{_PART})(?::(?P<tag>{_PART}))?"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Name:
    """A name as the registry takes it, with what Ollama leaves unsaid."""

    host: str
    space: str
    model: str
    tag: str

    @property
    def address(self) -> str:
        """Where the registry keeps the model."""
        return f"https://{self.host}/v2/{self.space}/{self.model}"

    @property
    def path(self) -> str:
        """Where the store keeps the manifest."""
        return f"manifests/{self.host}/{self.space}/{self.model}/{self.tag}"


class Ollama:
    """A registry."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The manifest that the tag names now, word for word, and its layers."""
        name = _parse(model.ref)
        url = f"{name.address}/manifests/{name.tag}"
        text = web.get_text(url, accept=_MANIFEST)
        try:
            document = json.loads(text)
            rows = [document["config"], *document["layers"]]
            artifacts = {row["digest"]: _artifact(name, row) for row in rows}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelSetError(
                "bad-response", f"{model.key}: {url} is no manifest of a model: {error}"
            ) from error
        revision = hashlib.sha256(text.encode()).hexdigest()
        ref = dict(model.ref)
        return Pin(model.key, "ollama", ref, revision, tuple(artifacts.values()), text)

    def layout(self, pin: Pin) -> Layout:
        """Blobs by their digest, then the manifest."""
        manifest = _parse(pin.ref).path
        blobs = tuple(PutFile(f"blobs/sha256-{row.hex}", row) for row in pin.artifacts)
        weights = [blob.path for blob in blobs if blob.artifact.name.startswith("model-")]
        opened = weights[0] if weights else ""
        return Layout("ollama", (*blobs, PutText(manifest, pin.manifest)), manifest, opened)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The manifest."""
        return "ollama", _parse(ref).path

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: the models are public."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("ollama", ref, {"name": str}, ("name",))
        name = ref.get("name")
        if isinstance(name, str) and not _NAME.fullmatch(name):
            problems.append("ref.name: should be `[host/][namespace/]model[:tag]`")
        return problems


def _parse(ref: Mapping[str, object]) -> _Name:
    found = _NAME.fullmatch(str(ref["name"]))
    assert found is not None, "check_ref has seen it"
    host, space = found["host"], found["space"]
    if host and not space:
        host, space = None, host  # one word before the name is a namespace
    return _Name(
        host or "registry.ollama.ai", space or "library", found["model"], found["tag"] or "latest"
    )


def _artifact(name: _Name, row: Mapping[str, Any]) -> Artifact:
    digest = row["digest"]
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"odd digest {digest!r}")
    kind = "model" if row["mediaType"] == _MODEL else "layer"
    label = f"{kind}-{digest.removeprefix('sha256:')[:12]}"
    return Artifact(label, f"{name.address}/blobs/{digest}", row["size"], digest)


SOURCE: Source = Ollama()
