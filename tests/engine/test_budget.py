"""The run's connections: never more than allowed, one for everybody, more where they pay."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelset.engine.budget import FIRST_LEVEL, LEAST_PART, NEAR_PART, PART, Budget, Share

ANY = st.integers(0, 99)


class Dealing(RuleBasedStateMachine):
    """Models that join, take, give back, lose and gain appetite, and leave, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 1
        self.budget = Budget(1)
        self.shares: list[Share] = []
        # For each running lane of a model, whether it has heard anything.
        self.lanes: dict[Share, list[bool]] = {}
        self.now = 100.0

    @initialize(connections=st.integers(1, 20))
    def begin(self, connections: int) -> None:
        self.connections = connections
        self.budget = Budget(connections)

    def one_of(self, number: int) -> Share:
        return self.shares[number % len(self.shares)]

    def take(self, share: Share) -> bool:
        if self.budget.take(share):
            self.lanes[share].append(False)
            return True
        return False

    def give_back(self, share: Share) -> None:
        self.budget.give_back(share, heard=self.lanes[share].pop())

    @precondition(lambda self: len(self.shares) < 8)
    @rule(order=ANY)
    def join(self, order: int) -> None:
        share = self.budget.join(order)
        self.shares.append(share)
        self.lanes[share] = []

    @precondition(lambda self: self.shares)
    @rule(number=ANY, count=st.integers(1, 20))
    def start(self, number: int, count: int) -> None:
        for _ in range(count):
            self.take(self.one_of(number))

    @precondition(lambda self: any(self.lanes.values()))
    @rule(number=ANY, hears=st.booleans())
    def end(self, number: int, hears: bool) -> None:
        busy = [share for share in self.shares if self.lanes[share]]
        share = busy[number % len(busy)]
        if hears and not self.lanes[share][-1]:
            self.budget.heard(share)
            self.lanes[share][-1] = True
        self.give_back(share)

    @precondition(lambda self: self.shares)
    @rule(number=ANY, hungry=st.booleans())
    def feed(self, number: int, hungry: bool) -> None:
        self.budget.feed(self.one_of(number), hungry=hungry)

    @precondition(lambda self: self.shares)
    @rule(number=ANY)
    def leave(self, number: int) -> None:
        share = self.one_of(number)
        self.budget.leave(share)
        self.shares.remove(share)
        del self.lanes[share]

    @rule(count=st.integers(0, 10**9), passed=st.floats(0, 4))
    def pass_time(self, count: int, passed: float) -> None:
        for share in self.shares:
            for number, heard in enumerate(self.lanes[share]):
                if not heard:
                    self.budget.heard(share)
                    self.lanes[share][number] = True
        self.budget.arrived(count)
        self.now += passed
        self.budget.tick(self.now)

    @invariant()
    def there_are_never_more_than_allowed(self) -> None:
        assert sum(len(lanes) for lanes in self.lanes.values()) <= self.connections

    @invariant()
    def what_is_counted_is_what_runs(self) -> None:
        for share, lanes in self.lanes.items():
            assert share.running == len(lanes)
            assert share.silent == lanes.count(False)
            assert 0 <= share.surplus <= share.running
            assert 1 <= share.level <= max(self.connections, FIRST_LEVEL)

    def teardown(self) -> None:
        """Those that have more than their share give back what is asked for, the hungry take."""
        for _ in range(2 * self.connections):
            for share in self.shares:
                while share.surplus and self.lanes[share]:
                    self.give_back(share)
            for share in self.shares:
                if share.hungry and not self.lanes[share]:
                    self.take(share)
        using = [share for share in self.shares if share.hungry or self.lanes[share]]
        first = sorted(using, key=lambda share: share.order)[: self.connections]
        assert all(self.lanes[share] for share in first), "a model starves"


def test_any_sequence_keeps_the_bound_and_feeds_every_hungry_model() -> None:
    few = settings(max_examples=150, stateful_step_count=40, derandomize=True, deadline=None)
    run_state_machine_as_test(Dealing, settings=few)


def take_all(budget: Budget, share: Share) -> int:
    """Take as many lanes as there are to have, each of which hears something at once."""
    count = 0
    while budget.take(share):
        budget.heard(share)
        count += 1
    return count


