"""The only clock: deadlines, stops, and waits that notice both."""

import threading
import time

from modelset.core.errors import ModelSetError
from modelset.core.words import time_text


class Stop:
    """A stop that a signal handler asks for; `code` says which one."""

    def __init__(self) -> None:
        self.code = ""
        self.event = threading.Event()

    def ask(self, code: str) -> None:
        """Ask everything to end; `code` is `stopped` or `terminated`."""
        self.code = self.code or code
        self.event.set()


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
