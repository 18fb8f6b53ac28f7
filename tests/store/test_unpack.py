"""Archives: unpacked whole with a record, or refused with nothing left, whatever they try."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import SHARED

from modelset.core.errors import ModelSetError
from modelset.core.layout import Strip
from modelset.store import entries, tars, unpack
from modelset.store.records import record_digest, record_rows

RECORD = ".files.csv"
HINT = "report it to whoever publishes the archive"
KINDS = {"zip": "", "tar": "w:", "tgz": "w:gz", "tbz": "w:bz2", "txz": "w:xz"}


def make_zip(path: Path, bodies: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in bodies:
            archive.writestr(name, body)
    return path


def make_tar(
    path: Path, bodies: Iterable[tuple[str | tarfile.TarInfo, bytes]], mode: Any = "w:"
) -> Path:
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT) as archive:
        for name, body in bodies:
            info = tarfile.TarInfo(name.rstrip("/")) if isinstance(name, str) else name
            if isinstance(name, str):
                info.size = len(body)
                info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            archive.addfile(info, io.BytesIO(body))
    return path


def make(folder: Path, kind: str, bodies: Iterable[tuple[Any, bytes]]) -> Path:
    # A name that tells nothing: the kind is told by the content.
    path = folder / "archive.bin"
    return make_zip(path, bodies) if kind == "zip" else make_tar(path, bodies, KINDS[kind])


def run(archive: Path, strip: Strip = "none", **more: Any) -> Path:
    folder = archive.parent / "unpacked"
    unpack.unpack(archive, folder, strip=strip, record=RECORD, **more)
    return folder


def refused(archive: Path, code: str, strip: Strip = "none", **more: Any) -> str:
    """What was said; nothing may be left, neither of the folder nor outside it."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ModelSetError) as caught:
        run(archive, strip, **more)
    failure = caught.value.failure
    assert failure.code == code, failure.message
    assert sorted(archive.parent.rglob("*")) == before
    if code.startswith("archive-"):
        assert failure.message.startswith(f"{archive.name}: ")
        assert failure.hint == HINT
    assert failure.message.isascii()
    assert failure.message.isprintable()
    return failure.message


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path != folder / RECORD
    }


GOOD = [("top/", b""), ("top/a.txt", b"one"), ("top/sub/b.bin", b"\0" * 3000), ("top/void/", b"")]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("strip", "expected"),
    [
        (
            "none",
            {
                "top": None,
                "top/sub": None,
                "top/void": None,
                "top/a.txt": b"one",
                "top/sub/b.bin": b"\0" * 3000,
            },
        ),
        ("top", {"sub": None, "void": None, "a.txt": b"one", "sub/b.bin": b"\0" * 3000}),
        ("all", {"a.txt": b"one", "b.bin": b"\0" * 3000}),
    ],
)
def test_every_kind_unpacks_as_it_is_asked_to(
    tmp_path: Path, kind: str, strip: Strip, expected: Mapping[str, bytes | None]
) -> None:
    moved: list[int] = []
    folder = run(make(tmp_path, kind, GOOD), strip, progress=moved.append)
    assert contents(folder) == expected
    assert sum(moved) == 3003


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_the_record_lists_every_file_and_is_read_back(tmp_path: Path, kind: str) -> None:
    strange = [*GOOD, ('top/a,"b".txt', b"x"), ("top/\u00fc \u4e2d.txt", b""), ("z.txt", b"z")]
    folder = run(make(tmp_path, kind, strange))
    rows = {row.path: row for row in record_rows(str(folder / RECORD))}
    bodies = {name: body for name, body in contents(folder).items() if body is not None}
    assert {name: row.size for name, row in rows.items()} == {
        name: len(body) for name, body in bodies.items()
    }
    for name, row in rows.items():
        assert row.digest == record_digest(str(folder / name))
    lines = (folder / RECORD).read_text(encoding="utf-8").splitlines()
    assert lines[-1] == f"{RECORD},,"
    assert lines[:-1] == sorted(lines[:-1])


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of posix")
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_modes_are_ours_whatever_the_archive_and_the_umask_say(tmp_path: Path, kind: str) -> None:
    bodies: list[tuple[Any, bytes]] = []
    for name, mode in (("d/run", 0o4711), ("d/open", 0o666), ("d/shut", 0o000)):
        if kind == "zip":
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (stat.S_IFREG | mode) << 16
        else:
            entry = tarfile.TarInfo(name)  # type: ignore[assignment]
            entry.mode, entry.size = mode, 1  # type: ignore[attr-defined]
            entry.uid, entry.mtime = 12345, 1  # type: ignore[attr-defined]
        bodies.append((entry, b"x"))
    archive = make(tmp_path, kind, bodies)
    for umask in (0o002, 0o077):
        old = os.umask(umask)
        try:
            folder = run(archive)
        finally:
            os.umask(old)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
        assert modes == {"d": 0o755, "run": 0o755, "open": 0o644, "shut": 0o644, RECORD: 0o644}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755
        assert all(path.stat().st_uid == os.getuid() for path in folder.rglob("*"))
        assert all(path.stat().st_mtime > 1e9 for path in folder.rglob("*"))
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


