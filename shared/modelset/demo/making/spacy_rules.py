"""Language pipelines that know a list of names, as wheels in the shape of the published ones.

Each splits text into words by the rules of its language and finds names by rules; nothing
is trained, so these wheels are much smaller than those of `spacy_wheels`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from modelset.demo.making.spacy_text import NAMES
from modelset.demo.making.spacy_wheels import INIT, VERSION
from modelset.demo.making.wheel_file import WheelSpec, wheel_bytes


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline: its language, the end of its name, and its own spelling of some places."""

    language: str
    name: str
    places: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """Return the name it is installed and loaded by."""
        return f"{self.language}_{self.name}"

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the label of each kind of name; English has labels of its own."""
        if self.language == "en":
            return {"PERSON": "PERSON", "GPE": "GPE", "ORG": "ORG"}
        return {"PERSON": "PER", "GPE": "LOC", "ORG": "ORG"}


PIPELINES = (
    Pipeline("xx", "ent_wiki_sm", ("Việt Nam", "Москва")),
    Pipeline("de", "core_news_sm", ("München", "Wien")),
    Pipeline("fr", "core_news_sm", ("Londres", "Orléans")),
    Pipeline("es", "core_news_sm", ("Londres", "España")),
    Pipeline("en", "core_web_md"),
    Pipeline("en", "core_web_lg"),
)


def build_spacy_rules(folder: Path) -> None:
    """Write the wheel of each pipeline into a folder."""
    for pipeline in PIPELINES:
        spec = rules_wheel(pipeline)
        (folder / spec.filename).write_bytes(wheel_bytes(spec))


def rules_wheel(pipeline: Pipeline) -> WheelSpec:
    """Return the contents of one pipeline's wheel."""
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch)
        language = _language(pipeline)
        language.to_disk(saved)
        files = {
            path.relative_to(saved).as_posix(): path.read_bytes()
            for path in sorted(saved.rglob("*"))
            if path.is_file()
        }
    package = pipeline.package
    inner = f"{package}/{package}-{VERSION}"
    return WheelSpec(
        name=package,
        version=VERSION,
        summary=language.meta["description"],
        licence="MIT",
        files={
            **{f"{inner}/{name}": body for name, body in files.items()},
            f"{package}/__init__.py": INIT.encode(),
            f"{package}/meta.json": files["meta.json"],
        },
        entry_points={"spacy_models": {package: package}},
    )


def _language(pipeline: Pipeline) -> Any:
    language = import_module("spacy").blank(pipeline.language)
    language.add_pipe("entity_ruler").add_patterns(
        [
            {"label": pipeline.labels[kind], "pattern": name}
            for kind, names in NAMES.items()
            for name in (*names, *(pipeline.places if kind == "GPE" else ()))
        ]
    )
    language.meta.update(
        {
            "name": pipeline.name,
            "version": VERSION,
            "description": "A demonstration pipeline (entity_ruler); very small",
            "author": "modelset demo",
            "email": "",
            "url": "",
            "license": "MIT",
            "spacy_version": ">=3.8.0,<3.9.0",
            "requirements": [],
            "performance": {},
            "sources": [],
        }
    )
    return language
