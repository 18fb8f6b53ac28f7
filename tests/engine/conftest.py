"""Fixtures: those of the fault tests, and values that several tests need."""

from __future__ import annotations

from tests.faults.conftest import make_project, origin, project, warm

__all__ = ["make_project", "origin", "project", "warm"]
