"""Scratch folders: empty at first, gone at the end, and swept after a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import SHARED

from modelset.core.errors import ModelSetError
from modelset.store.scratch import scratch


def test_a_scratch_folder_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    with scratch(tmp_path / "downloads") as first, scratch(tmp_path / "downloads") as second:
        assert first != second
        assert list(first.iterdir()) == []
        (first / "deep" / "er").mkdir(parents=True)
        (first / "deep" / "file").write_text("x")
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_failure_inside_removes_it_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch(tmp_path) as own:
        raise ZeroDivisionError
    assert not own.exists()


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from modelset.store.scratch import scratch\n"
        "with scratch(Path(sys.argv[1])) as own: (own / 'x').mkdir(); os._exit(9)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, env={"PYTHONPATH": str(SHARED)}, timeout=30, check=False)
    assert done.returncode == 9
    (left,) = tmp_path.iterdir()
    with scratch(tmp_path) as first:
        assert not left.exists()
        with scratch(tmp_path):
            assert first.exists()


def test_a_folder_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelSetError) as raised, scratch(tmp_path / "file" / "downloads"):
        pass
    assert raised.value.failure.code == "store-not-writable"