UNSAFE_NAMES = [
    *("/etc/evil", "//evil", "../evil", "a/../../evil", "a/../b", "..", "C:/evil", "C:evil"),
    *("a\\b", "..\\evil", "\\\\host\\evil", "a//b", "a/./b", "file:stream", "a\nb", "a\x1b[2Jb"),
    *("a\x7fb", "a\x9bb", "a\u2028b", "CON", "con.txt", "d/NUL", "nul .txt", "Com1.tar.gz"),
    *("LPT\u00b9", "conin$", "end.", "end ", "d./x", "d /x", "...", "n" * 256, "\u00fc" * 130),
    *("d/" * 65 + "x", ("n" * 200 + "/") * 6 + "x"),
]


@pytest.mark.parametrize("strip", ["none", "top", "all"])
@pytest.mark.parametrize("name", UNSAFE_NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_unsafe_name_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str, name: str, strip: Strip
) -> None:
    archive = make(tmp_path, kind, [("top/fine.txt", b"x"), (name, b"evil")])
    written: list[int] = []
    said = refused(archive, "archive-unsafe", strip, progress=written.append)
    assert "name" in said
    assert written == []
    assert not Path("/etc/evil").exists()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_unsafe_folder_is_refused_as_a_file_is(tmp_path: Path, kind: str) -> None:
    for name in ("../", "a/../", "/a/", "NUL/", "a//"):
        if kind == "zip" or name != "a//":  # tarfile takes every slash at the end away
            refused(make(tmp_path, kind, [("fine", b""), (name, b"")]), "archive-unsafe")


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("b\udcff.txt")
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    assert "'b\\udcff.txt'" in refused(path, "archive-unsafe")


