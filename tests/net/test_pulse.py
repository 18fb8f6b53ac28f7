"""The clock of one connection: what counts as silence, and what does not."""

from __future__ import annotations

import pytest

from modelset.net.transfer import Pulse, WireSettings

SETTINGS = WireSettings(stall_s=20, slowest_rate=1024)


def test_a_rate_limit_does_not_make_a_new_connection_silent() -> None:
    pulse = Pulse(connected=True)
    for _ in range(5):
        pulse.skip(0.1)
    assert pulse.verdict(9000.0, SETTINGS, bounded=True) == ""
    assert pulse.verdict(9019.0, SETTINGS, bounded=True) == ""


def test_time_that_a_rate_limit_takes_does_not_count_as_silence() -> None:
    pulse = Pulse(connected=True)
    assert pulse.verdict(9000.0, SETTINGS, bounded=True) == ""
    pulse.skip(30.0)
    assert pulse.verdict(9045.0, SETTINGS, bounded=True) == ""
    assert "silent for 20 s" in pulse.verdict(9051.0, SETTINGS, bounded=True)


@pytest.mark.parametrize(("bounded", "words"), [(False, "500 bytes in 21 s"), (True, "")])
def test_drops_are_too_slow_unless_a_limit_makes_them_so(bounded: bool, words: str) -> None:
    pulse = Pulse(connected=True)
    for second in range(22):
        pulse.count = 25 * second if second < 21 else 500
        found = pulse.verdict(9000.0 + second, SETTINGS, bounded=bounded)
    assert found == words
