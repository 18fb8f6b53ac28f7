"""The Hub: the listing of a repository's files."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.fakes.samples import (
    COMMIT,
    DIGESTS,
    DOCUMENTS,
    JSON,
    NAMES,
    PATHS,
    SIZES,
    Sample,
    model,
    sha1,
    sha256,
)
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

API = "https://huggingface.co/api/models/acme/thing"
INFO = f"{API}/revision/main"
LISTED = "recursive=true&expand=false"
TREE = f"{API}/tree/{COMMIT}?{LISTED}"
BELOW = f"{API}/tree/{COMMIT}/sub/deep?{LISTED}"


def small(path: Any, **changes: Any) -> dict[str, Any]:
    """A row of the Hub's listing for a file that git keeps."""
    return {"type": "file", "oid": sha1(repr(path)), "size": 9, "path": path} | changes


def large(path: Any, **changes: Any) -> dict[str, Any]:
    """A row of the Hub's listing for a file in large file storage."""
    storage = {"oid": sha256(path), "size": 1_000_000, "pointerSize": 134}
    return small(path, size=134, lfs=storage | changes)


def rows() -> list[Any]:
    return [
        {"type": "directory", "oid": sha1("sub"), "size": 0, "path": "sub"},
        small("config.json"),
        small("README.md"),
        large("model.bin"),
        large("sub/deep/weights.bin"),
    ]


def hub_web_of(info: Any, listing: Any) -> FakeWeb:
    return FakeWeb(json={INFO: info}, pages={TREE: listing})


WHOLE = model("huggingface", {"repo": "acme/thing"})
PART = model(
    "huggingface",
    {
        "repo": "acme/thing",
        "allow": ["*.json", "sub/*"],
        "required": ["config.json"],
        "refs": ["v1"],
    },
)
REVISION = model("huggingface", {"repo": "acme/thing", "revision": "refs/pr/1", "allow": ["*"]})
FLAT = model(
    "huggingface",
    {"repo": "acme/thing", "root": "piper", "below": "sub/deep", "allow": ["sub/deep/*.bin"]},
)
SAMPLES = {
    "whole": Sample(WHOLE, lambda: hub_web_of({"sha": COMMIT}, rows())),
    "part": Sample(PART, lambda: hub_web_of({"sha": COMMIT}, rows())),
    "revision": Sample(
        REVISION,
        lambda: FakeWeb(
            json={f"{API}/revision/refs%2Fpr%2F1": {"sha": COMMIT}}, pages={TREE: rows()}
        ),
    ),
    "flat": Sample(
        FLAT,
        lambda: FakeWeb(json={INFO: {"sha": COMMIT}}, pages={BELOW: [rows()[-1]]}),
    ),
}
BAD_REF = (
    {
        "repo": "a/b/c", "revision": "../x", "allow": "*", "refs": ["/etc"], "root": 5,
        "below": "a//b", "extra": 1,
    },
    (
        "ref.repo", "ref.revision", "ref.allow: should be", "ref.refs", "ref.root", "ref.below",
        "ref.extra", "ref.allow: the files",
    ),
)  # fmt: skip


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    commit = {"sha": COMMIT}
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, info in {**DOCUMENTS, "a short commit": {"sha": COMMIT[1:]}}.items():
        found[f"info is {word}"] = WHOLE, hub_web_of(info, rows())
    for word in ("main", "../" * 13 + "x", COMMIT.upper(), COMMIT + "\n", 5):
        found[f"the commit is {word!r}"] = WHOLE, hub_web_of({"sha": word}, rows())
    for word, name in NAMES.items():
        found[f"a name is {word}"] = WHOLE, hub_web_of(commit, [small(name)])
        wanted = [*rows(), small(f"sub/{name}" if isinstance(name, str) else name)]
        found[f"a wanted name is {word}"] = PART, hub_web_of(commit, wanted)
    for word, size in SIZES.items():
        found[f"a size is {word}"] = WHOLE, hub_web_of(commit, [small("x", size=size)])
        found[f"a large size is {word}"] = WHOLE, hub_web_of(commit, [large("x", size=size)])
    for word, digest in {**DIGESTS, "nothing": None}.items():
        found[f"an oid is {word}"] = WHOLE, hub_web_of(commit, [small("x", oid=digest)])
        found[f"a large oid is {word}"] = WHOLE, hub_web_of(commit, [large("x", oid=digest)])
    for field in ("type", "path", "oid", "size"):
        row = {name: value for name, value in small("x").items() if name != field}
        found[f"a row without {field}"] = WHOLE, hub_web_of(commit, [row])
    for word, row in {"a list": [], "a text": "x", "nothing": None, "a number": 5}.items():
        found[f"a row is {word}"] = WHOLE, hub_web_of(commit, [row])
    for word, storage in {"a list": [1], "a text": "x", "a number": 5, "odd": {"a": 1}}.items():
        odd = hub_web_of(commit, [small("x", lfs=storage)])
        found[f"large file storage is {word}"] = WHOLE, odd
    twins = [small("x"), small("x", oid=sha1("another"))]
    found["a file twice"] = WHOLE, hub_web_of(commit, twins)
    found["two files that lie flat under one name"] = (
        model("huggingface", {"repo": "acme/thing", "root": "piper", "allow": ["*.json"]}),
        hub_web_of(commit, [small("a/config.json"), small("b/config.json")]),
    )
    return found


EVIL = _evil()
ROWS = st.fixed_dictionaries(
    {"type": st.just("file"), "path": PATHS | JSON, "size": JSON, "oid": st.just("a" * 40) | JSON},
    optional={"lfs": JSON},
)
FUZZ = (
    WHOLE,
    st.builds(hub_web_of, st.just({"sha": COMMIT}) | JSON, st.lists(ROWS | JSON, max_size=3)),
)
