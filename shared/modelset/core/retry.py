"""When to try again, where, and after how long."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Address
from modelset.core.ports import Guard
from modelset.core.values import dataclass

T = TypeVar("T")
OnRetry = Callable[[ModelSetError, int, float], None]


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the retries; delays in seconds.

    `unreachable_tries` is lower because a machine without a network does not gain one in seconds.
    """

    tries: int = 5
    unreachable_tries: int = 2
    first_delay_s: float = 0.5
    longest_delay_s: float = 20.0


_POLICY = Policy()


def delay_s(attempt: int, policy: Policy, asked_s: float | None) -> float:
    """Seconds to wait after the given failed attempt (1, 2, ...): what the server asked for, or
    a capped exponential with jitter, so that many clients do not come back together.
    """
    if asked_s is not None:
        return asked_s
    longest = min(policy.first_delay_s * 2 ** (attempt - 1), policy.longest_delay_s)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


class Retries:
    """Where to ask now, and from when on; `due` is a time of the guard's clock."""

    def __init__(
        self,
        addresses: Sequence[Address],
        guard: Guard,
        on_retry: OnRetry = lambda error, number, delay: None,
        policy: Policy = _POLICY,
    ) -> None:
        self.address, *self._others = addresses
        self.due = 0.0
        self._guard, self._on_retry, self._policy = guard, on_retry, policy
        self._number = 1
        self._wrong = 0

    def failed(self, error: ModelSetError, *, progressed: bool) -> None:
        """Choose where and when to ask again; raises the failure when nothing is left to try.

        A try that brought bytes does not count, so a server that drops the connection every few
        megabytes still delivers; one that only drips does not.
        """
        if error.kind.retry == "never":
            raise error
        self._wrong += error.failure.code == "digest-mismatch"
        if progressed and error.failure.code != "stalled":
            self._number = 1
        wait_s = delay_s(self._number, self._policy, error.retry_after_s)
        most = self._policy.unreachable_tries if _is_unreachable(error) else self._policy.tries
        if error.failure.code == "stalled" and self._others:
            most = 1  # each would take as long as the clock of a stall
        over = error.kind.retry == "next" or self._number >= most
        if not over and wait_s < self._guard.remaining():
            self._on_retry(error, self._number, wait_s)
            self.due = self._guard.now() + wait_s
            self._number += 1
        elif self._others:
            self.address, self._number, self.due = self._others.pop(0), 1, 0.0
        elif error.failure.code == "digest-mismatch" and self._wrong == 1:
            # Once more, all of it: the wrong bytes may have been those that an earlier run or
            # another mirror had left.
            self._on_retry(error, 1, 0.0)
        else:
            raise error


def persist(
    addresses: Sequence[Address],
    attempt: Callable[[Address], T],
    *,
    guard: Guard,
    on_retry: OnRetry = lambda error, number, delay: None,
    policy: Policy = _POLICY,
) -> T:
    """The result of the first attempt that succeeds, over addresses and tries.

    Raises the last failure.
    """
    retries = Retries(addresses, guard, on_retry, policy)
    while True:
        try:
            return attempt(retries.address)
        except ModelSetError as error:
            retries.failed(error, progressed=False)
        if (wait_s := retries.due - guard.now()) > 0:
            guard.sleep(wait_s)


def _is_unreachable(error: ModelSetError) -> bool:
    return error.failure.code == "network-unreachable"
