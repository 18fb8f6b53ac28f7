"""Hashes a file behind its frontier while it arrives, in a thread of its own."""

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.engine.run import Work
from modelset.store.files import CHUNK, Hasher, feed, hasher_for, saying


class Digest:
    """The artifact's own digest and the sha256 that the registry remembers, of the same bytes.

    Bytes are read once, from the system's memory as a rule, in chunks for which the hash does
    not hold the interpreter. `pause` may raise and ends the work.
    """

    def __init__(
        self, artifact: Artifact, path: Path, work: Work, pause: Callable[[], None]
    ) -> None:
        self._path, self._work, self._pause = path, work, pause
        self._size = artifact.size
        self._own, self._sha256 = hashers(artifact)
        self._done = self._asked = self._frontier = 0
        self.job: Future[None] | None = None

    def follow(self, frontier: int) -> None:
        """Hash up to here; raises what the reading raised."""
        self._frontier = frontier
        if self.job is not None:
            if not self.job.done():
                return
            self.job.result()
        if frontier - self._done >= CHUNK or self._done < frontier == self._size:
            self.job = self._work.submit(self._run)

    @property
    def is_done(self) -> bool:
        """Whether every byte is hashed."""
        return self._done == self._size and (self.job is None or self.job.done())

    def hexdigests(self) -> tuple[str, str]:
        """The own digest and the sha256, in hex."""
        return self._own.hexdigest(), self._sha256.hexdigest()

    def end(self) -> None:
        """Let the work end where it is."""
        self._frontier = 0
        if self.job is not None:
            self.job.exception()  # waits for it

    def _run(self) -> None:
        with saying("read", self._path):
            self._done = feed(
                self._path,
                self._take,
                pause=self._pause,
                start=self._done,
                end=self._end,
            )
        if self._done < self._asked:
            raise ModelSetError(
                "store-read-error",
                f"{self._path} is shorter than what was written to it",
                "check whether another program changes these files, then run the command again",
            )

    def _end(self) -> int:
        self._asked = self._frontier  # which moves while this reads
        return self._asked

    def _take(self, data: memoryview) -> None:
        self._own.update(data)
        if self._sha256 is not self._own:
            self._sha256.update(data)


def hashers(artifact: Artifact) -> tuple[Hasher, Hasher]:
    """New hashers for the own digest and for the sha256; one and the same where they agree."""
    own = hasher_for(artifact)
    is_sha256 = artifact.digest.startswith("sha256:") or not artifact.is_exact
    return own, own if is_sha256 else hashlib.sha256()
