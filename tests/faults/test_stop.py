"""SIGINT and SIGTERM end the command within two seconds, whatever it is waiting for."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, silence
from tests.faults.origin import Origin, black_hole
from tests.faults.project import Project, Running, await_true

DATA = bytes_of("stop", MIB)


@pytest.fixture
def hole() -> Iterator[str]:
    """Return an address that never answers a connect."""
    with black_hole() as url:
        yield url


def assert_ends_soon(running: Running, number: signal.Signals, code: int) -> None:
    asked = time.monotonic()
    running.send(number)
    ran = running.end()
    took = time.monotonic() - asked
    sys.stdout.write(f"ended within {took:.2f} s\n")
    assert ran.code == code
    assert took < 2.0
    assert "Traceback" not in ran.stderr


def test_while_a_connect_hangs(hole: str, project: Project) -> None:
    running = project.start(project.model("m", f"{hole}/m", DATA))
    port = int(hole.rpartition(":")[2])

    def connects() -> bool:
        rows = psutil.Process(running.process.pid).net_connections("tcp")
        return any(row.raddr and row.raddr.port == port for row in rows)

    await_true("the connect", connects)
    assert_ends_soon(running, signal.SIGINT, 130)
    assert not list(project.downloads.glob("*"))


def test_while_the_server_has_asked_to_wait(project: Project, origin: Origin) -> None:
    url = origin.serve("/m", Status(503, {"Retry-After": "100"}))
    running = project.start(project.model("m", url, DATA), "--timeout", "500")
    await_true("the request", lambda: bool(origin.asked("/m")))
    time.sleep(0.2)
    assert_ends_soon(running, signal.SIGTERM, 143)
    assert len(origin.asked("/m")) == 1


def test_while_a_source_is_asked(project: Project, origin: Origin) -> None:
    running = project.start(project.model("m", origin.serve("/m", silence), DATA, size=None))
    await_true("the question", lambda: bool(origin.asked("/m")))
    assert_ends_soon(running, signal.SIGTERM, 143)


def test_while_the_package_index_is_asked(project: Project, origin: Origin) -> None:
    url = origin.serve("/simple/house/", silence)
    project.settings(
        f'[download]\nindex_url = "{url.removesuffix("house/")}"\n\n'
        '[[model]]\nkey = "house:wheel"\ncategory = "house"\nsource = "wheel"\n'
        'ref = { requirement = "house" }'
    )
    running = project.start("house:wheel")
    await_true("the question", lambda: bool(origin.asked("/simple/house/")))
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert children, "pip asks, in a process of its own"
    assert_ends_soon(running, signal.SIGINT, 130)
    _, alive = psutil.wait_procs(children, 5)
    assert not alive, "no orphan is left"


def test_while_another_process_has_the_file(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA, stop_at=MIB // 2)), DATA)
    first = project.start(key)
    await_true("half of it", lambda: project.part_size(DATA) >= MIB // 2)
    second = project.start(key)
    time.sleep(0.7)  # long enough to have started and to be waiting
    assert_ends_soon(second, signal.SIGINT, 130)
    assert first.process.poll() is None
    assert_ends_soon(first, signal.SIGINT, 130)


def test_while_a_large_file_is_read_again(project: Project, origin: Origin) -> None:
    size = 40 * 1024 * MIB  # a sparse file: it takes no room, and long to read
    key = project.model("m", origin.serve("/m", File(DATA)), DATA, size=size)
    place = project.path(key)
    place.parent.mkdir(parents=True)
    with open(place, "wb") as stream:
        stream.truncate(size)
    running = project.start(key)
    await_true(
        "the reading",
        lambda: any(
            row.path == str(place) for row in psutil.Process(running.process.pid).open_files()
        ),
    )
    time.sleep(0.2)
    assert_ends_soon(running, signal.SIGTERM, 143)
    assert not origin.requests


def test_a_second_signal_ends_at_once(project: Project, origin: Origin) -> None:
    key = project.model("m", origin.serve("/m", File(DATA, stop_at=9)), DATA)
    running = project.start(key)
    await_true("the first bytes", lambda: project.part_size(DATA) == 9)
    running.send(signal.SIGTERM)
    running.send(signal.SIGINT)
    asked = time.monotonic()
    assert running.end().code in (143, 130)
    assert time.monotonic() - asked < 1.0
    origin.serve("/m", File(DATA))
    assert project.run(key).code == 0
    project.assert_clean(m=DATA)


def test_every_model_says_that_it_was_stopped(project: Project, origin: Origin) -> None:
    bodies = {f"m{number}": bytes_of(f"m{number}", 1000) for number in range(6)}
    keys = [
        project.model(name, origin.serve(f"/{name}", File(data, stop_at=100)), data)
        for name, data in bodies.items()
    ]
    running = project.start(*keys, "--max-workers", "2", "--json")
    await_true("two of them", lambda: len(origin.requests) == 2)
    running.send(signal.SIGTERM)
    ran = running.end()
    assert ran.code == ran.document["exit_code"] == 143
    assert {key: row["result"] for key, row in ran.outcomes.items()} == dict.fromkeys(
        keys, "stopped"
    )
    assert {ran.failure(key)["code"] for key in keys} == {"terminated"}
    assert len(origin.requests) == 2, "no other model was begun"
