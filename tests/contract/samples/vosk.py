"""Vosk: the list of its publisher."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.fakes.samples import (
    ADDRESSES,
    DIGESTS,
    DOCUMENTS,
    JSON,
    SIZES,
    Sample,
    model,
)
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

LIST = "https://alphacephei.com/vosk/models/model-list.json"
NAME = "vosk-model-small-xx-0.1"
ARCHIVE = f"https://alphacephei.com/vosk/models/{NAME}.zip"
MD5 = "0123456789abcdef0123456789abcdef"


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "lang": "xx",
        "lang_text": "House",
        "md5": MD5,
        "name": NAME,
        "obsolete": "false",
        "size": 41_000_000,
        "size_text": "39.1MiB",
        "type": "small",
        "url": ARCHIVE,
        "version": "0.1",
    }
    return plain | changes


def web_of(*rows: Any) -> FakeWeb:
    return FakeWeb(json={LIST: list(rows)})


SMALL = model("vosk", {"name": NAME})
SAMPLES = {
    "listed": Sample(SMALL, lambda: web_of(row(name="vosk-model-xx-0.1", md5="f" * 32), row())),
    "without a sum": Sample(SMALL, lambda: web_of(row(md5=""))),
}
BAD_REF = ({"name": "../x", "extra": 1}, ("ref.name: unsafe", "ref.extra"))


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, document in DOCUMENTS.items():
        if document not in ([], {}):
            found[f"the list is {word}"] = SMALL, FakeWeb(json={LIST: document})
    for word, odd in {"a list": [], "a text": "x", "nothing": None, "a number": 5}.items():
        found[f"a row is {word}"] = SMALL, web_of(odd)
    for word, size in SIZES.items():
        found[f"a size is {word}"] = SMALL, web_of(row(size=size))
    for word, digest in DIGESTS.items():
        if digest:
            found[f"an md5 is {word}"] = SMALL, web_of(row(md5=digest))
    for word, url in {**ADDRESSES, "a number": 5, "none": None}.items():
        found[f"the address is {word}"] = SMALL, web_of(row(url=url))
    for field in ("name", "url", "size"):
        odd = {name: value for name, value in row().items() if name != field}
        found[f"a row without {field}"] = SMALL, web_of(odd)
    return found


EVIL = _evil()
ROWS = st.fixed_dictionaries(
    {"name": st.just(NAME), "url": st.just(ARCHIVE) | JSON, "size": st.just(9) | JSON, "md5": JSON}
)
FUZZ = (
    SMALL,
    st.builds(web_of, ROWS | JSON) | JSON.map(lambda document: FakeWeb(json={LIST: document})),
)
