"""The looks of `modelset doctor`: they say what is there, end in time, and leave nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from modelset.probe import doctor
from modelset.probe.doctor import Sized

ONE = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="has no such files")


def always() -> bool:
    return True


def test_a_volume_is_tried_where_the_folder_will_lie(tmp_path: Path) -> None:
    found = doctor.look_at_volume(tmp_path / "not" / "there" / "yet")

    assert found.lies_in == str(tmp_path)
    assert found.is_writable
    assert found.free_bytes > 0
    assert abs(found.skew_s) < 60
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other disks differ")
def test_this_volume_can_do_all(tmp_path: Path) -> None:
    found = doctor.look_at_volume(tmp_path)

    assert (found.symlinks, found.hard_links, found.locks) == (True, True, True)
    assert found.is_case_sensitive


@needs_posix
def test_what_a_volume_cannot_do_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(fcntl, "flock", refuse)

    found = doctor.look_at_volume(tmp_path)

    assert (found.symlinks, found.hard_links, found.locks) == (False, False, False)
    assert list(tmp_path.iterdir()) == []


@needs_posix
def test_a_lock_that_keeps_nobody_out_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *arguments: None)

    assert doctor.look_at_volume(tmp_path).locks is False


def test_a_file_in_the_place_of_a_folder_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert not doctor.can_write(tmp_path / "file")
    assert not doctor.can_write(tmp_path / "file" / "below")
    assert not doctor.look_at_volume(tmp_path / "file").is_writable
    assert doctor.can_write(tmp_path / "other" / "below")


def test_a_full_disk_while_it_is_tried_is_one_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    assert not doctor.look_at_volume(tmp_path).is_writable
    assert list(tmp_path.iterdir()) == []


def test_sizes_count_a_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.bin").write_bytes(b"x" * 1000)
    (tmp_path / "two.incomplete").write_bytes(b"x" * 10)
    os.link(tmp_path / "a" / "one.bin", tmp_path / "a" / "same.bin")

    assert doctor.measure(tmp_path, always) == Sized(2, 1010, True)
    assert doctor.measure(tmp_path, always, ".incomplete") == Sized(1, 10, True)
    assert doctor.measure(tmp_path / "none", always) == Sized(0, 0, True)


@needs_posix
def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "big").write_bytes(b"x" * 1000)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "out" / "big")
    os.mkfifo(tmp_path / "in" / "pipe")

    assert doctor.measure(tmp_path / "in", always) == Sized(0, 0, True)


def test_sizes_end_when_the_time_is_up(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}").write_bytes(b"x")
    asked = []

    def until_the_second() -> bool:
        asked.append(1)
        return len(asked) < 2

    found = doctor.measure(tmp_path, until_the_second)

    assert not found.is_whole
    assert 256 <= found.files < 600
    assert doctor.measure(tmp_path, lambda: False).is_whole is False


def test_versions_are_those_of_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("whole", "Name: whole\nVersion: 1.2+cpu\n"), ("broken", "")):
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    found = doctor.versions_of(["whole", "broken", "not-here-at-all"])

    assert found["whole"] == "1.2+cpu"
    assert "not-here-at-all" not in found
    assert found.get("broken", "") == ""
    assert doctor.asked_for_by("not-here-at-all") == ()


def test_certificates_are_counted(tmp_path: Path) -> None:
    file, folder = tmp_path / "ca.pem", tmp_path / "ca"
    file.write_bytes(ONE * 3)
    folder.mkdir()
    for name in ("0a1b2c3d.0", "0a1b2c3d.1", "readme.txt", "ca.pem"):
        (folder / name).write_bytes(ONE)

    assert doctor.certificates(str(file), is_folder=False) == 3
    assert doctor.certificates(str(folder), is_folder=True) == 2
    assert doctor.certificates(str(tmp_path / "none"), is_folder=False) is None
    assert doctor.certificates(str(tmp_path / "none"), is_folder=True) is None
    assert doctor.certificates(str(folder), is_folder=False) is None


@needs_posix
def test_a_file_that_others_can_read_is_not_private(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("x")

    file.chmod(0o600)
    assert doctor.is_private(file)
    file.chmod(0o640)
    assert not doctor.is_private(file)
    assert doctor.is_private(tmp_path / "none")


def test_this_interpreter_and_its_limits() -> None:
    own = doctor.interpreter()

    assert own.version == "{}.{}.{}".format(*sys.version_info)
    assert own.is_own == (sys.prefix != sys.base_prefix)
    limit = doctor.open_files()
    assert limit is None or limit > 0


def test_no_folder_for_temporary_files_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    assert doctor.temporary_folder() == Path(tempfile.gettempdir())
    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert doctor.temporary_folder() is None
