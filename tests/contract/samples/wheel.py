"""Wheels: from an index, from a release page, and the pipelines of spaCy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.fakes.samples import DIGESTS, DOCUMENTS, JSON, PATHS, Sample, model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.ports import Wheel
from modelset.core.types import Model

RELEASE = "https://example.org/releases/thing_one-1.2.0-py3-none-any.whl"
META = "https://example.org/meta/thing_one-1.2.0.json"
INDEXED = "https://packages.example.org/thing_two-2.0-py3-none-any.whl"
INDEX_WHEEL = Wheel("thing-two", "2.0", INDEXED, "sha256:" + sha256("two"))
RAW = "https://raw.githubusercontent.com/explosion/spacy-models/master"
COMPATIBILITY = f"{RAW}/compatibility.json"
PIPELINE_META = f"{RAW}/meta/en_core_web_sm-3.8.0.json"
PIPELINE = (
    "https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0"
    "/en_core_web_sm-3.8.0-py3-none-any.whl"
)


def release_web_of(meta: Any, size: Any = 4000) -> FakeWeb:
    return FakeWeb(json={META: meta}, sizes={RELEASE: size})


def index_web_of(wheel: Wheel, size: Any = 5000) -> FakeWeb:
    return FakeWeb(wheels={"thing-two": wheel}, sizes={wheel.url: size})


def spacy_web_of(table: Any, *, installed: str = "3.8.7") -> FakeWeb:
    return FakeWeb(
        json={COMPATIBILITY: table, PIPELINE_META: {"checksum_whl": sha256("sm")}},
        sizes={PIPELINE: 6000},
        packages={"spacy": installed} if installed else {},
    )


FITS = {"spacy": {"3.8": {"en_core_web_sm": ["3.8.0", "3.7.1"]}, "3.7": {}}}
FROM_RELEASE = model("wheel", {"url": RELEASE, "meta": META})
FROM_INDEX = model("wheel", {"requirement": "thing-two"})
FROM_SPACY = model("wheel", {"spacy": "en_core_web_sm"})
SAMPLES = {
    "release": Sample(FROM_RELEASE, lambda: release_web_of({"checksum_whl": sha256("one")})),
    "index": Sample(FROM_INDEX, lambda: index_web_of(INDEX_WHEEL)),
    "spacy": Sample(FROM_SPACY, lambda: spacy_web_of(FITS)),
}
BAD_REF = (
    {"requirement": 5, "url": "https://example.org/x.zip", "extra": 1},
    ("ref.extra", "ref.requirement", "ref:"),
)


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, digest in {**DIGESTS, "nothing": None}.items():
        found[f"the sum is {word}"] = FROM_RELEASE, release_web_of({"checksum_whl": digest})
        lying = replace(INDEX_WHEEL, digest=f"sha256:{digest}")
        found[f"the index's digest is {word}"] = FROM_INDEX, index_web_of(lying)
    for word, meta in DOCUMENTS.items():
        found[f"the meta is {word}"] = FROM_RELEASE, release_web_of(meta)
    for word, table in DOCUMENTS.items():
        found[f"the compatibility is {word}"] = FROM_SPACY, spacy_web_of(table)
        if word != "empty":
            odd = {"spacy": {"3.8": {"en_core_web_sm": table or 5}}}
            found[f"the versions are {word}"] = FROM_SPACY, spacy_web_of(odd)
            found[f"the rows are {word}"] = FROM_SPACY, spacy_web_of({"spacy": table or 5})
    for word, version in {
        "a path": "1/../../../../../../evil/models/releases/download/x/en_core_web_sm-1",
        "a number": 5,
        "nothing": None,
        "words": "3.8.0 or so",
    }.items():
        odd = {"spacy": {"3.8": {"en_core_web_sm": [version]}}}
        found[f"a version is {word}"] = FROM_SPACY, spacy_web_of(odd)
    found["a negative size"] = FROM_RELEASE, release_web_of({"checksum_whl": sha256("")}, -1)
    for name in (
        "x.zip",
        "",
        "..%2f..%2fx-1-py3-none-any.whl",
        "thing.whl",
        "a b-1-py3-no-any.whl",
    ):
        lying = replace(INDEX_WHEEL, url=f"https://packages.example.org/{name}")
        found[f"the file is {name!r}"] = FROM_INDEX, index_web_of(lying)
    return found


EVIL = _evil()
FUZZ = (
    FROM_RELEASE,
    st.builds(
        release_web_of,
        st.fixed_dictionaries({"checksum_whl": st.just(sha256("")) | PATHS | JSON}) | JSON,
        JSON,
    ),
)
