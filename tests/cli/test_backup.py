"""`modelset backup`: a dated state that another machine takes in, and old ones that go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.moving import FOLDER, HUB, House, house_in
from tests.conftest import Ran

from modelset.cli import main
from modelset.store.backups import free_name, tag_of, thin_out
from modelset.store.state import places_of

NAME = re.compile(r"modelset-([0-9a-f]{8})-\d{8}T\d{6}Z\.json")
SECRET = "hf_hunter2secrethunter2secrethunter2"


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with two models."""
    for name in ("backup", "state"):
        monkeypatch.setitem(main.COMMANDS, name, (name, (), "a command"))
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", HUB, FOLDER).code == 0
        yield made


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def backed_up(house: House, *arguments: str) -> dict[str, Any]:
    ran = house.run("backup", *arguments, "--json")
    assert ran.code == 0, ran.stderr
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("backup", 0)
    data: dict[str, Any] = ran.json["data"]
    return data


def test_another_machine_takes_a_backup_in(house: House, tmp_path: Path) -> None:
    done = backed_up(house, str(tmp_path / "a" / "folder"))

    file = Path(done["file"])
    assert names_in(tmp_path / "a" / "folder") == [file.name]
    assert NAME.fullmatch(file.name)
    assert done["bytes"] == file.stat().st_size
    assert {"settings", "lock", "registry"} <= set(done["parts"])
    other = house.other(tmp_path / "two")
    other.config.write_text("")
    assert other.run("state", "import", str(file), "--force").code == 0
    assert other.lock_file.read_bytes() == house.lock_file.read_bytes()
    assert other.config.read_text() == house.config.read_text()


def test_people_see_the_file_and_what_is_in_it(house: House) -> None:
    ran = house.run("backup")

    (name,) = names_in(house.folder / "out" / "backups")
    assert ran.code == 0
    assert "  BACKUP" in ran.stdout
    assert "lock" in ran.stdout
    assert f"{name}: " in ran.stdout
    assert house.run("backup", "--quiet").stdout == ""


def plant(folder: Path, file: Path) -> tuple[str, dict[str, bytes]]:
    """Old backups of this project beside what is none; returns the tag, and what must stay."""
    match = NAME.fullmatch(file.name)
    assert match is not None
    tag, text = match[1], file.read_bytes()
    for day in range(10, 15):
        (folder / f"modelset-{tag}-202001{day}T020000Z.json").write_bytes(text)
    theirs = {
        "modelset-0123abcd-20200101T020000Z.json": text,  # of another project
        f"modelset-{tag}-20200101T020000Z.json.bak": text,
        f"modelset-{tag}-20200101.json": text,
        f"x-modelset-{tag}-20200101T020000Z.json": text,
        f"modelset-{tag}-20200102T020000Z.json": b"somebody's own file",
        f"modelset-{tag}-20200103T020000Z.json": b"",
        "notes.txt": b"notes",
    }
    for name, content in theirs.items():
        (folder / name).write_bytes(content)
    return tag, theirs


