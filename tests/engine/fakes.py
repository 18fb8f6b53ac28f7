"""Fakes of the ports: wires that play answers from memory, and a guard without a clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirrors
from modelset.core.ports import Get, Guard, Hop, Lanes, Response, Wire
from modelset.core.types import Artifact
from modelset.engine.budget import Budget, Share
from modelset.engine.lanes import ModelLanes
from modelset.engine.means import Means, Order, Places
from modelset.engine.run import Work

MIB = 1024 * 1024

Play = Callable[[Get], None]


def play(
    data: bytes, *, status: int = 200, etag: str = '"one"', pieces: int = 4, breaks: str = "",
    **headers: str,
) -> Play:  # fmt: skip
    """Answer with some bytes in pieces; with `breaks`, that failure follows them."""

    def answer(get: Get) -> None:
        given: Mapping[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
        tag = {"etag": etag} if etag else {}
        if not get.receiver.head(Response(status, {**tag, **given}, get.url)):
            return
        step = max(len(data) // pieces, 1)
        for start in range(0, len(data), step):
            if not get.receiver.body([data[start : start + step]]):
                return
        if breaks:
            raise ModelSetError(breaks, f"{get.url} breaks")

    return answer


def fail(code: str) -> Play:
    """Fail before there is an answer."""

    def answer(get: Get) -> None:
        raise ModelSetError(code, f"{get.url} fails")

    return answer


@dataclass(slots=True)
class MemoryWire:
    """A Wire whose answers are listed; remembers every GET."""

    answers: list[Play]
    gets: list[Get] = field(default_factory=list)

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out."""
        while (get := lanes.next()) is not None:
            guard.check()
            self.gets.append(get)
            assert self.answers, "asked more often than expected"
            error: Exception | None = None
            try:
                self.answers.pop(0)(get)
            except ModelSetError as caught:
                error = caught
            lanes.ended(get, error)

    @property
    def ranges(self) -> list[str]:
        """What each GET asked for."""
        return [get.headers.get("Range", "") for get in self.gets]


@dataclass(slots=True)
class PatientGuard:
    """A Guard whose time passes only by sleeping."""

    left: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def check(self) -> None:
        """Raise when the time is over."""
        if self.left <= 0:
            raise ModelSetError("deadline", "over")

    def remaining(self) -> float:
        """Seconds until the deadline."""
        return self.left

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.left -= seconds
        self.check()

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return 1000.0 - self.left


Step = Response | bytes | None
Server = Callable[[Get], Iterator[Step]]


