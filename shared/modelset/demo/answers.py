"""Which part of the hub answers which path."""

from __future__ import annotations

from collections.abc import Callable

from modelset.demo import github, ollama, packages, plain_hosts, raw, releases
from modelset.demo.exchange import Ask, Reply, error_reply, tagged, text_reply
from modelset.demo.files import SILERO_HOST, VOSK_HOST, WHISPER_HOST
from modelset.demo.hub_api import answer_api
from modelset.demo.hub_files import answer_file
from modelset.demo.services import SERVICES
from modelset.demo.site import Site

# What each host is served under: a mirror setting leads from the one to the other.
_PARTS: dict[str, Callable[[Site, Ask], Reply]] = {
    "github": releases.answer,
    "github-api": github.answer,
    "raw": raw.answer,
    "simple": packages.answer,
    "ollama": ollama.answer,
}
# Those whose answers about models can be asked for again by their tag.
_TAGGED = ("github-api", "raw", "vosk")
_PLAIN = {"whisper": WHISPER_HOST, "silero": SILERO_HOST, "vosk": VOSK_HOST}


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request to the hub's own origin.

    The Hub is served under `/hf`, where a mirror setting leads, and at the root, where
    `HF_ENDPOINT` may lead.
    """
    first = ask.path[1:].partition("/")[0]
    inner = ask.under(f"/{first}")
    if inner is not None and _is_part(first, inner):
        return _elsewhere(site, inner, first)
    under_hub = ask.under("/hf")
    prefix, inner = ("", ask) if under_hub is None else ("/hf", under_hub)
    found = answer_file(site, inner, prefix)
    if found is not None:
        return found
    if inner.path.startswith("/api/"):
        return tagged(ask, answer_api(site, inner, prefix))
    return error_reply(404, "Not Found")


def _is_part(name: str, ask: Ask) -> bool:
    # Services are told by their version too: people on the Hub have the same names as they.
    if name in SERVICES:
        return ask.path.startswith("/v1/")
    return name in _PARTS or name in _PLAIN


def _elsewhere(site: Site, ask: Ask, part: str) -> Reply:
    if ask.method not in ("GET", "HEAD"):
        return text_reply("Method Not Allowed\n", status=405)
    if part in SERVICES:
        return SERVICES[part](ask)
    if part in _PLAIN:
        reply = plain_hosts.answer(site, ask, _PLAIN[part])
    else:
        reply = _PARTS[part](site, ask)
    return tagged(ask, reply) if part in _TAGGED else reply
