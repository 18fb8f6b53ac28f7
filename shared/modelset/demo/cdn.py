"""The content network: large files behind signed addresses, packages without."""

from __future__ import annotations

from urllib.parse import unquote

from modelset.demo.content import Content
from modelset.demo.exchange import Ask, Reply, text_reply
from modelset.demo.ranges import file_reply
from modelset.demo.site import Site

_DENIED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>'
    "<Message>Request has expired or is not signed</Message></Error>\n"
)


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request to the content network's origin."""
    if ask.method not in ("GET", "HEAD"):
        return text_reply("Method Not Allowed\n", status=405)
    folder, _, rest = ask.path[1:].partition("/")
    digest, _, name = rest.partition("/")
    if folder == "packages":
        return _package(site, ask, digest, unquote(name))
    if folder == "objects" and digest in site.objects:
        if not site.signer.opens(ask.path, ask.query_text):
            return text_reply(_DENIED, "application/xml", status=403)
        return file_reply(ask, site.objects[digest], _own_etag(site.objects[digest]))
    return text_reply("Not Found\n", status=404)


def package_address(site: Site, content: Content, filename: str) -> str:
    """Return where a wheel lies."""
    return f"{site.cdn}/packages/{content.sha256}/{filename}"


def _package(site: Site, ask: Ask, digest: str, name: str) -> Reply:
    wheel = site.wheels.get(name.removesuffix(".metadata"))
    if wheel is None or wheel.content.sha256 != digest:
        return text_reply("Not Found\n", status=404)
    content = wheel.metadata if name.endswith(".metadata") else wheel.content
    return file_reply(ask, content, _own_etag(content))


def _own_etag(content: Content) -> str:
    # Content networks name a file in their own way, never by the digest that the Hub gives it.
    return content.blob_id[:32]
