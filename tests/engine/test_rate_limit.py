"""The bound of a whole run, by the real clock: short, so that nobody waits for it."""

from __future__ import annotations

import threading
import time

import pytest

from modelset.engine.guard import RateLimit

PIECE = 16 * 1024


def receive(limit: RateLimit, seconds: float) -> int:
    """Take pieces as a wire does, whenever it may; returns how many bytes that were."""
    count, end = 0, time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        if (wait_s := limit.wait_s()) > 0:
            time.sleep(min(wait_s, end - now))
            continue
        limit.took(PIECE)
        count += PIECE
    return count


@pytest.mark.parametrize("rate", [2e6, 8e6])
def test_the_rate_is_kept_within_five_percent(rate: float) -> None:
    limit = RateLimit(lambda minute: rate)
    began = time.monotonic()
    count = receive(limit, 0.7)
    assert count == pytest.approx(rate * (time.monotonic() - began), rel=0.05)


def test_the_rate_counts_over_all_connections_together() -> None:
    limit = RateLimit(lambda minute: 4e6)
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(receive(limit, 0.7))) for _ in range(4)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each of them may be one piece ahead.
    most = 4e6 * (time.monotonic() - began) * 1.05 + 4 * PIECE
    assert len(counts) == 4
    assert 4e6 * 0.7 * 0.95 <= sum(counts) <= most


def test_an_idle_moment_is_not_made_up_for() -> None:
    limit = RateLimit(lambda minute: 1e6)
    time.sleep(0.4)
    count = receive(limit, 0.2)
    assert count <= 1e6 * (0.2 + 0.1) * 1.05 + PIECE, "a tenth of a second may be caught up with"


def test_without_a_bound_nothing_waits() -> None:
    limit = RateLimit(lambda minute: 0.0)
    limit.took(10**12)
    assert limit.wait_s() == 0.0


def test_the_bound_of_the_present_minute_holds() -> None:
    asked: list[int] = []
    rates = [1e6]

    def rate_at(minute: int) -> float:
        asked.append(minute)
        return rates[0]

    limit = RateLimit(rate_at)
    before = time.localtime()
    limit.took(500_000)
    assert 0.3 < limit.wait_s() <= 0.5
    after = time.localtime()
    assert set(asked) <= {one.tm_hour * 60 + one.tm_min for one in (before, after)}
    rates[0] = 0.0
    assert limit.wait_s() == 0.0, "the bound ends with its row"
