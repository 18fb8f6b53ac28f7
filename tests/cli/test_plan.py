"""What a plan ends with."""

from __future__ import annotations

import pytest

from modelset.cli.plan import exit_code
from modelset.core.plan import SPARE_BYTES
from modelset.core.types import Report


@pytest.mark.parametrize(
    ("to_come", "free", "code"),
    [(0, 0, 0), (0, SPARE_BYTES, 0), (1, SPARE_BYTES, 7), (1, SPARE_BYTES + 1, 0)],
)
def test_only_what_is_to_come_needs_room(to_come: int, free: int, code: int) -> None:
    assert exit_code(Report(), to_come, free) == code
