"""`modelset registry`: what is here, and how a lost record comes back."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.cli.moving import FOLDER, HUB, IMAGE, House, house_in

from modelset.cli import main
from modelset.core.errors import ModelSetError
from modelset.core.events import Event, Moved, Started
from modelset.core.types import Choice
from modelset.engine import registry as engine
from modelset.engine.check import Inspector
from modelset.engine.digests import read_all
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, write_lock
from modelset.sources import SOURCES
from modelset.store.findings import read_digest
from modelset.store.registry import forget, read_registry

KEYS = (FOLDER, IMAGE, HUB)


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with three models, and no network any more."""
    monkeypatch.setitem(main.COMMANDS, "registry", ("registry", (), "a command"))
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", *KEYS).code == 0
        made.use(None)
        yield made


def folder_of(house: House) -> Path:
    return house.folder / "models" / "registry"


def inspector_of(house: House) -> Inspector:
    roots = {path.name: path for path in (house.folder / "models").iterdir()}
    roots |= {"huggingface": roots["huggingface"] / "hub", "torch": roots["torch"] / "hub"}
    return Inspector(SOURCES, {**roots, "site-packages": house.folder / "site-packages"})


def rebuilt(house: House) -> Any:
    ran = house.run("registry", "--rebuild", "--json")
    assert ran.code == 0, ran.stdout
    folder = folder_of(house)
    schema = json.loads((folder / "schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(
        json.loads((folder / "registry.json").read_text())
    )
    return ran.json["data"]


@pytest.mark.parametrize("damage", [None, b"", b"{", b"\xff\xfe", b'{"schema_version": 9}'])
def test_a_lost_or_damaged_registry_is_made_anew(house: House, damage: bytes | None) -> None:
    before = read_registry(folder_of(house))
    assert set(before) == set(KEYS)
    path = folder_of(house) / "registry.json"
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    data = rebuilt(house)
    assert (set(data["models"]), data["left_out"]) == (set(KEYS), [])
    for key, entry in read_registry(folder_of(house)).items():
        assert entry | {"date_added": ""} == before[key] | {"date_added": ""}
        for row in entry["files"]:
            assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == row["sha256"]
    ran = house.run("download", *KEYS, "--json")
    assert [row["result"] for row in ran.json["data"]["outcomes"]] == ["ready"] * len(KEYS)


def test_what_cannot_be_read_is_said_with_what_mends_it(house: House) -> None:
    (folder_of(house) / "registry.json").write_text("{")
    ran = house.run("registry")
    assert ran.code == 4
    assert "registry --rebuild" in ran.stderr


def test_only_whole_models_enter(house: House) -> None:
    rows = read_registry(folder_of(house))
    path = Path(rows[HUB]["files"][0]["path"])
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    Path(rows[IMAGE]["files"][0]["path"]).unlink()
    data = rebuilt(house)
    assert set(data["models"]) == {FOLDER}
    assert {row["key"] for row in data["left_out"]} == {HUB, IMAGE}


def test_what_the_lock_has_no_more_stays_while_its_bytes_do(house: House) -> None:
    write_lock(house.lock_file, read_lock(house.lock_file), [], without=[HUB, IMAGE])
    rows = read_registry(folder_of(house))
    path = Path(rows[IMAGE]["files"][0]["path"])
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    data = rebuilt(house)
    assert set(data["models"]) == {FOLDER, HUB}
    assert data["models"][HUB] == rows[HUB]
    assert [row["key"] for row in data["left_out"]] == [IMAGE]


def test_what_another_process_changes_meanwhile_stays_as_it_left_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Inspector.look_at
    folder = folder_of(house)

    def look_at(self: Inspector, choice: Choice, *rest: Any, **more: Any) -> Any:
        seen = look(self, choice, *rest, **more)
        if choice.model.key == HUB:
            forget(folder, [HUB])
            lock = read_lock(house.lock_file)
            write_lock(house.lock_file, lock, [], without=[IMAGE])
        return seen

    monkeypatch.setattr(Inspector, "look_at", look_at)
    made = engine.rebuild(inspector_of(house), house.lock_file, {}, Stop(), "")
    assert set(made.entries) == {FOLDER} == set(read_registry(folder))


def test_several_hands_read_every_file_and_each_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lock(house.lock_file, read_lock(house.lock_file), [], without=[FOLDER])
    before = read_registry(folder_of(house))
    rows = [row for entry in before.values() for row in entry["files"]]
    both, hands = threading.Barrier(2), set()
    read: list[tuple[str, str]] = []

    def spy(path: str, algorithm: str, **more: Any) -> str:
        if threading.current_thread() not in hands:
            hands.add(threading.current_thread())
            both.wait(20)  # nobody goes on before both have begun
        read.append((os.path.realpath(path), algorithm))
        return read_digest(path, algorithm, **more)

    def again(*_: Any, **__: Any) -> str:
        raise AssertionError("read a second time, by one hand")

    monkeypatch.setattr("modelset.engine.digests.read_digest", spy)
    monkeypatch.setattr("modelset.store.digests.read_digest", again)
    monkeypatch.setattr("modelset.store.registry.sha256_of", again)
    events: list[Event] = []
    inspector = inspector_of(house)
    made = engine.rebuild(inspector, house.lock_file, {}, Stop(), "", hands=2, emit=events.append)
    assert {key: entry["hash"] for key, entry in made.entries.items()} == {
        key: entry["hash"] for key, entry in before.items()
    }
    assert len(hands) == 2
    assert threading.main_thread() not in hands
    assert len(set(read)) == len(read)
    assert {path for path, _ in read} >= {os.path.realpath(row["path"]) for row in rows}
    (started,) = [event for event in events if isinstance(event, Started)]
    assert sum(event.delta for event in events if isinstance(event, Moved)) == started.bytes_total


def test_a_stop_leaves_the_old_registry_as_it_was(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder_of(house) / "registry.json").read_bytes()
    stop = Stop()

    def stopping(path: str, algorithm: str, **more: Any) -> str:
        stop.ask("stopped")
        return read_digest(path, algorithm, **more)

    monkeypatch.setattr("modelset.engine.digests.read_digest", stopping)
    with pytest.raises(ModelSetError) as error:
        engine.rebuild(inspector_of(house), house.lock_file, {}, stop, "")
    assert error.value.failure.code == "stopped"
    assert (folder_of(house) / "registry.json").read_bytes() == before


def test_a_file_that_goes_while_others_are_read_leaves_its_model_out(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(read_registry(folder_of(house))[IMAGE]["files"][0]["path"])

    def hiding(jobs: Any, *rest: Any) -> Any:
        found = read_all(jobs, *rest)
        path.unlink()
        return found

    monkeypatch.setattr(engine, "read_all", hiding)
    made = engine.rebuild(inspector_of(house), house.lock_file, {}, Stop(), "")
    assert set(made.entries) == {FOLDER, HUB} == set(read_registry(folder_of(house)))
    assert set(made.left_out) == {IMAGE}


def test_it_is_shown_as_a_table_and_in_full(house: House) -> None:
    ran = house.run("registry")
    assert ran.code == 0
    assert all(key in ran.stdout for key in KEYS)
    full = house.run("registry", HUB).stdout
    assert read_registry(folder_of(house))[HUB]["hash"] in full
    assert house.run("registry", "whisper:tiny").code == 4
    assert house.run("registry", "no:such").code == 2
