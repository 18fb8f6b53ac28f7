"""One file on its way: claimed, brought over some lanes, verified behind them, and placed."""

import contextlib
from concurrent.futures import Future

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import origin_of
from modelset.core.parts import Part
from modelset.core.ports import Get, Response
from modelset.engine import answer
from modelset.engine.budget import PART
from modelset.engine.lane import Lane
from modelset.engine.means import Means, Order
from modelset.engine.verifier import Verifier
from modelset.store.claim import claim
from modelset.store.partial import Partial

# Idle connections take over halves of at least so many bytes from those that would need at least
# so long: what is on its way twice is lost.
LEAST = 256 * 1024
_WORTH_S = 60.0
# How often to look whether another process is done with a file.
_WAIT_S = 0.2
_FLUSH_S = 0.2  # what a slow connection has brought is written then, whole piece or not


class Fetch:
    """A large file; its lanes and the loop of its model run in one thread.

    `sha256` is for the registry once it is done, empty when another process placed the file. What
    is here when it fails stays for the next run, wrong bytes in quarantine.
    """

    def __init__(self, order: Order, means: Means) -> None:
        self.order, self.means = order, means
        self.artifact = order.artifact
        self.is_over = self.changed = False
        self.sha256 = ""
        self.lanes: list[Lane] = []
        self.partial: Partial | None = None
        self.retries = means.retries(order.artifact)
        self._verifier: Verifier | None = None
        self._look_again = self._flushed_at = self._wait_s = 0.0
        self._most = self._most_before = 0
        self._forget_answers()

    def wants(self, now: float) -> bool:
        """Whether another connection would be of use now."""
        if self.partial is None:
            return now >= max(self.retries.due, self._look_again)
        if self._is_complete() or not self._has_room(now):
            return False
        return self.partial.parts.untaken > 0 or self._slowest(now) is not None

    def next(self, now: float) -> Get | None:
        """A GET to start now, or None; raises ModelSetError when the file cannot be had."""
        if now < self.retries.due or not self._is_mine(now):
            return None
        assert self.partial is not None
        if self._is_complete() or not self._has_room(now):
            return None
        in_parts = self._ranges and self.artifact.size > PART
        most = self.means.budget.part(self._wait_s) if in_parts else self.artifact.size
        part = self.partial.parts.take(most)
        return None if part is None else self._get(part, now)

    def halve(self, now: float) -> Get | None:
        """A GET for the half of what the slowest lane still has to bring, where that pays."""
        slowest = self._slowest(now) if self._has_room(now) else None
        if self.partial is None or slowest is None:
            return None
        return self._get(self.partial.parts.split(slowest.part), now)

    def advance(self, now: float) -> None:
        """Go on with what workers do; raises ModelSetError."""
        if self.partial is None or self._verifier is None:
            return
        if now - self._flushed_at > _FLUSH_S:
            self._flushed_at = now
            for lane in self.lanes:
                lane.flush()
        if self.lanes or not self._is_complete():
            self.partial.note_in_time(now)
            self._verifier.flush()
            return
        state = self._verifier.advance()
        self.is_over = state == "placed"
        if state != "working":
            self.sha256 = self._verifier.sha256
        if state == "wrong":
            self._set_aside(self._verifier.actual)

    @property
    def pending(self) -> list[Future[None]]:
        """Work that the loop may wait for."""
        return [] if self._verifier is None else self._verifier.pending

    def close(self) -> None:
        """End where it is and keep what is here."""
        if self.partial is None or self._verifier is None or self.is_over:
            return
        self._verifier.end()
        for lane in self.lanes:
            with contextlib.suppress(ModelSetError):
                lane.flush()
        self.partial.release()

    def opened(self, response: Response) -> None:
        """A head was accepted: the next lanes begin where its redirects led."""
        assert self.partial is not None
        self._wait_s = min(self._wait_s or response.wait_s, response.wait_s)
        self._is_open, self._hop = True, response.hop
        if response.status == 200 and response.headers.get("accept-ranges") != "bytes":
            self._ranges = False
        self.partial.came_from(origin_of(self.retries.address.url), answer.strong_tag(response))

    def has_better(self, lane: Lane, response: Response) -> bool:
        """Whether other lanes bring the same object, so that a whole answer is not needed."""
        assert self.partial is not None
        tag = answer.strong_tag(response)
        if len(self.lanes) < 2 or not tag or tag != self.partial.validator:
            return False
        self._most_lanes = self._ceiling = len(self.lanes) - 1
        return True

    def widen(self, lane: Lane, *, changed: bool) -> None:
        """All of the file comes over one lane: what is here already is thrown away."""
        assert self.partial is not None
        if self.partial.kept:
            self.restart(changed=changed)
        else:
            self._abandon_lanes()
            self.partial.parts.restart()
        part = self.partial.parts.take(self.artifact.size)
        assert part is not None
        lane.part, lane.is_stale, self.lanes = part, False, [lane]
        self._ranges = False

    def arrived(self, count: int) -> None:
        """So many bytes were written."""
        assert self.partial is not None
        assert self._verifier is not None
        self.means.arrived(count)
        self._verifier.follow()

    def restart(self, *, changed: bool = True) -> None:
        """Forget what is here, and every lane; `changed` when the server has another object now."""
        assert self.partial is not None
        assert self._verifier is not None
        self.means.lost(self.partial.kept)
        self._abandon_lanes()
        self._hop = None
        self.partial.restart()
        self._verifier.restart()
        self.changed = self.changed or changed

    def ended(self, lane: Lane, error: ModelSetError | None) -> None:
        """A lane ended; raises ModelSetError when nothing is left to try."""
        assert self.partial is not None
        if lane in self.lanes:
            self.lanes.remove(lane)
            self.partial.parts.drop(lane.part)
        if error is None:
            self._most_lanes = min(self._most_lanes + 1, self._ceiling)
            return
        if lane.is_stale and not isinstance(error, answer.RestartError):
            return  # of an object that is not asked for any more
        self._most = max(self._most, self.partial.kept)
        if error.kind.retry == "never" and not answer.dislikes_many(error):
            raise error  # such as a full disk
        if lane.get.hop is not None and answer.may_be_mended(error):
            self._hop = None  # it has expired, or does not answer: ask again where it came from
        elif self.lanes:
            # One of several fails: the server may not like so many.
            self._most_lanes = len(self.lanes)
            if answer.dislikes_many(error):
                self._ceiling = self._most_lanes
        else:
            self._try_again(error)

    def _is_mine(self, now: float) -> bool:
        if self.partial is not None:
            return True
        if now < self._look_again:
            return False
        partial = claim(self.means.places.downloads, self.artifact)
        # Between our look and our claim, another process may have been done with it.
        if self.order.is_placed():
            if partial is not None:
                partial.forget()
            self.is_over = True
        elif partial is None:
            self._look_again = now + _WAIT_S
        else:
            self.partial = partial
            self._verifier = Verifier(self.order, self.means, partial)
        return self.partial is not None

    def _forget_answers(self) -> None:
        """What answers teach is of one address."""
        self._hop = None
        self._is_open, self._ranges = False, not self.means.one_stream
        self._wait_s = 0.0  # the shortest that an answer took to begin
        self._most_lanes = self._ceiling = self.means.budget.connections

    def _abandon_lanes(self) -> None:
        for lane in self.lanes:
            lane.is_stale = True
        self.lanes = []

    def _is_complete(self) -> bool:
        assert self.partial is not None
        return self.partial.kept == self.artifact.size

    def _has_room(self, now: float) -> bool:
        if now < self.retries.due or len(self.lanes) >= self._most_lanes:
            return False
        # The first answer says where to ask, and whether for ranges.
        return not self.lanes or (self._is_open and self._ranges)

    def _slowest(self, now: float) -> Lane | None:
        """The lane that would gain by giving half of its rest away."""
        slowest = max(self.lanes, key=lambda lane: lane.rest_s(now), default=None)
        if slowest is None or slowest.rest < 2 * LEAST or slowest.rest_s(now) < _WORTH_S:
            return None
        return slowest

    def _get(self, part: Part, now: float) -> Get:
        lane = Lane(self, part, now)
        self.lanes.append(lane)
        return lane.make_get(self._hop)

    def _try_again(self, error: ModelSetError) -> None:
        progressed, self._most_before = self._most > self._most_before, self._most
        address = self.retries.address
        self.retries.failed(error, progressed=progressed)
        if self.retries.address is not address:
            self._forget_answers()

    def _set_aside(self, actual: str) -> None:
        assert self.partial is not None
        assert self._verifier is not None
        self.means.lost(self.partial.kept)
        self.partial.quarantine()
        self._verifier.restart()
        self._forget_answers()
        self._most = self._most_before = 0
        self._try_again(
            answer.mismatch(self.artifact, self.retries.address, actual, changed=self.changed)
        )
