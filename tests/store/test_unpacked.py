"""Folders that somebody has unpacked: what is known of them, and a new name for all of it."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Unpack
from modelset.core.types import Artifact
from modelset.store.entries import MOST_ENTRIES
from modelset.store.records import record_rows
from modelset.store.unpack import unpack
from modelset.store.unpacked import (
    files_in,
    in_the_making,
    is_folder,
    known_rows,
    write_record,
)

ROW = Unpack("model", Artifact("m.zip", "https://example.org/m.zip", 9, "md5:" + "1" * 32))
LAYOUT = Layout("vosk", (ROW,), "model")
BODIES = {"am/final.mdl": b"weights" * 100, 'odd, "name"': b"x", "empty": b""}


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    return {"vosk": tmp_path / "vosk", "downloads": tmp_path / "downloads"}


def fill(folder: Path, bodies: Mapping[str, bytes] = BODIES) -> Path:
    for name, body in bodies.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def sums(bodies: Mapping[str, bytes] = BODIES) -> dict[str, tuple[str, int]]:
    return {name: (hashlib.sha256(body).hexdigest(), len(body)) for name, body in bodies.items()}


def entry_for(folder: Path, record: bytes | None = None) -> dict[str, Any]:
    """What a registry says of a folder that was unpacked."""
    rows = [
        {"path": f"{folder}/{name}", "size": size, "sha256": digest}
        for name, (digest, size) in sums().items()
    ]
    if record is not None:
        digest = hashlib.sha256(record).hexdigest()
        rows.append({"path": f"{folder}/{ROW.record}", "size": len(record), "sha256": digest})
    return {"files": rows}


def names_of(rows: tuple[Artifact, ...]) -> dict[str, tuple[str, int]]:
    return {row.name: (row.hex, row.size) for row in rows}


def test_the_list_is_the_one_that_unpacking_writes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for name, body in BODIES.items():
            archive.writestr(f"top/{name}", body)
    unpack(tmp_path / "m.zip", tmp_path / "one", strip="top", record=ROW.record)
    (tmp_path / "two").mkdir()
    write_record(tmp_path / "two", ROW.record, sums())
    one, two = (tmp_path / name / ROW.record for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_mode == two.stat().st_mode


def test_every_plain_file_is_seen_and_what_is_hidden_is_not(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model", BODIES | {".DS_Store": b"1", ".git/config": b"2"})
    assert {file.name: file.size for file in files_in(str(folder))} == {
        name: len(body) for name, body in BODIES.items()
    }


def test_a_crowd_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ENTRIES == 100_000
    monkeypatch.setattr("modelset.store.unpacked.MOST_ENTRIES", 3)
    with pytest.raises(ModelSetError) as caught:
        files_in(str(fill(tmp_path / "model")))
    assert caught.value.failure.code == "archive-unsafe"


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model")
    with open(os.fsencode(folder) + b"/\xff", "wb"):
        pass
    with pytest.raises(ModelSetError) as caught:
        files_in(str(folder))
    assert caught.value.failure.code == "archive-unsafe"
    assert caught.value.failure.message.isprintable()


def test_only_a_folder_that_no_link_leads_to_is_one(tmp_path: Path) -> None:
    folder = fill(tmp_path / "real" / "model")
    (tmp_path / "link").symlink_to(folder.parent)
    assert is_folder(str(folder))
    assert not is_folder(f"{tmp_path}/link/model")
    assert not is_folder(str(folder / "empty"))
    assert not is_folder(str(tmp_path / "gone"))


def test_the_list_in_its_place_counts_where_the_registry_is_lost(tmp_path: Path) -> None:
    folder = fill(tmp_path / "model")
    assert known_rows(folder, ROW.record, None, []) == ()
    write_record(folder, ROW.record, sums())
    assert names_of(known_rows(folder, ROW.record, None, [])) == sums()


@pytest.mark.parametrize(
    "line", ["../x,sha256=AAAA,1", "/etc/passwd,sha256=AAAA,1", "a,sha256=!,1"]
)
def test_a_list_that_makes_no_sense_vouches_for_nothing(tmp_path: Path, line: str) -> None:
    folder = fill(tmp_path / "model")
    write_record(folder, ROW.record, sums())
    with open(folder / ROW.record, "a") as stream:
        stream.write(line + "\n")
    assert len(list(record_rows(str(folder / ROW.record)))) == len(BODIES) + 1
    assert known_rows(folder, ROW.record, None, []) == ()


def test_the_registry_vouches_for_the_list_wherever_it_lies(tmp_path: Path) -> None:
    target, other = tmp_path / "vosk" / "model", fill(tmp_path / "other")
    write_record(other, ROW.record, sums())
    text = (other / ROW.record).read_bytes()
    assert known_rows(target, ROW.record, None, [str(other)]) == ()
    assert names_of(known_rows(target, ROW.record, entry_for(target, text), [str(other)])) == sums()
    # Another list than the one that was verified vouches for nothing; it is made again instead.
    (other / ROW.record).write_bytes(text.replace(b"empty", b"EMPTY"))
    rows = known_rows(target, ROW.record, entry_for(target, text), [str(other)])
    assert names_of(rows) == sums()


def test_without_its_list_the_registry_must_know_every_file(tmp_path: Path) -> None:
    target = tmp_path / "vosk" / "model"
    write_record(fill(tmp_path / "other"), ROW.record, sums())
    text = (tmp_path / "other" / ROW.record).read_bytes()
    entry = entry_for(target, text)
    assert names_of(known_rows(target, ROW.record, entry, [])) == sums()
    for odd in (
        {"files": entry["files"][1:]},  # one that its library rewrites is not in the registry
        entry_for(target),
        entry_for(tmp_path / "elsewhere", text),
        {"files": [{"path": f"{target}/a"}]},
        {"files": 7},
        {},
    ):
        assert known_rows(target, ROW.record, odd, []) == ()


def test_a_folder_gets_its_name_at_once_and_takes_the_place_of_another(
    roots: dict[str, Path],
) -> None:
    target = fill(roots["vosk"] / "model", {"old": b"1"})
    with in_the_making(ROW, LAYOUT, roots) as new:
        fill(new)
        assert {path.name for path in target.iterdir()} == {"old"}
    assert {file.name for file in files_in(str(target))} == BODIES.keys()
    assert list(roots["downloads"].iterdir()) == []

    def stopped() -> None:
        with in_the_making(ROW, LAYOUT, roots) as half:
            fill(half, {"half": b"1"})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert {file.name for file in files_in(str(target))} == BODIES.keys()
    assert list(roots["downloads"].iterdir()) == []


def test_a_planted_link_leads_nowhere(roots: dict[str, Path], tmp_path: Path) -> None:
    roots["vosk"].mkdir()
    (tmp_path / "precious").mkdir()
    (roots["vosk"] / "deep").symlink_to(tmp_path / "precious")
    row = Unpack("deep/model", ROW.artifact)
    with pytest.raises(ModelSetError), in_the_making(row, LAYOUT, roots):
        pass
    assert list((tmp_path / "precious").iterdir()) == []