def test_a_name_that_a_zip_hides_behind_a_zero_is_refused(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", [("fine.txtX/../../evil", b"x")])
    whole = archive.read_bytes()
    for hidden in (whole.replace(b"txtX/", b"txt\0/"), whole.replace(b"fine", b"\0ine")):
        archive.write_bytes(hidden)
        assert "unsafe name" in refused(archive, "archive-unsafe")


def test_the_dot_that_tar_puts_in_front_is_left_out(tmp_path: Path) -> None:
    bodies = [("./", b""), ("./top/", b""), ("./top/a.txt", b"a")]
    assert contents(run(make(tmp_path, "tgz", bodies), "top")) == {"a.txt": b"a"}
    assert "unsafe" in refused(
        make(tmp_path / "unpacked", "tar", [("././a", b"")]), "archive-unsafe"
    )


COLLISIONS = [
    ("a/Model.bin", "a/model.BIN"),
    ("Voice/a.bin", "voice/b.bin"),
    ("\u00e9.txt", "e\u0301.txt"),
    ("\u00c9/x", "e\u0301/y"),
    ("\u1e9e", "ss"),
    ("\u212a.txt", "k.txt"),  # the sign for kelvin
    ("mo\u200ddel", "model"),
    ("\ufb03x", "ffix"),
    ("a", "a/b"),
    ("a/b", "a"),
    ("A", "a/b"),
    ("same", "same"),
    ("d/", "d"),
    (RECORD, "other"),
    (RECORD.upper(), "other"),
    (f"{RECORD}/x", "other"),
]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", COLLISIONS)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_some_system_takes_for_one_are_refused(
    tmp_path: Path, kind: str, names: tuple[str, str]
) -> None:
    refused(make(tmp_path, kind, [(name, b"") for name in (*names, "fine")]), "archive-unsafe")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_two_files_that_flatten_to_one_name_are_refused(tmp_path: Path, kind: str) -> None:
    for one, two in (("a/x.txt", "b/x.txt"), ("a/x.txt", "b/X.TXT"), ("a/b/\u00e9", "e\u0301")):
        archive = make(tmp_path, kind, [(one, b"1"), (two, b"2")])
        refused(archive, "archive-unsafe", "all")
    assert contents(run(archive)) == {"a": None, "a/b": None, "a/b/\u00e9": b"1", "e\u0301": b"2"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_folder_may_be_named_twice(tmp_path: Path) -> None:
    folder = run(make(tmp_path, "zip", [("d/", b""), ("d/", b""), ("d/x", b"x")]))
    assert contents(folder) == {"d": None, "d/x": b"x"}


@pytest.mark.parametrize("names", [("a/x", "b/x"), ("x",), ("a/x", "b"), ("a/x", "b/")])
def test_a_missing_top_folder_is_said(tmp_path: Path, names: tuple[str, ...]) -> None:
    archive = make(tmp_path, "zip", [(name, b"") for name in names])
    assert "not in one top folder" in refused(archive, "archive-invalid", "top")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bodies", [[], [("only/", b""), ("only/folders/", b"")]])
def test_an_archive_without_a_file_is_refused(
    tmp_path: Path, kind: str, bodies: list[tuple[str, bytes]]
) -> None:
    assert "holds no file" in refused(make(tmp_path, kind, bodies), "archive-invalid")


@pytest.mark.parametrize(
    "type_", [b"1", b"2", b"3", b"4", b"6", b"V", b"M", b"N", b"D", b"Z"], ids=repr
)
@pytest.mark.parametrize("kind", ["tar", "tgz"])
def test_a_tar_with_anything_but_files_and_folders_is_refused(
    tmp_path: Path, kind: str, type_: bytes
) -> None:
    info = tarfile.TarInfo("thing")
    info.type, info.linkname = type_, "../../etc/passwd"
    archive = make(tmp_path, kind, [("fine", b"x"), (info, b"")])
    assert "'thing'" in refused(archive, "archive-unsafe")


@pytest.mark.parametrize(
    "kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK], ids=oct
)
@pytest.mark.parametrize("system", [0, 3, 19])
def test_a_zip_with_anything_but_files_and_folders_is_refused(
    tmp_path: Path, kind: int, system: int
) -> None:
    info = zipfile.ZipInfo("thing")
    info.external_attr, info.create_system = (kind | 0o777) << 16, system
    archive = make_zip(tmp_path / "a.zip", [("fine", b"x"), (info, b"../../etc/passwd")])
    assert "'thing' is a link or a device" in refused(archive, "archive-unsafe")


def test_a_zip_entry_that_is_both_a_file_and_a_folder_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("thing")
    info.external_attr = (stat.S_IFDIR | 0o755) << 16
    refused(make_zip(tmp_path / "a.zip", [(info, b"x")]), "archive-unsafe")
    said = refused(
        make_zip(tmp_path / "a.zip", [("fine", b""), ("d/", b"bytes")]), "archive-unsafe"
    )
    assert "a folder with bytes" in said


@pytest.mark.parametrize("flag", [0x1, 0x40 | 0x1, 0x2000])
def test_an_encrypted_entry_is_refused(tmp_path: Path, flag: int) -> None:
    archive = make_zip(tmp_path / "a.zip", [("fine", b"x"), ("secret", b"y")])
    change_listed(archive, "secret", flags=flag)
    assert "'secret' is encrypted" in refused(archive, "archive-unsafe")


# Offsets in an entry of the list of a zip, and how the value is packed.
LISTED = {
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "crc": (16, "<L"),
    "packed": (20, "<L"),
    "size": (24, "<L"),
    "offset": (42, "<L"),
}


def change_listed(archive: Path, name: str, **values: int) -> None:
    """Change what the list of a zip says of an entry."""
    data = bytearray(archive.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        length = struct.unpack_from("<H", data, at + 28)[0]
        if data[at + 46 : at + 46 + length] == name.encode():
            for field, value in values.items():
                struct.pack_into(LISTED[field][1], data, at + LISTED[field][0], value)
            archive.write_bytes(data)
            return
    raise AssertionError(name)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("real", [101, 3_000_000])
def test_an_entry_longer_than_it_declares_is_stopped_at_once(
    tmp_path: Path, method: int, real: int
) -> None:
    """The sum is that of the declared part, so that nothing but counting finds it out."""
    body = os.urandom(real)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("fine", b"x")
        archive.writestr("longer", body)
    change_listed(path, "longer", size=100, crc=zlib.crc32(body[:100]))
    with zipfile.ZipFile(path) as archive:
        assert archive.read("longer") == body[:100]  # as zipfile would have it
    written: list[int] = []
    said = refused(path, "archive-unsafe", progress=written.append)
    assert "'longer' is longer than it declares" in said
    assert sum(written) == 1


def test_an_entry_shorter_than_it_declares_is_refused(tmp_path: Path) -> None:
    body = b"short"
    path = make_zip(tmp_path / "a.zip", [("shorter", body)])
    change_listed(path, "shorter", size=500)
    assert "'shorter' ends too early" in refused(path, "archive-invalid")


@pytest.mark.parametrize("where", ["name", "sum", "bytes", "end", "list", "place", "method"])
def test_a_damaged_zip_is_refused(tmp_path: Path, where: str) -> None:
    body = os.urandom(5000)
    path = make_zip(tmp_path / "a.zip", [("first", b"x"), ("second", body)])
    data = path.read_bytes()
    if where == "name":  # the local header lies
        at = data.index(b"second")
        path.write_bytes(data[:at] + b"seconD" + data[at + 6 :])
    elif where == "sum":
        change_listed(path, "second", crc=1)
    elif where == "bytes":
        path.write_bytes(data[:2000] + b"\0" * 100 + data[2100:])
    elif where == "end":
        path.write_bytes(data[:-30])
    elif where == "list":
        path.write_bytes(data.replace(b"PK\x01\x02", b"PK\x07\x02"))
    elif where == "place":
        change_listed(path, "second", offset=data.index(b"second") - 29)
    else:
        change_listed(path, "second", method=14)
    refused(path, "archive-invalid")


@pytest.mark.parametrize("body", [b"", b"x", b"<html>not an archive</html>" * 100, b"PK\x03\x04"])
@pytest.mark.parametrize("head", [b"", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00"])
def test_what_is_no_archive_is_refused(tmp_path: Path, head: bytes, body: bytes) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(head + body)
    refused(path, "archive-invalid")


def test_an_archive_that_is_not_there_is_no_fault_of_its_publisher(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError) as caught:
        run(tmp_path / "none.zip")
    assert caught.value.failure.code == "store-read-error"


@pytest.mark.parametrize("kind", ["tar", "tgz", "tbz", "txz"])
def test_a_tar_cut_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path, kind, [("one", os.urandom(1000)), ("two", b""), ("three", b"3" * 600)])
    whole = path.read_bytes()
    if kind == "tar":  # at every block up to the end of the last file, and within blocks
        cuts = [*range(0, 5120, 512), *range(100, 5120, 700)]
        # The blocks of zeros after the last file begin where all that is left is zeros.
        cuts = [cut for cut in cuts if cut <= len(whole.rstrip(b"\0")) + 100]
    else:
        cuts = [*range(0, len(whole), 97), len(whole) - 1]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        refused(path, "archive-invalid")


def test_a_tar_with_a_damaged_header_in_its_middle_is_not_taken_for_a_shorter_one(
    tmp_path: Path,
) -> None:
    path = make_tar(tmp_path / "a.tar", [("one", b"1"), ("two", b"2")])
    data = bytearray(path.read_bytes())
    data[1024 + 148] ^= 1  # the sum of the second header
    path.write_bytes(data)
    with tarfile.open(path) as archive:
        assert archive.getnames() == ["one"]  # as tarfile would have it
    assert "it has no end" in refused(path, "archive-invalid")


def test_a_gzip_with_garbage_behind_it_is_refused_and_with_zeros_it_is_not(tmp_path: Path) -> None:
    path = make(tmp_path, "tgz", GOOD)
    whole = path.read_bytes()
    path.write_bytes(whole + b"garbage")
    refused(path, "archive-invalid")
    damaged = bytearray(whole)
    damaged[-8] ^= 1  # the checksum of what is unpacked
    path.write_bytes(damaged)
    refused(path, "archive-invalid")
    path.write_bytes(whole + b"\0" * 512)
    assert contents(run(path, "all")) == {"a.txt": b"one", "b.bin": b"\0" * 3000}


def test_a_gzip_in_several_pieces_is_one(tmp_path: Path) -> None:
    plain = make(tmp_path, "tar", GOOD).read_bytes()
    path = tmp_path / "pieces.tgz"
    path.write_bytes(gzip.compress(plain[:700]) + gzip.compress(plain[700:]))
    assert contents(run(path, "all")) == {"a.txt": b"one", "b.bin": b"\0" * 3000}


# ---- bombs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tgz", "tbz", "txz"])
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, [("zeros", b"\0" * 20_000_000)])
    written: list[int] = []
    said = refused(archive, "archive-unsafe", progress=written.append)
    assert "'zeros': unpacks to far more than its size" in said
    assert written == []


def test_a_bomb_in_a_bomb_is_unpacked_no_deeper_than_one(tmp_path: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", [("zeros", b"\0" * 20_000_000)]).read_bytes()
    folder = run(make_zip(tmp_path / "a.zip", [("inner.zip", inner)]))
    assert contents(folder) == {"inner.zip": inner}


def test_a_tar_that_declares_far_more_than_it_has_is_refused_at_its_header(tmp_path: Path) -> None:
    info = tarfile.TarInfo("huge")
    info.size = 1 << 40
    path = tmp_path / "a.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)
    assert "'huge': unpacks to far more" in refused(path, "archive-unsafe")
    info.size = -1024
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)
    refused(path, "archive-invalid")


def test_zeros_behind_the_end_of_a_tar_do_not_go_on_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tars, "_AROUND", 5_000_000)
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(make(tmp_path, "tar", GOOD).read_bytes() + b"\0" * 50_000_000))
    seen: list[None] = []
    assert "far more" in refused(path, "archive-unsafe", pause=lambda: seen.append(None))
    assert len(seen) < 30


