"""One small file on its way: received in memory, verified, and placed in one step."""

from concurrent.futures import Future

from modelset.core.errors import ModelSetError
from modelset.core.ports import Get, Response, ask
from modelset.engine import answer
from modelset.engine.digest import hashers
from modelset.engine.means import Means, Order
from modelset.store.journal import stem_of
from modelset.store.partial import set_aside, tidy

# No larger file is kept in memory; a kill costs no more than this of each connection.
SMALL = 256 * 1024
# GETs side by side on a connection that carries several.
STREAMS = 64


class Small:
    """A file of at most SMALL bytes: no claim and no journal, which would cost more than it.

    The receiver of its GET as well. `sha256` is empty when it was in its place already;
    `holds_lane` is False for a GET that shares the connection of another.
    """

    def __init__(self, order: Order, means: Means) -> None:
        self.order, self.means = order, means
        self.artifact = order.artifact
        self.is_over = False
        self.sha256 = ""
        self.retries = means.retries(order.artifact)
        self.holds_lane = True
        self._is_running = self._heard = False
        self._data = bytearray()
        self._placing: Future[str] | None = None

    def wants(self, now: float) -> bool:
        """Whether a connection would be of use now."""
        return not self._is_running and self._placing is None and now >= self.retries.due

    def next(self, now: float, *, holds_lane: bool = True) -> Get | None:
        """A GET to start now, or None."""
        if not self.wants(now):
            return None
        if self.order.is_placed():
            self.is_over = True
            return None
        self._is_running, self._heard, self.holds_lane = True, False, holds_lane
        self.means.share.sharing += 1
        return ask(self.retries.address, self, {}, shared=True)

    def halve(self, now: float) -> Get | None:
        """Nothing: one connection brings it all."""
        return None

    def advance(self, now: float) -> None:
        """See whether it is in its place; raises ModelSetError."""
        if self._placing is None or not self._placing.done():
            return
        placing, self._placing = self._placing, None
        try:
            self.sha256 = placing.result()
            self.is_over = True
        except ModelSetError as error:
            if error.failure.code != "digest-mismatch":
                raise
            self._fail(error)

    @property
    def pending(self) -> list[Future[str]]:
        """Work that the loop may wait for."""
        return [self._placing] if self._placing is not None and not self._placing.done() else []

    def close(self) -> None:
        """Nothing of it is kept."""

    def head(self, response: Response) -> bool:
        """Refuse an answer that cannot be this file."""
        answer.refuse_status(response, self.retries.address)
        answer.refuse_encoding(response)
        answer.refuse_page(response, self.artifact)
        answer.refuse_length(response, self.artifact, changed=False)
        self.means.share.streams = STREAMS if response.multiplexed else 1
        return True

    def body(self, pieces: list[bytes]) -> bool:
        """Take the next bytes."""
        if not self._heard and self.holds_lane:
            self._heard = True
            self.means.budget.heard(self.means.share)
        before = len(self._data)
        self._data += b"".join(pieces)
        self.means.arrived(len(self._data) - before)
        if len(self._data) > self.artifact.size:
            raise answer.too_long(self.retries.address, self.artifact)
        return True

    def ended(self, error: Exception | None) -> None:
        """The GET ended; raises ModelSetError when the file cannot be had."""
        self._is_running = False
        self.means.share.sharing -= 1
        if self.holds_lane:
            self.means.budget.give_back(self.means.share, heard=self._heard)
        if error is None and len(self._data) < self.artifact.size:
            error = answer.too_short(self.retries.address, self.artifact, len(self._data))
        if error is None:
            self._placing = self.means.work.submit(self._place)
        elif isinstance(error, ModelSetError):
            self._fail(error)
        else:
            raise error

    def _fail(self, error: ModelSetError) -> None:
        self.means.lost(len(self._data))
        self._data.clear()
        self.retries.failed(error, progressed=False)

    def _place(self) -> str:
        data = bytes(self._data)
        own, sha256 = hashers(self.artifact)
        own.update(data)
        if sha256 is not own:
            sha256.update(data)
        downloads = self.means.places.downloads
        if self.artifact.is_exact and own.hexdigest() != self.artifact.hex:
            set_aside(downloads, self.artifact, data)
            raise answer.mismatch(
                self.artifact, self.retries.address, own.hexdigest(), changed=False
            )
        self.order.put(data, sha256.hexdigest())
        tidy(downloads, stem_of(self.artifact))
        return sha256.hexdigest()
