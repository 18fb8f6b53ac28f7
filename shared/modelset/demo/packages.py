"""A simple package index, as HTML and as JSON."""

from __future__ import annotations

from html import escape

from modelset.demo.cdn import package_address
from modelset.demo.exchange import Ask, Reply, json_reply, redirect, text_reply
from modelset.demo.site import Site
from modelset.demo.wheels import Wheel, normalized

_JSON = "application/vnd.pypi.simple.v1+json"

# The packages that are published on an index; the others come from releases.
PUBLISHED = ("silero-vad", "vadersentiment")


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/simple`."""
    project = ask.path.strip("/")
    if not project:
        return _projects(ask, _published(site))
    own_name = normalized(project)
    if own_name not in _published(site):
        return text_reply("Not Found\n", status=404)
    if ask.path != f"/{own_name}/":
        return redirect(301, f"/simple/{own_name}/")
    wheels = [site.wheels[name] for name in site.wheels if _project_of(name) == own_name]
    if _wants_json(ask):
        return _json_page(site, own_name, wheels)
    return _html_page("".join(_link(site, wheel) for wheel in wheels))


def _wants_json(ask: Ask) -> bool:
    return _JSON in (ask.headers.get("Accept") or "")


def _published(site: Site) -> list[str]:
    held = {_project_of(filename) for filename in site.wheels}
    return [name for name in PUBLISHED if name in held]


def _project_of(filename: str) -> str:
    # From the name alone, so that no wheel is opened that nobody wants.
    return normalized(filename.partition("-")[0])


def _projects(ask: Ask, names: list[str]) -> Reply:
    if _wants_json(ask):
        projects = [{"name": name} for name in names]
        return _vary(json_reply({"meta": {"api-version": "1.1"}, "projects": projects}, kind=_JSON))
    links = [f'<a href="/simple/{name}/">{name}</a><br>\n' for name in names]
    return _html_page("".join(links))


def _html_page(links: str) -> Reply:
    head = '<meta name="pypi:repository-version" content="1.1">'
    page = f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{links}</body></html>\n"
    return _vary(text_reply(page, "text/html"))


def _vary(reply: Reply) -> Reply:
    return Reply(reply.status, (*reply.headers, ("Vary", "Accept")), reply.body)


def _link(site: Site, wheel: Wheel) -> str:
    address = package_address(site, wheel.content, wheel.filename)
    metadata = f"sha256={wheel.metadata.sha256}"
    return (
        f'<a href="{escape(address)}#sha256={wheel.content.sha256}" '
        f'data-requires-python="&gt;=3.9" data-core-metadata="{metadata}" '
        f'data-dist-info-metadata="{metadata}">{escape(wheel.filename)}</a><br>\n'
    )


def _json_page(site: Site, name: str, wheels: list[Wheel]) -> Reply:
    files = [
        {
            "filename": wheel.filename,
            "url": package_address(site, wheel.content, wheel.filename),
            "hashes": {"sha256": wheel.content.sha256},
            "size": wheel.content.size,
            "requires-python": ">=3.9",
            "core-metadata": {"sha256": wheel.metadata.sha256},
            "dist-info-metadata": {"sha256": wheel.metadata.sha256},
            "yanked": False,
        }
        for wheel in wheels
    ]
    document = {
        "meta": {"api-version": "1.1"},
        "name": name,
        "versions": sorted({wheel.version for wheel in wheels}),
        "files": files,
    }
    return _vary(json_reply(document, kind=_JSON))