def test_too_many_entries_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entries.MOST_ENTRIES == unpack.MOST_ENTRIES == 100_000
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 50)
    for kind in ("zip", "tgz"):
        archive = make(tmp_path, kind, [(f"n{number}", b"") for number in range(51)])
        assert "more than 50 entries" in refused(archive, "archive-unsafe")
    archive = make(tmp_path, "tgz", [(f"n{number}", b"") for number in range(50)])
    assert len(contents(run(archive))) == 50


def test_a_list_of_more_entries_than_allowed_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """100,001 entries that the zip only lists: zipfile would make an object of each."""
    listed = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHLL", 1, 0, 0, 0, 0, 0, 0) + b"x"
    listed = listed * 100_001
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 7, 7, len(listed), 4, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(b"PK\x03\x04" + listed + end)
    assert "more than 100000 entries" in refused(path, "archive-unsafe")
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 7, 7, 70 << 20, 4, 0)
    with open(path, "wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.seek(4 + (70 << 20))
        stream.write(end)
    assert "a list of entries of" in refused(path, "archive-unsafe")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Every entry quotes the headers of all that follow, so that one kernel serves them all."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = kernel.compress(b"\0" * 400_000) + kernel.flush()
    names = [f"f{number}".encode() for number in range(20)]
    size, body, rows = 400_000, packed, []
    sum_ = zlib.crc32(b"\0" * 400_000)
    plain = b"\0" * 400_000
    for name in reversed(names):
        header = struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 33, sum_, len(body), size, len(name), 0
        )
        rows.append((name, sum_, len(body), size, len(header + name) + len(body)))
        quoted = header + name
        length = struct.pack("<BHH", 0, len(quoted), len(quoted) ^ 0xFFFF)
        body, plain = length + quoted + body, quoted + plain
        size, sum_ = len(plain), zlib.crc32(plain)
    local = body[5:]  # the outermost quotation is the first entry itself
    listed = b""
    for name, crc, packed_size, full, from_end in reversed(rows):
        listed += struct.pack(
            "<4s6H3L5H2L",
            *(b"PK\x01\x02", 20, 20, 0, 8, 0, 33, crc, packed_size, full),
            *(len(name), 0, 0, 0, 0, 0, len(local) - from_end),
        )
        listed += name
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 20, 20, len(listed), len(local), 0)
    path = tmp_path / "a.zip"
    path.write_bytes(local + listed + end)
    with zipfile.ZipFile(path) as archive:
        assert sum(info.file_size for info in archive.infolist()) > 8_000_000
        assert set(archive.read("f19")) == {0}
    assert "overlaps another entry" in refused(path, "archive-unsafe")


