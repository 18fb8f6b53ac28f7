"""Fixtures: those of the fault tests, and values that several tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.fakes import Depot
from tests.faults.conftest import make_project, origin, project, warm

__all__ = ["depot", "make_project", "origin", "project", "warm"]


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    """Return an empty depot; its workers end with the test."""
    made = Depot(tmp_path / "downloads")
    yield made
    made.close()
