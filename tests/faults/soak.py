"""Long runs of random fault schedules; the seed of a schedule is all that it takes to replay it.

A schedule has several models, mirrors, a random fault for many of the requests, and runs that are
left alone, stopped or killed. Then the servers are honest, and everything must arrive.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.answers import (
    MIB,
    File,
    Status,
    bytes_of,
    hang_up,
    page,
    redirect,
    reset_early,
    silence,
)
from tests.faults.origin import Answer, Exchange, Origin
from tests.faults.origin import origin as running_origin
from tests.faults.project import REGISTRY, Project, Ran, await_true

SIZES = (1, 900, 60_000, 256 * 1024, 256 * 1024 + 1, MIB, 5 * MIB, 9 * MIB + 77, 18 * MIB)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# How a run may end while servers misbehave: never with 1, which is a surprise. A signal that comes
# when all is done and said, and Python is shutting down, ends it as signals do.
EXPECTED = {0, 4, 5, 6, 8, 12, 130, 143, *(-number for number in SIGNALS)}
CLOCKS = "[download]\nconnect_timeout = 2\nstall_timeout = 1"
RUN_S, STOP_S, HONEST_S = 5, 5.0, 60.0


def faults(rng: random.Random, data: bytes, elsewhere: str) -> Answer:
    """One answer out of all that can go wrong."""
    size = len(data)
    after = rng.randrange(size + 1)
    wrong = bytes(byte ^ 0x55 for byte in data[:4096]) + data[4096:]
    choices: list[Callable[[], Answer]] = [
        lambda: File(data, stop_after=after, ending="reset"),
        lambda: File(data, stop_after=after, ending="close"),
        lambda: File(data, stop_after=after, ending="hold"),
        lambda: File(data, piece=100, pause_s=0.3),
        lambda: File(wrong),
        lambda: File(wrong, etag='"two"'),
        lambda: File(data, etag=f'"{rng.random()}"'),
        lambda: File(data, ranges=False),
        lambda: File(data, if_range=False, etag='"three"'),
        lambda: File(data, content_range=f"bytes 0-{size}/{size + 1}"),
        lambda: File(data, content_range=f"bytes {after}-{size}/{size}"),
        lambda: File(data + b"more"),
        lambda: Status(500),
        lambda: Status(503, {"Retry-After": "1"}),
        lambda: Status(429, {"Retry-After": str(rng.randrange(2))}),
        lambda: Status(403),
        lambda: Status(404),
        lambda: Status(416),
        lambda: page(),
        lambda: redirect(elsewhere),
        lambda: redirect("/nowhere"),
        lambda: hang_up,
        lambda: reset_early,
        lambda: silence,
    ]
    return rng.choice(choices)()


@dataclass(slots=True)
class Moody:
    """Answers each request of one path with a fault or honestly; its n-th mood is always the same,
    whichever connection asks.
    """

    seed: str
    data: bytes
    elsewhere: str
    share: float
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        with self._lock:
            self._count += 1
            rng = random.Random(f"{self.seed}/{self._count}")
        if rng.random() < self.share:
            answer = faults(rng, self.data, self.elsewhere)
        else:
            # Slow enough for a kill to come in the middle.
            answer = File(self.data, pause_s=rng.choice((0.0, 0.002, 0.03)))
        answer(exchange)


class Schedule:
    """One schedule, made from its seed alone."""

    def __init__(self, seed: int, root: Path, origin: Origin, compiled: Path) -> None:
        self.seed, self.origin = seed, origin
        self.rng = random.Random(f"soak {seed}")
        self.project = Project(root)
        self.project.env["PYTHONPYCACHEPREFIX"] = str(compiled)
        self.project.settings(CLOCKS)
        count = self.rng.randint(2, 5)
        self.bodies = {
            f"m{number}": bytes_of(f"soak {seed} {number}", self.rng.choice(SIZES))
            for number in range(count)
        }
        self.places = ["main", *(f"mirror{number}" for number in range(self.rng.randint(0, 2)))]
        self.project.settings(self._mirrors())
        for name, data in self.bodies.items():
            self.project.model(name, f"{origin.url}/main/{name}", data)

    def _mirrors(self) -> str:
        rows = ", ".join(f'{{ url = "{self.origin.url}/{name}/" }}' for name in self.places[1:])
        return f'[mirrors]\n"{self.origin.url}/main/" = [{rows}]' if rows else ""

    def play(self) -> list[int]:
        """Rounds with faults, then one without; returns how each run ended. Raises AssertionError
        when a promise is broken.
        """
        codes = []
        for number in range(self.rng.randint(2, 4)):
            self._misbehave(number)
            ran = self._run()
            self._check_run(ran)
            self._delete_some()
            codes.append(ran.code)
        for place in self.places:
            for name, data in self.bodies.items():
                self.origin.serve(f"/{place}/{name}", File(data))
        ran = self.project.run(*self._keys(), "--json", within_s=HONEST_S)
        assert ran.code == 0, f"honest servers, and still: {ran.stdout}{ran.stderr}"
        self.project.assert_clean(**self.bodies)
        return [*codes, ran.code]

    def _keys(self) -> list[str]:
        return [f"house:{name}" for name in self.bodies]

    def _misbehave(self, number: int) -> None:
        share = self.rng.choice((0.2, 0.4, 0.6, 0.9))
        for place in self.places:
            for name, data in self.bodies.items():
                elsewhere = f"/elsewhere/{place}/{name}"
                self.origin.serve(elsewhere, self.rng.choice([File(data), Status(403), page()]))
                seed = f"{self.seed}/{number}/{place}/{name}"
                self.origin.serve(f"/{place}/{name}", Moody(seed, data, elsewhere, share))

    def _run(self) -> Ran:
        connections, before = str(self.rng.choice((1, 2, 5, 16))), len(self.origin.requests)
        running = self.project.start(
            *self._keys(), "--json", "--timeout", str(RUN_S), "--connections", connections
        )
        number, delay_s = self.rng.choice((None, *SIGNALS)), self.rng.uniform(0, 1.5)
        if number is None:
            return running.end(RUN_S * len(self.bodies) + 20)
        await_true(
            "the first request, or the end",
            lambda: len(self.origin.requests) > before or running.process.poll() is not None,
        )
        end = time.monotonic() + delay_s
        while running.process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        running.send(number)
        asked = time.monotonic()
        ran = running.end()
        took = time.monotonic() - asked
        assert took < STOP_S, f"{took:.1f} s from {number.name} to the end"
        return ran

    def _delete_some(self) -> None:
        """What has come is deleted again, so that the next run has something to do."""
        for name in self.bodies:
            if self.rng.random() < 0.7:
                self.project.path(f"house:{name}").unlink(missing_ok=True)

    def _check_run(self, ran: Ran) -> None:
        assert ran.code in EXPECTED, f"exit {ran.code}: {ran.stdout}{ran.stderr}"
        assert "Traceback" not in ran.stderr, ran.stderr
        for name, data in self.bodies.items():
            path = self.project.path(f"house:{name}")
            assert not path.exists() or path.read_bytes() == data, f"{name} is not right"
            assert self.project.part_size(data) <= len(data), f"the partial {name} is too long"
        if self.project.models.exists():
            known = {f"whisper/{name}.bin" for name in self.bodies} | REGISTRY
            odd = {
                name
                for name in self.project.files() - known
                if not name.startswith(("downloads/", "whisper/.", "registry/."))
            }
            assert not odd, f"outside its folders: {odd}"


def play(seed: int, compiled: Path) -> list[int]:
    """Play the schedule of a seed in folders of its own; returns how each of its runs ended."""
    with tempfile.TemporaryDirectory() as folder, running_origin() as origin:
        schedule = Schedule(seed, Path(folder) / "project", origin, compiled)
        try:
            return schedule.play()
        finally:
            schedule.project.close()


def soak(
    first: int, minutes: float, *, only: bool, play: Callable[[int, Path], list[int]] = play
) -> list[int]:
    """Play one schedule after the other until the time is over; returns the seeds that failed."""
    end = time.monotonic() + minutes * 60
    failed: list[int] = []
    seed = first
    with tempfile.TemporaryDirectory() as compiled:
        while seed == first or (not only and time.monotonic() < end):
            began = time.monotonic()
            sys.stdout.write(f"seed {seed}: ")
            sys.stdout.flush()
            try:
                said = f"ok, runs ended with {play(seed, Path(compiled))}"
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failed.append(seed)
                said = f"FAILED: {error}"
            sys.stdout.write(f"{said}, {time.monotonic() - began:.1f} s\n")
            sys.stdout.flush()
            seed += 1
    played = seed - first
    sys.stdout.write(f"{played - len(failed)} of {played} schedules ended well\n")
    return failed


def main() -> int:
    """Read the command line, and soak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long to go on")
    parser.add_argument("--only", action="store_true", help="play only the schedule of --seed")
    asked = parser.parse_args()
    return 1 if soak(asked.seed, asked.minutes, only=asked.only) else 0


if __name__ == "__main__":
    sys.exit(main())