def test_an_entry_that_reaches_into_the_list_is_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", [("thing", b"x")])
    change_listed(path, "thing", packed=60)
    assert "overlaps another entry" in refused(path, "archive-unsafe")


# ---- tricks of headers -----------------------------------------------------------------------


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("holes")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % (1 << 20)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    path.write_bytes(bytes(header) + b"x" * 512 + b"\0" * 1024)
    assert "sparse" in refused(path, "archive-unsafe")
    for extra in (
        {"GNU.sparse.size": "900000"},
        {"GNU.sparse.realsize": "3"},
        {"GNU.sparse.name": "../evil"},
        {"GNU.sparse.map": "0,1,900000,1", "GNU.sparse.size": "900001"},
    ):
        info = tarfile.TarInfo("holes")
        info.size, info.pax_headers = 1, extra
        refused(make_tar(path, [(info, b"x")]), "archive-unsafe")


def pax(path: Path, headers: Mapping[str, str], body: bytes, *, everywhere: bool = False) -> Path:
    info = tarfile.TarInfo("model.bin")
    info.size = len(body)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        if everywhere:
            archive.fileobj.write(  # type: ignore[union-attr]
                tarfile.TarInfo.create_pax_global_header(dict(headers))
            )
            archive.offset = archive.fileobj.tell()  # type: ignore[union-attr]
        else:
            info.pax_headers = headers
        archive.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize("everywhere", [True, False])
