"""A new family is one source file and one table: the docs' example, run as a program."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.pages import ADDING_A_SOURCE
from tests.faults.answers import File, Status
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = b"tiny weights" * 1000
TABLE = """\
category = "research"
title = "Research Models"
components = ["research"]
usual = ["research:tiny"]

[[model]]
key = "research:tiny"
source = "zenodo"
ref = { record = 1234567, root = "llm", folder = "tiny-example", files = "*.gguf" }
"""


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, origin: Origin) -> Path:
    """A copy of the source root with two files more, and a mirror that answers for Zenodo."""
    shutil.copytree(
        ROOT / "shared" / "modelset",
        tmp_path / "shared" / "modelset",
        ignore=shutil.ignore_patterns("__pycache__", "models"),
    )
    package = tmp_path / "shared" / "modelset"
    (example,) = [row.text for row in ADDING_A_SOURCE.blocks if "SOURCE: Source" in row.text][:1]
    (package / "sources" / "zenodo.py").write_text(example)
    (package / "catalog" / "research.toml").write_text(TABLE)
    rows = [
        {
            "key": "tiny.gguf",
            "size": len(WEIGHTS),
            "checksum": f"md5:{hashlib.md5(WEIGHTS).hexdigest()}",
        }
    ]
    record = "/api/records/1234567"
    json_ = {"Content-Type": "application/json"}
    origin.serve(record, Status(200, json_, json.dumps({"files": rows})))
    origin.serve(f"{record}/files/tiny.gguf/content", File(WEIGHTS))
    (tmp_path / "modelset.toml").write_text(
        f'[mirrors]\n"https://zenodo.org/" = [{{ url = "{origin.url}/", only = true }}]\n'
    )
    return tmp_path


def run(project: Path, *arguments: str) -> dict[str, object]:
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(project),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MODELSET_CONFIG": str(project / "modelset.toml"),
        "MODELSET_LOCK": str(project / "models.lock.json"),
        "MODELSET_OUT": str(project / "out"),
        "MODELSET_MODELS_ROOT": str(project / "models"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "modelset", *arguments, "--json"],
        cwd=project / "shared",
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, object] = json.loads(done.stdout)["data"]
    return document


def test_a_source_file_and_a_table_are_all_that_a_new_family_needs(project: Path) -> None:
    (ended,) = run(project, "download", "--components", "research")["outcomes"]  # type: ignore[misc]
    assert (ended["key"], ended["result"]) == ("research:tiny", "downloaded")
    placed = project / "models" / "llm" / "tiny-example" / "tiny.gguf"
    assert placed.read_bytes() == WEIGHTS

    (seen,) = run(project, "check", "research:tiny", "--deep")["models"]  # type: ignore[misc]
    assert (seen["presence"], seen["bytes_have"]) == ("present", len(WEIGHTS))

    listed = run(project, "list", "--category", "research")["models"]
    assert [row["state"] for row in listed] == ["present"]  # type: ignore[attr-defined]


def test_nothing_else_of_the_program_was_changed(project: Path) -> None:
    theirs, ours = project / "shared" / "modelset", ROOT / "shared" / "modelset"
    new = {path.relative_to(theirs).as_posix() for path in theirs.rglob("*") if path.is_file()}
    known = {path.relative_to(ours).as_posix() for path in ours.rglob("*")}
    assert new - known == {"sources/zenodo.py", "catalog/research.toml"}
