"""Reads many files side by side: every core hashes, and the disk is read in its own order."""

from collections import deque
from collections.abc import Iterable

from modelset.core.events import Emit, Moved, Started
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.run import Crew
from modelset.store.digests import Job, Key
from modelset.store.files import CHUNK
from modelset.store.findings import read_digest

# What the events of a verification speak of instead of a model.
NAME = "verify"
# How many bytes pass before a worker says so again.
_STEP = 8 * CHUNK
# To open a file up to here takes longer than to hash it.
_SMALL = 32 * 1024


def in_order(jobs: Iterable[Job], hands: int) -> list[Job]:
    """The order to read in. First come the few so large that one of them, begun last, would leave
    the other cores without work; then the small ones, and then the rest, both as they lie on the
    disk, as far as their inodes tell.

    The interpreter reads small files one at a time, however many hands there are: all but one of
    those have something larger to hash meanwhile.
    """
    rows = sorted(jobs, key=lambda job: (-job.size, job.state))
    large = sum(job.size for job in rows) / (4 * hands)
    ahead = [
        job
        for place, job in enumerate(rows)
        if job.size > large or (place < hands - 1 and job.size > _SMALL)
    ]
    rest = sorted(rows[len(ahead) :], key=lambda job: (job.size > _SMALL, job.state))
    return ahead + rest


def read_all(jobs: Iterable[Job], hands: int, emit: Emit, stop: Stop) -> dict[Key, str]:
    """The digest of each file, or words for one that cannot be read, with so many `hands`.

    Raises ModelSetError `stopped` or `terminated`.
    """
    queue = deque(in_order(jobs, hands))
    if not queue:
        return {}
    emit(Started(NAME, sum(job.size for job in queue), 0))
    guard = RunGuard(stop)
    crew: Crew[dict[Key, str]] = Crew(hands, emit, stop)
    found: dict[Key, str] = {}
    for _ in range(min(hands, len(queue))):
        crew.start(_Hand(queue, crew, stop).run)
    try:
        while crew.is_busy:
            for part in crew.tick():
                found |= part
            guard.check()
    finally:
        for part in crew.end():
            found |= part
    return found


class _Hand:
    """One worker: takes the next file as soon as it is done with one."""

    def __init__(self, queue: deque[Job], crew: Crew[dict[Key, str]], stop: Stop) -> None:
        self._queue, self._crew, self._stop = queue, crew, stop
        self._untold = 0

    def run(self) -> dict[Key, str]:
        """Read until nothing is left or somebody asks to stop; never raises."""
        found = {}
        while not self._stop.event.is_set():
            try:
                job = self._queue.popleft()
            except IndexError:
                break
            self._left = job.size
            try:
                found[job.key] = read_digest(job.path, job.algorithm, pause=self._pause)
            except _Stopped:
                break
            self._count(self._left)
        self._tell()
        return found

    def _pause(self) -> None:
        if self._stop.event.is_set():
            raise _Stopped
        self._count(min(CHUNK, self._left))

    def _count(self, count: int) -> None:
        self._left -= count
        self._untold += count
        if self._untold >= _STEP:
            self._tell()

    def _tell(self) -> None:
        self._crew.tell(Moved(NAME, self._untold))
        self._untold = 0


class _Stopped(Exception):  # noqa: N818 - no error: the end of a worker
    """Somebody asked to stop."""