def test_a_name_from_an_extended_header_is_held_to_the_same_rules(
    tmp_path: Path, everywhere: bool
) -> None:
    for name in ("../evil", "/evil", "a\0b", "a\nb", "NUL"):
        path = pax(tmp_path / "a.tar", {"path": name}, b"x", everywhere=everywhere)
        refused(path, "archive-unsafe")
    path = pax(tmp_path / "a.tar", {"path": "\u00fc/fine"}, b"x", everywhere=everywhere)
    assert contents(run(path, "all")) == {"fine": b"x"}


@pytest.mark.parametrize("size", ["5000", "1", "-5", "9" * 5000, "x"])
def test_a_size_from_an_extended_header_does_not_lead_astray(tmp_path: Path, size: str) -> None:
    body = os.urandom(3000)
    path = pax(tmp_path / "a.tar", {"size": size}, body, everywhere=True)
    refused(path, "archive-invalid")
    if size != "5000":  # of one file alone, that is simply its size
        refused(pax(path, {"size": size}, body), "archive-invalid")


def test_headers_too_large_for_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    make_tar(path, [], "w:gz")
    for headers in ({"comment": "x" * 3_000_000}, {"path": "x" * 3_000_000}):
        plain = pax(tmp_path / "a.tar", headers, b"x").read_bytes()
        path.write_bytes(gzip.compress(plain))
        assert "headers too large" in refused(path, "archive-unsafe")
    info = tarfile.TarInfo("x" * 3_000_000)
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(info)
    assert "headers too large" in refused(path, "archive-unsafe")


def test_a_long_chain_of_headers_is_refused(tmp_path: Path) -> None:
    one = tarfile.TarInfo.create_pax_global_header({"comment": "x"})
    path = tmp_path / "a.tar"
    path.write_bytes(one * 900 + make(tmp_path, "tar", GOOD).read_bytes())
    refused(path, "archive-invalid")


