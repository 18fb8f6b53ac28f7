"""A draft takes a file's place whole, as private as that was, or leaves nothing behind."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.store.draft import draft


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "modelset.toml"
    path.write_text("old")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_can_be_looked_at_before_it_takes_the_place(file: Path) -> None:
    with draft(file, "old", "new") as own:
        assert own.path.parent == file.parent
        assert (own.path.read_text(), file.read_text()) == ("new", "old")
        own.commit()

    assert file.read_text() == "new"
    assert names(file.parent) == ["modelset.toml"]


def test_without_a_commit_nothing_has_happened(file: Path) -> None:
    with pytest.raises(ZeroDivisionError), draft(file, "old", "new"):
        raise ZeroDivisionError

    assert file.read_text() == "old"
    assert names(file.parent) == ["modelset.toml"]


def test_what_somebody_else_wrote_meanwhile_is_not_lost(file: Path) -> None:
    with draft(file, "old", "new") as own:
        file.write_text("theirs")
        with pytest.raises(ModelSetError, match="meanwhile"):
            own.commit()

    assert file.read_text() == "theirs"
    assert names(file.parent) == ["modelset.toml"]


def test_a_file_that_appeared_meanwhile_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "below" / "modelset.toml"
    with draft(path, None, "new") as own:
        path.write_text("theirs")
        with pytest.raises(ModelSetError):
            own.commit()

    assert path.read_text() == "theirs"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such rights")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_it_is_as_private_as_the_old_one(file: Path, mode: int) -> None:
    file.chmod(mode)

    with draft(file, "old", "new") as own:
        assert stat.S_IMODE(own.path.stat().st_mode) == mode
        own.commit()

    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "modelset.toml"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(file, link.parent))

    with draft(link, "old", "new") as own:
        own.commit()

    assert link.is_symlink()
    assert file.read_text() == "new"


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ModelSetError) as caught, draft(tmp_path / "file" / "x.toml", None, "new"):
        pass

    assert caught.value.failure.code == "store-not-writable"
