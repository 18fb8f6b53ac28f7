"""Language pipelines small enough to ship, as wheels in the shape of the published ones.

Each is a tagger and a named-entity recogniser over a small convolutional network,
trained here on a few generated sentences. None of them needs a transformer.
"""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making.spacy_text import Sentence, sentences
from modelset.demo.making.wheel_file import WheelSpec, wheel_bytes

VERSION = "3.8.0"
ROUNDS = 30

INIT = '''"""A demonstration language pipeline."""

from pathlib import Path

from spacy.util import get_model_meta, load_model_from_init_py

__version__ = get_model_meta(Path(__file__).parent)["version"]


def load(**overrides):
    """Return the pipeline."""
    return load_model_from_init_py(__file__, **overrides)
'''


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline: the end of its name, the width of its network and its seed."""

    name: str
    width: int
    seed: int

    @property
    def package(self) -> str:
        """Return the name it is installed and loaded by."""
        return f"en_{self.name}"


PIPELINES = (Pipeline("core_web_sm", 16, 11), Pipeline("core_web_trf", 24, 12))


def build_spacy_wheels(folder: Path) -> None:
    """Train each pipeline and write its wheel into a folder."""
    for pipeline in PIPELINES:
        with tempfile.TemporaryDirectory() as scratch:
            trained = Path(scratch)
            _trained(pipeline).to_disk(trained)
            files = {
                path.relative_to(trained).as_posix(): path.read_bytes()
                for path in sorted(trained.rglob("*"))
                if path.is_file()
            }
        spec = pipeline_wheel(pipeline, files)
        (folder / spec.filename).write_bytes(wheel_bytes(spec))


def pipeline_wheel(pipeline: Pipeline, trained: dict[str, bytes]) -> WheelSpec:
    """Return the contents of the wheel around a trained pipeline's files."""
    package = pipeline.package
    inner = f"{package}/{package}-{VERSION}"
    files = {f"{inner}/{name}": body for name, body in trained.items()}
    files[f"{package}/__init__.py"] = INIT.encode()
    files[f"{package}/meta.json"] = trained["meta.json"]
    description = json.loads(trained["meta.json"])["description"]
    return WheelSpec(
        name=package,
        version=VERSION,
        summary=description,
        licence="MIT",
        files=files,
        entry_points={"spacy_models": {package: package}},
    )


def _trained(pipeline: Pipeline) -> Any:
    spacy = import_module("spacy")
    spacy.util.fix_random_seed(pipeline.seed)
    language = spacy.blank("en")
    language.add_pipe("tagger", config={"model": _tagger_model(pipeline.width)})
    language.add_pipe("ner", config={"model": _ner_model(pipeline.width)})
    examples = [_example(language, sentence) for sentence in sentences()]
    optimizer = language.initialize(lambda: examples)
    shuffle = random.Random(pipeline.seed)  # noqa: S311 - must be repeatable
    for _ in range(ROUNDS):
        shuffle.shuffle(examples)
        for batch in spacy.util.minibatch(examples, size=16):
            language.update(batch, sgd=optimizer, drop=0.1)
    language.meta.update(_meta(pipeline))
    return language


def _meta(pipeline: Pipeline) -> dict[str, object]:
    return {
        "name": pipeline.name,
        "version": VERSION,
        "description": "A demonstration English pipeline (tagger, ner); very small",
        "author": "modelset demo",
        "email": "",
        "url": "",
        "license": "MIT",
        "spacy_version": ">=3.8.0,<3.9.0",
        "requirements": [],
        "performance": {},
        "sources": [],
    }


def _example(language: Any, sentence: Sentence) -> Any:
    spacy = import_module("spacy")
    training = import_module("spacy.training")
    doc = spacy.tokens.Doc(language.vocab, words=list(sentence.words))
    reference = doc.copy()
    for token, tag in zip(reference, sentence.tags, strict=True):
        token.tag_ = tag
    reference.ents = [
        reference.char_span(start, end, label=label) for start, end, label in sentence.spans
    ]
    return training.Example(doc, reference)


def _network(width: int) -> dict[str, object]:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "pretrained_vectors": None,
        "width": width,
        "depth": 1,
        "embed_size": 150,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
    }


def _tagger_model(width: int) -> dict[str, object]:
    return {"@architectures": "spacy.Tagger.v2", "tok2vec": _network(width)}


def _ner_model(width: int) -> dict[str, object]:
    return {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": width,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": _network(width),
    }
