"""The user's own folders and files, which no server knows."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.samples import Sample, model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.types import Artifact, Model

PLACE = "/data/models/intents"


def own(name: str, place: str = "") -> Artifact:
    return Artifact(name, f"file://{place or f'{PLACE}/{name}'}", 9, f"sha256:{sha256(name)}")


FOLDER = model("local", {"path": PLACE})
FILE = model("local", {"path": "/data/voice.onnx"})
SAMPLES = {
    "folder": Sample(
        FOLDER, lambda: FakeWeb(files={PLACE: (own("config.json"), own("sub/weights.bin"))})
    ),
    "file": Sample(
        FILE,
        lambda: FakeWeb(files={"/data/voice.onnx": (own("voice.onnx", "/data/voice.onnx"),)}),
    ),
}
BAD_REF = ({"path": "models/../x", "extra": 1}, ("ref.path: should be an absolute", "ref.extra"))
# What lies on this machine is no server's word.
EVIL: Mapping[str, tuple[Model, FakeWeb]] = {}
