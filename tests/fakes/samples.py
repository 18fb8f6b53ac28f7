"""One model and one prepared web for every source: what the contract suite runs over.

A new source adds its sample here; the suite fails until it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.fakes.web import FakeWeb

from modelset.core.ports import Wheel
from modelset.core.types import Model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = "https://huggingface.co"
INFO = f"{HUB}/api/models/acme/thing/revision/main"
TREE = f"{HUB}/api/models/acme/thing/tree/{COMMIT}?recursive=true&expand=false"
RELEASE = "https://example.org/releases/thing_one-1.2.0-py3-none-any.whl"
META = "https://example.org/meta/thing_one-1.2.0.json"
INDEXED = "https://packages.example.org/thing_two-2.0-py3-none-any.whl"
PLAIN = "https://example.org/models/voice.onnx"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


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


def model(source: str, ref: Mapping[str, object], **changes: Any) -> Model:
    plain = Model("test:thing", "test", "optional", source, ref)
    return replace(plain, **changes)


def hub_web_of(info: Any, listing: Any) -> FakeWeb:
    return FakeWeb(json={INFO: info}, pages={TREE: listing})


def release_web_of(meta: Any, size: Any = 4000) -> FakeWeb:
    return FakeWeb(json={META: meta}, sizes={RELEASE: size})


def index_web_of(wheel: Wheel, size: Any = 5000) -> FakeWeb:
    return FakeWeb(wheels={"thing-two": wheel}, sizes={wheel.url: size})


INDEX_WHEEL = Wheel("thing-two", "2.0", INDEXED, "sha256:" + sha256("two"))


@dataclass(frozen=True)
class Sample:
    """A model of a source, and a web that answers for it."""

    model: Model
    web: Callable[[], FakeWeb]


SAMPLES: Mapping[str, Mapping[str, Sample]] = {
    "huggingface": {
        "whole": Sample(
            model("huggingface", {"repo": "acme/thing"}),
            lambda: hub_web_of({"sha": COMMIT}, rows()),
        ),
        "part": Sample(
            model(
                "huggingface",
                {
                    "repo": "acme/thing",
                    "allow": ["*.json", "sub/*"],
                    "required": ["config.json"],
                    "refs": ["v1"],
                },
            ),
            lambda: hub_web_of({"sha": COMMIT}, rows()),
        ),
    },
    "wheel": {
        "release": Sample(
            model("wheel", {"url": RELEASE, "meta": META}),
            lambda: release_web_of({"checksum_whl": sha256("one")}),
        ),
        "index": Sample(
            model("wheel", {"requirement": "thing-two"}),
            lambda: index_web_of(INDEX_WHEEL),
        ),
    },
    "url": {
        "stated": Sample(
            model(
                "url",
                {
                    "url": PLAIN,
                    "digest": "sha256:" + sha256("voice"),
                    "root": "piper",
                    "path": "en/voice.onnx",
                    "size": 9,
                },
            ),
            FakeWeb,
        ),
        "asked": Sample(
            model(
                "url",
                {
                    "url": PLAIN,
                    "digest": "md5:" + "0" * 32,
                    "root": "piper",
                    "path": "voice.onnx",
                },
            ),
            lambda: FakeWeb(sizes={PLAIN: 12}),
        ),
    },
}

BAD_REFS: Mapping[str, tuple[dict[str, object], tuple[str, ...]]] = {
    # source: a ref, and what each of its problems begins with
    "huggingface": (
        {"repo": "../x", "revision": 5, "allow": "a", "refs": ["../up"], "extra": 1},
        ("ref.repo", "ref.revision", "ref.allow", "ref.refs", "ref.extra"),
    ),
    "wheel": (
        {"requirement": 5, "url": "https://example.org/x.zip", "extra": 1},
        ("ref.extra", "ref.requirement", "ref:"),
    ),
    "url": (
        {"digest": "sha256:short", "path": "/etc/x", "root": 5, "size": -1, "extra": 1},
        ("ref.url", "ref.digest", "ref.path", "ref.root", "ref.size", "ref.extra"),
    ),
}

_NAMES = {
    "a folder above": "../x",
    "a folder above, deep": "a/../../x",
    "absolute": "/etc/passwd",
    "a NUL": "a\0b",
    "a line": "a\nb",
    "a drive": "C:evil",
    "a back slash": "..\\x",
    "an empty part": "a//b",
    "nothing": "",
    "no text": 5,
    "a list": ["x"],
    "half a character": "\ud800",
}
_SIZES = {
    "negative": -1,
    "a text": "1e9",
    "nothing": None,
    "no number": float("nan"),
    "endless": float("inf"),
    "a list": [1],
    "a fraction": 1.5,
}
_DIGESTS = {"short": "abc", "a path": "../" * 20, "a number": 5, "nothing": None, "a list": []}
_DOCUMENTS = {"a list": [], "a text": "x", "nothing": None, "a number": 5, "empty": {}}


def evil() -> dict[str, tuple[Model, FakeWeb]]:
    """Answers of a server that lies, by what is wrong with them."""
    whole = SAMPLES["huggingface"]["whole"].model
    part = SAMPLES["huggingface"]["part"].model
    release = SAMPLES["wheel"]["release"].model
    index = SAMPLES["wheel"]["index"].model
    plain = SAMPLES["url"]["asked"].model
    commit = {"sha": COMMIT}
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, info in {**_DOCUMENTS, "a short commit": {"sha": COMMIT[1:]}}.items():
        found[f"hub: info is {word}"] = whole, hub_web_of(info, rows())
    for word in ("main", "../" * 13 + "x", COMMIT.upper(), COMMIT + "\n", 5):
        found[f"hub: the commit is {word!r}"] = whole, hub_web_of({"sha": word}, rows())
    for word, name in _NAMES.items():
        found[f"hub: a name is {word}"] = whole, hub_web_of(commit, [small(name)])
        wanted = [*rows(), small(f"sub/{name}" if isinstance(name, str) else name)]
        found[f"hub: a wanted name is {word}"] = part, hub_web_of(commit, wanted)
    for word, size in _SIZES.items():
        found[f"hub: a size is {word}"] = whole, hub_web_of(commit, [small("x", size=size)])
        found[f"hub: a large size is {word}"] = whole, hub_web_of(commit, [large("x", size=size)])
    for word, digest in _DIGESTS.items():
        found[f"hub: an oid is {word}"] = whole, hub_web_of(commit, [small("x", oid=digest)])
        found[f"hub: a large oid is {word}"] = whole, hub_web_of(commit, [large("x", oid=digest)])
        found[f"release: the sum is {word}"] = release, release_web_of({"checksum_whl": digest})
        lying = replace(INDEX_WHEEL, digest=f"sha256:{digest}")
        found[f"index: the digest is {word}"] = index, index_web_of(lying)
    for field in ("type", "path", "oid", "size"):
        row = {name: value for name, value in small("x").items() if name != field}
        found[f"hub: a row without {field}"] = whole, hub_web_of(commit, [row])
    for word, row in {"a list": [], "a text": "x", "nothing": None, "a number": 5}.items():
        found[f"hub: a row is {word}"] = whole, hub_web_of(commit, [row])
    for word, storage in {"a list": [1], "a text": "x", "a number": 5, "odd": {"a": 1}}.items():
        odd = hub_web_of(commit, [small("x", lfs=storage)])
        found[f"hub: large file storage is {word}"] = whole, odd
    for word, meta in _DOCUMENTS.items():
        found[f"release: the meta is {word}"] = release, release_web_of(meta)
    found["release: a negative size"] = release, release_web_of({"checksum_whl": sha256("")}, -1)
    for name in (
        "x.zip",
        "",
        "..%2f..%2fx-1-py3-none-any.whl",
        "thing.whl",
        "a b-1-py3-no-any.whl",
    ):
        lying = replace(INDEX_WHEEL, url=f"https://packages.example.org/{name}")
        found[f"index: the file is {name!r}"] = index, index_web_of(lying)
    twins = [small("x"), small("x", oid=sha1("another"))]
    found["hub: a file twice"] = whole, hub_web_of(commit, twins)
    found["url: a negative size"] = plain, FakeWeb(sizes={PLAIN: -1})
    return found
