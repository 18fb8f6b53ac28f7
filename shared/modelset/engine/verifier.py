"""What workers do for one file behind the lanes that bring it: hash, flush, place."""

from concurrent.futures import Future
from typing import Literal

from modelset.core.errors import ModelSetError
from modelset.engine.digest import Digest
from modelset.engine.means import Means, Order
from modelset.store.partial import Partial

# What no further download mends, because the right bytes are bad.
_REFUSED = ("pickle-refused", "archive-unsafe", "archive-invalid", "wheel-invalid")

State = Literal["working", "wrong", "placed"]


class Verifier:
    """Follows the frontier of a partial file, and places it once its digest is right.

    `actual` and `sha256` are its digests in hex, known when the state is no longer `working`.
    """

    def __init__(self, order: Order, means: Means, partial: Partial) -> None:
        self._order, self._means, self._partial = order, means, partial
        self.actual = self.sha256 = ""
        self._syncing: Future[None] | None = None
        self._placing: Future[None] | None = None
        self._is_noted = False
        self.restart()

    def restart(self) -> None:
        """Begin at the start of the file."""
        self._digest = Digest(
            self._order.artifact, self._partial.path, self._means.work, self._means.guard.check
        )
        self._is_noted = False

    def follow(self) -> None:
        """Bytes were added; raises ModelSetError when they cannot be read."""
        self._digest.follow(self._partial.parts.frontier)

    def flush(self) -> None:
        """Hand the disk what it has not got, when that is much; raises ModelSetError."""
        if self._partial.wants_sync and (self._syncing is None or self._syncing.done()):
            if self._syncing is not None:
                self._syncing.result()
            self._syncing = self._means.work.submit(self._partial.sync)

    def advance(self) -> State:
        """Go on with a file that is whole; raises ModelSetError."""
        if self._placing is not None:
            if not self._placing.done():
                return "working"
            try:
                self._placing.result()
            except ModelSetError as error:
                if error.failure.code in _REFUSED:
                    self._partial.quarantine()
                raise
            return "placed"
        if not self._is_noted:
            self._is_noted = True
            self._partial.note()  # sees as well whether the file is still this process's
        self.follow()
        if self._digest.is_done:
            self.actual, self.sha256 = self._digest.hexdigests()
            artifact = self._order.artifact
            if artifact.is_exact and self.actual != artifact.hex:
                return "wrong"
            self._placing = self._means.work.submit(self._place)
        return "working"

    @property
    def pending(self) -> list[Future[None]]:
        """Work that may be waited for."""
        jobs = (self._placing, self._digest.job)
        return [job for job in jobs if job is not None and not job.done()]

    def end(self) -> None:
        """Let the work end where it is."""
        self._digest.end()
        for job in (self._syncing, self._placing):
            if job is not None:
                job.exception()

    def _place(self) -> None:
        self._partial.finish()
        self._order.put(self._partial.path, self.sha256)
        self._partial.forget()
