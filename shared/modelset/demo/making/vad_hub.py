"""The stand-in repository that torch.hub loads a voice activity detector from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelset.demo.making import vad_hub_source
from modelset.demo.making.vad import detector_bytes


def build_vad_hub(folder: Path) -> None:
    """Write the repository as it lies below torch's hub folder."""
    for name, body in hub_files(detector_bytes()).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def hub_files(detector: bytes) -> Mapping[str, bytes]:
    """Return the repository's files around a detector."""
    package = "src/silero_vad"
    return {
        "README.md": vad_hub_source.README.encode(),
        "hubconf.py": vad_hub_source.HUBCONF.encode(),
        f"{package}/__init__.py": vad_hub_source.INIT.encode(),
        f"{package}/model.py": vad_hub_source.MODEL.encode(),
        f"{package}/utils_vad.py": vad_hub_source.SPEECH.encode(),
        f"{package}/data/__init__.py": vad_hub_source.DATA.encode(),
        f"{package}/data/silero_vad.jit": detector,
    }
