"""Release downloads, as GitHub serves them: a redirect to the content network."""

from __future__ import annotations

from urllib.parse import unquote

from modelset.demo.content import Content
from modelset.demo.exchange import Ask, Reply, redirect, text_reply
from modelset.demo.site import Site

_SPACY_RELEASES = "/explosion/spacy-models/releases/download/"


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/github`."""
    path = unquote(ask.path)
    content = _spacy_wheel(site, path) or site.files.get(f"github.com{path}")
    if content is None:
        return text_reply("Not Found", status=404)
    return redirect(302, site.signed_address(content, path))


def _spacy_wheel(site: Site, path: str) -> Content | None:
    if not path.startswith(_SPACY_RELEASES):
        return None
    tag, _, filename = path.removeprefix(_SPACY_RELEASES).partition("/")
    wheel = site.wheels.get(filename)
    if wheel is None or not wheel.meta or tag != f"{wheel.package}-{wheel.version}":
        return None
    return wheel.content
