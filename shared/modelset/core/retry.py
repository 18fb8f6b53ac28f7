"""When to try again, where, and after how long."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Address
from modelset.core.ports import Guard

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the retries; delays in seconds.

    `unreachable_tries` is lower because a machine without a network does not gain one in seconds.
    """

    tries: int = 5
    unreachable_tries: int = 2
    first_delay_s: float = 0.5
    longest_delay_s: float = 20.0


def delay_s(attempt: int, policy: Policy, asked_s: float | None) -> float:
    """Seconds to wait after the given failed attempt (1, 2, ...): what the server asked for, or
    a capped exponential with jitter, so that many clients do not come back together.
    """
    if asked_s is not None:
        return asked_s
    longest = min(policy.first_delay_s * 2 ** (attempt - 1), policy.longest_delay_s)
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


def persist(
    addresses: Sequence[Address],
    attempt: Callable[[Address], T],
    *,
    guard: Guard,
    progress: Callable[[], int] = lambda: 0,
    on_retry: Callable[[ModelSetError, int, float], None] = lambda error, number, delay: None,
    policy: Policy = Policy(),
) -> T:
    """The result of the first attempt that succeeds, over addresses and tries.

    `progress` counts kept bytes: an attempt that added some does not use up a try, so a server
    that drops the connection every few megabytes still delivers. Raises the last failure.
    """
    last: ModelSetError | None = None
    for address in addresses:
        number = 1
        while True:
            before = progress()
            try:
                return attempt(address)
            except ModelSetError as error:
                last = error
            if last.kind.retry == "never":
                raise last
            if progress() > before:
                number = 1
            wait_s = delay_s(number, policy, last.retry_after_s)
            most = policy.unreachable_tries if _is_unreachable(last) else policy.tries
            if last.kind.retry == "next" or number >= most or wait_s >= guard.remaining():
                break
            on_retry(last, number, wait_s)
            guard.sleep(wait_s)
            number += 1
    assert last is not None, "there is always at least one address"
    raise last


def _is_unreachable(error: ModelSetError) -> bool:
    return error.failure.code == "network-unreachable"
