"""Two processes on one store: the bytes come about once, and nobody's death stops the other."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

from tests.faults.answers import MIB, File, bytes_of
from tests.faults.origin import Origin
from tests.faults.project import Project, await_true

from modelset.store import owner
from modelset.store.claim import sweep
from modelset.store.life import FOREIGN_S

SIZE = 8 * MIB
DATA = bytes_of("shared", SIZE)


def test_two_at_once_fetch_the_bytes_once_and_both_end_well(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA, piece=MIB, pause_s=0.1)), DATA)
    both = [project.start(key, "--json") for _ in range(2)]
    ended = [running.end() for running in both]
    assert [ran.code for ran in ended] == [0, 0], [ran.stdout for ran in ended]
    assert origin.sent("/m") == SIZE
    assert len(origin.asked("/m")) == 1
    project.assert_clean(m=DATA)
    assert project.run(key, "--json").outcomes[key]["result"] == "ready"


def test_four_at_once_with_several_models_share_the_work(project: Project, origin: Origin) -> None:
    bodies = {f"m{number}": bytes_of(f"m{number}", MIB) for number in range(4)}
    keys = [
        project.model(name, origin.serve(f"/{name}", File(data, pause_s=0.005)), data)
        for name, data in bodies.items()
    ]
    several = [project.start(*keys, "--json") for _ in range(4)]
    ended = [running.end() for running in several]
    assert [ran.code for ran in ended] == [0] * 4, [ran.stdout for ran in ended]
    project.assert_clean(**bodies)
    assert sum(origin.sent(f"/{name}") for name in bodies) <= 2 * 4 * MIB
    lock = json.loads((project.root / "models.lock.json").read_text("utf-8"))
    assert sorted(lock["models"]) == sorted(keys)


def test_when_the_first_is_killed_the_waiting_one_takes_over_at_once(
    project: Project, origin: Origin
) -> None:
    stuck = File(DATA, stop_at=5 * MIB)
    key = project.model("m", origin.serve("/m", File(DATA), first=(stuck,)), DATA)
    first = project.start(key)
    await_true("five megabytes", lambda: project.part_size(DATA) >= 5 * MIB)
    second = project.start(key, "--json")
    time.sleep(0.7)  # long enough to have started and to be waiting
    assert second.process.poll() is None
    assert len(origin.asked("/m")) == 1
    first.kill()
    killed = time.monotonic()
    ran = second.end()
    assert time.monotonic() - killed < 2.0
    assert ran.code == 0, ran.stdout
    assert origin.asked("/m")[1].range_start >= 4 * MIB
    project.assert_clean(m=DATA)


def test_when_the_first_is_stopped_the_waiting_one_continues_its_bytes(
    project: Project, origin: Origin
) -> None:
    stuck = File(DATA, stop_at=5 * MIB)
    key = project.model("m", origin.serve("/m", File(DATA), first=(stuck,)), DATA)
    first = project.start(key)
    await_true("five megabytes", lambda: project.part_size(DATA) >= 5 * MIB)
    second = project.start(key, "--json")
    time.sleep(0.7)
    first.send(signal.SIGTERM)
    assert first.end().code == 143
    assert second.end().code == 0
    assert origin.sent("/m") == SIZE
    project.assert_clean(m=DATA)


def test_a_process_that_waits_for_another_ends_at_its_deadline(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA, stop_at=MIB)), DATA)
    first = project.start(key)
    await_true("a megabyte", lambda: project.part_size(DATA) >= MIB)
    ran = project.run(key, "--timeout", "1", "--json")
    assert ran.failure(key)["code"] == "deadline"
    assert ran.code == 12
    assert first.process.poll() is None, "the owner goes on"
    assert len(origin.asked("/m")) == 1
    assert project.part_size(DATA) == MIB
    first.kill()


def test_two_with_different_models_at_once_lose_nothing_of_each_other(
    project: Project, origin: Origin
) -> None:
    bodies = {f"m{number}": bytes_of(f"m{number}", 1000) for number in range(4)}
    keys = [
        project.model(name, origin.serve(f"/{name}", File(data)), data)
        for name, data in bodies.items()
    ]
    several = [project.start(key, "--json") for key in keys]
    assert [running.end().code for running in several] == [0] * 4
    ran = project.run(*keys, "--json")
    assert {outcome["result"] for outcome in ran.outcomes.values()} == {"ready"}
    assert len(origin.requests) == 4, "what is there is found, whatever the others wrote"
    project.assert_clean(**bodies)


def test_a_sweep_leaves_the_half_written_journal_of_a_living_owner(tmp_path: Path) -> None:
    stem = f"sha256-{hashlib.sha256(DATA).hexdigest()}"
    here = owner.owner().split("-")[0]
    living = tmp_path / f"{stem}.{owner.owner()}.tmp"
    dead = tmp_path / f"{stem}.{here}-{2**22 + 1}-1700000000-0.tmp"
    copy = tmp_path / f"{stem}.part.copy"
    for path in (living, dead, copy):
        path.write_text("{half")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [living]


def leave(project: Project, kept: int, name: str) -> Path:
    """What an owner with that name would have left behind."""
    stem = f"sha256-{hashlib.sha256(DATA).hexdigest()}"
    project.downloads.mkdir(parents=True, exist_ok=True)
    (project.downloads / f"{stem}.part").write_bytes(DATA[:kept])
    journal = project.downloads / f"{stem}.{name}.json"
    known = {
        "schema_version": 2,
        "spans": [[0, kept]],
        "durable": [[0, kept]],
        "validator": '"one"',
        "origin": "",
    }
    journal.write_text(json.dumps(known), "ascii")
    return journal


def test_a_foreign_owner_that_wrote_lately_is_waited_for(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    journal = leave(project, MIB, "feedfacecafe-77-1700000000-0")
    ran = project.run(key, "--timeout", "1", "--json")
    assert ran.failure(key)["code"] == "deadline"
    assert not origin.requests
    assert journal.exists()
    assert project.part_size(DATA) == MIB


def test_a_foreign_owner_that_fell_silent_is_taken_over(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    journal = leave(project, MIB, "feedfacecafe-77-1700000000-0")
    silent = time.time() - FOREIGN_S - 60
    os.utime(journal, (silent, silent))
    asleep = os.open(project.part(DATA), os.O_RDWR)
    try:
        ran = project.run(key, "--json")
        # An owner that only slept must not reach the file that was placed.
        os.pwrite(asleep, b"late", 0)
    finally:
        os.close(asleep)
    assert ran.code == 0, ran.stdout
    assert [request.range_start for request in origin.asked("/m")] == [MIB]
    project.assert_clean(m=DATA)


def test_a_dead_owner_of_this_machine_is_taken_over(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    here = owner.owner().split("-")[0]
    leave(project, MIB, f"{here}-{2**22 + 1}-1700000000-0")
    assert project.run(key).code == 0
    assert [request.range_start for request in origin.asked("/m")] == [MIB]
    project.assert_clean(m=DATA)


def test_a_number_that_another_process_has_by_now_is_no_owner(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    here = owner.owner().split("-")[0]
    leave(project, MIB, f"{here}-{os.getpid()}-1700000000-0")
    assert project.run(key, "--timeout", "5").code == 0
    project.assert_clean(m=DATA)


def test_an_unreadable_journal_costs_the_bytes_and_nothing_else(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    leave(project, MIB, "free").write_text("{half")
    assert project.run(key).code == 0
    assert [request.range_start for request in origin.asked("/m")] == [0]
    project.assert_clean(m=DATA)


def test_a_journal_that_promises_more_than_the_file_holds_is_not_believed(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    leave(project, 3 * MIB, "free")
    project.part(DATA).write_bytes(DATA[:MIB])
    assert project.run(key).code == 0
    assert [request.range_start for request in origin.asked("/m")] == [MIB]
    project.assert_clean(m=DATA)


def test_bytes_without_a_journal_are_not_believed(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    leave(project, MIB, "free").unlink()
    assert project.run(key).code == 0
    assert [request.range_start for request in origin.asked("/m")] == [0]
    project.assert_clean(m=DATA)
