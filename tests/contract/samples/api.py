"""Models that stay with their provider: a key, and no file."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.samples import Sample, model
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

CHECK = "https://api.example.org/v1/models"
KEYED = model(
    "api",
    {"service": "House Voices", "variable": "HOUSE_API_KEY", "file": "house_key", "check": CHECK},
)
UNASKED = model(
    "api",
    {
        "service": "House Words",
        "variable": "WORDS_KEY",
        "file": "words/key.txt",
        "header": "x-api-key",
        "prefix": "",
        "extra": {"x-version": "2026-01-01"},
    },
)
FILED = model(
    "api",
    {
        "service": "House Cloud",
        "variable": "HOUSE_CLOUD_CREDENTIALS",
        "file": "house-cloud.json",
        "kind": "file",
    },
)
SAMPLES = {
    "key": Sample(KEYED, FakeWeb),
    "no question": Sample(UNASKED, FakeWeb),
    "file": Sample(FILED, FakeWeb),
}
BAD_REF = (
    {
        "service": 5, "variable": "A-B", "file": "../key", "kind": "word", "check": "ftp://x/",
        "header": "a: b", "prefix": 5, "extra": {"a": 1}, "more": 1,
    },
    (
        "ref.service", "ref.variable", "ref.file", "ref.kind", "ref.check", "ref.header",
        "ref.prefix", "ref.extra", "ref.more",
    ),
)  # fmt: skip
# Nothing that a server says becomes a part of a pin.
EVIL: Mapping[str, tuple[Model, FakeWeb]] = {}