# ---- the disk, stops, kills ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_a_disk_too_small_is_seen_before_the_first_byte(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "free_bytes", lambda path: 3002)
    written: list[int] = []
    said = refused(make(tmp_path, kind, GOOD), "disk-full", progress=written.append)
    assert "3.0 kB" in said
    assert written == []
    monkeypatch.setattr(unpack, "free_bytes", lambda path: 3003)
    run(make(tmp_path, kind, GOOD))


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest file that this process may write stands for a full disk."""
    resource = pytest.importorskip("resource")
    archive = make(tmp_path, "zip", [("a", b"x"), ("b", os.urandom(300_000))])
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, old[1]))
    try:
        said = refused(archive, "disk-full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    assert os.strerror(errno.EFBIG) in said


def test_a_folder_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    archive = make(tmp_path, "zip", GOOD)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    refused(archive, "store-not-writable")
    assert contents(folder) == {"mine.txt": b"mine"}
    (folder / "mine.txt").unlink()
    assert "top" in contents(run(archive))


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "unpacked").symlink_to("elsewhere")
    refused(make(tmp_path, "zip", GOOD), "store-not-writable")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_empty_folder_that_was_there_goes_too_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "unpacked").mkdir()
    with pytest.raises(ModelSetError):
        run(make(tmp_path, "zip", [("../evil", b"")]))
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "error", [ModelSetError("deadline", "late"), KeyboardInterrupt(), TimeoutError("t"), EOFError()]
)
def test_a_stop_half_way_cleans_up_and_is_passed_on(
    tmp_path: Path, kind: str, error: BaseException
) -> None:
    archive = make(tmp_path, kind, [("a", os.urandom(3_000_000)), ("b", b"x")])
    written: list[int] = []

    def pause() -> None:
        if sum(written) > 1_500_000:
            raise error

    with pytest.raises(type(error)) as caught:
        run(archive, pause=pause, progress=written.append)
    assert caught.value is error
    assert 1_500_000 < sum(written) < 3_000_000
    assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_may_come_at_every_pause(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, [("d/a", os.urandom(1_300_000)), ("d/b", b"x")])
    total = 0

    def count() -> None:
        nonlocal total
        total += 1

    run(archive, pause=count)
    for path in sorted((tmp_path / "unpacked").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert total > 5
    for stop in range(total):
        left = iter(range(stop))

        def pause(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise OSError(errno.EIO, "a stop that looks like something else")

        with pytest.raises(OSError, match="looks like something else"):
            run(archive, pause=pause)
        assert sorted(path.name for path in tmp_path.iterdir()) == [archive.name]


def test_pauses_are_never_more_than_a_mebibyte_apart(tmp_path: Path) -> None:
    archive = make(tmp_path, "tgz", [("a", os.urandom(5_000_000)), ("b", os.urandom(2_000_000))])
    since = [0]

    def progress(count: int) -> None:
        since[-1] += count

    run(archive, pause=lambda: since.append(0), progress=progress)
    assert max(since) <= 1024 * 1024
    assert sum(since) == 7_000_000


CHILD = """
import os, sys
from pathlib import Path
from modelset.store.unpack import unpack
archive, temporary, final = map(Path, sys.argv[1:])
written = 0
def progress(count):
    global written
    written += count
    if written > 1_500_000:
        print("half-way", flush=True)
        sys.stdin.read()
unpack(archive, temporary, strip="none", record=".files.csv", progress=progress)
os.rename(temporary, final)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_nothing_gets_its_final_name_when_the_process_is_killed(tmp_path: Path, kind: str) -> None:
    archive = make(tmp_path, kind, [("a", os.urandom(3_000_000)), ("b", b"x")])
    temporary, final = tmp_path / "temporary", tmp_path / "final"
    command = [sys.executable, "-c", CHILD, str(archive), str(temporary), str(final)]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(SHARED)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half-way\n"
        child.send_signal(signal.SIGKILL)
    assert not final.exists()
    assert (temporary / "a").exists()
    assert not (temporary / RECORD).exists()


