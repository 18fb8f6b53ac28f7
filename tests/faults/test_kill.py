"""A kill or a stop at any moment: the next run continues, and nothing is left behind."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import pytest
from tests.faults.answers import MIB, File, Ration, Rationed, bytes_of
from tests.faults.conftest import MakeProject
from tests.faults.origin import Origin
from tests.faults.project import Project, Running, await_true

T = TypeVar("T")

SIZE = 24 * MIB
PERCENTS = (10, 50, 90, 99)
TIMES = 10
STOPS = 3  # of each signal, at each percentage
# What issue and design promise: one part for each connection that was open.
PROMISED = 8 * MIB
BLOCK = 4096
SIDE_BY_SIDE = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One interruption: where the server falls silent, and at which size on disk it strikes."""

    project: Project
    origin: Origin
    name: str
    silent_at: int
    strike_at: int

    @property
    def data(self) -> bytes:
        return bytes_of("kill", SIZE)

    def start(self) -> Running:
        """Start a download and return when the partial file is as long as it should be."""
        answer = Rationed(self.data, ration=Ration(self.silent_at))
        url = self.origin.serve(f"/{self.name}", answer)
        self.project.model(self.name, url, self.data)
        running = self.project.start(f"house:{self.name}", "--json")
        await_true(
            f"{self.strike_at} bytes of {self.name}",
            lambda: self.project.part_bytes(self.data) >= self.strike_at,
        )
        return running

    def resume(self, on_disk: int) -> int:
        """Run again to the end; returns how many bytes came twice."""
        before = self.origin.sent(f"/{self.name}")
        earlier = len(self.origin.asked(f"/{self.name}"))
        self.origin.serve(f"/{self.name}", File(self.data))
        ran = self.project.run(f"house:{self.name}", "--json")
        assert ran.code == 0, ran.stderr
        assert ran.outcomes[f"house:{self.name}"]["result"] == "downloaded"
        self.project.assert_clean(**{self.name: self.data})
        for request in self.origin.asked(f"/{self.name}")[earlier:]:
            assert request.headers.get("if-range", '"one"') == '"one"'
        return on_disk + self.origin.sent(f"/{self.name}") - before - SIZE

    @property
    def connections(self) -> int:
        """How many there have been so far."""
        return len({request.connection for request in self.origin.asked(f"/{self.name}")})


def cases(
    make_project: MakeProject, origin: Origin, percent: int, times: int, seed: str
) -> list[Case]:
    """Moments around a percentage: half when the server has fallen silent, half before."""
    rng = random.Random(seed)
    found = []
    for number in range(times):
        silent_at = min(int(SIZE * (percent + rng.uniform(-1, 1)) / 100), SIZE - 1)
        early = rng.randrange(2 * MIB) if number % 2 else 0
        case = Case(make_project(), origin, f"m{number}", silent_at, max(silent_at - early, 1))
        found.append(case)
    return found


