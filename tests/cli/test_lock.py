"""`modelset lock`: what it pins, what it asks for that, and what a gate makes of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, IMAGE, PLAIN, House, house_in
from tests.conftest import SHARED, Ran, run_process

from modelset.core.lock import licences_of

KEYS = (HUB, IMAGE, FOLDER)
FIELDS = {
    *("key", "tier", "change", "old_revision", "new_revision", "files", "size_bytes", "licence"),
    *("failure", "detail"),
}


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    with house_in(tmp_path, capsys, monkeypatch) as made:
        yield made


def changes(ran: Ran) -> dict[str, str]:
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("lock", ran.code)
    assert all(set(row) == FIELDS for row in ran.json["data"]["models"])
    return {row["key"]: row["change"] for row in ran.json["data"]["models"]}


def test_it_pins_what_is_wanted_and_moves_no_model(house: House) -> None:
    ran = house.run("lock", *KEYS, "--json")
    assert ran.code == 0, ran.stderr
    assert changes(ran) == dict.fromkeys(KEYS, "new")
    asked = house.asked(house.old)
    assert not [path for path in asked if "/resolve/" in path or "/blobs/" in path]
    assert set(house.lock) == set(KEYS)
    licences = licences_of(house.lock_file.read_text())
    assert licences == {HUB: "MIT", FOLDER: "MIT"}
    places = [path.name for path in (house.folder / "models").iterdir()]
    assert places == ["registry"]
    (row,) = [row for row in ran.json["data"]["models"] if row["key"] == HUB]
    assert row["new_revision"] == house.lock[HUB].revision
    assert row["size_bytes"] == house.lock[HUB].size_bytes > 0
    # What is pinned is not asked for again, and the file stays the one it was.
    before = house.lock_file.stat()
    again = house.run("lock", *KEYS, "--json")
    assert changes(again) == dict.fromkeys(KEYS, "same")
    assert house.asked(house.old) == []
    assert house.lock_file.stat().st_ino == before.st_ino


def test_the_table_names_revisions_files_sizes_and_licences(house: House) -> None:
    ran = house.run("lock", *KEYS)
    assert ran.code == 0
    for word in ("old", "new", "files", "size", "licence", HUB, "521 kB", "MIT"):
        assert word in ran.stdout
    assert house.lock[HUB].revision[:12] in ran.stdout
    assert "3 new, 0 moved" in ran.stdout
    assert "nothing has changed" in house.run("lock", *KEYS).stdout


def test_a_pin_stays_when_main_has_moved_until_an_upgrade_is_asked_for(house: House) -> None:
    house.run("lock", *KEYS)
    first = dict(house.lock)
    house.use(house.new)
    assert house.run("lock", *KEYS).code == 0
    assert dict(house.lock) == first
    ran = house.run("lock", *KEYS, "--upgrade", HUB, "--json")
    assert changes(ran) == {HUB: "moved", IMAGE: "same", FOLDER: "same"}
    assert house.lock[HUB].revision != first[HUB].revision
    assert house.lock[IMAGE] == first[IMAGE]
    ran = house.run("lock", *KEYS, "--upgrade", "--json")
    assert changes(ran) == {HUB: "same", IMAGE: "moved", FOLDER: "moved"}
    assert {key: [one.revision for one in pins] for key, pins in house.history.items()} == {
        key: [first[key].revision] for key in KEYS
    }


def test_after_an_upgrade_a_download_brings_the_new_bytes(house: House) -> None:
    """Also where a file keeps its name and its size."""
    house.run("download", *KEYS)
    house.use(house.new)
    house.run("lock", *KEYS, "--upgrade")
    assert house.run("download", *KEYS).code == 0
    assert house.presence(*KEYS) == {"present"}


def test_upgrades_alone_are_pinned_beside_what_is_wanted_by_default(house: House) -> None:
    ran = house.run("lock", "--upgrade", IMAGE, "--only", "critical", "--json")
    assert ran.code == 0, ran.stdout
    assert {HUB, IMAGE} <= changes(ran).keys()
    assert IMAGE in house.lock
    ran = house.run("lock", "--upgrade", "house:nothing", "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (2, "unknown-model")


# ---- what cannot be pinned ------------------------------------------------------------------


def test_what_has_no_published_digest_waits_for_a_download(house: House) -> None:
    ran = house.run("lock", HUB, PLAIN, "--json")
    assert ran.code == 9
    assert changes(ran) == {HUB: "new", PLAIN: "unlocked"}
    assert f"modelset download {PLAIN}" in house.run("lock", HUB, PLAIN).stdout
    assert house.run("download", PLAIN).code == 0
    assert changes(house.run("lock", HUB, PLAIN, "--json")) == {HUB: "same", PLAIN: "same"}
    # Asked again it cannot be told, and the pin stays.
    ran = house.run("lock", PLAIN, "--upgrade", "--json")
    assert (ran.code, changes(ran)) == (0, {PLAIN: "unknown"})
    old = house.lock[PLAIN]
    house.use(house.new)
    ran = house.run("lock", PLAIN, "--upgrade", "--json")
    assert changes(ran) == {PLAIN: "moved"}
    assert f"modelset update {PLAIN}" in ran.json["data"]["models"][0]["detail"]
    assert house.lock[PLAIN] == old


def test_an_optional_one_that_waits_lets_the_lock_and_its_gate_pass(house: House) -> None:
    house.tables = house.tables.replace('category = "vosk"', 'category = "vosk"\ntier = "optional"')
    house.use(house.old)
    ran = house.run("lock", "--components", "asr", "--json")
    assert (ran.code, changes(ran)[PLAIN]) == (0, "unlocked"), ran.stdout
    gate = house.run("lock", "--components", "asr", "--check", "--json")
    assert gate.code == 0, gate.stdout
    assert gate.json["data"]["waiting"] == [PLAIN]


def test_a_source_that_cannot_be_asked_leaves_the_others_pinned(house: House) -> None:
    ran = house.run("lock", HUB, "ollama:nobody:1b", "--json")
    assert ran.code == 4
    assert changes(ran) == {HUB: "new", "ollama:nobody:1b": "failed"}
    failed = [row for row in ran.json["data"]["models"] if row["failure"]]
    assert failed[0]["failure"]["code"] == "not-found"
    assert list(house.lock) == [HUB]
    quiet = house.run("lock", HUB, "ollama:nobody:1b", "--quiet")
    assert quiet.stdout == ""
    assert quiet.stderr.startswith("error: ")


def test_without_a_network_it_ends_with_its_code_and_keeps_the_lock(house: House) -> None:
    house.run("lock", HUB)
    before = house.lock_file.read_bytes()
    house.use(None)
    ran = house.run("lock", HUB, IMAGE, "--upgrade", "--json")
    assert ran.code == 5
    assert changes(ran) == {HUB: "failed", IMAGE: "failed"}
    assert house.lock_file.read_bytes() == before


def test_a_revision_that_is_not_there_is_an_error_and_never_another_one(house: House) -> None:
    ran = house.run("lock", f"{HUB}@v9", "--json")
    assert ran.code == 4, ran.stdout
    assert ran.json["data"]["models"][0]["failure"]["code"] == "not-found"
    assert not house.lock_file.exists() or dict(house.lock) == {}


# ---- the gate -------------------------------------------------------------------------------


def test_the_gate_passes_what_lock_has_written_and_asks_nobody(house: House) -> None:
    house.run("lock", *KEYS)
    house.asked(house.old)
    before = house.lock_file.stat()
    house.use(None)
    ran = house.run("lock", *KEYS, "--check", "--json")
    assert ran.code == 0, ran.stdout
    assert ran.json["data"]["stale"] == []
    assert house.asked(house.old) == []
    assert house.lock_file.stat().st_mtime_ns == before.st_mtime_ns
    # What is locked belongs to what is wanted by default.
    ran = house.run("lock", "--check", "--only", "critical", "--json")
    assert ran.code == 9
    assert HUB not in [row["key"] for row in ran.json["data"]["stale"]]


def test_the_gate_stops_what_is_missing_and_what_the_catalog_has_changed(house: House) -> None:
    house.run("lock", HUB)
    house.tables += f'[[model]]\nkey = "{HUB}"\ncategory = "whisper"\nsource = "huggingface"\n'
    house.tables += 'ref = { repo = "Systran/faster-whisper-tiny" }\n'
    house.use(house.old)
    before = house.lock_file.read_bytes()
    ran = house.run("lock", HUB, IMAGE, "--check", "--json")
    assert ran.code == 9
    rows = {row["key"]: row["why"] for row in ran.json["data"]["stale"]}
    assert rows[IMAGE] == "not in the lock"
    assert "repo Systran/faster-whisper-base instead of Systran/faster-whisper-tiny" in rows[HUB]
    assert ran.json["data"]["error"]["code"] == "lock-stale"
    assert "modelset lock" in ran.stderr
    assert house.lock_file.read_bytes() == before
    assert house.run("lock", HUB, IMAGE).code == 0
    assert house.run("lock", HUB, IMAGE, "--check").code == 0


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_a_lock_that_cannot_be_read_is_left_alone(house: House, check: tuple[str, ...]) -> None:
    house.run("lock", HUB)
    good = house.lock_file.read_text()
    for text, words in (
        (f"<<<<<<< HEAD\n{good}=======\n{good}>>>>>>> other\n", "conflict markers"),
        (good.replace('"schema_version": 1', '"schema_version": 2'), "schema version 2"),
        (good[:100], "cannot be read"),
    ):
        house.lock_file.write_text(text)
        ran = house.run("lock", HUB, *check, "--json")
        assert (ran.code, ran.json["data"]["error"]["code"]) == (2, "lock-invalid")
        assert words in ran.json["data"]["error"]["message"]
        assert house.lock_file.read_text() == text


# ---- two machines ---------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, str]:
    """What lies below the models root but for what is this machine's own; links as links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.startswith(("registry/", "downloads/")) or (
            path.is_dir() and not path.is_symlink()
        ):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_what_was_locked_here_is_byte_identical_there_though_main_has_moved(
    house: House, tmp_path: Path
) -> None:
    keys = (*KEYS, PLAIN)
    assert house.run("download", PLAIN).code == 0
    assert house.run("lock", *keys).code == 0
    assert house.run("download", *keys, "--locked").code == 0
    there = house.other(tmp_path / "two")
    there.lock_file.write_bytes(house.lock_file.read_bytes())
    there.use_both()
    moved = there.run("update", "--check", "--json")
    assert moved.code == 9
    assert {row["change"] for row in moved.json["data"]["updates"]} == {"moved"}
    there.asked(there.new)
    ran = there.run("download", *keys, "--frozen", "--json")
    assert ran.code == 0, ran.stdout
    assert not [path for path in there.asked(there.new) if "/revision/" in path]
    assert there.lock_file.read_bytes() == house.lock_file.read_bytes()
    here = contents(house.folder / "models")
    assert len(here) > 20
    assert contents(there.folder / "models") == here
    # And it is the old one: what the hub calls `main` now is another.
    fresh = house.other(tmp_path / "three")
    fresh.use_both()
    assert fresh.run("download", *keys).code == 0
    assert contents(fresh.folder / "models") != here


