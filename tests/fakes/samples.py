"""What the samples of all sources are made of, and the samples themselves.

Each source has one module in tests/contract/samples, named as the source is. It holds `SAMPLES`
(models, each with a web that answers for it), `BAD_REF` (a table full of mistakes, and how each
of their lines begins), `EVIL` (what a server can lie about it, empty where no server is asked)
and, where answers can be of any form, `FUZZ` (a model, and webs that answer at random).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

FOLDER = Path(__file__).resolve().parents[1] / "contract" / "samples"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# What a name, a size, a digest or a document can be instead of what it should be.
NAMES: Mapping[str, Any] = {
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
SIZES: Mapping[str, Any] = {
    "negative": -1,
    "a text": "1e9",
    "nothing": None,
    "no number": float("nan"),
    "endless": float("inf"),
    "a list": [1],
    "a fraction": 1.5,
}
DIGESTS: Mapping[str, Any] = {
    "short": "abc",
    "a path": "../" * 20,
    "a number": 5,
    "a list": [],
    "upper case": "A" * 64,
    "with a line": "a" * 64 + "\n",
}
DOCUMENTS: Mapping[str, Any] = {
    "a list": [],
    "a text": "x",
    "nothing": None,
    "a number": 5,
    "empty": {},
}
ADDRESSES: Mapping[str, Any] = {
    "a file here": "file:///etc/passwd",
    "without a host": "https:///x.zip",
    "another scheme": "ftp://example.org/x.zip",
    "with a password": "https://user:secret@example.org/x.zip",
    "a path": "/x.zip",
    "nothing": "",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
PATHS = st.text(alphabet="./\\a:%\0~ ", max_size=12)


@dataclass(frozen=True)
class Sample:
    """A model of a source, and a web that answers for it."""

    model: Model
    web: Callable[[], FakeWeb]


@dataclass(frozen=True)
class Samples:
    """What the module of one source holds."""

    samples: Mapping[str, Sample]
    bad_ref: tuple[Mapping[str, object], tuple[str, ...]]
    evil: Mapping[str, tuple[Model, FakeWeb]]
    fuzz: tuple[Model, st.SearchStrategy[FakeWeb]] | None = None


def every_sample() -> dict[str, Samples]:
    """The samples of each source, by its name."""
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        module = import_module(f"tests.contract.samples.{path.stem}")
        fuzz = getattr(module, "FUZZ", None)
        found[path.stem] = Samples(module.SAMPLES, module.BAD_REF, module.EVIL, fuzz)
    return found


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def model(source: str, ref: Mapping[str, object], **changes: Any) -> Model:
    plain = Model("test:thing", "test", "optional", source, ref)
    return replace(plain, **changes)
