"""Brings one artifact here: claim, resume, stream, verify; a wrong one is set aside."""

import hashlib
from collections.abc import Callable, Mapping
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
    digests = Digests(lambda: _hashers(artifact))
    if partial.kept:
        # The one time that bytes are read again: a digest cannot be carried over a kill.
        with saying("read", partial.path):
            feed(partial.path, digests.update, pause=guard.check)
    wrong = 0
    changed = False

    def attempt(address: Address) -> None:
        nonlocal wrong, changed
        stream = OneStream(artifact, address, partial, digests, moved)
        try:
            places.wire.run(stream, guard)
        finally:
            changed = changed or stream.changed
        actual = digests.own.hexdigest()
        if actual != artifact.hex:
            moved(-partial.kept)
            partial.quarantine()
            digests.restart()
            wrong += 1
            raise _mismatch(artifact, address, actual, changed)

    addresses = addresses_of(artifact.url, places.mirrors, places.credentials)
    try:
        persist(addresses, attempt, guard=guard, progress=lambda: partial.kept, on_retry=on_retry)
    except ModelSetError as error:
        # Once more from the start: bytes kept from an earlier run may have been the wrong ones.
        if error.failure.code != "digest-mismatch" or wrong != 1:
            raise
        on_retry(error, 1, 0.0)
        persist(addresses, attempt, guard=guard, progress=lambda: partial.kept, on_retry=on_retry)
    partial.finish()
    return Verified(artifact, partial, digests.sha256.hexdigest())


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
