"""Every row of the fault matrix, for modelset; `benchmarks/faults.py` runs the others too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.faults.project import SHARED, Project
from tests.faults.rows.matrix import ALL, ROWS
from tests.faults.rows.row import Row, Verdict, ground
from tests.faults.rows.tools import TOOLS, Modelset, lacking

PAGE = SHARED.parent / "docs" / "reliability.md"
# Most of a row is waiting.
SIDE_BY_SIDE = 4
# What takes longest begins first.
SLOW = ("kill-at-steps", "power-cut", "unpacking-killed", "drip-and-mirror")


def judge(row: Row, folder: Path, warm: Project) -> Verdict:
    with ground(folder, warm) as here:
        return row.run(Modelset(here), here)


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, warm: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future[Verdict]]]:
    """Return what comes of each row that is asked for; they run side by side."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    ]
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    yield {
        name: pool.submit(judge, ROWS[name], tmp_path_factory.mktemp(name), warm)
        for name in sorted(names, key=lambda name: name not in SLOW)
        if not lacking(ROWS[name].needs)
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", ROWS)
def test_the_fault_ends_as_the_guarantee_says(
    name: str, verdicts: Mapping[str, Future[Verdict]]
) -> None:
    if why := lacking(ROWS[name].needs):
        pytest.skip(why)
    verdict = verdicts[name].result(timeout=120)
    assert verdict.passed, f"{ROWS[name].fault}: {verdict.words}"


def test_every_row_has_a_name_and_a_guarantee_of_its_own_number() -> None:
    assert len(ROWS) == len(ALL), "two rows share a name"
    for row in ALL:
        assert 1 <= row.number <= 54
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row.name)
        assert row.guarantee.endswith(".")
        assert row.rivals or row.why_not
        assert not row.not_for or row.why_not
        assert set(row.not_for) < set(TOOLS) - {"modelset"}


def shown() -> Mapping[str, list[str]]:
    """The rows of the page's table, by their names."""
    table = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {row[1]: row for row in cells if row[0].isdigit()}


def test_the_page_has_every_row_and_counts_what_its_cells_say() -> None:
    found = shown()
    assert list(found) == list(ROWS)
    for name, row in found.items():
        assert row[0] == str(ROWS[name].number)
        assert row[2] == ROWS[name].fault
        assert row[3] == ROWS[name].guarantee
        for tool, cell in zip(list(TOOLS)[1:], row[5:], strict=True):
            without = not ROWS[name].rivals or tool in ROWS[name].not_for
            assert without == cell.startswith("n/a"), f"{name}: {tool}"
    for place, tool in enumerate(TOOLS, 4):
        own = [row[place] for row in found.values() if not row[place].startswith("n/a")]
        passed = sum(cell.startswith("✓") for cell in own)
        assert f"{tool}: {passed} of {len(own)}" in PAGE.read_text("utf-8")


def test_the_page_says_that_modelset_passes_every_row() -> None:
    found = shown()
    assert found
    assert {name: row[4] for name, row in found.items() if not row[4].startswith("✓")} == {}
