"""`modelset rollback`: back to the revision before, without a network when it is still here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, IMAGE, PLAIN, House, house_in

KEYS = (HUB, IMAGE, FOLDER, PLAIN)


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house that was updated from the old hub to the new one; nobody listens any more."""
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", *KEYS).code == 0
        made.use(made.new)
        assert made.run("update").code == 0
        made.use(None)
        yield made


def whisper(house: House) -> Path:
    return house.folder / "models/huggingface/hub/models--Systran--faster-whisper-base"


@pytest.mark.parametrize("key", [HUB, IMAGE])
def test_it_goes_back_and_forth_without_a_network(house: House, key: str) -> None:
    new, old = house.lock[key], house.history[key][0]
    house.asked(house.old)
    house.asked(house.new)
    for pin in (old, new, old):
        ran = house.run("rollback", key, "--json")
        assert ran.code == 0, ran.stdout
        data = ran.json["data"]
        assert (data["new_revision"], data["bytes_to_fetch"]) == (pin.revision, 0)
        assert [row["bytes_moved"] for row in data["outcomes"]] == [0]
        assert house.lock[key] == pin
        assert house.presence(key) == {"present"}
        assert len(house.history[key]) <= 2
    assert house.asked(house.old) == house.asked(house.new) == []


def test_a_library_finds_the_revision_that_it_went_back_to(house: House) -> None:
    old = house.history[HUB][0].revision
    assert (whisper(house) / "refs/main").read_text() != old
    house.asked(house.old)
    house.asked(house.new)
    ran = house.run("rollback", HUB)
    assert ran.code == 0
    assert "no network" in ran.stdout
    assert (whisper(house) / "refs/main").read_text() == old
    assert house.asked(house.old) == house.asked(house.new) == []
    manifests = house.folder / "models/ollama/manifests"
    (manifest,) = [path for path in manifests.rglob("*") if path.is_file()]
    assert house.run("rollback", IMAGE).code == 0
    assert manifest.read_text() == house.lock[IMAGE].manifest


def test_what_was_replaced_is_fetched_by_its_old_pin(house: House) -> None:
    """The commit's files are still served; `hubconf.py` has its size in both revisions."""
    house.use(house.old)
    house.asked(house.old)
    ran = house.run("rollback", FOLDER, "--json")
    assert ran.code == 0, ran.stdout
    data = ran.json["data"]
    assert data["bytes_to_fetch"] == data["outcomes"][0]["bytes_moved"] == 704
    asked = house.asked(house.old)
    assert [path.rpartition("/")[2] for path in asked] == ["hubconf.py"], "and no question besides"
    entry = next((house.folder / "models" / "torch").rglob("hubconf.py"))
    assert entry.read_text().startswith('"""The door of a ')
    assert house.presence(FOLDER) == {"present"}
    assert house.run("rollback", PLAIN).code == 0
    assert house.presence(PLAIN) == {"present"}


def test_what_cannot_be_fetched_leaves_everything_as_it_was(house: House) -> None:
    before = house.lock_file.read_bytes()
    ran = house.run("rollback", FOLDER, "--json")
    assert ran.code == 5
    assert house.lock_file.read_bytes() == before
    assert house.presence(FOLDER) == {"present"}
    ran = house.run("rollback", FOLDER)
    assert "704 B to fetch" in ran.stdout
    assert "stays pinned as it was" in ran.stdout
    quiet = house.run("rollback", FOLDER, "--quiet")
    assert (quiet.stdout, quiet.stderr[:7]) == ("", "error: ")


def test_bytes_that_are_no_more_what_they_were_are_an_error(house: House) -> None:
    """The address has the new file only: it is never taken for the old one."""
    house.use(house.new)
    before = house.lock[PLAIN]
    ran = house.run("rollback", PLAIN, "--json")
    assert ran.code == 8
    assert ran.json["data"]["outcomes"][0]["failure"]["code"] in (
        "size-mismatch",
        "digest-mismatch",
    )
    assert house.lock[PLAIN] == before
    assert house.presence(PLAIN) == {"present"}


def test_a_file_that_was_damaged_meanwhile_is_noticed(house: House) -> None:
    old = house.history[HUB][0]
    weights = whisper(house) / "snapshots" / old.revision / "config.json"
    blob = weights.resolve()
    blob.write_bytes(b"x" * blob.stat().st_size)
    assert house.run("rollback", HUB).code == 5, "it has to be fetched, and nobody listens"
    assert house.lock[HUB].revision != old.revision
    house.use(house.old)
    assert house.run("rollback", HUB).code == 0
    assert house.presence(HUB) == {"present"}


def test_the_list_says_what_there_is_and_what_it_takes(house: House) -> None:
    now, (before,) = house.lock[FOLDER], house.history[FOLDER]
    ran = house.run("rollback", FOLDER, "--list", "--json")
    assert ran.code == 0
    rows = ran.json["data"]["pins"]
    assert [(row["revision"], row["is_pinned"], row["bytes_to_fetch"]) for row in rows] == [
        (now.revision, True, 0),
        (before.revision, False, 704),
    ]
    shown = house.run("rollback", HUB, "--list").stdout
    assert "pinned now" in shown
    assert house.history[HUB][0].revision in shown
    assert "nothing to go back to" in house.run("rollback", "vosk:vi", "--list").stdout


def test_an_older_one_is_found_by_its_revision(house: House) -> None:
    old = house.history[HUB][0].revision
    ran = house.run("rollback", HUB, "--to", old[:8], "--json")
    assert ran.code == 0
    assert house.lock[HUB].revision == old
    assert house.run("rollback", HUB, "--to", "0000", "--json").code == 2


@pytest.mark.parametrize("key", ["house:nothing", "vosk:vi"])
def test_where_there_is_no_way_back_it_says_so(house: House, key: str) -> None:
    before = house.lock_file.read_bytes()
    ran = house.run("rollback", key, "--json")
    assert ran.code == 2
    assert ran.json["data"]["error"]["hint"]
    assert house.lock_file.read_bytes() == before


def test_a_lost_history_is_said_and_breaks_nothing(house: House) -> None:
    (house.folder / "models/registry/history.json").write_text("{half")
    ran = house.run("rollback", HUB, "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (2, "usage")
    assert house.presence(HUB) == {"present"}


def test_a_lost_lock_can_be_rolled_back_to_what_was_before(house: House) -> None:
    old = house.history[HUB][0]
    house.lock_file.unlink()
    assert house.run("rollback", HUB).code == 0
    assert house.lock == {HUB: old}


def test_a_download_after_it_keeps_the_old_revision(house: House) -> None:
    old = house.history[HUB][0]
    house.run("rollback", HUB)
    house.use(house.new)
    assert house.run("download", HUB).code == 0
    assert house.lock[HUB] == old
    assert house.run("update", HUB).code == 0
    assert house.lock[HUB] != old
