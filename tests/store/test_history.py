"""What was pinned before is remembered, and nothing odd in that memory stops anybody."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, Pin, first_use
from modelset.store.history import KEPT, NAME, note_placed, note_replaced, read_history


def pin(revision: str, key: str = "a:b") -> Pin:
    artifact = Artifact("m.bin", f"https://example.org/{revision}", 3, "md5:" + "0" * 32)
    return Pin(key, "url", {"b": 1, "a": [2]}, revision, (artifact,), "{}\n")


def revisions(folder: Path, key: str = "a:b") -> list[str]:
    return [one.revision for one in read_history(folder).get(key, ())]


def test_pins_come_back_as_they_were_and_the_newest_first(tmp_path: Path) -> None:
    note_replaced(tmp_path, [pin("r1"), pin("x", "c:d")])
    note_replaced(tmp_path, [pin("r2")])
    assert read_history(tmp_path) == {"a:b": (pin("r2"), pin("r1")), "c:d": (pin("x", "c:d"),)}


def test_nothing_is_remembered_where_nothing_was_noted(tmp_path: Path) -> None:
    assert read_history(tmp_path / "nowhere") == {}
    note_replaced(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


def test_only_so_many_pins_of_a_model_are_kept(tmp_path: Path) -> None:
    note_replaced(tmp_path, [pin("other", "c:d")])
    for number in range(KEPT + 5):
        note_replaced(tmp_path, [pin(f"r{number}")])
    assert revisions(tmp_path) == [f"r{number}" for number in range(KEPT + 4, 4, -1)]
    assert revisions(tmp_path, "c:d") == ["other"]


def test_to_and_fro_between_two_pushes_no_third_one_out(tmp_path: Path) -> None:
    note_replaced(tmp_path, [pin("old")])
    for _ in range(KEPT):
        note_replaced(tmp_path, [pin("r1")])
        note_replaced(tmp_path, [pin("r2")])
    assert revisions(tmp_path) == ["r2", "r1", "old"]


def test_what_is_placed_replaces_what_was_though_no_lock_has_said_so(tmp_path: Path) -> None:
    note_placed(tmp_path, [pin("r1"), pin("x", "c:d")])
    assert read_history(tmp_path) == {}
    note_placed(tmp_path, [pin("r2")])
    assert revisions(tmp_path) == ["r1"]
    note_replaced(tmp_path, [pin("r2")])  # by a lock of this machine
    note_placed(tmp_path, [pin("r3")])
    assert revisions(tmp_path) == ["r2", "r1"], "what is known keeps its place"
    assert revisions(tmp_path, "c:d") == []
    note_placed(tmp_path, [pin("r?key=secret", "e:f")])
    assert "secret" not in (tmp_path / "placed.json").read_text()
    (tmp_path / "placed.json").write_text("{half")
    note_placed(tmp_path, [pin("r4")])
    assert revisions(tmp_path) == ["r2", "r1"]
    note_placed(tmp_path, [pin("r5")])
    assert revisions(tmp_path) == ["r4", "r2", "r1"]


def test_the_same_bytes_from_another_address_are_one_pin(tmp_path: Path) -> None:
    first = pin("r1")
    moved = replace(first, artifacts=(replace(first.artifacts[0], url="https://e.org/new"),))
    note_replaced(tmp_path, [first])
    note_replaced(tmp_path, [moved])
    assert read_history(tmp_path) == {"a:b": (moved,)}


def test_the_same_again_writes_nothing(tmp_path: Path) -> None:
    note_replaced(tmp_path, [pin("r1")])
    before = (tmp_path / NAME).stat()
    note_replaced(tmp_path, [pin("r1")])
    after = (tmp_path / NAME).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_what_could_not_be_fetched_again_is_not_noted(tmp_path: Path) -> None:
    url = "https://example.org/m.bin"
    unknown = replace(pin("r1"), artifacts=(Artifact("m.bin", url, 3, first_use(url)),))
    note_replaced(tmp_path, [unknown])
    assert read_history(tmp_path) == {}


def document(**changes: object) -> str:
    entry = {"source": "url", "ref": {}, "revision": "1", "files": []}
    return json.dumps({"schema_version": 1, "models": {"a:b": [entry | changes]}})


ODD = {
    "empty": "",
    "cut": document()[:30],
    "a list": "[]",
    "a number": "5",
    "no version": '{"models": {}}',
    "newer": document().replace('"schema_version": 1', '"schema_version": 2'),
    "no models": '{"schema_version": 1}',
    "models are a list": '{"schema_version": 1, "models": []}',
    "pins are a text": '{"schema_version": 1, "models": {"a:b": "x"}}',
    "pins are a number": '{"schema_version": 1, "models": {"a:b": 5}}',
    "too deep": "[" * 100_000,
    "a revision that leads elsewhere": document(revision="../../x"),
    "an evil file": document(files=[{"name": "../x", "url": "", "size": 1, "digest": "md5:0"}]),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_no_history_and_does_not_stop_the_next_one(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / NAME).write_text(ODD[name])
    assert read_history(tmp_path) == {}
    note_replaced(tmp_path, [pin("r1")])
    assert revisions(tmp_path) == ["r1"]


def test_bytes_that_are_no_text_are_no_history(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00")
    assert read_history(tmp_path) == {}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelSetError) as caught:
        note_replaced(tmp_path / "file", [pin("r1")])
    assert caught.value.failure.code == "store-not-writable"
