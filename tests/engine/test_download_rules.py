"""What the downloader decides before and around a transfer: locks, space, tiers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of
from tests.faults.origin import Origin
from tests.faults.project import DOOR, Project, Running

from modelset.core.lock import dump_lock, is_current, parse_lock
from modelset.core.types import Artifact, Model, Pin
from modelset.engine.lock import read_lock, write_lock

DATA = bytes_of("rules", 1000)
TERABYTES = 10**16


def pin(key: str, revision: str = "r1") -> Pin:
    artifact = Artifact("m.bin", "https://packages.example.org/m", 3, "md5:" + "0" * 32)
    return Pin(key, "url", {"b": 1, "a": [2]}, revision, (artifact,))


def test_the_text_of_a_lock_does_not_depend_on_the_order_of_pins() -> None:
    one, two = pin("house:a"), pin("house:b")
    text = dump_lock([two, one])
    assert text == dump_lock([one, two])
    assert text.index("house:a") < text.index("house:b")
    assert text.endswith("}\n")
    assert dict(parse_lock(text, where="lock")) == {"house:a": one, "house:b": two}


def test_a_lock_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "models.lock.json"
    write_lock(path, {}, [pin("house:a")])
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_lock(path, read_lock(path), [pin("house:a")])
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    write_lock(path, read_lock(path), [pin("house:b")])
    write_lock(path, read_lock(path), [pin("house:a", "r2")])
    locked = read_lock(path)
    assert {key: one.revision for key, one in locked.items()} == {"house:a": "r2", "house:b": "r1"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.lock.json"]


def test_a_pin_is_current_only_for_what_the_catalog_still_wants() -> None:
    def wanted(**other: object) -> Model:
        fields = {"key": "house:a", "category": "c", "tier": "critical", "source": "url",
                  "ref": {"a": [2], "b": 1}, **other}  # fmt: skip
        return Model(**fields)  # type: ignore[arg-type]

    assert is_current(pin("house:a"), wanted())
    assert is_current(pin("house:a"), wanted(size_bytes=9, licence="MIT"))
    assert not is_current(pin("house:a"), wanted(source="wheel"))
    assert not is_current(pin("house:a"), wanted(ref={"a": [2], "b": 2}))
    assert not is_current(None, wanted())


def test_two_runs_from_nothing_write_the_same_lock(project: Project, origin: Origin) -> None:
    keys = [
        project.model(name, origin.serve(f"/{name}", File(bytes_of(name, 99))), bytes_of(name, 99))
        for name in ("zulu", "alfa", "mike")
    ]
    lock = project.root / "models.lock.json"
    assert project.run(*keys).code == 0
    first = lock.read_bytes()
    lock.unlink()
    shutil.rmtree(project.models)
    assert project.run(*reversed(keys)).code == 0
    assert lock.read_bytes() == first
    assert list(json.loads(first)["models"]) == sorted(keys)


def test_locked_refuses_a_stale_lock_and_accepts_a_current_one(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    ran = project.run(key, "--locked", "--json")
    assert ran.code == 9
    assert ran.document["data"]["error"]["code"] == "lock-stale"
    assert key in ran.document["data"]["error"]["message"]
    assert not origin.requests
    assert project.run(key).code == 0
    assert project.run(key, "--locked").code == 0
    newer = project.model("newer", origin.serve("/newer", File(DATA[:9])), DATA[:9])
    assert project.run(key, newer, "--locked").code == 9
    assert len(origin.requests) == 1


def test_frozen_resolves_nothing_and_fails_without_a_pin(project: Project, origin: Origin) -> None:
    # Without a size in the table, resolving asks the server for it.
    key = project.model("m", origin.serve("/m", File(DATA)), DATA, size=None)
    ran = project.run(key, "--frozen", "--json")
    assert ran.code == 9
    assert ran.failure(key)["code"] == "lock-stale"
    assert not origin.requests
    assert project.run(key).code == 0
    assert [row.headers.get("range") for row in origin.requests] == ["bytes=0-0", None]
    shutil.rmtree(project.models)
    assert project.run(key, "--frozen").code == 0
    assert len(origin.requests) == 3
    project.assert_clean(m=DATA)


def test_frozen_trusts_the_lock_where_the_catalog_has_moved_on(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    assert project.run(key).code == 0
    config = project.root / "modelset.toml"
    config.write_text(config.read_text("utf-8").replace("size = 1000", "size = 1001"), "utf-8")
    shutil.rmtree(project.models)
    assert project.run(key, "--locked").code == 9
    assert project.run(key, "--frozen").code == 0
    assert project.path(key).read_bytes() == DATA


@pytest.mark.parametrize(
    "text", ["{half", "[]", '{"schema_version": 99, "models": {}}', '{"schema_version": 1}']
)
def test_a_lock_that_cannot_be_read_is_said_so_and_left_alone(
    text: str, project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    lock = project.root / "models.lock.json"
    lock.write_text(text)
    ran = project.run(key, "--json")
    assert ran.code == 2
    assert ran.document["data"]["error"]["code"] == "lock-invalid"
    assert lock.read_text() == text
    assert not origin.requests


def test_a_dry_run_moves_nothing(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    assert project.run(key, "--dry-run", "--json").code == 0
    assert not origin.requests
    assert not project.path(key).exists()


def test_a_disk_without_room_is_refused_before_the_first_byte(
    project: Project, origin: Origin
) -> None:
    fits = project.model("fits", origin.serve("/fits", File(DATA)), DATA)
    huge = project.model("huge", origin.serve("/huge", File(DATA)), DATA[:9], size=TERABYTES)
    ran = project.run(fits, huge, "--json")
    assert ran.code == 7
    assert ran.document["data"]["error"]["code"] == "disk-full"
    assert str(project.models) in ran.document["data"]["error"]["message"]
    assert not origin.requests
    assert "free" in ran.stderr


def _can_mount() -> bool:
    if not (shutil.which("unshare") and shutil.which("mount")):
        return False
    script = "mount -t tmpfs -o size=1m none /mnt"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, timeout=10, check=False
    )
    return done.returncode == 0


@pytest.mark.skipif(not _can_mount(), reason="a small disk cannot be mounted here")
@pytest.mark.parametrize(("disk", "refused"), [("32m", True), ("96m", False)])
def test_a_small_disk_takes_what_fits_beside_the_spare_room(
    disk: str, refused: bool, project: Project, origin: Origin
) -> None:
    data = bytes_of("small", 2 * MIB)
    key = project.model("m", origin.serve("/m", File(data)), data)
    project.models.mkdir()
    mount = f'mount -t tmpfs -o size={disk} none "$1" && shift && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, "sh", str(project.models)]
    running = Running(
        [*command, sys.executable, str(DOOR), key, "--json"], project.env, project.root
    )
    ran = running.end()
    assert ran.code == (7 if refused else 0), ran.stdout
    assert bool(origin.requests) is not refused


def test_a_disk_that_fills_up_on_the_way_keeps_what_is_there(
    project: Project, origin: Origin
) -> None:
    data = bytes_of("filling", 6 * MIB)
    key = project.model("m", origin.serve("/m", File(data)), data)
    # Three megabytes are the most that a file may have: to the program, a disk that is full.
    bounded = ["sh", "-c", 'ulimit -f 6144; exec "$@"', "sh", sys.executable, str(DOOR)]
    ran = Running([*bounded, key, "--json"], project.env, project.root).end()
    assert ran.code == 7
    failure = ran.failure(key)
    assert failure["code"] == "disk-full"
    assert "resumes" in failure["hint"]
    asked = [(one.range_start, one.connection) for one in origin.asked("/m")]
    assert len({start for start, _ in asked}) == len(asked), "another try would not make room"
    assert 0 < project.part_size(data) <= 3 * MIB
    assert project.run(key).code == 0
    again = sum(one.sent for one in origin.asked("/m")[len(asked) :])
    assert again < len(data), "what was there is kept"
    project.assert_clean(m=data)


def test_a_failed_optional_model_is_a_warning_and_a_critical_one_is_not(
    project: Project, origin: Origin
) -> None:
    gone = origin.serve("/gone", Status(404))
    project.model("must", origin.serve("/must", File(DATA)), DATA, tier="critical")
    nice = project.model("nice", gone, DATA[:9], tier="optional")
    ran = project.run("--category", "house")
    assert ran.code == 0
    assert "All critical models ready" in ran.stdout
    assert "not-found" in ran.stdout
    project.model("needed", gone, DATA[:8], tier="critical")
    assert project.run("--category", "house", "--only", "critical").code == 4
    assert project.run(nice).code == 4, "what is asked for by name is critical"


def test_critical_failures_of_two_kinds_have_the_general_code(
    project: Project, origin: Origin
) -> None:
    gone = project.model("gone", origin.serve("/gone", Status(404)), DATA[:9])
    wrong = project.model("wrong", origin.serve("/wrong", File(DATA)), DATA[::-1])
    ran = project.run(gone, wrong, "--json")
    assert {ran.failure(gone)["code"], ran.failure(wrong)["code"]} == {
        "not-found", "digest-mismatch",
    }  # fmt: skip
    assert ran.code == 4
    assert project.run(wrong).code == 8
