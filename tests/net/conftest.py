"""Fixtures: the scripted server of the fault tests, and a wire with short clocks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.faults.conftest import authority, make_project, project, warm
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin

from modelset.net.transfer import WireSettings
from modelset.net.wire import CurlWire

__all__ = ["authority", "make_project", "project", "warm"]  # the fault tests' own fixtures


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Return a server of this test's own."""
    with running_origin() as running:
        yield running


@pytest.fixture
def other() -> Iterator[Origin]:
    """Return a second server: another origin, because its port is another."""
    with running_origin() as running:
        yield running


@pytest.fixture
def wire() -> Iterator[CurlWire]:
    """Return a wire whose clocks are short enough for a test."""
    made = CurlWire(WireSettings(connect_s=0.4, stall_s=1))
    yield made
    made.close()
