"""Release downloads and raw files, as GitHub serves those of the spaCy models."""

from __future__ import annotations

import json

from modelset.demo.exchange import Ask, Reply, redirect, text_reply
from modelset.demo.site import Site
from modelset.demo.wheels import Wheel

_RELEASES = "/explosion/spacy-models/releases/download/"
_RAW = "/explosion/spacy-models/master/"
_SPACY = "3.8"


def answer_release(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/github`: a redirect to the content network."""
    tag, _, filename = ask.path.removeprefix(_RELEASES).partition("/")
    wheel = site.wheels.get(filename) if ask.path.startswith(_RELEASES) else None
    if wheel is None or not wheel.meta or tag != f"{wheel.package}-{wheel.version}":
        return text_reply("Not Found", status=404)
    return redirect(302, site.signed_address(wheel.content, filename))


def answer_raw(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/raw`: what is said about the releases."""
    pipelines = [wheel for wheel in site.wheels.values() if wheel.meta]
    pages = {f"{_RAW}meta/{wheel.package}-{wheel.version}.json": wheel for wheel in pipelines}
    if ask.path == f"{_RAW}compatibility.json":
        known = {wheel.package: [wheel.version] for wheel in pipelines}
        return _raw_json({"spacy": {_SPACY: known}})
    if ask.path in pages:
        return _raw_json(_described(pages[ask.path]))
    return text_reply("404: Not Found", status=404)


def _described(wheel: Wheel) -> dict[str, object]:
    megabytes = -(-wheel.content.size // 1_000_000)
    return {
        **wheel.meta,
        "size": f"{megabytes} MB",
        "checksum": None,
        "checksum_whl": wheel.content.sha256,
    }


def _raw_json(document: object) -> Reply:
    return text_reply(json.dumps(document, indent=2) + "\n")
