"""The only clock: deadlines, stops, and waits that notice both."""

import contextlib
import os
import threading
import time
from collections.abc import Callable

from modelset.core.errors import ModelSetError
from modelset.core.words import time_text

# How much of an idle moment may be caught up with.
_CREDIT_S = 0.1


class Stop:
    """A stop that a signal handler asks for; `code` says which one."""

    def __init__(self) -> None:
        self.code = ""
        self.event = threading.Event()

    def ask(self, code: str) -> None:
        """Ask everything to end; `code` is `stopped` or `terminated`."""
        self.code = self.code or code
        self.event.set()

    def with_input(self, descriptor: int) -> None:
        """Stop too when this input ends: the program that started this one has ended."""

        def wait() -> None:
            with contextlib.suppress(OSError):
                while os.read(descriptor, 4096):
                    pass
            self.ask("terminated")

        threading.Thread(target=wait, daemon=True).start()


class RunGuard:
    """A deadline in seconds from a start `spent_s` ago, and a stop; one for each model."""

    def __init__(self, stop: Stop, timeout_s: float = float("inf"), spent_s: float = 0.0) -> None:
        self._stop = stop
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s - spent_s

    def check(self) -> None:
        """Raise ModelSetError `stopped`, `terminated` or `deadline`."""
        if self._stop.event.is_set():
            raise ModelSetError(
                self._stop.code, "stopped", "run the same command again; it resumes"
            )
        if time.monotonic() >= self._deadline:
            raise ModelSetError(
                "deadline",
                f"not done within {time_text(self._timeout_s)}",
                "run the same command again; it resumes, and `--timeout SECONDS` gives more time",
            )

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(self._deadline - time.monotonic(), 0.0)

    def sleep(self, seconds: float) -> None:
        """Wait; raises as `check` does as soon as there is a reason."""
        self._stop.event.wait(min(seconds, self.remaining()))
        self.check()

    def now(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()


class RateLimit:
    """The bound of a whole run in bytes a second; the rate counts over all its connections.

    `rate_at` gives it for a minute of the day by the local clock, 0 for none.
    """

    def __init__(self, rate_at: Callable[[int], float]) -> None:
        self._rate_at = rate_at
        self._lock = threading.Lock()
        self._paid_until = time.monotonic()

    def rate(self) -> float:
        """Bytes a second at this time of the day, 0 when there is no bound."""
        now = time.localtime()
        return self._rate_at(now.tm_hour * 60 + now.tm_min)

    def took(self, count: int) -> None:
        """So many bytes came."""
        rate = self.rate()
        with self._lock:
            # What was not used in an idle moment is not made up for later.
            begin = max(self._paid_until, time.monotonic() - _CREDIT_S)
            self._paid_until = begin + (count / rate if rate else 0.0)

    def wait_s(self) -> float:
        """Seconds until more may come, 0 when there is no bound."""
        return max(self._paid_until - time.monotonic(), 0.0) if self.rate() else 0.0
