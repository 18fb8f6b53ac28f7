"""The lanes of one model: which of its files gets the next connection."""

from collections import deque
from collections.abc import Sequence

from modelset.core.ports import Get
from modelset.engine.fetch import Fetch
from modelset.engine.lane import Lane
from modelset.engine.means import Means, Order
from modelset.engine.run import wait_for
from modelset.engine.small import SMALL, Small

# Files that are begun and not yet placed: bounds memory and open files.
_MOST_OPEN = 64
_TICK_S = 0.1
# How often a model without any connection asks for one.
_NO_LANE_S = 0.02


class ModelLanes:
    """Hands out the GETs of one model's files: the largest first, because its first answer is
    what further lanes wait for, then small ones, then the rest. `sums` pairs digests with the
    sha256 of the same bytes as files are placed.
    """

    def __init__(self, orders: Sequence[Order], means: Means) -> None:
        self._means = means
        largest = max(orders, key=lambda order: order.artifact.size, default=None)
        self._waiting = deque(
            sorted(orders, key=lambda order: (order is not largest, not _is_small(order)))
        )
        self._open: list[Fetch | Small] = []
        self._receivers: dict[int, Lane | Small] = {}
        self.sums: list[tuple[str, str]] = []

    @property
    def is_done(self) -> bool:
        """Whether every file is in its place."""
        return not self._open and not self._waiting

    def next(self) -> Get | None:
        """The most useful GET to start now, or None; raises ModelSetError."""
        now, share = self._means.guard.now(), self._means.share
        self._advance(now)
        self._means.budget.tick(now)
        if 0 < share.sharing < share.streams and (get := self._share_connection(now)) is not None:
            return get
        is_hungry = self._wants(now)
        self._means.budget.feed(share, hungry=is_hungry)
        if not is_hungry or not self._means.budget.take(share):
            return None
        get = self._find(now)
        if get is None:
            self._means.budget.give_back(share, heard=False)
        return get

    def ended(self, get: Get, error: Exception | None) -> None:
        """A GET ended; raises ModelSetError when its file cannot be had."""
        self._receivers.pop(id(get)).ended(error)

    def pause(self) -> None:
        """Wait for workers, for a retry, or for another process, while nothing is running."""
        pending = [job for file in self._open for job in file.pending]
        if pending:
            wait_for(pending, _TICK_S)
            self._means.guard.check()
        elif self._open:
            now = self._means.guard.now()
            due = min(file.retries.due for file in self._open)
            self._means.guard.sleep(min(max(due - now, 0.01), _TICK_S))
        else:
            self._means.guard.sleep(_NO_LANE_S)
        self._advance(self._means.guard.now())

    def close(self) -> None:
        """End where it is; what is here stays for the next run."""
        for file in self._open:
            file.close()

    def _advance(self, now: float) -> None:
        over = False
        for file in self._open:
            file.advance(now)
            over = over or file.is_over
        if over:
            self.sums += [(file.artifact.digest, file.sha256) for file in self._open
                          if file.is_over and file.sha256]  # fmt: skip
            self._open = [file for file in self._open if not file.is_over]

    def _wants(self, now: float) -> bool:
        if self._waiting and len(self._open) < _MOST_OPEN:
            return True
        return any(file.wants(now) for file in self._open)

    def _find(self, now: float) -> Get | None:
        for file in self._open:
            if (get := file.next(now)) is not None:
                return self._started(get)
        while self._waiting and len(self._open) < _MOST_OPEN:
            file = self._begin(self._waiting.popleft())
            if (get := file.next(now)) is not None:
                return self._started(get)
        for file in self._open:
            if (get := file.halve(now)) is not None:
                return self._started(get)
        return None

    def _share_connection(self, now: float) -> Get | None:
        if not self._waiting or not _is_small(self._waiting[0]):
            return None
        if len(self._open) >= _MOST_OPEN:
            return None
        file = self._begin(self._waiting.popleft())
        assert isinstance(file, Small)
        get = file.next(now, holds_lane=False)
        return None if get is None else self._started(get)

    def _begin(self, order: Order) -> Fetch | Small:
        file = (Small if _is_small(order) else Fetch)(order, self._means)
        self._open.append(file)
        return file

    def _started(self, get: Get) -> Get:
        receiver = get.receiver
        assert isinstance(receiver, Lane | Small)
        self._receivers[id(get)] = receiver
        return get


def _is_small(order: Order) -> bool:
    return order.artifact.size <= SMALL and order.in_memory