def test_locking_twice_gives_the_same_bytes(house: House, tmp_path: Path) -> None:
    house.run("lock", *KEYS)
    other = house.other(tmp_path / "two")
    other.use(house.old)
    other.run("lock", *reversed(KEYS))
    assert other.lock_file.read_bytes() == house.lock_file.read_bytes()
    assert json.loads(house.lock_file.read_text())["schema_version"] == 1


OFFLINE = """
import sys
from modelset.cli import main
codes = [main.main(line.split()) for line in sys.argv[1:]]
print(codes, sorted({"pycurl", "socket", "ssl"} & sys.modules.keys()))
"""


def test_the_gate_and_a_list_load_nothing_that_could_reach_the_network(house: House) -> None:
    house.run("lock", HUB)
    lines = [f"lock {HUB} --check --quiet", f"rollback {HUB} --list --quiet"]
    environ = {**house.environ, "PYTHONPATH": str(SHARED)}
    ran = run_process([sys.executable, "-c", OFFLINE, *lines], env=environ, cwd=house.folder)
    assert ran.stdout.splitlines()[-1:] == ["[0, 0] []"], ran.stderr


def test_what_a_lock_from_elsewhere_replaces_can_be_gone_back_to_and_cleaned(
    house: House, tmp_path: Path
) -> None:
    assert house.run("lock", HUB).code == 0
    older, old = house.lock_file.read_text(), house.lock[HUB].revision
    house.use_both()
    assert house.run("lock", "--upgrade", HUB).code == 0
    newer = house.lock_file.read_text()
    other = house.other(tmp_path / "two")
    other.use_both()
    for text in (older, newer):  # as with `git pull`
        other.lock_file.write_text(text)
        assert other.run("download", HUB, "--frozen").code == 0
    assert [pin.revision for pin in other.history[HUB]] == [old]
    assert old[:12] in json.dumps(other.run("clean", "--keep", "0", "--json").json)
    assert old[:12] not in json.dumps(other.run("clean", "--json").json)
    assert other.run("rollback", HUB).code == 0
    assert other.lock[HUB].revision == old
    assert other.history[HUB][0].revision != old


def test_a_link_to_a_lock_stays_a_link(house: House, tmp_path: Path) -> None:
    assert house.run("lock", HUB).code == 0
    shared = tmp_path / "shared.lock"
    house.lock_file.rename(shared)
    house.lock_file.symlink_to(shared)
    before = shared.read_text()
    house.use_both()
    assert house.run("lock", "--upgrade", HUB).code == 0
    assert house.lock_file.is_symlink()
    assert shared.read_text() != before