def test_a_model_that_comes_late_gets_a_lane_of_one_that_has_many() -> None:
    budget = Budget(4)
    rich = budget.join(0)
    assert take_all(budget, rich) == 4
    assert rich.surplus == 0
    poor = budget.join(1)
    assert not budget.take(poor)
    assert rich.surplus == 1
    budget.give_back(rich, heard=True)
    assert (rich.surplus, rich.running) == (0, 3)
    assert not budget.take(rich), "it is the other's"
    assert budget.take(poor)


def test_who_needs_no_lane_gets_none() -> None:
    budget = Budget(4)
    share = budget.join(0)
    budget.feed(share, hungry=False)
    assert not budget.take(share)
    budget.feed(share, hungry=True)
    assert take_all(budget, share) == 4


def test_no_lane_is_asked_back_while_one_is_free() -> None:
    budget = Budget(9)
    rich = budget.join(0)
    assert take_all(budget, rich) == 8
    poor = budget.join(1)
    assert rich.surplus == 0
    assert budget.take(poor)


def test_no_more_lanes_are_asked_back_than_models_have_none() -> None:
    budget = Budget(8)
    rich = budget.join(9)
    assert take_all(budget, rich) == 8
    first, second = budget.join(0), budget.join(1)
    assert [share.allowed for share in (first, second, rich)] == [6, 1, 1]
    assert rich.surplus == 2, "though seven are not its own any more"
    for share in (first, second):
        budget.give_back(rich, heard=True)
        assert budget.take(share)
    assert rich.surplus == 0


def test_the_models_that_come_first_in_order_get_more_and_the_others_one() -> None:
    budget = Budget(10)
    shares = [budget.join(order) for order in (2, 0, 1)]
    assert [share.allowed for share in shares] == [1, 8, 1]
    assert [take_all(budget, share) for share in shares] == [1, 8, 1]


def test_with_fewer_connections_than_models_the_critical_ones_come_first() -> None:
    budget = Budget(2)
    last, first, second = (budget.join(order) for order in (9, 0, 1))
    assert [budget.take(share) for share in (last, first, second)] == [False, True, True]
    budget.leave(first)
    assert budget.take(last)


def test_what_a_sated_model_does_not_need_goes_to_the_others() -> None:
    budget = Budget(9)
    first, second = budget.join(0), budget.join(1)
    assert [share.allowed for share in (first, second)] == [8, 1]
    budget.feed(first, hungry=False)
    assert take_all(budget, second) == 8


def test_parts_are_whole_until_the_end_of_the_run_and_then_shares_of_the_rest() -> None:
    budget = Budget(4)
    assert budget.part(1.0) == PART, "of a run whose size nobody knows"
    budget.expect(3 * PART)
    budget.expect(5 * PART)
    sizes = []
    for arrived in (0, 4 * PART, 2 * PART, PART, PART - 4 * LEAST_PART, 2 * LEAST_PART):
        budget.arrived(arrived)
        sizes.append((budget.part(1.0), budget.part(0.001)))
    assert [far for far, _ in sizes] == [
        PART, PART, PART // 2, PART // 4, LEAST_PART, LEAST_PART
    ]  # fmt: skip
    assert [near for _, near in sizes] == [NEAR_PART] * 4 + [LEAST_PART] * 2


class Line:
    """A line, and models that keep as many lanes busy as they may; time passes by steps."""

    def __init__(self, connections: int, rate: Callable[[int], float], models: int = 1) -> None:
        self.budget = Budget(connections)
        self.rate = rate
        self.now = 50.0
        self.shares = [self.budget.join(order) for order in range(models)]
        self.seen: list[tuple[int, ...]] = []

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            for share in self.shares:
                # Parts end all the time; a new one begins where that is allowed.
                if share.running > share.allowed:
                    self.budget.give_back(share, heard=True)
                take_all(self.budget, share)
            self.now += 0.02
            self.budget.arrived(int(self.rate(sum(one.running for one in self.shares)) * 0.02))
            self.budget.tick(self.now)
            levels = tuple(share.level for share in self.shares)
            if not self.seen or self.seen[-1] != levels:
                self.seen.append(levels)


def test_the_level_doubles_while_the_rate_grows() -> None:
    line = Line(32, lambda lanes: lanes * 1e6)
    line.run(3.0)
    assert line.seen == [(8,), (16,), (32,)]
    assert line.shares[0].running == 32


def test_the_level_never_passes_the_connections_there_are() -> None:
    line = Line(12, lambda lanes: lanes * 1e6)
    line.run(3.0)
    assert line.seen == [(8,), (12,)]


