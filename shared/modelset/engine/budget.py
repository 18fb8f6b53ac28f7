"""The run's connections: how many each model may use at this moment."""

import threading

# A model begins with so many, and gets twice as many as long as the whole run gains by it.
FIRST_LEVEL = 4
_GAIN = 1.05
# The shortest time in which a rate says something; and how long a vain try is remembered.
_WINDOW_S = 0.1
_HOLD_S = 10.0
_LONGEST_WINDOW_S = 3.0


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
    connections to a server that bounds the sum, or to a full line, only cost both sides. Called
    from the thread of every model.
    """

    def __init__(self, connections: int) -> None:
        self.connections = connections
        self._lock = threading.Lock()
        self._shares: list[Share] = []
        self._moved = 0
        self._since = 0.0
        self._full_at = 0.0
        self._awaited = 0  # lanes of the trial that have not brought anything yet
        self._trial: tuple[Share, int, float] | None = None

    def join(self, order: int) -> Share:
        """A model begins."""
        share = Share(order)
        with self._lock:
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

    def arrived(self, count: int) -> None:
        """So many bytes came."""
        with self._lock:
            self._moved += count

    def tick(self, now: float) -> None:
        """Judge the last window, when it is over, and open the next."""
        if now - self._since < _WINDOW_S:
            return
        with self._lock:
            self._judge(now)

    def _deal(self) -> None:
        hungry = [share for share in self._shares if share.hungry or share.running]
        left = self.connections
        for share in hungry:
            share.allowed = min(left, 1)
            left -= share.allowed
        for share in hungry:
            wanted = share.level if share.hungry else share.running
            more = min(max(wanted - share.allowed, 0), left)
            share.allowed += more
            left -= more
        starving = sum(share.allowed and not share.running for share in hungry)
        free = self.connections - sum(share.running for share in self._shares)
        for share in hungry:
            share.surplus = max(share.running - share.allowed, 0) if starving > free else 0

    def _judge(self, now: float) -> None:
        if not self._since or now - self._since > _LONGEST_WINDOW_S:
            self._open(now)  # nobody looked for so long that nothing was going on
            return
        if not self._full_at:
            if self._awaited > 0 and now - self._since < _LONGEST_WINDOW_S / 2:
                return
            self._full_at = now
        # The same time again with every lane at work as it took to get there.
        if now - self._full_at < max(_WINDOW_S, self._full_at - self._since):
            return
        rate = self._moved / (now - self._since)
        if self._trial is not None:
            share, level, before = self._trial
            if rate < before * _GAIN:
                share.level, share.held_until = level, now + _HOLD_S
            self._trial = None
        for share in self._shares:
            # One less: of small files one has just ended whenever this is asked.
            is_full = share.hungry and share.running >= share.level - 1
            if is_full and share.level < self.connections and now >= share.held_until:
                self._trial = (share, share.level, rate)
                share.level = min(share.level * 2, self.connections)
                break
        self._deal()
        self._open(now)
        if self._trial is not None:
            self._awaited = self._trial[0].level - self._trial[1]

    def _open(self, now: float) -> None:
        self._since, self._moved, self._full_at, self._awaited = now, 0, 0.0, 0
