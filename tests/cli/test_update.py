"""`modelset update`: what is newer at the sources, what that costs, and what it brings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, IMAGE, PLAIN, House, house_in
from tests.conftest import Ran

KEYS = (HUB, IMAGE, FOLDER, PLAIN)


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with everything of the old hub in it, and the new one now in its place."""
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", *KEYS).code == 0
        made.asked(made.old)
        made.use(made.new)
        yield made


def updates(ran: Ran) -> dict[str, str]:
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("update", ran.code)
    return {row["key"]: row["change"] for row in ran.json["data"]["updates"]}


def test_the_check_says_what_is_newer_and_changes_nothing(house: House) -> None:
    before = house.lock_file.read_bytes()
    ran = house.run("update", "--check", "--json")
    assert ran.code == 9
    assert updates(ran) == dict.fromkeys(KEYS, "moved")
    rows = {row["key"]: row for row in ran.json["data"]["updates"]}
    assert rows[HUB]["old_revision"] == house.lock[HUB].revision != rows[HUB]["new_revision"]
    assert 0 < rows[HUB]["bytes_to_fetch"] < 5_000 < house.lock[HUB].size_bytes
    assert rows[FOLDER]["bytes_to_fetch"] == 704, "one file, of the size that it had"
    assert ran.json["data"]["outcomes"] == []
    assert house.lock_file.read_bytes() == before
    assert house.history == {}
    asked = house.asked(house.new)
    assert not [path for path in asked if "/resolve/" in path or "/blobs/" in path]
    assert house.presence(*KEYS) == {"present"}
    shown = house.run("update", "--check").stdout
    assert rows[HUB]["new_revision"][:12] in shown
    assert "modelset update" in shown


def test_what_has_not_moved_costs_one_request_each(house: House) -> None:
    house.use(house.old)
    ran = house.run("update", "--check", "--json")
    assert ran.code == 0
    assert updates(ran) == {HUB: "same", IMAGE: "same", FOLDER: "same", PLAIN: "unknown"}
    assert len(house.asked(house.old)) == len(KEYS)


TAGGED = (HUB, IMAGE, FOLDER, "vosk:small-vi", "nlu:vader")


@pytest.mark.parametrize("moved", [False, True])
def test_the_second_look_is_answered_without_a_body_and_says_the_same(
    house: House, moved: bool
) -> None:
    house.use(house.old)
    assert house.run("download", *TAGGED).code == 0
    hub = house.new if moved else house.old
    house.use(hub)

    def look() -> tuple[str, set[int]]:
        hub.forget_requests()
        ran = house.run("update", "--check", *TAGGED)
        assert ran.code == (9 if moved else 0)
        return ran.stdout, {seen.status for seen in hub.requests}

    first, statuses = look()
    assert statuses == {200}
    count = len(hub.requests)
    assert look() == (first, {304})
    assert len(hub.requests) == count
    folder = house.folder / "models" / "registry" / "answers"
    kept = list(folder.iterdir())
    assert len(kept) == count
    assert not any(b"hf_demo" in path.read_bytes() for path in kept)
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_a_branch_that_moves_between_two_looks_is_seen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.use(house.old)
    for _ in range(2):
        assert house.run("update", "--check", "--json").code == 0
    # The same addresses, behind which other commits and another image lie now.
    new = house.new.site
    moved = replace(house.old.site, repos=new.repos, git=new.git, images=new.images)
    monkeypatch.setattr(house.old, "site", moved)
    house.asked(house.old)
    ran = house.run("update", "--check", "--json")
    assert ran.code == 9
    assert updates(ran) == {HUB: "moved", IMAGE: "moved", FOLDER: "moved", PLAIN: "unknown"}
    assert 304 not in {seen.status for seen in house.old.requests}
    assert house.run("update", "--json").code == 0
    assert {key: house.lock[key].revision for key in (HUB, FOLDER)} == {
        HUB: new.repos["Systran/faster-whisper-base"].commit,
        FOLDER: new.git["snakers4/silero-vad"].commit,
    }