def served(
    data: bytes, get: Get, *, etag: str = '"one"', piece: int = MIB, ranges: bool = True,
    hop: Hop | None = None, wait_s: float = 0.05, **headers: str,
) -> Iterator[Step]:  # fmt: skip
    """Answer as a good server does, piece by piece; without `ranges`, always with everything."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", get.headers.get("Range", ""))
    start, end = 0, len(data)
    given: dict[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
    given |= {"etag": etag} if etag else {}
    if found and ranges and get.headers.get("If-Range", etag) == etag:
        start, end = int(found[1]), int(found[2]) + 1 if found[2] else end
        given["content-range"] = f"bytes {start}-{end - 1}/{len(data)}"
    given |= {"accept-ranges": "bytes"} if ranges else {}
    given |= {"content-length": str(end - start)}
    url = (get.hop or hop or get).url
    status = 206 if "content-range" in given else 200
    yield Response(status, given, url, get.hop or hop, wait_s=wait_s)
    for at in range(start, end, piece):
        yield data[at : min(at + piece, end)]


@dataclass(slots=True)
class SteppedWire:
    """A Wire that performs GETs side by side, one step of each in turn; remembers every GET.

    A server's None is a step in which nothing comes. `most` is how many ran at the same time, and
    `step_s` how long a round takes by the clock of the guard.
    """

    server: Server
    step_s: float = 0.02
    gets: list[Get] = field(default_factory=list)
    most: int = 0

    def run(self, lanes: Lanes, guard: Guard) -> None:
        """Perform what the lanes hand out."""
        for _ in self.rounds(lanes, guard):
            pass

    def rounds(self, lanes: Lanes, guard: Guard) -> Iterator[None]:
        """The same, with a stop in every round: when whatever may run is running."""
        running: list[tuple[Get, Iterator[Step]]] = []
        while True:
            while (get := lanes.next()) is not None:
                assert len(self.gets) < 5000, "asked without an end"
                self.gets.append(get)
                running.append((get, self.server(get)))
            if not running:
                return
            self.most = max(self.most, len(running))
            yield
            guard.sleep(self.step_s)
            for one in list(running):
                over, error = _step(*one)
                if over:
                    running.remove(one)
                    lanes.ended(one[0], error)

    @property
    def ranges(self) -> list[str]:
        """What each GET asked for."""
        return [get.headers.get("Range", "") for get in self.gets]


def _step(get: Get, steps: Iterator[Step]) -> tuple[bool, ModelSetError | None]:
    try:
        step = next(steps)
        if step is None:
            return False, None
        if isinstance(step, Response):
            return not get.receiver.head(step), None
        return not get.receiver.body([step]), None
    except StopIteration:
        return True, None
    except ModelSetError as error:
        return True, error


@dataclass(slots=True)
class Depot:
    """Where the files of models are brought to: a folder for partial files, and what was placed.

    `books` says for each model that came how many lanes were counted as running, silent and
    sharing at its end. `close` ends its workers.
    """

    folder: Path
    connections: int = 16
    mirrors: Mirrors = field(default_factory=dict)
    credentials: dict[str, dict[str, str]] = field(default_factory=dict)
    guard: PatientGuard = field(default_factory=PatientGuard)
    placed: dict[str, bytes] = field(default_factory=dict)
    moved: list[int] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    sums: list[tuple[str, str]] = field(default_factory=list)
    books: list[tuple[int, int, int]] = field(default_factory=list)
    budget: Budget = field(init=False)
    _work: Work = field(default_factory=Work)

    def __post_init__(self) -> None:
        self.budget = Budget(self.connections)

    def share_of(self, order: int = 0) -> Share:
        """Let a model join."""
        return self.budget.join(order)

    def lanes(
        self, wire: Wire, files: Mapping[str, bytes], share: Share, *, in_memory: bool = True
    ) -> ModelLanes:
        """The lanes of a model that is some files, by their addresses."""
        means = Means(
            Places(wire, self.folder, self.mirrors, self.credentials),
            self.guard,
            self._work,
            self.budget,
            share,
            self.moved.append,
            lambda error, number, delay_s: self.retried.append(error.failure.code),
        )
        orders = [self._order(url, data, in_memory) for url, data in files.items()]
        return ModelLanes(orders, means)

    def bring(
        self, wire: SteppedWire, files: Mapping[str, bytes], *, in_memory: bool = True
    ) -> None:
        """Bring a model to its end."""
        for _ in self.steps(wire, files, in_memory=in_memory):
            pass

    def steps(
        self, wire: SteppedWire, files: Mapping[str, bytes], order: int = 0, *,
        in_memory: bool = True,
    ) -> Iterator[None]:  # fmt: skip
        """The same step by step, so that models can take turns."""
        share = self.share_of(order)
        lanes = self.lanes(wire, files, share, in_memory=in_memory)
        try:
            while not lanes.is_done:
                yield from wire.rounds(lanes, self.guard)
                lanes.pause()
                yield
            self.books.append((share.running, share.silent, share.sharing))
        finally:
            lanes.close()
            self.budget.leave(share)
        self.sums += lanes.sums

    def fails(
        self, wire: SteppedWire, files: Mapping[str, bytes], *, in_memory: bool = True
    ) -> ModelSetError:
        """Bring a model that cannot be had; returns the error."""
        try:
            self.bring(wire, files, in_memory=in_memory)
        except ModelSetError as error:
            return error
        raise AssertionError("it came")

    def close(self) -> None:
        """End the workers."""
        self._work.end()

    def left(self) -> list[str]:
        """Every file that is left in the folder."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def _order(self, url: str, data: bytes, in_memory: bool) -> Order:
        def put(source: Path | bytes, sha256: str) -> None:
            self.placed[url] = source if isinstance(source, bytes) else source.read_bytes()

        kept = in_memory and not url.endswith(".pkl")  # a pickle is looked at on the disk
        return Order(artifact_of(url, data), lambda: url in self.placed, put, in_memory=kept)


def artifact_of(url: str, data: bytes) -> Artifact:
    """The artifact that some bytes at an address are."""
    name = url.rpartition("/")[2]
    return Artifact(name, url, len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
