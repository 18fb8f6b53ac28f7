"""The server is killed again and again while it works: no wrong byte, no lost job, no orphan."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sys
import time
from collections.abc import Callable

import psutil
from tests.conftest import Project, RunModelset
from tests.faults.answers import MIB, File, Ration, Rationed, bytes_of
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin
from tests.server.conftest import Serve, Server

SIZE = 24 * MIB
KILLS = 20
NAMES = ("one", "two", "three")
DATA = {name: bytes_of(f"server {name}", SIZE) for name in NAMES}
# Between two kills, no more of a file than this goes out.
RATION = SIZE // (KILLS + 2)
# What the issue promises for each connection that was open.
PROMISED = 8 * MIB
# A child notices the end of its server, and has two seconds to save what it has.
ORPHAN_S = 5.0
ENV = {"MODELSET_SERVER_TRANSFERS": "3"}


def table(name: str, url: str) -> str:
    """A model that is one file."""
    digest = hashlib.sha256(DATA[name]).hexdigest()
    ref = f'url = "{url}", digest = "sha256:{digest}", size = {SIZE}'
    return (
        f'[[model]]\nkey = "house:{name}"\ncategory = "house"\nsource = "url"\n'
        f'tier = "available"\nref = {{ {ref}, root = "whisper", path = "{name}.bin" }}\n'
    )


def await_true(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def give(origin: Origin, count: int) -> int:
    """Let so many bytes of every file go out from now on; returns how many had gone out before."""
    before = sent(origin)
    for name in NAMES:
        origin.serve(f"/{name}", Rationed(DATA[name], ration=Ration(count)))
    return before


def sent(origin: Origin) -> int:
    return sum(origin.sent(f"/{name}") for name in NAMES)


def assert_only_right_files(project: Project) -> int:
    """No file has its final name without its bytes; returns how many have it."""
    placed = list((project.models_root / "whisper").glob("*"))
    for path in placed:
        assert path.read_bytes() == DATA[path.stem], f"{path.name} is not right"
    return len(placed)


def is_consistent(server: Server, ids: list[str]) -> None:
    """The jobs are the same, in the same order, and none of them has failed."""
    rows = server.get("/v1/jobs").json["jobs"]
    assert [row["id"] for row in rows] == ids
    assert {row["state"] for row in rows} <= {"queued", "running", "succeeded"}
    assert all(row["ended"] is None or row["state"] == "succeeded" for row in rows)


def test_twenty_kills_in_the_middle_of_three_jobs(
    serve: Serve, project: Project, run_modelset: RunModelset
) -> None:
    rng = random.Random("twenty kills")
    with running_origin() as origin:
        before = give(origin, RATION)
        config = "".join(table(name, f"{origin.url}/{name}") for name in NAMES)
        server = serve(config=config, env=ENV)
        ids = [server.start("download", keys=[f"house:{name}"])["id"] for name in NAMES][::-1]
        children: set[psutil.Process] = set()
        busy = 0
        for number in range(KILLS):
            if number % 2:
                time.sleep(rng.uniform(0.0, 1.2))
            else:
                enough = before + rng.randrange(64 * 1024, 2 * RATION)
                await_true(lambda enough=enough: sent(origin) >= enough)
            own = psutil.Process(server.process.pid).children(recursive=True)
            server.stop(signal.SIGKILL)
            for child in own if number % 4 == 2 else ():  # as when a container is killed
                child.kill()
            children.update(own)
            before = give(origin, RATION if number < KILLS - 1 else SIZE)
            busy += len(own) >= len(NAMES)
            assert assert_only_right_files(project) == 0, "a file was done before the last kill"
            server = serve(env=ENV)
            is_consistent(server, ids)
        for name in ids:
            assert server.wait(name)["state"] == "succeeded"
        is_consistent(server, ids)
        connections = len({request.connection for request in origin.requests})
        again = sent(origin) - len(NAMES) * SIZE
    sys.stdout.write(
        f"{KILLS} kills, {busy} of them with all three commands at work, {connections} connections;"
        f" {again / MIB:.2f} MiB came twice\n"
    )
    assert busy >= KILLS // 2
    assert 0 <= again <= PROMISED * connections
    assert again <= SIZE, "all the kills together cost more than one file"
    assert_nothing_is_left(project, children)
    assert_told_in_order(server, ids)
    assert server.stop() == 143
    ran = run_modelset("verify", *(f"house:{name}" for name in NAMES), "--json")
    assert ran.code == 0, ran.stderr
    assert {row["presence"] for row in ran.json["data"]["models"]} == {"present"}


def assert_nothing_is_left(project: Project, children: set[psutil.Process]) -> None:
    assert assert_only_right_files(project) == len(NAMES)
    downloads = project.models_root / "downloads"
    assert not downloads.exists() or not list(downloads.iterdir())
    _, alive = psutil.wait_procs(list(children), timeout=ORPHAN_S)
    assert alive == []


def assert_told_in_order(server: Server, ids: list[str]) -> None:
    for name in ids:
        events = server.events(name)
        numbers = [event["id"] for event in events]
        assert numbers == sorted(set(numbers))
        states = [event["state"] for event in events if event["event"] == "job"]
        assert states[-1] == "succeeded"
        assert states.count("succeeded") == 1
        assert len([state for state in states if state == "running"]) <= KILLS + 1


def test_a_command_ends_by_itself_when_its_server_is_killed(serve: Serve, project: Project) -> None:
    with running_origin() as origin:
        config = table("one", origin.serve("/one", File(DATA["one"], stop_at=2 * MIB)))
        server = serve(config=config, env=ENV)
        server.start("download", keys=["house:one"])
        await_true(lambda: origin.sent("/one") >= 2 * MIB)
        time.sleep(0.5)  # until the command has read them
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) == 1
        server.stop(signal.SIGKILL)
        _, alive = psutil.wait_procs(children, timeout=ORPHAN_S)
        assert alive == []
    (journal,) = (project.models_root / "downloads").glob("*.json")
    assert journal.name.endswith(".free.json"), "the bytes are not given back"
    known = json.loads(journal.read_text())
    assert sum(end - start for start, end in known["spans"]) == 2 * MIB