def test_where_more_lanes_gain_nothing_they_are_given_up_and_not_tried_again_for_a_while() -> None:
    line = Line(16, lambda lanes: 20e6)
    line.run(9.0)
    assert line.seen == [(8,), (16,), (8,)]
    assert line.shares[0].running == 8
    line.run(6.0)
    assert line.seen == [(8,), (16,), (8,), (16,), (8,)], "one more try after the pause"


def test_the_level_stays_where_the_last_gain_was() -> None:
    line = Line(32, lambda lanes: min(lanes, 16) * 1e6)
    line.run(6.0)
    assert line.seen == [(8,), (16,), (32,), (16,)]


def test_a_pause_right_after_the_growth_is_no_proof_that_it_was_vain() -> None:
    line = Line(16, lambda lanes: lanes * 1e6)
    while line.seen[-1:] != [(16,)]:
        line.run(0.02)
    line.rate = lambda lanes: 0.0
    line.run(0.2)
    line.rate = lambda lanes: lanes * 1e6
    line.run(3.0)
    assert line.seen == [(8,), (16,)]


@pytest.mark.parametrize(("gain", "level"), [(1.04, 8), (1.10, 16)])
def test_a_gain_that_could_be_chance_is_none(gain: float, level: int) -> None:
    line = Line(16, lambda lanes: 10e6 if lanes <= 8 else gain * 10e6)
    line.run(3.0)
    assert line.shares[0].level == level


def test_the_first_model_in_order_grows_first() -> None:
    line = Line(32, lambda lanes: lanes * 1e6, models=2)
    line.run(0.7)
    assert line.seen[:2] == [(8, 8), (16, 8)]
    line.run(3.0)
    assert sum(share.running for share in line.shares) == 32
    assert min(share.running for share in line.shares) >= 1


def test_what_a_model_leaves_goes_to_the_next_without_a_trial() -> None:
    line = Line(16, lambda lanes: 20e6, models=2)
    line.run(1.0)
    assert [share.running for share in line.shares] == [8, 8]
    line.budget.leave(line.shares.pop(0))
    line.run(0.05)
    assert [share.running for share in line.shares] == [16], "the run had as many before"


@pytest.mark.parametrize("connections", [2, 3, FIRST_LEVEL])
def test_bytes_that_come_again_are_no_other_model(connections: int) -> None:
    budget = Budget(connections, workers=3)
    budget.expect(10**9)
    only = budget.join(0)
    for _ in range(5):
        budget.lost(100)
    assert take_all(budget, only) == connections


def test_a_worker_between_two_models_finds_a_connection() -> None:
    budget = Budget(16, workers=3)
    for _ in range(4):
        budget.expect(10**9)
    large, small = budget.join(1), budget.join(0)
    assert take_all(budget, small) == 8
    assert take_all(budget, large) == 7, "one worker is about to begin"
    third = budget.join(2)
    assert take_all(budget, third) == 1
    for _ in range(8):
        budget.give_back(small, heard=True)
    budget.feed(small, hungry=False)  # its files are being placed
    assert take_all(budget, large) + take_all(budget, third) == 7, "one model is still to come"
    budget.leave(small)
    last = budget.join(3)
    assert budget.take(last)
    assert (large.surplus, third.surplus) == (0, 0)


def test_a_trial_is_not_judged_before_its_new_lanes_have_brought_something() -> None:
    budget = Budget(32)
    share = budget.join(0)

    def fill() -> int:
        count = 0
        while budget.take(share):
            count += 1
        return count

    def run(start: float, steps: int, rate: int) -> None:
        for step in range(steps):
            budget.arrived(rate)
            budget.tick(start + step * 0.05)

    assert fill() == FIRST_LEVEL
    run(10.0, 8, 10**6)
    assert share.level == 2 * FIRST_LEVEL
    new = fill()
    run(10.4, 20, 2 * 10**6)
    assert share.level == 2 * FIRST_LEVEL, "judged, although the new lanes are silent"
    for _ in range(new):
        budget.heard(share)
    run(11.4, 30, 4 * 10**6)
    assert share.level == 4 * FIRST_LEVEL


def test_after_a_long_silence_a_new_window_is_opened() -> None:
    line = Line(32, lambda lanes: lanes * 1e6)
    line.run(0.1)
    line.now += 60
    line.run(3.0)
    assert line.seen == [(8,), (16,), (32,)]