def test_other_commands_neither_ask_by_tag_nor_remember(house: House) -> None:
    house.use(house.old)
    folder = house.folder / "models" / "registry" / "answers"
    house.lock_file.unlink()
    assert house.run("lock", *KEYS).code in (0, 9)
    assert house.run("download", *KEYS).code == 0
    assert not folder.exists()
    house.asked(house.old)
    assert house.run("lock", "--upgrade", HUB, "--json").code == 0
    assert folder.is_dir()
    house.asked(house.old)
    assert house.run("lock", "--upgrade", HUB, "--json").code == 0
    assert {seen.status for seen in house.old.requests} == {304}
    house.lock_file.unlink()
    house.asked(house.old)
    assert house.run("download", HUB).code == 0
    assert 304 not in {seen.status for seen in house.old.requests}


def test_it_brings_what_is_newer_and_fetches_no_more_than_it_said(house: House) -> None:
    said = house.run("update", "--check", "--json").json["data"]["updates"]
    first = dict(house.lock)
    ran = house.run("update", "--json")
    assert ran.code == 0, ran.stdout
    outcomes = {row["key"]: row for row in ran.json["data"]["outcomes"]}
    assert set(outcomes) == set(KEYS)
    assert {row["key"]: row["bytes_to_fetch"] for row in said} == {
        key: row["bytes_moved"] for key, row in outcomes.items()
    }
    assert all(house.lock[key].revision != first[key].revision for key in KEYS)
    assert house.presence(*KEYS) == {"present"}
    assert {key: pins[0] for key, pins in house.history.items()} == first
    assert (house.folder / "out" / "last_download.json").is_file()
    # A file that keeps its name and its size has been replaced all the same.
    entry = next((house.folder / "models" / "torch").rglob("hubconf.py"))
    assert entry.read_text().startswith('"""The door of b ')
    again = house.run("update", "--json")
    assert (again.code, again.json["data"]["outcomes"]) == (0, [])


def test_only_what_is_named_is_updated(house: House) -> None:
    first = dict(house.lock)
    ran = house.run("update", IMAGE, "--json")
    assert (ran.code, updates(ran)) == (0, {IMAGE: "moved"})
    assert {key for key in KEYS if house.lock[key] != first[key]} == {IMAGE}
    assert list(house.history) == [IMAGE]


def test_what_is_not_locked_yet_is_pinned_and_brought_when_it_is_named(house: House) -> None:
    ran = house.run("update", "whisper:tiny", "--json")
    assert (ran.code, updates(ran)) == (0, {"whisper:tiny": "new"})
    assert house.presence("whisper:tiny") == {"present"}


def test_what_only_its_bytes_tell_is_fetched_when_it_is_named(house: House) -> None:
    house.use(house.old)
    old = house.lock[PLAIN]
    ran = house.run("update", "--json")
    assert (ran.code, ran.json["data"]["outcomes"]) == (0, [])
    ran = house.run("update", PLAIN, "--json")
    assert ran.code == 0
    assert [row["result"] for row in ran.json["data"]["outcomes"]] == ["downloaded"]
    assert house.lock[PLAIN] == old


def test_a_pin_comes_back_when_the_new_bytes_do_not_come(house: House) -> None:
    """A pickle without a digest, under a policy that has become stricter since."""
    voice = "tts:silero-v4-ru"
    assert house.run("download", voice).code == 0
    old = house.lock[voice]
    text = house.config.read_text()
    house.config.write_text(text.replace("first_use = true", "first_use = false"))
    ran = house.run("update", voice, "--json")
    assert (ran.code, updates(ran)) == (13, {voice: "unknown"})
    assert ran.json["data"]["outcomes"][0]["failure"]["code"] == "digest-unknown"
    assert house.lock[voice] == old
    assert house.presence(voice) == {"present"}
    house.config.write_text(text)
    assert house.run("update", voice).code == 0
    assert house.lock[voice] == old


def test_a_hub_that_cannot_be_asked_is_an_error_and_changes_nothing(house: House) -> None:
    before = house.lock_file.read_bytes()
    house.use(None)
    for arguments in (("--check",), ()):
        ran = house.run("update", *arguments, "--json")
        assert ran.code == 5
        assert set(updates(ran).values()) == {"failed"}
        assert house.lock_file.read_bytes() == before
    ran = house.run("update", HUB, "--quiet")
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")


def test_without_a_lock_there_is_nothing_to_compare(house: House) -> None:
    house.lock_file.unlink()
    ran = house.run("update", "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (9, "lock-stale")
    assert "modelset lock" in ran.json["data"]["error"]["hint"]


def test_words_that_mean_nothing_are_refused(house: House) -> None:
    assert house.run("update", "house:nothing", "--json").code == 2
    assert house.run("update", "--frozen", "--json").code == 2
