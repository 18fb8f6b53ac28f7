"""Every row of the matrix that is about a transfer."""

from __future__ import annotations

from tests.faults.rows import around, connection, leading, refusing
from tests.faults.rows.row import Row

ROWS: tuple[Row, ...] = (*connection.ROWS, *refusing.ROWS, *leading.ROWS, *around.ROWS)
