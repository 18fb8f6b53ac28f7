"""The worked example of docs/adding-a-source.md keeps the contract, as it is printed there."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import pytest
from tests.docs.pages import ADDING_A_SOURCE
from tests.fakes import rules
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.lock import dump_lock, parse_lock
from modelset.core.ports import Source
from modelset.core.types import Choice, Model, Pin
from modelset.engine.check import Inspector
from modelset.sources import SOURCES
from modelset.store.place import place

RECORD = "https://zenodo.org/api/records/1234567"
BODIES = {"tiny one.gguf": b"weights", "README.md": b"words"}


def example() -> str:
    (text,) = [block.text for block in ADDING_A_SOURCE.blocks if "SOURCE: Source" in block.text][:1]
    return text


@pytest.fixture(scope="module")
def source() -> Source:
    module = ModuleType("zenodo")
    exec(compile(example(), "sources/zenodo.py", "exec"), module.__dict__)
    found: Source = module.__dict__["SOURCE"]
    return found


def row(name: str) -> dict[str, Any]:
    body = BODIES[name]
    checksum = f"md5:{hashlib.md5(body).hexdigest()}"
    return {"key": name, "size": len(body), "checksum": checksum}


def model(**ref: object) -> Model:
    ref = {"record": 1234567, "root": "llm", "folder": "tiny-example"} | ref
    return Model("llm:tiny-example", "llm", "available", "zenodo", ref)


def web(*files: Mapping[str, Any]) -> FakeWeb:
    return FakeWeb(json={RECORD: {"files": list(files)}})


@pytest.fixture
def pin(source: Source) -> Pin:
    return source.resolve(model(), web(*map(row, BODIES)))


def test_the_pin_says_every_file_exactly(pin: Pin) -> None:
    assert (pin.key, pin.source, pin.revision) == ("llm:tiny-example", "zenodo", "1234567")
    assert dict(pin.ref) == dict(model().ref)
    assert [artifact.name for artifact in pin.artifacts] == list(BODIES)
    assert pin.artifacts[0].url == f"{RECORD}/files/tiny%20one.gguf/content"


def test_only_files_that_match_are_taken(source: Source) -> None:
    pin = source.resolve(model(files="*.gguf"), web(*map(row, BODIES)))

    assert [artifact.name for artifact in pin.artifacts] == ["tiny one.gguf"]


def test_the_lock_gives_the_same_pin_and_layout_back(source: Source, pin: Pin) -> None:
    parsed = parse_lock(dump_lock([pin]), where="the lock")[pin.key]

    assert parsed == dataclasses.replace(pin, ref=dict(pin.ref))
    assert source.layout(parsed) == source.layout(pin)


def test_the_trace_finds_what_the_layout_places(source: Source, pin: Pin) -> None:
    root, pattern = source.trace(pin.ref)

    assert root == source.layout(pin).root
    assert PurePosixPath(source.layout(pin).folder).match(pattern)


def test_what_the_engine_places_the_check_finds(source: Source, pin: Pin, tmp_path: Path) -> None:
    roots = {"llm": tmp_path / "llm", "downloads": tmp_path / "downloads"}
    verified = {}
    for artifact in pin.artifacts:
        verified[artifact.digest] = tmp_path / artifact.hex
        verified[artifact.digest].write_bytes(BODIES[artifact.name])
    choice, inspector = Choice(model(), "critical", ""), Inspector({"zenodo": source}, roots)

    before = inspector.look_at(choice, pin, {}).status.presence
    place(source.layout(pin), roots, verified)
    whole = inspector.look_at(choice, pin, {}, deep=True).status.presence
    (tmp_path / "llm" / "tiny-example" / "README.md").write_bytes(b"wordz")
    changed = inspector.look_at(choice, pin, {}, deep=True).status.presence

    assert (before, whole, changed) == ("missing", "present", "corrupt")


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"files": [{}]},
        {"files": [7]},
        {"files": [row("README.md") | {"key": "../outside"}]},
        {"files": [row("README.md") | {"checksum": "md5:short"}]},
        {"files": [row("README.md") | {"size": "large"}]},
        {"files": [row("README.md") | {"key": 7}]},
    ],
)
def test_an_odd_answer_is_a_bad_response(source: Source, document: object) -> None:
    with pytest.raises(ModelSetError) as caught:
        source.resolve(model(), FakeWeb(json={RECORD: document}))

    assert caught.value.failure.code == "bad-response"
    assert "llm:tiny-example" in caught.value.failure.message


def test_a_record_without_a_fitting_file_is_not_found(source: Source) -> None:
    with pytest.raises(ModelSetError) as caught:
        source.resolve(model(files="*.bin"), web(row("README.md")))

    assert caught.value.failure.code == "not-found"


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ({"record": "1234567"}, "ref.record: should be a whole number"),
        ({"folder": "../x"}, "ref.folder: unsafe file name"),
        ({"color": "red"}, "ref.color: not a field of zenodo"),
        ({"root": 7}, "ref.root: should be a text"),
    ],
)
def test_a_wrong_table_is_told(source: Source, ref: dict[str, object], problem: str) -> None:
    problems = source.check_ref(dict(model(**ref).ref))

    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_a_right_table_has_no_problem_and_an_empty_one_has(source: Source) -> None:
    assert source.check_ref(dict(model(files="*").ref)) == []
    assert len(source.check_ref({})) == 3


def test_the_example_keeps_the_rules_of_a_source() -> None:
    module = rules.Module("sources.zenodo", example())
    offences = [
        offence
        for rule in (
            rules.floors,
            rules.files,
            rules.environment,
            rules.printing,
            rules.imports_of(*rules.SOCKET_MODULES),
            rules.imports_of(*rules.THREAD_MODULES),
            rules.names,
            rules.lengths,
            rules.docstrings,
        )
        for offence in rule(module)
    ]

    assert offences == []


def test_every_source_and_every_method_is_in_the_page() -> None:
    text = ADDING_A_SOURCE.text
    methods = [name for name in vars(Source) if not name.startswith("_")]

    assert len(methods) == 5
    assert [name for name in methods if f"`{name}(" not in text] == []
    assert [name for name in SOURCES if f"`{name}`" not in text] == []