def test_old_ones_go_and_never_what_is_not_ours(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    first = Path(backed_up(house, str(folder))["file"])
    tag, theirs = plant(folder, first)
    first.unlink()
    outside = tmp_path / "outside.json"
    outside.write_bytes((folder / "modelset-0123abcd-20200101T020000Z.json").read_bytes())
    link = folder / f"modelset-{tag}-20200104T020000Z.json"
    link.symlink_to(outside)
    inner = folder / f"modelset-{tag}-20200105T020000Z.json"
    inner.mkdir()

    done = backed_up(house, str(folder), "--keep", "3")

    gone = [f"modelset-{tag}-202001{day}T020000Z.json" for day in (10, 11, 12)]
    assert sorted(Path(path).name for path in done["removed"]) == gone
    assert done["left"] == []
    own = [f"modelset-{tag}-202001{day}T020000Z.json" for day in (13, 14)]
    stay = [*own, Path(done["file"]).name, *theirs, link.name, inner.name]
    assert names_in(folder) == sorted(stay)
    assert {name: (folder / name).read_bytes() for name in theirs} == theirs
    assert outside.exists()


def test_without_a_number_fourteen_stay(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    first = Path(backed_up(house, str(folder))["file"])
    tag = first.name.split("-")[1]
    for day in range(10, 30):
        copy = folder / f"modelset-{tag}-202001{day}T020000Z.json"
        copy.write_bytes(first.read_bytes())

    done = backed_up(house, str(folder))

    assert len(names_in(folder)) == 14
    assert {first.name, Path(done["file"]).name} <= set(names_in(folder))


def test_the_new_one_stays_also_when_the_clock_was_set_back(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    first = Path(backed_up(house, str(folder))["file"])
    tag = first.name.split("-")[1]
    first.rename(folder / f"modelset-{tag}-29990101T000000Z.json")

    done = backed_up(house, str(folder), "--keep", "1")

    assert names_in(folder) == [Path(done["file"]).name]
    assert "2999" not in done["file"]


def test_a_number_that_is_none_is_refused(house: House, tmp_path: Path) -> None:
    for number in ("0", "-1", "", "two", "1.5", "9" * 40, "²", "٣"):
        ran = house.run("backup", str(tmp_path / "backups"), f"--keep={number}")

        assert (number, ran.code) == (number, 2)
        assert "--keep" in ran.stderr
    assert not (tmp_path / "backups").exists()


def test_a_secret_in_the_settings_ends_it_and_removes_nothing(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    first = Path(backed_up(house, str(folder))["file"])
    house.config.write_text(f'# token = "{SECRET}"\n' + house.config.read_text())

    ran = house.run("backup", str(folder), "--keep", "1")

    assert ran.code == 2
    assert SECRET not in ran.stdout + ran.stderr
    assert names_in(folder) == [first.name]


def test_a_password_in_an_address_is_left_out(house: House, tmp_path: Path) -> None:
    text = house.config.read_text()
    house.config.write_text(text.replace("http://127", "http://u:hunter2@127", 1))

    done = backed_up(house, str(tmp_path / "backups"))

    assert "hunter2" not in Path(done["file"]).read_text()
    assert done["stripped"] == ["settings"]


def test_nothing_is_no_backup(house: House, tmp_path: Path) -> None:
    empty = house.other(tmp_path / "empty")
    folder = tmp_path / "backups"
    with pytest.MonkeyPatch.context() as patch:
        # The settings file that its environment names has to be there.
        patch.setattr(
            House,
            "environ",
            {
                **{k: v for k, v in empty.environ.items() if k != "MODELSET_CONFIG"},
                "MODELSET_LOCK": str(empty.folder / "models.lock.json"),
            },
        )
        patch.setattr("modelset.cli.options.find_project", lambda: empty.folder)
        ran: Ran = empty.run("backup", str(folder))

    assert ran.code == 2
    assert "nothing to back up" in ran.stderr
    assert not folder.exists()


def test_a_file_in_the_place_of_the_folder_is_an_error_in_words(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("mine")

    ran = house.run("backup", str(tmp_path / "file"), "--json")

    assert ran.code == 4
    assert ran.json["data"]["error"]["code"] == "store-not-writable"
    assert (tmp_path / "file").read_text() == "mine"


def test_one_that_cannot_be_removed_is_said_and_the_new_one_counts(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    first = Path(backed_up(house, str(folder))["file"])
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.parent == folder and path.suffix == ".json":
            raise PermissionError("kept for seven years")
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    ran = house.run("backup", str(folder), "--keep", "1", "--json")

    assert ran.code == 0
    assert ran.json["data"]["left"] == [str(first)]
    assert f"warning: {first}" in ran.stderr
    assert len(names_in(folder)) == 2


def test_two_of_one_moment_get_two_names(tmp_path: Path) -> None:
    moment, tag = "20260102T030405Z", "0123abcd"
    first = free_name(tmp_path, tag, moment)
    first.write_text(json.dumps({"kind": "modelset state"}))
    (tmp_path / f"modelset-{tag}-{moment}-2.json").symlink_to(tmp_path / "nowhere")

    second = free_name(tmp_path, tag, moment)

    assert [first.name, second.name] == [
        f"modelset-{tag}-{moment}.json",
        f"modelset-{tag}-{moment}-3.json",
    ]
    assert thin_out(second, tag, 1).removed == (first,)


def test_every_project_and_every_machine_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = places_of(tmp_path / "a.toml", tmp_path / "lock", tmp_path / "registry")
    other = places_of(tmp_path / "b.toml", tmp_path / "lock", tmp_path / "registry")
    tag = tag_of(places)

    assert tag_of(dict(reversed(places.items()))) == tag
    assert tag_of(other) != tag
    monkeypatch.setattr("platform.node", lambda: "another-machine")
    assert tag_of(places) != tag


@pytest.mark.skipif(os.name != "posix", reason="names of other systems have no such bytes")
def test_a_folder_with_an_odd_name_will_do(house: House, tmp_path: Path) -> None:
    done = backed_up(house, str(tmp_path / "it's a $(folder)\nof mine"))

    assert Path(done["file"]).is_file()
