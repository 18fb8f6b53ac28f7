"""Repositories shaped like the diarization models': tiny weights, real file names."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

np: Any = import_module("numpy")

SEED = 20240602

_PIPELINE = """\
dependencies:
  pyannote.audio: {version}

pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: {clustering}
    embedding: {embedding}
    embedding_batch_size: 32
    embedding_exclude_overlap: true
{plda}    segmentation: {segmentation}
    segmentation_batch_size: 32

params:
  clustering:
    method: centroid
    min_cluster_size: 12
    threshold: 0.7
  segmentation:
    min_duration_off: 0.0
"""

_MODEL = """\
task:
  _target_: pyannote.audio.tasks.{task}
  duration: 10.0

model:
  _target_: pyannote.audio.models.{model}
  sample_rate: 16000
  num_channels: 1
"""

_README = """# {name}

Demonstration files in the shape of this repository. The weights are random and very small.
"""


def build_pyannote(folder: Path) -> None:
    """Write the four repositories."""
    segmentation = _state("PyanNet", {"linear.0.weight": (8, 8), "classifier.weight": (7, 8)})
    embedding = _state("WeSpeakerResNet34", {"resnet.conv1.weight": (4, 1, 3, 3)})
    _write(
        folder / "speaker-diarization-3.1",
        {"config.yaml": _pipeline_31()},
    )
    _write(
        folder / "segmentation-3.0",
        {
            "config.yaml": _MODEL.format(task="SpeakerDiarization", model="PyanNet").encode(),
            "pytorch_model.bin": segmentation,
        },
    )
    _write(
        folder / "wespeaker-voxceleb-resnet34-LM",
        {
            "config.yaml": _MODEL.format(
                task="SpeakerEmbedding", model="WeSpeakerResNet34"
            ).encode(),
            "pytorch_model.bin": embedding,
        },
    )
    _write(
        folder / "speaker-diarization-community-1",
        {
            "config.yaml": _pipeline_community(),
            "segmentation/pytorch_model.bin": segmentation,
            "embedding/pytorch_model.bin": embedding,
            "plda/plda.npz": _arrays({"mu": (16,), "tr": (16, 16), "psi": (16,)}),
            "plda/xvec_transform.npz": _arrays({"mean1": (16,), "mean2": (8,), "lda": (16, 8)}),
        },
    )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    readme = _README.format(name=folder.name).encode()
    for name, body in {**files, "README.md": readme}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _pipeline_31() -> bytes:
    return _PIPELINE.format(
        version="3.1.0",
        clustering="AgglomerativeClustering",
        embedding="pyannote/wespeaker-voxceleb-resnet34-LM",
        plda="",
        segmentation="pyannote/segmentation-3.0",
    ).encode()


def _pipeline_community() -> bytes:
    return _PIPELINE.format(
        version="4.0.0",
        clustering="VBxClustering",
        embedding="$model/embedding",
        plda="    plda: $model/plda\n",
        segmentation="$model/segmentation",
    ).encode()


def _state(architecture: str, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    torch = import_module("torch")
    chance = torch.Generator().manual_seed(SEED)
    weights: dict[str, Any] = {
        name: torch.randn(shape, generator=chance) for name, shape in shapes.items()
    }
    checkpoint = {
        "state_dict": weights,
        "hyper_parameters": {"sample_rate": 16000, "num_channels": 1},
        "pyannote.audio": {
            "versions": {"torch": "2.0.0", "pyannote.audio": "3.0.0"},
            "architecture": {"module": "pyannote.audio.models", "class": architecture},
        },
    }
    # Saved through a buffer: given a path, torch writes the file's name into the archive.
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def _arrays(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    rng = np.random.default_rng(SEED)
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
