"""Parts of a file against a simple model of them: a set of byte numbers."""

from __future__ import annotations

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

from modelset.core.parts import Part, Parts, Span, joined

SIZE = 40


def spans_of(here: set[int]) -> list[Span]:
    """The numbers of bytes as spans, by looking at every single one."""
    starts = sorted(byte for byte in here if byte - 1 not in here)
    ends = sorted(byte + 1 for byte in here if byte + 1 not in here)
    return list(zip(starts, ends, strict=True))


class ModelOfParts(RuleBasedStateMachine):
    """Takes, splits, writes, drops and restarts in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.parts = Parts(0)
        self.here: set[int] = set()

    @initialize(
        size=st.integers(0, SIZE),
        held=st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=4),
    )
    def begin(self, size: int, held: list[Span]) -> None:
        self.size = size
        held = [(min(start, size), min(end, size)) for start, end in held]
        self.here = {byte for start, end in held for byte in range(start, end)}
        self.parts = Parts(size, held)

    @property
    def wanted(self) -> list[int]:
        """Every byte that a part still has to bring, as often as one does."""
        return [byte for part in self.parts.running for byte in range(part.at, part.end)]

    def one_of(self, number: int) -> Part:
        return self.parts.running[number % len(self.parts.running)]

    @rule(most=st.integers(1, SIZE))
    def take(self, most: int) -> None:
        free = [byte for byte in range(self.size) if byte not in {*self.here, *self.wanted}]
        part = self.parts.take(most)
        if part is None:
            assert not free
            return
        gap = next(end for start, end in spans_of(set(free)) if start == free[0])
        assert (part.start, part.at, part.end) == (free[0], free[0], min(gap, free[0] + most))
        assert part in self.parts.running

    @precondition(lambda self: self.parts.running)
    @rule(number=st.integers(0, SIZE))
    def split(self, number: int) -> None:
        longer = self.one_of(number)
        at, end = longer.at, longer.end
        part = self.parts.split(longer)
        assert part is self.parts.running[-1]
        assert (longer.at, longer.end, part.at, part.end) == (at, part.start, part.start, end)
        assert abs((longer.end - longer.at) - (part.end - part.at)) <= 1

    @precondition(lambda self: self.parts.running)
    @rule(number=st.integers(0, SIZE), count=st.integers(1, SIZE))
    def write(self, number: int, count: int) -> None:
        part = self.one_of(number)
        end = min(part.at + count, part.end)
        self.here |= set(range(part.at, end))
        part.at = end

    @precondition(lambda self: self.parts.running)
    @rule(number=st.integers(0, SIZE))
    def drop(self, number: int) -> None:
        part = self.one_of(number)
        self.parts.drop(part)
        assert part not in self.parts.running

    @rule()
    def restart(self) -> None:
        self.parts.restart()
        self.here = set()
        assert self.parts.running == []

    @invariant()
    def what_is_here_is_told_exactly(self) -> None:
        assert self.parts.spans() == spans_of(self.here)
        assert self.parts.kept == len(self.here)
        missing = (byte for byte in range(self.size) if byte not in self.here)
        assert self.parts.frontier == next(missing, self.size)

    @invariant()
    def no_byte_is_asked_for_twice_or_again(self) -> None:
        assert len(self.wanted) == len(set(self.wanted))
        assert not self.here & set(self.wanted)

    def teardown(self) -> None:
        while (part := self.parts.take(7)) is not None:
            part.at = part.end
            self.parts.drop(part)
        for part in list(self.parts.running):
            part.at = part.end
            self.parts.drop(part)
        assert self.parts.spans() == ([(0, self.size)] if self.size else [])


def test_parts_agree_with_a_set_of_byte_numbers_whatever_happens_to_them() -> None:
    few = settings(max_examples=100, stateful_step_count=30, derandomize=True, deadline=None)
    run_state_machine_as_test(ModelOfParts, settings=few)


def test_connections_that_take_in_turn_cover_a_file_once() -> None:
    parts = Parts(25, [(5, 8)])
    taken = []
    while (part := parts.take(10)) is not None:
        taken.append((part.start, part.end))
    assert taken == [(0, 5), (8, 18), (18, 25)]


def test_a_dropped_part_leaves_its_rest_to_be_asked_for_first() -> None:
    parts = Parts(30)
    first, second = parts.take(10), parts.take(10)
    assert first is not None
    assert second is not None
    first.at, second.at = 4, 20
    parts.drop(first)
    assert (parts.frontier, parts.kept) == (4, 14)
    again = parts.take(10)
    assert again is not None
    assert (again.start, again.end) == (4, 10)


def test_joined_spans_are_in_order_and_empty_ones_vanish() -> None:
    assert joined([(7, 9), (3, 3), (0, 2), (2, 4), (8, 8), (5, 4)]) == [(0, 4), (7, 9)]
