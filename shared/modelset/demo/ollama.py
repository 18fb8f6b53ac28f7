"""The Ollama registry: manifests by tag, and blobs behind signed addresses."""

from __future__ import annotations

import re
from urllib.parse import unquote

from modelset.demo.content import Content
from modelset.demo.exchange import Ask, Reply, json_reply, redirect
from modelset.demo.images import MANIFEST_KIND
from modelset.demo.ranges import file_reply
from modelset.demo.site import Site

_ASKED = re.compile(r"/v2/(?P<name>[^/]+/[^/]+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/ollama`."""
    asked = _ASKED.fullmatch(unquote(ask.path))
    if asked is None:
        return _refused("NAME_INVALID", "invalid repository name")
    if asked["kind"] == "manifests":
        return _manifest(site, ask, asked["name"], asked["reference"])
    return _blob(site, ask, asked["name"], asked["reference"])


def _manifest(site: Site, ask: Ask, name: str, tag: str) -> Reply:
    image = site.images.get(f"{name}:{tag}")
    if image is None:
        return _refused("MANIFEST_UNKNOWN", "manifest unknown")
    headers = (
        ("Content-Type", MANIFEST_KIND),
        ("Docker-Content-Digest", f"sha256:{image.manifest.sha256}"),
    )
    return file_reply(ask, image.manifest, image.manifest.sha256, headers)


def _blob(site: Site, ask: Ask, name: str, digest: str) -> Reply:
    if not _DIGEST.fullmatch(digest):
        return _refused("DIGEST_INVALID", "invalid digest")
    content = _held(site, name, digest)
    if content is None:
        return _refused("BLOB_UNKNOWN", "blob unknown to registry")
    if ask.method == "HEAD":
        return file_reply(ask, content, content.sha256)
    return redirect(307, site.signed_address(content, digest.replace(":", "-")))


def _held(site: Site, name: str, digest: str) -> Content | None:
    # A blob belongs to the model as a whole, whichever of its tags names it.
    for key in site.images:
        if key.rpartition(":")[0] == name and digest in site.images[key].blobs:
            return site.images[key].blobs[digest]
    return None


def _refused(code: str, message: str) -> Reply:
    document = {"errors": [{"code": code, "message": message, "detail": {}}]}
    return json_reply(document, status=404)
