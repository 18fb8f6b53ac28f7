"""Every row there is, in the order of the matrix."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.rows import storage, transfer
from tests.faults.rows.row import Row

ALL: tuple[Row, ...] = tuple(
    sorted((*transfer.ROWS, *storage.ROWS), key=lambda row: row.number)
)  # fmt: skip
ROWS: Mapping[str, Row] = {row.name: row for row in ALL}
