"""Brings one artifact here: claim, resume, stream, verify; a wrong one is set aside."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Address, Mirrors, addresses_of
from modelset.core.ports import Guard, Wire
from modelset.core.retry import persist
from modelset.core.types import Artifact
from modelset.engine.lanes import Digests, OneStream
from modelset.net.failures import public
from modelset.store.files import Hasher, feed, hasher_for, saying
from modelset.store.partial import Partial, claim

# How often a file that another process is fetching is looked at again.
_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Verified:
    """A claimed file whose digest matched, with the sha256 of the same bytes."""

    artifact: Artifact
    partial: Partial
    sha256: str


@dataclass(frozen=True, slots=True)
class Places:
    """What a fetch needs to know of the world: the wire, where from, and where partials lie."""

    wire: Wire
    downloads: Path
    mirrors: Mirrors
    credentials: Mapping[str, str]


def fetch(
    artifact: Artifact,
    places: Places,
    *,
    guard: Guard,
    moved: Callable[[int], None],
    on_retry: Callable[[ModelSetError, int, float], None],
    is_placed: Callable[[], bool],
) -> Verified | None:
    """The artifact's verified bytes, or None when another process has placed them meanwhile.

    `moved` hears of bytes that arrive (and, negative, of bytes thrown away). Raises
    ModelSetError; what is here stays for the next run, wrong bytes in quarantine.
    """
    while (partial := claim(places.downloads, artifact)) is None:
        if is_placed():
            return None
        guard.sleep(_WAIT_S)
    if is_placed():  # between our look and our claim, another process was done with it
        partial.forget()
        return None
    try:
        return _fetch(artifact, partial, places, guard, moved, on_retry)
    except BaseException:
        partial.release()
        raise


def _fetch(
    artifact: Artifact,
    partial: Partial,
    places: Places,
    guard: Guard,
    moved: Callable[[int], None],
    on_retry: Callable[[ModelSetError, int, float], None],
) -> Verified:
    tries = _Tries(artifact, partial, places, guard, moved)
    if partial.kept:
        # The one time that bytes are read again: a digest cannot be carried over a kill.
        with saying("read", partial.path):
            feed(partial.path, tries.digests.update, pause=guard.check)

    def go(addresses: Sequence[Address]) -> None:
        persist(addresses, tries.attempt, guard=guard, progress=tries.progress, on_retry=on_retry)

    try:
        go(addresses_of(artifact.url, places.mirrors, places.credentials))
    except ModelSetError as error:
        if error.failure.code != "digest-mismatch" or len(tries.wrong_from) != 1:
            raise
        # Once more, all of it from where its end came from: the wrong bytes may have been those
        # that an earlier run or another mirror had left.
        on_retry(error, 1, 0.0)
        go(tries.wrong_from)
    partial.finish()
    return Verified(artifact, partial, tries.digests.sha256.hexdigest())


class _Tries:
    """Every try at one claimed file: the digests of its bytes, and what went wrong where."""

    def __init__(
        self,
        artifact: Artifact,
        partial: Partial,
        places: Places,
        guard: Guard,
        moved: Callable[[int], None],
    ) -> None:
        self._artifact, self._partial = artifact, partial
        self._wire, self._guard, self._moved = places.wire, guard, moved
        self._most = 0
        self._changed = False
        self.digests = Digests(lambda: _hashers(artifact))
        self.wrong_from: list[Address] = []

    def attempt(self, address: Address) -> None:
        """Bring the rest from an address and compare the digest; raises ModelSetError."""
        stream = OneStream(self._artifact, address, self._partial, self.digests, self._moved)
        try:
            self._wire.run(stream, self._guard)
        finally:
            self._changed = self._changed or stream.changed
        actual = self.digests.own.hexdigest()
        if actual != self._artifact.hex:
            self._moved(-self._partial.kept)
            self._partial.quarantine()
            self.digests.restart()
            self._most = 0
            self.wrong_from = [*self.wrong_from, address]
            raise _mismatch(self._artifact, address, actual, self._changed)

    def progress(self) -> int:
        """The most bytes there ever were: the same ones again and again are no progress."""
        self._most = max(self._most, self._partial.kept)
        return self._most


def _hashers(artifact: Artifact) -> tuple[Hasher, Hasher]:
    own = hasher_for(artifact)
    return own, own if artifact.digest.startswith("sha256:") else hashlib.sha256()


def _mismatch(artifact: Artifact, address: Address, actual: str, changed: bool) -> ModelSetError:
    where = public(address.url)
    algorithm = artifact.digest.partition(":")[0]
    if changed:
        return ModelSetError(
            "object-changed",
            f"{where} was replaced between two tries: {algorithm}:{actual} now,"
            f" {artifact.digest} pinned",
            "if the new file is the one you want, delete the model from the lock and run again",
        )
    return ModelSetError(
        "digest-mismatch",
        f"{artifact.name} from {where} has {algorithm}:{actual}, {artifact.digest} is pinned",
        "run the same command again; if it persists, the source or a mirror serves wrong bytes",
    )