def each(work: Callable[[Case], T], found: list[Case]) -> list[T]:
    """Do the work for every case, a few side by side."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(work, found))


@pytest.mark.parametrize("percent", PERCENTS)
def test_a_killed_download_resumes_and_fetches_at_most_eight_mebibytes_again(
    percent: int,
    make_project: MakeProject,
    origin: Origin,
) -> None:
    def once(case: Case) -> float:
        case.start().kill()
        on_disk = case.project.part_bytes(case.data)
        assert on_disk >= case.strike_at
        assert not case.project.path(f"house:{case.name}").exists()
        open_before = case.connections
        return case.resume(on_disk) / open_before

    again = each(once, cases(make_project, origin, percent, TIMES, f"kill {percent}"))
    sys.stdout.write(f"at {percent} %: at most {max(again):.0f} bytes a connection came twice\n")
    assert len(again) == TIMES
    assert all(-BLOCK <= count <= PROMISED for count in again), again


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "stopped"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("percent", PERCENTS)
def test_a_stopped_download_ends_within_two_seconds_and_keeps_every_byte(
    percent: int,
    number: signal.Signals,
    code: int,
    word: str,
    make_project: MakeProject,
    origin: Origin,
) -> None:
    took: list[float] = []

    def once(case: Case) -> int:
        running = case.start()
        asked = time.monotonic()
        running.send(number)
        ran = running.end()
        took.append(time.monotonic() - asked)
        assert ran.code == code
        assert ran.failure(f"house:{case.name}")["code"] == word
        assert ran.document["exit_code"] == code
        kept = case.project.journalled(case.data)
        assert kept >= case.strike_at - BLOCK * case.connections, "the journal is not flushed"
        return case.resume(kept)

    again = each(once, cases(make_project, origin, percent, STOPS, f"{word} {percent}"))
    sys.stdout.write(f"{word} at {percent} %: within {max(took):.2f} s\n")
    assert len(took) == STOPS
    assert max(took) < 2.0
    assert set(again) == {0}


def test_a_kill_while_the_file_gets_its_name_leaves_nothing(
    make_project: MakeProject, origin: Origin
) -> None:
    data = bytes_of("place", 4 * MIB)
    rng = random.Random("place")
    url = origin.serve("/m", File(data))

    def once(project: Project, delay_s: float) -> bool:
        project.model("m", url, data)
        running = project.start("house:m", "--json")
        # From the last byte on: fsync, digest, rename, registry, journal.
        await_true(
            "the whole file",
            lambda: project.part_bytes(data) >= len(data) or project.path("house:m").exists(),
        )
        end = time.monotonic() + delay_s
        while time.monotonic() < end:
            pass
        running.send(signal.SIGKILL)
        killed = running.end().code == -signal.SIGKILL
        ran = project.run("house:m", "--json")
        assert ran.code == 0, ran.stderr
        project.assert_clean(m=data)
        return killed

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        moments = [(make_project(), rng.uniform(0, 0.015)) for _ in range(12)]
        killed = list(pool.map(lambda moment: once(*moment), moments))
    assert sum(killed) >= 6, "too few of the kills came before the end"


def test_a_kill_right_after_the_file_has_its_name_costs_no_request(
    project: Project, origin: Origin
) -> None:
    data = bytes_of("placed", 4 * MIB)
    key = project.model("m", origin.serve("/m", File(data)), data)
    slow = project.model(
        "slow", origin.serve("/slow", File(data[:MIB]), first=(File(data[:MIB], stop_at=9),)),
        data[:MIB],
    )  # fmt: skip
    running = project.start(key, slow)
    await_true("the file under its name", project.path(key).exists)
    running.kill()
    ran = project.run(key, slow, "--json")
    assert ran.code == 0
    assert ran.outcomes[key]["result"] == "ready"
    assert len(origin.asked("/m")) == 1
    project.assert_clean(m=data, slow=data[:MIB])


def test_two_kills_in_a_row_cost_no_more_than_two_parts(project: Project, origin: Origin) -> None:
    data = bytes_of("kill", SIZE)
    key = project.model("m", origin.serve("/m", File(data)), data)
    for ration in (int(SIZE * 0.4), int(SIZE * 0.4)):
        # Of what came after the last note, the next run brings some again, into the same blocks.
        before = project.journalled(data)
        origin.serve("/m", Rationed(data, ration=Ration(ration)))
        running = project.start(key)
        await_true("bytes", lambda before=before: project.journalled(data) >= before + 4 * MIB)
        running.kill()
    origin.serve("/m", File(data))
    assert project.run(key).code == 0
    project.assert_clean(m=data)
    connections = {request.connection for request in origin.asked("/m")}
    assert origin.sent("/m") - SIZE <= PROMISED * len(connections)
    assert origin.sent("/m") < 2 * SIZE


def test_a_kill_while_two_models_arrive_resumes_both(project: Project, origin: Origin) -> None:
    bodies = {name: bytes_of(name, 16 * MIB) for name in ("one", "two")}
    keys = []
    for (name, data), ration in zip(bodies.items(), (6 * MIB, 13 * MIB), strict=True):
        url = origin.serve(f"/{name}", Rationed(data, ration=Ration(ration)))
        keys.append(project.model(name, url, data))
    running = project.start(*keys)
    await_true("six of one", lambda: project.part_bytes(bodies["one"]) >= 6 * MIB)
    await_true("thirteen of two", lambda: project.part_bytes(bodies["two"]) >= 13 * MIB)
    running.kill()
    for name, data in bodies.items():
        origin.serve(f"/{name}", File(data))
    assert project.run(*keys).code == 0
    project.assert_clean(**bodies)
    for name, data in bodies.items():
        assert origin.sent(f"/{name}") < 2 * len(data), "nothing was kept"


def test_a_kill_before_the_first_byte_is_like_no_run_at_all(
    project: Project, origin: Origin
) -> None:
    data = bytes_of("early", MIB)
    key = project.model("m", origin.serve("/m", File(data), first=(File(data, stop_at=0),)), data)
    running = project.start(key)
    await_true("the request", lambda: bool(origin.asked("/m")))
    running.kill()
    ran = project.run(key, "--json")
    assert ran.code == 0
    assert origin.sent("/m") == len(data)
    project.assert_clean(m=data)
