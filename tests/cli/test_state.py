"""`modelset state`: what a project has decided goes to another machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, House, house_in

from modelset.cli import main


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with two models, one of them updated once."""
    monkeypatch.setitem(main.COMMANDS, "state", ("state", (), "a command"))
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", HUB, FOLDER).code == 0
        made.use_both()
        assert made.run("update", HUB).code == 0
        yield made


def test_another_machine_goes_on_where_this_one_stands(house: House, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    ran = house.run("state", "export", str(file), "--json")
    assert (ran.code, set(ran.json["data"]["parts"])) == (
        0,
        {"settings", "lock", "registry", "history"},
    )
    assert "hf_demo" not in file.read_text()
    other = house.other(tmp_path / "two")
    other.config.write_text("")
    assert other.run("state", "import", str(file)).code == 2, "its settings differ"
    assert not other.lock_file.exists()
    ran = other.run("state", "import", str(file), "--force", "--json")
    assert ran.code == 0, ran.stdout
    rows = {row["name"]: row for row in ran.json["data"]["parts"]}
    assert Path(rows["settings"]["backup"]).read_text() == ""
    assert other.config.read_text() == house.config.read_text()
    assert other.lock_file.read_bytes() == house.lock_file.read_bytes()
    assert other.history == house.history
    assert other.run("check", "--json").code != 0, "the models themselves are not in it"
    assert other.run("download", HUB, FOLDER, "--frozen").code == 0
    assert other.presence(HUB, FOLDER) == {"present"}


def test_the_same_state_twice_changes_nothing(house: House, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    assert house.run("state", "export", str(file)).code == 0
    ran = house.run("state", "import", str(file), "--json")
    assert ran.code == 0
    assert not any(row["changed"] or row["backup"] for row in ran.json["data"]["parts"])
    assert house.run("state", "import", str(tmp_path / "none")).code != 0
