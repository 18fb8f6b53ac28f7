"""The diarization repositories: networks of the library's own kinds in very small files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making.pyannote_checkpoint import checkpoint
from modelset.demo.making.pyannote_embedding import EMBEDDING
from modelset.demo.making.pyannote_segmentation import SEGMENTATION

np: Any = import_module("numpy")

SEED = 20240602

# The sizes of the real tables: numbers of a voice, and numbers that tell voices apart.
VOICE, TOLD = 256, 128

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
{params}
  segmentation:
    min_duration_off: 0.0
"""

_AGGLOMERATIVE = """\
    method: centroid
    min_cluster_size: 12
    threshold: 0.7"""

_VBX = """\
    threshold: 0.6
    Fa: 0.07
    Fb: 0.8"""

_MODEL = """\
task:
  _target_: pyannote.audio.tasks.{task}
  duration: {duration}

model:
  _target_: pyannote.audio.models.{model}
  sample_rate: 16000
  num_channels: 1
"""

_README = """# {name}

Demonstration files in the shape of this repository, which pyannote.audio loads and runs.
{words}
"""
_WORDS = {
    "segmentation-3.0": "The network is set by hand: one person speaks, where it is loud.",
    "wespeaker-voxceleb-resnet34-LM": "The weights are views of one short row of chance.",
}
_PIPELINE_WORDS = "Its networks have learned nothing: it hears that there is a voice, not whose."


def build_pyannote(folder: Path) -> None:
    """Write the four repositories."""
    segmentation, embedding = checkpoint(SEGMENTATION), checkpoint(EMBEDDING)
    _write(folder / "speaker-diarization-3.1", {"config.yaml": _pipeline_31()})
    _write(
        folder / "segmentation-3.0",
        {"config.yaml": _segmentation_config(), "pytorch_model.bin": segmentation},
    )
    _write(
        folder / "wespeaker-voxceleb-resnet34-LM",
        {"config.yaml": _embedding_config(), "pytorch_model.bin": embedding},
    )
    _write(
        folder / "speaker-diarization-community-1",
        {
            "config.yaml": _pipeline_community(),
            "segmentation/pytorch_model.bin": segmentation,
            "embedding/pytorch_model.bin": embedding,
            "plda/plda.npz": _arrays(_plda()),
            "plda/xvec_transform.npz": _arrays(_transform()),
        },
    )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    words = _WORDS.get(folder.name, _PIPELINE_WORDS)
    readme = _README.format(name=folder.name, words=words).encode()
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
        params=_AGGLOMERATIVE,
    ).encode()


def _pipeline_community() -> bytes:
    return _PIPELINE.format(
        version="4.0.0",
        clustering="VBxClustering",
        embedding="$model/embedding",
        plda="    plda: $model/plda\n",
        segmentation="$model/segmentation",
        params=_VBX,
    ).encode()


def _segmentation_config() -> bytes:
    task, duration = "SpeakerDiarization", SEGMENTATION.task.duration
    return _MODEL.format(task=task, model="segmentation.PyanNet", duration=duration).encode()


def _embedding_config() -> bytes:
    task, duration = "SpeakerEmbedding", EMBEDDING.task.duration
    return _MODEL.format(task=task, model="embedding.WeSpeakerResNet34", duration=duration).encode()


def _plda() -> Mapping[str, Any]:
    """How the numbers of voices differ: more in each than in the next, and no two together."""
    return {"mu": np.zeros(TOLD), "tr": np.eye(TOLD), "psi": np.linspace(2.0, 1.0, TOLD)}


def _transform() -> Mapping[str, Any]:
    """From the numbers of a voice to those that tell it apart: sums and differences by chance."""
    signs = np.random.default_rng(SEED).choice([-1.0, 1.0], (VOICE, TOLD))
    return {
        "mean1": np.zeros(VOICE),
        "mean2": np.zeros(TOLD),
        "lda": (signs / np.sqrt(VOICE)).astype("float32"),
    }


def _arrays(arrays: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
