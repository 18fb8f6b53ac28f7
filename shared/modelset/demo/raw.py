"""Raw files of repositories: what is said about spaCy's models, NLTK's data, and plain ones."""

from __future__ import annotations

import json
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from modelset.demo.exchange import Ask, Reply, text_reply
from modelset.demo.files import NLTK_DATA, lexicon_address
from modelset.demo.folders import unzipped_size
from modelset.demo.ranges import file_reply
from modelset.demo.site import Site
from modelset.demo.wheels import Wheel

_HOST = "raw.githubusercontent.com"
_SPACY_MODELS = "/explosion/spacy-models/master/"
_SPACY = "3.8"
_INDEX = """\
<?xml version="1.0"?>
<?xml-stylesheet href="index.xsl" type="text/xsl"?>
<nltk_data>
  <packages>
{rows}  </packages>
  <collections>
  </collections>
</nltk_data>
"""


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/raw`."""
    path = unquote(ask.path)
    if path.startswith(_SPACY_MODELS):
        found = _spacy_page(site, path.removeprefix(_SPACY_MODELS))
    elif f"{_HOST}{path}" == f"{NLTK_DATA}/index.xml":
        found = text_reply(_nltk_index(site))
    elif f"{_HOST}{path}" in site.files:
        content = site.files[f"{_HOST}{path}"]
        found = file_reply(ask, content, content.sha256)
    else:
        found = _file(site, ask, path)
    return found or text_reply("404: Not Found", status=404)


def _file(site: Site, ask: Ask, path: str) -> Reply | None:
    owner, _, rest = path[1:].partition("/")
    name, _, inner = rest.partition("/")
    repo = site.git.get(f"{owner}/{name}")
    if repo is None:
        return None
    # A branch's name may have slashes in it, so the path does not tell where it ends.
    revisions = (repo.commit, repo.branch, f"refs/heads/{repo.branch}")
    for revision in revisions:
        own = inner.removeprefix(f"{revision}/")
        if own != inner and own in repo.files:
            content = repo.files[own]
            kind = (("Content-Type", "text/plain; charset=utf-8"),)
            return file_reply(ask, content, content.sha256, kind)
    return None


def _spacy_page(site: Site, path: str) -> Reply | None:
    pipelines = [wheel for wheel in site.wheels.values() if wheel.meta]
    pages = {f"meta/{wheel.package}-{wheel.version}.json": wheel for wheel in pipelines}
    if path == "compatibility.json":
        known = {wheel.package: [wheel.version] for wheel in pipelines}
        return _json_text({"spacy": {_SPACY: known}})
    return _json_text(_described(pages[path])) if path in pages else None


def _described(wheel: Wheel) -> dict[str, object]:
    megabytes = -(-wheel.content.size // 1_000_000)
    return {
        **wheel.meta,
        "size": f"{megabytes} MB",
        "checksum": None,
        "checksum_whl": wheel.content.sha256,
    }


def _json_text(document: object) -> Reply:
    return text_reply(json.dumps(document, indent=2) + "\n")


def _nltk_index(site: Site) -> str:
    content = site.files.get(lexicon_address())
    if content is None:
        return _INDEX.format(rows="")
    values = {
        "id": "vader_lexicon",
        "name": "VADER Sentiment Lexicon",
        "subdir": "sentiment",
        "unzip": "0",
        "unzipped_size": str(unzipped_size(content)),
        "size": str(content.size),
        "checksum": content.md5,
        "sha256_checksum": content.sha256,
        "url": f"https://{lexicon_address()}",
        "webpage": "https://github.com/cjhutto/vaderSentiment",
        "license": "MIT License",
    }
    attributes = " ".join(f"{name}={quoteattr(text)}" for name, text in values.items())
    return _INDEX.format(rows=f"    <package {attributes} />\n")
