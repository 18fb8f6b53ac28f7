"""A short soak with seeds that never change; `python -m tests.faults.soak` has no end of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.faults.answers import File
from tests.faults.project import Project
from tests.faults.soak import faults, play, soak

SEEDS = (28, 39)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_schedule_of_random_faults_an_honest_server_ends_it_well(
    seed: int, warm: Project
) -> None:
    codes = play(seed, Path(warm.env["PYTHONPYCACHEPREFIX"]))
    assert len(codes) >= 3
    assert any(codes[:-1]), "nothing went wrong on the way"
    assert codes[-1] == 0


def test_a_seed_stands_for_the_same_faults_each_time() -> None:
    data = bytes(1000)

    def drawn(seed: int) -> list[str]:
        rng = random.Random(seed)
        found = [faults(rng, data, "/elsewhere") for _ in range(60)]
        return [str(one) if isinstance(one, File) else type(one).__name__ for one in found]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) >= 15


def test_a_schedule_that_fails_is_named_by_its_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert soak(7, 0.0, only=True, play=lambda seed, compiled: [0]) == []

    def breaks(seed: int, compiled: Path) -> list[int]:
        raise AssertionError("m1 is not right")

    assert soak(7, 0.0, only=True, play=breaks) == [7]
    said = capsys.readouterr().out
    assert "seed 7: ok" in said
    assert "seed 7: FAILED: m1 is not right" in said
    assert "0 of 1 schedules ended well" in said
