"""Large tensors that take little room in a file: torch saves what tensors share only once."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

# From a tensor to the next.
STRIDE = 1009


class Weaver:
    """Makes tensors of any shape out of one row of random numbers, and out of single numbers.

    Every row of a tensor begins `step` numbers after the one before it.
    """

    def __init__(self, row: Any, step: int = 7) -> None:
        self._torch: Any = import_module("torch")
        self._row = row
        self._step = step
        self._at = 0

    def woven(self, *shape: int) -> Any:
        """A tensor of random numbers, other ones than the tensor before."""
        wide = math.prod(shape[1:])
        free = len(self._row) - (shape[0] - 1) * self._step - wide + 1
        inner = [math.prod(shape[at:]) for at in range(2, len(shape) + 1)]
        self._at += STRIDE
        return self._row.as_strided(shape, [self._step, *inner], self._at % free)

    def filled(self, number: float, *shape: int) -> Any:
        """A tensor of one number, which is kept once."""
        return self._torch.tensor(number).expand(shape)
