"""Plain addresses: a file or an archive, with a digest or without one."""

from __future__ import annotations

from tests.fakes.samples import SIZES, Sample, model, sha256
from tests.fakes.web import FakeWeb

PLAIN = "https://example.org/models/voice.onnx"
ARCHIVE = "https://example.org/archives/house%20voice.zip?download=1"
STATED = model(
    "url",
    {
        "url": PLAIN,
        "digest": "sha256:" + sha256("voice"),
        "root": "piper",
        "path": "en/voice.onnx",
        "size": 9,
    },
)
ASKED = model(
    "url", {"url": PLAIN, "digest": "md5:" + "0" * 32, "root": "piper", "path": "voice.onnx"}
)
FIRST_USE = model("url", {"url": PLAIN, "root": "silero", "path": "tts/voice.onnx"})
UNPACKED = model(
    "url",
    {
        "url": ARCHIVE,
        "root": "tts",
        "path": "voices--house",
        "unpack": "all",
        "mutable": ["config.json"],
    },
)
SAMPLES = {
    "stated": Sample(STATED, FakeWeb),
    "asked": Sample(ASKED, lambda: FakeWeb(sizes={PLAIN: 12})),
    "first use": Sample(FIRST_USE, lambda: FakeWeb(sizes={PLAIN: 12})),
    "archive": Sample(UNPACKED, lambda: FakeWeb(sizes={ARCHIVE: 4000})),
}
BAD_REF = (
    {
        "digest": "sha256:short", "path": "/etc/x", "root": 5, "size": -1, "unpack": "some",
        "mutable": "x", "extra": 1,
    },
    (
        "ref.url", "ref.digest", "ref.path", "ref.root", "ref.size", "ref.unpack", "ref.mutable",
        "ref.extra",
    ),
)  # fmt: skip
EVIL = {f"a size is {word}": (ASKED, FakeWeb(sizes={PLAIN: size})) for word, size in SIZES.items()}
