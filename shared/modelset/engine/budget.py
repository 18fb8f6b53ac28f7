"""The run's connections: how many each model may use at this moment."""

import threading

# A model begins with so many, and gets twice as many as long as the whole run gains by it.
FIRST_LEVEL = 8
_GAIN = 1.05
# The shortest time in which a rate shows a gain, and in which it shows that there is none: a
# burst at the start may have flattered the window before. How long a vain try is remembered.
_WINDOW_S = 0.1
_DOUBT_S = 0.4
_HOLD_S = 10.0
# A window in which nobody looked for so long says nothing; and so long lanes may keep silent.
_LONGEST_WINDOW_S = 3.0
_PATIENCE_S = 1.5
# What one connection is asked for at a time: what 5 MB/s bring in forty times the time that the
# server takes to answer, within bounds; less at the end of a run, so that all end together.
PART = 8 * 1024 * 1024
NEAR_PART = 2 * 1024 * 1024
LEAST_PART = 1024 * 1024
_PART_RATE = 40 * 5_000_000


class Share:
    """What one model has of the budget; `order` ranks models, critical ones first.

    `surplus` counts lanes to give back at once, because another model has none. `streams` is how
    many small GETs one connection carries, `sharing` how many are running.
    """

    def __init__(self, order: int) -> None:
        self.order = order
        self.running = self.silent = self.surplus = self.allowed = 0
        self.streams, self.sharing = 1, 0
        self.level = FIRST_LEVEL
        self.hungry = True
        self.held_until = 0.0


class Budget:
    """Deals out connections: one to every model that can use one, the rest in the models' order.

    A model's level doubles when the rate of the whole run grew with it, and else falls back: more
    connections to a server that bounds the sum, or to a full line, only cost both sides. With
    `workers`, one is kept for each of them that is between two models. Called from the thread of
    every model.
    """

    def __init__(self, connections: int, workers: int = 0) -> None:
        self.connections = connections
        self._workers, self._queued = workers, 0
        self._lock = threading.Lock()
        self._shares: list[Share] = []
        self._left = 0
        self._moved = 0
        self._since = 0.0
        self._proven = 0  # how many the run had in a window that was no vain trial
        self._awaited = 0  # lanes of the trial that have not brought anything yet
        self._trial: tuple[Share, int, float] | None = None

    def join(self, order: int) -> Share:
        """A model begins."""
        share = Share(order)
        with self._lock:
            self._queued = max(self._queued - 1, 0)
            self._shares = sorted([*self._shares, share], key=lambda one: one.order)
            self._deal()
        return share

    def leave(self, share: Share) -> None:
        """A model ended, and with it all its lanes."""
        with self._lock:
            self._shares.remove(share)
            share.running = 0
            if self._trial is not None and self._trial[0] is share:
                self._trial = None
            self._deal()

    def take(self, share: Share) -> bool:
        """Whether the model may start a lane now; counts it when it may."""
        with self._lock:
            running = sum(one.running for one in self._shares)
            if share.running >= share.allowed or running >= self.connections:
                return False
            share.running += 1
            share.silent += 1
            return True

    def give_back(self, share: Share, *, heard: bool) -> None:
        """A lane ended; `heard` tells whether any byte had come."""
        with self._lock:
            share.running -= 1
            share.silent -= not heard
            share.surplus = max(share.surplus - 1, 0)
            self._deal()

    def feed(self, share: Share, *, hungry: bool) -> None:
        """Whether the model could use another lane."""
        if share.hungry is not hungry:
            with self._lock:
                share.hungry = hungry
                self._deal()

    def heard(self, share: Share) -> None:
        """A lane got its first byte."""
        with self._lock:
            share.silent -= 1
            self._awaited -= 1
            if not self._awaited:
                self._since = 0.0  # only from now on is every lane at work

    def expect(self, count: int) -> None:
        """Another model is to come in this run, of so many bytes."""
        with self._lock:
            self._left += count
            self._queued += 1

    def lost(self, count: int) -> None:
        """So many bytes of a model are to come again."""
        with self._lock:
            self._left += count

    def arrived(self, count: int) -> None:
        """So many bytes came."""
        with self._lock:
            self._moved += count
            self._left -= count

    def part(self, wait_s: float) -> int:
        """How many bytes to ask for at a time where an answer takes so long to begin."""
        most = min(max(int(wait_s * _PART_RATE), NEAR_PART), PART)
        each = self._left // self.connections
        return min(max(each, LEAST_PART), most) if each > 0 else most

    def tick(self, now: float) -> None:
        """Judge the last window, when it is over, and open the next."""
        if now - self._since < _WINDOW_S:
            return
        with self._lock:
            self._judge(now)

    def _deal(self) -> None:
        hungry = [share for share in self._shares if share.hungry or share.running]
        between = max(min(self._queued, self._workers - len(hungry)), 0)
        left = self.connections - between
        for share in self._shares:
            share.allowed = 0
        for share in hungry:
            share.allowed = min(left, 1)
            left -= share.allowed
        for share in hungry:
            wanted = share.level if share.hungry else share.running
            more = min(max(wanted - share.allowed, 0), left)
            share.allowed += more
            left -= more
        # What other models had before is no growth of the run.
        heir = next((share for share in hungry if share.hungry), None)
        if heir is not None:
            dealt = sum(share.allowed for share in hungry)
            heir.allowed += max(min(left, self._proven - dealt), 0)
        # A lane that is cut costs a new connection: no more of them than models have none at all.
        starving = sum(share.allowed and not share.running for share in hungry)
        cut = starving - self.connections + sum(share.running for share in self._shares)
        for share in reversed(hungry):
            share.surplus = min(max(share.running - share.allowed, 0), max(cut, 0))
            cut -= share.surplus

    def _judge(self, now: float) -> None:
        passed = now - self._since
        if not self._since or passed > _LONGEST_WINDOW_S:
            # With the first bytes that come, also after a time in which nothing was going on.
            self._open(now if self._moved and not self._since else 0.0)
            return
        if self._awaited > 0 and passed < _PATIENCE_S:
            return
        rate = self._moved / passed
        if self._trial is not None:
            share, level, before = self._trial
            if rate < before * _GAIN:
                if passed < _DOUBT_S:
                    return
                share.level, share.held_until = level, now + _HOLD_S
                self._deal()
            self._trial = None
        used = sum(min(share.running, share.allowed) for share in self._shares)
        self._proven = max(self._proven, used)
        self._open(now)
        free = self.connections - sum(share.running for share in self._shares)
        for share in self._shares if free > 0 else ():
            # One less: of small files one has just ended whenever this is asked.
            is_full = share.hungry and share.level - 1 <= share.running <= share.level
            if is_full and share.level < self.connections and now >= share.held_until:
                self._trial = (share, share.level, rate)
                share.level = min(share.level * 2, self.connections)
                self._awaited = min(share.level - self._trial[1], free)
                break
        self._deal()

    def _open(self, now: float) -> None:
        self._since, self._moved, self._awaited = now, 0, 0
