"""Hosts that serve nothing but files: voices, checkpoints, and Vosk's archives with their list."""

from __future__ import annotations

import re
from urllib.parse import unquote

from modelset.demo.exchange import Ask, Reply, json_reply, text_reply
from modelset.demo.files import VOSK_HOST, VOSK_NAMES, vosk_address
from modelset.demo.ranges import file_reply
from modelset.demo.site import Site

_NAME = re.compile(r"vosk-model-(?P<small>small-)?(?P<language>[a-z-]+)-(?P<version>[0-9].*)")
_LANGUAGES = {
    "en-us": "US English",
    "ru": "Russian",
    "vn": "Vietnamese",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
}


def answer(site: Site, ask: Ask, host: str) -> Reply:
    """Answer a request to one of these hosts."""
    path = unquote(ask.path)
    if (host, path) == (VOSK_HOST, "/vosk/models/model-list.json"):
        served = [name for name in VOSK_NAMES if vosk_address(name) in site.files]
        return json_reply([_row(site, name) for name in served])
    content = site.files.get(host + path)
    if content is None:
        return text_reply("Not Found\n", status=404)
    return file_reply(ask, content, content.blob_id[:32])


def _row(site: Site, name: str) -> dict[str, object]:
    content = site.files[vosk_address(name)]
    parts = _NAME.fullmatch(name)
    assert parts is not None, "the names are our own"
    kind = "small" if parts["small"] else "big"
    return {
        "lang": parts["language"],
        "lang_text": _LANGUAGES[parts["language"]],
        "md5": content.md5,
        "name": name,
        "obsolete": "false",
        "size": content.size,
        "size_text": f"{content.size / 1024:.1f}KiB",
        "type": "big-lgraph" if name.endswith("-lgraph") else kind,
        "url": f"https://{vosk_address(name)}",
        "version": parts["version"],
    }
