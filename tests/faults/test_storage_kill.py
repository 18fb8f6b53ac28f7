"""Killed at every single step that changes the disk, or cut off from power there."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, bytes_of
from tests.faults.conftest import MakeProject
from tests.faults.origin import Origin
from tests.faults.places import running
from tests.faults.project import REGISTRY, Project
from tests.faults.shim import library, shim
from tests.faults.steps import (
    DATA,
    KINDS,
    NAMES,
    ONE_FILE,
    SYNCS,
    Kind,
    mended,
    short_files,
    start_again,
    strike,
)

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler for the shim")

SIDE_BY_SIDE = 2
LARGE = bytes_of("power", 9 * MIB)
# The matrix has some steps of every kind of model; all of them take minutes.
EVERY = bool(os.environ.get("FAULTS_EVERY_STEP"))
EACH_KIND = pytest.mark.parametrize(
    "kind", KINDS if EVERY else [ONE_FILE], ids=lambda kind: kind.name
)


def steps(make_project: MakeProject, work: Callable[[Project, int], bool]) -> int:
    """Do the work at step 1, 2, 3, ... until one comes after the end; returns how many struck."""
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        struck, first = 0, 1
        while True:
            batch = [(make_project(), first + number) for number in range(6)]
            found = list(pool.map(lambda one: work(*one), batch))
            struck += sum(found)
            first += len(batch)
            if not all(found):
                return struck


@EACH_KIND
def test_a_kill_at_any_step_leaves_what_the_next_run_completes(
    kind: Kind, make_project: MakeProject, origin: Origin
) -> None:
    def work(project: Project, at: int) -> bool:
        key = kind.add(project, origin)
        struck = strike(project, key, at, "kill", NAMES)
        assert mended(project, key, kind) == "", f"killed at step {at}"
        return struck

    assert steps(make_project, work) >= 10


def test_a_kill_in_the_middle_of_any_write_is_like_one_before_it(
    make_project: MakeProject, origin: Origin
) -> None:
    def work(project: Project, at: int) -> bool:
        key = ONE_FILE.add(project, origin)
        struck = strike(project, key, at, "tear", "write")
        assert mended(project, key, ONE_FILE) == "", f"killed in write {at}"
        project.assert_clean(m=DATA)
        return struck

    assert steps(make_project, work) >= 6


@EACH_KIND
def test_after_a_power_cut_at_any_step_no_file_is_short_and_the_next_run_ends_well(
    kind: Kind, make_project: MakeProject, origin: Origin
) -> None:
    def work(project: Project, at: int) -> bool:
        key = kind.add(project, origin)
        struck = strike(project, key, at, "cut", SYNCS)
        assert not short_files(project, kind), f"cut off at step {at}"
        start_again(project)
        assert mended(project, key, kind) == "", f"cut off at step {at}"
        return struck

    assert steps(make_project, work) >= 10


def test_bytes_of_a_large_file_that_a_power_cut_took_are_fetched_again(
    make_project: MakeProject, origin: Origin
) -> None:
    url = origin.serve("/large", File(LARGE, piece=MIB))
    for at in (1, 100, 200, 350, 500):
        project = make_project()
        key = project.model("large", url, LARGE)
        strike(project, key, at, "cut", "write")
        assert not project.path(key).exists() or project.path(key).read_bytes() == LARGE
        start_again(project)
        ran = running(project, key, "--json")
        assert ran.code == 0, ran.stdout
        project.assert_clean(large=LARGE)


def test_every_file_is_synced_before_it_has_its_name_and_its_folder_after(
    project: Project, origin: Origin, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    key = ONE_FILE.add(project, origin)
    rule = shim("fsync,rename,write", f"{project.root}/*", log=log)
    assert running(project, key, env=rule).code == 0
    calls = [line.partition(" ")[::2] for line in log.read_text().splitlines()]
    named = calls.index(("rename", str(project.path(key))))
    data = [number for number, call in enumerate(calls) if call[1].endswith(".part")]
    synced = [number for number in data if calls[number][0] == "fsync"]
    written = [number for number in data if calls[number][0] == "write"]
    if written:  # a small file may be kept in memory and written under another name
        assert max(written) < max(synced) < named
    assert ("fsync", str(project.path(key).parent)) in calls[named:]
    assert project.files() == {"whisper/m.bin"} | REGISTRY
