"""Fixtures: a scripted server, and projects of a test's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin
from tests.faults.project import Project
from tests.net.secure import Authority

MakeProject = Callable[[], Project]


@pytest.fixture
def origin() -> Iterator[Origin]:
    """Return a server of this test's own."""
    with running_origin() as running:
        yield running


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project that has run once: compiled modules and a profile of this machine."""
    project = Project(tmp_path_factory.mktemp("warm") / "project")
    project.env["PYTHONPYCACHEPREFIX"] = str(project.root / "compiled")
    assert project.run("house:none").code == 2
    project.model("none", "http://127.0.0.1:9/", b"")
    assert project.run("house:none", "--dry-run").code == 0
    assert project.profile.is_file()
    return project


@pytest.fixture
def make_project(tmp_path: Path, warm: Project) -> Iterator[MakeProject]:
    """Return a function that makes projects; what they started ends with the test."""
    made: list[Project] = []

    def make() -> Project:
        project = Project(tmp_path / f"project{len(made)}")
        made.append(project)
        project.env["PYTHONPYCACHEPREFIX"] = warm.env["PYTHONPYCACHEPREFIX"]
        shutil.copy(warm.profile, project.profile)
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture
def project(make_project: MakeProject) -> Project:
    """Return a project."""
    return make_project()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return a private authority."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not there")
    return Authority(tmp_path_factory.mktemp("authority") / "own")
