"""The clock that every wait goes through, and the workers that run side by side."""

from __future__ import annotations

import threading
import time

import pytest
from tests.engine.fakes import PatientGuard

from modelset.core.errors import ModelSetError
from modelset.core.events import Beat, Event, Moved
from modelset.core.mirrors import Address
from modelset.core.retry import Policy, delay_s, persist
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.run import Crew


def test_a_guard_without_a_deadline_never_ends_by_itself() -> None:
    guard = RunGuard(Stop())
    guard.check()
    assert guard.remaining() == float("inf")


def test_time_spent_before_counts_for_the_deadline() -> None:
    guard = RunGuard(Stop(), 10.0, 9.9)
    assert 0 < guard.remaining() <= 0.1
    with pytest.raises(ModelSetError) as caught:
        guard.sleep(5)
    assert caught.value.failure.code == "deadline"
    assert "10.0 s" in caught.value.failure.message
    assert guard.remaining() == 0.0


def test_a_sleep_ends_at_the_deadline_and_not_before_its_own_end() -> None:
    guard = RunGuard(Stop(), 5.0)
    began = time.monotonic()
    guard.sleep(0.1)
    assert 0.1 <= time.monotonic() - began < 1.0


@pytest.mark.parametrize("code", ["stopped", "terminated"])
def test_a_stop_ends_every_sleep_at_once(code: str) -> None:
    stop = Stop()
    guard = RunGuard(stop, 60.0)
    timer = threading.Timer(0.1, stop.ask, [code])
    timer.start()
    began = time.monotonic()
    with pytest.raises(ModelSetError) as caught:
        guard.sleep(30)
    timer.join()
    assert caught.value.failure.code == code
    assert time.monotonic() - began < 1.0


def test_the_first_reason_to_stop_is_the_one_that_counts() -> None:
    stop = Stop()
    stop.ask("terminated")
    stop.ask("stopped")
    assert stop.code == "terminated"


def crew(workers: int, heard: list[Event] | None = None, stop: Stop | None = None) -> Crew[int]:
    return Crew(workers, (heard if heard is not None else []).append, stop or Stop())


def results(one: Crew[int]) -> list[int]:
    found: list[int] = []
    while one.is_busy:
        found += one.tick()
    return [*found, *one.end()]


def test_events_reach_the_thread_of_the_caller_only_and_before_the_result() -> None:
    threads: set[str] = set()
    heard: list[Event] = []

    def emit(event: Event) -> None:
        threads.add(threading.current_thread().name)
        heard.append(event)

    one: Crew[int] = Crew(2, emit, Stop())

    def work() -> int:
        one.tell(Moved("house:m", 7))
        return 1

    one.start(work)
    assert results(one) == [1]
    assert Moved("house:m", 7) in heard
    assert any(isinstance(event, Beat) for event in heard)
    assert threads == {threading.current_thread().name}


def test_work_runs_side_by_side_up_to_the_number_of_workers() -> None:
    busy, most = 0, 0
    lock = threading.Lock()

    def work() -> int:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05)
        with lock:
            busy -= 1
        return 1

    one = crew(3)
    for _ in range(9):
        one.start(work)
    assert sum(results(one)) == 9
    assert most == 3


def test_results_that_are_there_together_come_in_the_order_of_their_start() -> None:
    one = crew(4)
    gate = threading.Barrier(4)
    for number in range(4):
        one.start(lambda number=number: (gate.wait(5), number)[1])  # type: ignore[misc]
    time.sleep(0.1)
    assert results(one) == [0, 1, 2, 3]


def test_the_end_lets_no_further_work_begin_and_waits_for_what_runs() -> None:
    began: list[int] = []
    started, gate = threading.Event(), threading.Event()

    def work(number: int) -> int:
        began.append(number)
        started.set()
        assert gate.wait(5)
        return number

    one = crew(1)
    for number in range(3):
        one.start(lambda number=number: work(number))  # type: ignore[misc]
    assert started.wait(5)
    threading.Timer(0.1, gate.set).start()
    assert list(one.end()) == [0]
    assert began == [0]


def test_after_a_stop_the_end_waits_only_a_little_for_what_hangs() -> None:
    stop, gate, started = Stop(), threading.Event(), threading.Event()

    def hang() -> int:
        started.set()
        return int(gate.wait(20))

    one = crew(1, stop=stop)
    one.start(hang)
    assert started.wait(5)
    stop.ask("stopped")
    began = time.monotonic()
    assert list(one.end()) == []
    assert time.monotonic() - began < 2.0
    gate.set()


ADDRESSES = (Address("https://one.example.org/m"), Address("https://two.example.org/m"))


def tried(
    *codes: str, guard: PatientGuard | None = None, asked_s: float | None = None
) -> list[str]:
    """Persist over failures with these codes, then success; returns whom it asked."""
    asked: list[str] = []
    left = list(codes)

    def attempt(address: Address) -> None:
        asked.append(address.url[8:11])
        if left:
            raise ModelSetError(left.pop(0), "no", retry_after_s=asked_s)

    persist(ADDRESSES, attempt, guard=guard or PatientGuard())
    return asked


def test_tries_stay_with_an_address_while_that_can_help_and_then_go_on() -> None:
    assert tried() == ["one"]
    assert tried("server-error", "connection-lost") == ["one"] * 3
    assert tried("server-error", "stalled", "stalled") == ["one"] * 2 + ["two"] * 2
    assert tried("not-found") == tried("access-denied") == tried("token-refused") == ["one", "two"]
    assert tried(*["server-error"] * 5) == ["one"] * 5 + ["two"]
    assert tried(*["network-unreachable"] * 2) == ["one"] * 2 + ["two"]
    assert tried("rate-limited", "digest-mismatch") == ["one", "one", "two"]


@pytest.mark.parametrize("code", ["token-missing", "disk-full", "stopped", "deadline"])
def test_what_nobody_else_can_mend_ends_at_once(code: str) -> None:
    with pytest.raises(ModelSetError) as caught:
        tried(code)
    assert caught.value.failure.code == code


def test_waits_grow_are_capped_and_obey_the_server() -> None:
    policy = Policy(tries=10, first_delay_s=1.0, longest_delay_s=8.0)
    longest = (1.0, 2.0, 4.0, 8.0, 8.0, 8.0)
    for number, most in enumerate(longest, 1):
        waits = {delay_s(number, policy, None) for _ in range(50)}
        assert all(most / 2 <= wait <= most for wait in waits)
        assert len(waits) > 1, "without jitter, many clients come back together"
    assert delay_s(3, policy, 0.25) == 0.25
    guard = PatientGuard()
    tried("rate-limited", guard=guard, asked_s=7.5)
    assert guard.slept == [7.5]


def test_a_wait_that_the_deadline_does_not_allow_is_not_begun() -> None:
    guard = PatientGuard(left=5.0)
    assert tried("rate-limited", guard=guard, asked_s=6.0) == ["one", "two"]
    assert guard.slept == []