def test_everything_is_durable_before_the_record_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_sync, real_open = os.fsync, open

    def sync(descriptor: int) -> None:
        events.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_sync(descriptor)

    def opened(path: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if mode == "xb":
            events.append("make " + os.path.basename(path))
        return real_open(path, mode, *rest, **more)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no list of open files")
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(unpack, "open", opened, raising=False)
    run(make(tmp_path, "zip", GOOD))
    at = events.index(f"make {RECORD}")
    before = {"sync a.txt", "sync b.bin", "sync sub", "sync void", "sync top", "sync unpacked"}
    assert before <= set(events[:at])
    assert events[at:] == [f"make {RECORD}", f"sync {RECORD}", "sync unpacked"]


def test_an_archive_that_is_exchanged_while_it_is_read_is_refused(tmp_path: Path) -> None:
    archive = make(tmp_path, "zip", GOOD)
    other = make_zip(tmp_path / "other.zip", [*GOOD, ("top/more", b"x")])
    fewer = make_zip(tmp_path / "fewer.zip", GOOD[:2])
    for instead in (other, fewer):
        whole = archive.read_bytes()
        calls = iter([*[None] * len(GOOD), instead])

        def pause(calls: Iterator[Path | None] = calls) -> None:
            if found := next(calls, None):
                archive.write_bytes(found.read_bytes())

        assert "changed while" in refused(archive, "archive-invalid", pause=pause)
        archive.write_bytes(whole)


# ---- any tree --------------------------------------------------------------------------------


def is_safe(part: str) -> bool:
    names = entries.Names(Path("a"))
    try:
        names.add_file("/".join(entries.parts_of(Path("a"), part, is_folder=False)))
    except ModelSetError:
        return False
    return bool(part.strip())


PARTS = st.one_of(
    st.from_regex(r"[a-z0-9_][A-Za-z0-9_. -]{0,20}[a-z0-9_]", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=12),
).filter(is_safe)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(
    PATHS, st.one_of(st.none(), st.binary(max_size=3000)), min_size=1, max_size=8
)


def key(name: str) -> str:
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
    return "".join(one for one in folded if unicodedata.category(one) != "Cf")


def without_collisions(tree: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The tree but for what would collide, with every folder named."""
    known: dict[str, tuple[str, bool]] = {key(RECORD): (RECORD, False)}
    kept: dict[str, bytes | None] = {}
    for name, body in tree.items():
        parts = name.split("/")
        steps = [("/".join(parts[: n + 1]), n + 1 < len(parts)) for n in range(len(parts))]
        wanted = {key(step): (step, folder or body is None) for step, folder in steps}
        if all(known.get(one, value) == value for one, value in wanted.items()) and not (
            body is not None and key(name) in known
        ):
            known |= wanted
            kept |= {step: None for step, folder in steps if folder}
            kept[name] = body
    return kept


@settings(max_examples=60, deadline=None)
@given(tree=TREES, kind=st.sampled_from(list(KINDS)))
def test_any_tree_of_safe_names_comes_back_byte_for_byte(
    tree: dict[str, bytes | None], kind: str
) -> None:
    kept = without_collisions(tree)
    if not any(body is not None for body in kept.values()):
        kept["a file of its own"] = b""
    bodies = [
        (name if body is not None else name + "/", body or b"") for name, body in kept.items()
    ]
    with tempfile.TemporaryDirectory() as place:
        folder = run(make(Path(place), kind, bodies))
        assert contents(folder) == kept
        recorded = {row.path: row.digest for row in record_rows(str(folder / RECORD))}
        assert recorded.keys() == {name for name, body in kept.items() if body is not None}
        assert all(record_digest(str(folder / name)) == one for name, one in recorded.items())


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["zip", "tar", "tgz"]))
def test_no_damage_ends_in_anything_but_a_refusal_or_the_same_files(
    data: st.DataObject, kind: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = make(Path(place), kind, GOOD)
        whole = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(whole) - 1))
            whole[at] = data.draw(st.integers(0, 255))
        path.write_bytes(whole)
        folder = Path(place) / "unpacked"
        try:
            run(path)
        except ModelSetError as error:
            assert error.failure.code in ("archive-unsafe", "archive-invalid")  # noqa: PT017
            assert not folder.exists()
            return
        for row in record_rows(str(folder / RECORD)):
            body = (folder / row.path).read_bytes()
            assert len(body) == row.size
            assert record_digest(str(folder / row.path)) == row.digest
        assert not any(file.is_symlink() for file in folder.rglob("*"))
        assert sorted(os.listdir(place)) == [path.name, folder.name]


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Two large entries unpack in a process that may not hold one of them."""
    if not Path("/proc/self/status").exists():
        pytest.skip("no figures of this process")
    body = os.urandom(1 << 20) * 64
    for kind in ("zip", "tgz"):
        place = tmp_path / kind
        place.mkdir()
        path = make(place, kind, [("a", os.urandom(1 << 20)), ("b", body)])
        program = CHILD.replace("written > 1_500_000", "False")
        program += "\nprint(*(line for line in open('/proc/self/status') if 'VmHWM' in line))"
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, (path, place / "t", place / "final"))],
            env={**os.environ, "PYTHONPATH": str(SHARED)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert hashlib.sha256((place / "final" / "b").read_bytes()).digest() == (
            hashlib.sha256(body).digest()
        )
        assert int(done.stdout.split()[1]) < 60_000  # in kB
