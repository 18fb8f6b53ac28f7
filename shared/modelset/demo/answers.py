"""Which part of the hub answers which path."""

from __future__ import annotations

from collections.abc import Callable

from modelset.demo import packages, releases
from modelset.demo.exchange import Ask, Reply, error_reply
from modelset.demo.hub_api import answer_api
from modelset.demo.hub_files import answer_file
from modelset.demo.site import Site

_PARTS: dict[str, Callable[[Site, Ask], Reply]] = {
    "/github": releases.answer_release,
    "/raw": releases.answer_raw,
    "/simple": packages.answer,
}


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request to the hub's own origin.

    The Hub is served under `/hf`, where a mirror setting leads, and at the root, where
    `HF_ENDPOINT` may lead.
    """
    for prefix, part in _PARTS.items():
        inner = ask.under(prefix)
        if inner is not None:
            return part(site, inner)
    under_hub = ask.under("/hf")
    prefix, inner = ("", ask) if under_hub is None else ("/hf", under_hub)
    found = answer_file(site, inner, prefix)
    if found is not None:
        return found
    if inner.path.startswith("/api/"):
        return answer_api(site, inner, prefix)
    return error_reply(404, "Not Found")
