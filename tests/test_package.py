"""The wheel of this project: everything it needs and nothing else, and it runs where it lands."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from tests.conftest import ROOT, SHARED, run_process

from modelset import __version__

PACKAGE = SHARED / "modelset"
_LEFT_BY_TOOLS = shutil.ignore_patterns("__pycache__", ".*_cache")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that the build leaves nothing in the project."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not in this environment")
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    shutil.copytree(SHARED, source / "shared", ignore=_LEFT_BY_TOOLS)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    (source / "tests").mkdir()
    (source / "tests" / "stray.py").write_text("")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--quiet", "--wheel-dir", str(folder), str(source)]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PIP_CONFIG_FILE": os.devnull}
    ran = run_process(command, env=env, timeout_s=120)
    assert ran.code == 0, ran.stdout + ran.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    info = f"modelset-{__version__}.dist-info/"
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    assert {name.split("/")[0] + "/" for name in names} == {"modelset/", info}
    wanted = {
        path.relative_to(SHARED).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file()
        and not any(part == "__pycache__" or part.endswith("_cache") for part in path.parts)
    }
    assert {name for name in names if not name.startswith(info)} == wanted
    for data in ("catalog/whisper.toml", "store/registry.schema.json", "py.typed"):
        assert f"modelset/{data}" in wanted
    assert any(name.startswith("modelset/demo/models/wheels/") for name in wanted)


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 3_000_000


def test_the_wheel_gives_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        entry = archive.read(f"modelset-{__version__}.dist-info/entry_points.txt").decode()
        metadata = archive.read(f"modelset-{__version__}.dist-info/METADATA").decode()
    assert "modelset = modelset.cli.main:run" in entry
    assert "Requires-Python: >=3.11" in metadata
    assert f"Version: {__version__}" in metadata
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    core = [line for line in required if "extra ==" not in line]
    assert any("pycurl" in line for line in core)
    assert not any(name in line for line in core for name in ("torch", "pytest", "spacy"))


def test_an_installed_copy_runs_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    target, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(target),
        "PYTHONUTF8": "1",
    }
    where = run_process(
        [sys.executable, "-c", "import modelset; print(modelset.__file__)"], env=env, cwd=here
    )
    assert where.stdout.strip() == str(target / "modelset" / "__init__.py")
    command = [sys.executable, "-m", "modelset"]
    listed = run_process([*command, "list", "--json"], env=env, cwd=here)
    assert listed.code == 0, listed.stderr
    assert "whisper:base" in {row["key"] for row in listed.json["data"]["models"]}
    paths = run_process([*command, "paths", "--json"], env=env, cwd=here).json["data"]["paths"]
    assert paths["project"]["path"] == str(here)
    assert paths["models_root"]["path"] == str(here / ".cache")


def test_an_installed_copy_brings_the_demo_set(wheel: Path, tmp_path: Path) -> None:
    target, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(target),
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "modelset", "download", "whisper:base", "--demo", "--json"]
    ran = run_process(command, env=env, cwd=here)
    assert ran.code == 0, ran.stderr
    assert [row["result"] for row in ran.json["data"]["outcomes"]] == ["downloaded"]
    assert sorted(path.name for path in here.iterdir()) == ["out"]
