"""Repositories on GitHub: a commit and the tree of its files."""

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
)
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

API = "https://api.github.com/repos/acme/thing"
COMMITS = f"{API}/commits/main"
TREE = f"{API}/git/trees/{COMMIT}?recursive=1"


def blob(path: Any, **changes: Any) -> dict[str, Any]:
    """A row of a tree for a file."""
    row = {"path": path, "mode": "100644", "type": "blob", "sha": sha1(repr(path)), "size": 9}
    return row | {"url": "https://api.github.com/blob"} | changes


def rows() -> list[Any]:
    return [
        {"path": "src", "mode": "040000", "type": "tree", "sha": sha1("src")},
        {"path": "other", "mode": "160000", "type": "commit", "sha": sha1("other")},
        blob("README.md"),
        blob("hubconf.py"),
        blob("src/thing/model.py"),
        blob("src/thing/data/weights.jit"),
    ]


def tree_of(listing: Any, **changes: Any) -> dict[str, Any]:
    return {"sha": sha1("tree"), "tree": listing, "truncated": False} | changes


def github_web_of(info: Any, tree: Any) -> FakeWeb:
    return FakeWeb(json={COMMITS: info, TREE: tree})


def web_of(*listing: Any) -> FakeWeb:
    """An honest commit with these rows beside the file that every model has."""
    return github_web_of({"sha": COMMIT}, tree_of([blob("hubconf.py"), *listing]))


WHOLE = model("torchhub", {"repo": "acme/thing", "revision": "main"})
PART = model(
    "torchhub",
    {
        "repo": "acme/thing",
        "revision": "main",
        "allow": ["hubconf.py", "src/*"],
        "required": ["src/*.jit"],
        "entry": "thing",
    },
)
BRANCH = model("torchhub", {"repo": "acme/thing", "revision": "release/v2.0"})
SAMPLES = {
    "whole": Sample(WHOLE, lambda: github_web_of({"sha": COMMIT}, tree_of(rows()))),
    "part": Sample(PART, lambda: github_web_of({"sha": COMMIT}, tree_of(rows()))),
    "branch": Sample(
        BRANCH,
        lambda: FakeWeb(
            json={f"{API}/commits/release%2Fv2.0": {"sha": COMMIT}, TREE: tree_of(rows())}
        ),
    ),
}
BAD_REF = (
    {"repo": "acme", "revision": "../x", "allow": "*", "required": [5], "entry": 5, "extra": 1},
    ("ref.repo", "ref.revision", "ref.allow", "ref.required", "ref.entry", "ref.extra"),
)


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    commit, good = {"sha": COMMIT}, tree_of(rows())
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, document in DOCUMENTS.items():
        found[f"the commit's document is {word}"] = WHOLE, github_web_of(document, good)
        found[f"the tree's document is {word}"] = WHOLE, github_web_of(commit, document)
        if word != "a list":
            listing = tree_of(document or 5)
            found[f"the listing is {word}"] = WHOLE, github_web_of(commit, listing)
    for word in ("main", "../" * 13 + "x", COMMIT.upper(), COMMIT + "\n", 5):
        found[f"the commit is {word!r}"] = WHOLE, github_web_of({"sha": word}, good)
    found["the tree is cut short"] = (
        WHOLE,
        github_web_of(commit, tree_of(rows(), truncated=True)),
    )
    for word, name in NAMES.items():
        found[f"a name is {word}"] = WHOLE, web_of(blob(name))
    for word, size in SIZES.items():
        found[f"a size is {word}"] = WHOLE, web_of(blob("x", size=size))
    for word, digest in {**DIGESTS, "nothing": None}.items():
        found[f"a sha is {word}"] = WHOLE, web_of(blob("x", sha=digest))
    for field in ("type", "path", "mode", "sha", "size"):
        row = {name: value for name, value in blob("x").items() if name != field}
        found[f"a row without {field}"] = WHOLE, web_of(row)
    for word, row in {"a list": [], "a text": "x", "nothing": None, "a number": 5}.items():
        found[f"a row is {word}"] = WHOLE, web_of(row)
    found["a symbolic link"] = WHOLE, web_of(blob("src/link.py", mode="120000"))
    found["a file twice"] = WHOLE, web_of(blob("x"), blob("x", sha=sha1("another")))
    return found


EVIL = _evil()
ROWS = st.fixed_dictionaries(
    {
        "type": st.just("blob"),
        "path": PATHS | JSON,
        "mode": st.just("100644") | JSON,
        "size": st.just(9) | JSON,
        "sha": st.just("a" * 40) | JSON,
    }
)
FUZZ = (
    WHOLE,
    st.builds(web_of, ROWS | JSON, ROWS | JSON)
    | st.builds(github_web_of, st.just({"sha": COMMIT}) | JSON, JSON),
)
