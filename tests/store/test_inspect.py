"""The disk against a layout: presence at a glance, digests on demand, no file opened needlessly."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest
from tests.conftest import Project, run_process
from tests.fakes.wheels import make_wheel, placement_of
from tests.store.test_archives import make_zip, unpack_of
from tests.store.test_place import (
    BODY,
    CONFIG,
    GUARDED,
    LAYOUT,
    OTHER,
    WEIGHTS,
    artifact,
    downloaded,
)

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout, PutFile, PutText, Unpack
from modelset.store.inspect import (
    Installed,
    digest_of,
    inspect,
    normal,
    record_rows,
    trace,
)
from modelset.store.place import place
from modelset.store.roots import Roots
from modelset.store.wheels import install_wheel


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return {
        "huggingface": tmp_path / "hub",
        "nltk": tmp_path / "nltk_data",
        "site-packages": tmp_path / "site",
    }


@pytest.fixture
def placed(tmp_path: Path, roots: Roots) -> Path:
    """A whole model, and the folder it lies in."""
    place(LAYOUT, roots, downloaded(tmp_path))
    return roots["huggingface"] / "repo"


def test_an_empty_disk_has_nothing(roots: Roots) -> None:
    found = inspect(LAYOUT, roots)
    assert found.presence() == "missing"
    assert found.bytes_have == 0
    assert found.lacking == {WEIGHTS.digest, CONFIG.digest}
    assert len(found.missing) == len(LAYOUT.placements)


def test_a_whole_model_is_present_and_each_inode_counts_once(placed: Path, roots: Roots) -> None:
    found = inspect(LAYOUT, roots)
    assert found.presence() == "present"
    assert found.bytes_have == len(BODY) + len(OTHER)
    assert len(found.inodes) == 2
    assert not found.lacking
    assert not found.missing
    assert not found.corrupt


def test_a_missing_file_makes_it_partial_and_only_that_file_is_lacking(
    placed: Path, roots: Roots
) -> None:
    (placed / "blobs" / WEIGHTS.hex).unlink()
    found = inspect(LAYOUT, roots)
    assert found.presence() == "partial"
    assert found.lacking == {WEIGHTS.digest}
    assert any("model.bin" in name for name in found.missing)


def test_a_missing_link_costs_no_download(placed: Path, roots: Roots) -> None:
    (placed / "snapshots/c/config.json").unlink()
    found = inspect(LAYOUT, roots)
    assert found.presence() == "partial"
    assert found.lacking == set()


def test_a_missing_marker_costs_no_download_either(placed: Path, roots: Roots) -> None:
    (placed / "refs/main").unlink()
    found = inspect(LAYOUT, roots)
    assert found.presence() == "partial"
    assert found.lacking == set()


def test_a_wrong_size_is_seen_at_a_glance(placed: Path, roots: Roots) -> None:
    (placed / "blobs" / WEIGHTS.hex).write_bytes(BODY + b"!")
    found = inspect(LAYOUT, roots)
    assert found.presence() == "corrupt"
    assert found.lacking == {WEIGHTS.digest}
    assert f"{len(BODY) + 1} bytes, expected {len(BODY)}" in found.corrupt[0]


def test_wrong_bytes_of_the_right_size_are_seen_by_a_deep_look_only(
    placed: Path, roots: Roots
) -> None:
    (placed / "blobs" / WEIGHTS.hex).write_bytes(b"WEIGHTS")
    assert inspect(LAYOUT, roots).presence() == "present"
    found = inspect(LAYOUT, roots, deep=True)
    assert found.presence() == "corrupt"
    assert found.lacking == {WEIGHTS.digest}
    assert WEIGHTS.hex in found.corrupt[0]


def test_a_blob_behind_a_link_is_read_once(placed: Path, roots: Roots) -> None:
    pauses: list[int] = []
    inspect(LAYOUT, roots, deep=True, pause=lambda: pauses.append(1))
    assert len(pauses) == 2


def test_a_deep_look_can_be_stopped(placed: Path, roots: Roots) -> None:
    def stop() -> None:
        raise ModelSetError("stopped", "stopped")

    with pytest.raises(ModelSetError):
        inspect(LAYOUT, roots, deep=True, pause=stop)


def test_what_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    assert digest_of(str(tmp_path), WEIGHTS) == "unreadable (Is a directory)"
    assert digest_of(str(tmp_path / "none"), WEIGHTS).startswith("unreadable (No such file")


def test_a_model_of_one_file_needs_no_links(tmp_path: Path, roots: Roots) -> None:
    layout = Layout("huggingface", (PutFile("a/model.bin", WEIGHTS),), "a/model.bin")
    path = roots["huggingface"] / "a/model.bin"
    assert inspect(layout, roots).lacking == {WEIGHTS.digest}
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert inspect(layout, roots, deep=True).presence() == "present"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_others_may_change_is_no_use_to_a_library_that_minds(
    tmp_path: Path, roots: Roots
) -> None:
    place(GUARDED, roots, downloaded(tmp_path))
    assert inspect(GUARDED, roots).presence() == "present"
    (roots["nltk"] / "deep/er/config.json").chmod(0o664)
    found = inspect(GUARDED, roots)
    assert found.presence() == "partial"
    assert found.lacking == set()  # the bytes are right: nothing has to come
    assert "others may change it" in found.missing[0]


def test_an_empty_file_is_present(roots: Roots) -> None:
    empty = artifact("empty", b"")
    layout = Layout("huggingface", (PutFile("empty", empty),))
    path = roots["huggingface"] / "empty"
    path.parent.mkdir(parents=True)
    path.touch()
    found = inspect(layout, roots, deep=True)
    assert (found.presence(), found.bytes_have) == ("present", 0)


QUICK = """
import sys
sys.path[:0] = sys.argv[2:]
opened = []
def watch(event, arguments):
    if event in ("open", "socket.__new__", "subprocess.Popen"):
        opened.append((event, str(arguments[0])))
from pathlib import Path
from tests.store.test_place import LAYOUT
from modelset.store.inspect import inspect
roots = {"huggingface": Path(sys.argv[1])}
inspect(LAYOUT, roots)
sys.addaudithook(watch)
found = inspect(LAYOUT, roots)
print(found.presence(), *[path for event, path in opened])
"""


def test_a_quick_look_opens_no_model_file(project: Project, placed: Path, roots: Roots) -> None:
    root = str(roots["huggingface"])
    command = [sys.executable, "-c", QUICK, root, str(Path(__file__).resolve().parents[2])]
    ran = run_process(command, env=project.environ)
    # The marker is a few bytes of text whose contents are what counts.
    assert ran.stdout.split() == ["present", f"{root}/repo/refs/main"], ran.stderr


# ---- wheels ---------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path, "1.0", {"tiny_model/weights.bin": b"weights" * 10})


def layout_of(wheel: Path) -> Layout:
    return Layout("site-packages", (placement_of(wheel),))


def test_an_installed_wheel_is_the_sum_of_its_record(wheel: Path, roots: Roots) -> None:
    install_wheel(wheel, roots["site-packages"], placement_of(wheel))
    found = inspect(layout_of(wheel), roots, deep=True)
    assert found.presence() == "present"
    rows = list(record_rows(str(roots["site-packages"] / "tiny_model-1.0.dist-info/RECORD")))
    assert found.bytes_have == sum(row.size for row in rows) > 70


@pytest.mark.parametrize(
    ("change", "quick", "deep"),
    [
        (lambda path: path.unlink(), "partial", "partial"),
        (lambda path: path.write_bytes(b"short"), "corrupt", "corrupt"),
        (lambda path: path.write_bytes(b"WEIGHTS" * 10), "present", "corrupt"),
    ],
)
def test_a_changed_file_of_a_package_is_noticed(
    wheel: Path, roots: Roots, change: object, quick: str, deep: str
) -> None:
    site = roots["site-packages"]
    install_wheel(wheel, site, placement_of(wheel))
    change(site / "tiny_model/weights.bin")  # type: ignore[operator]
    assert inspect(layout_of(wheel), roots).presence() == quick
    found = inspect(layout_of(wheel), roots, deep=True)
    assert found.presence() == deep
    assert found.lacking == {placement_of(wheel).artifact.digest}


def test_another_version_in_the_place_of_the_pinned_one_is_said(
    tmp_path: Path, wheel: Path, roots: Roots
) -> None:
    old = make_wheel(tmp_path, "0.9")
    install_wheel(old, roots["site-packages"], placement_of(old))
    found = inspect(layout_of(wheel), roots)
    assert found.presence() == "missing"
    assert any("(instead of tiny_model-0.9.dist-info)" in name for name in found.missing)
    assert found.lacking


def test_a_second_version_beside_the_pinned_one_is_not_present(wheel: Path, roots: Roots) -> None:
    site = roots["site-packages"]
    install_wheel(wheel, site, placement_of(wheel))
    (site / "Tiny.Model-0.9.dist-info").mkdir()
    found = inspect(layout_of(wheel), roots)
    assert found.presence() == "partial"
    assert found.lacking


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b'"unfinished\n' * 3, b"a,b,c,d\n", b"\0\n"])
def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "RECORD"
    path.write_bytes(text)
    assert list(record_rows(str(path))) == []
    assert list(record_rows(str(tmp_path / "none"))) == []


def test_a_distribution_is_found_however_its_name_is_spelled(tmp_path: Path) -> None:
    for name in ("Silero_VAD-6.0.dist-info", "silero.vad-5.0.dist-info", "other-1.dist-info"):
        (tmp_path / name).mkdir()
    found = Installed().versions(str(tmp_path), "silero-vad")
    assert sorted(found) == ["Silero_VAD-6.0.dist-info", "silero.vad-5.0.dist-info"]
    assert Installed().versions(str(tmp_path / "none"), "x") == []
    assert normal("A.b_C") == "a-b-c"


def test_a_trace_is_the_first_match_or_nothing(tmp_path: Path) -> None:
    (tmp_path / "models--a--b/snapshots/2").mkdir(parents=True)
    (tmp_path / "models--a--b/snapshots/1").mkdir()
    pattern = "models--a--b/snapshots/*"
    assert trace(tmp_path, pattern) == os.fspath(tmp_path / "models--a--b/snapshots/1")
    assert trace(tmp_path, "models--c--d/snapshots/*") == ""
    assert trace(tmp_path / "none", pattern) == ""
    assert hashlib.sha256(BODY).hexdigest() == WEIGHTS.hex


# ---- archives ------------------------------------------------------------------------------

PARTS = {"top/config.json": OTHER, "top/weights/a.bin": BODY, "top/empty": b""}


@pytest.fixture
def unpacked(tmp_path: Path) -> tuple[Layout, Roots, Path]:
    """A model out of an archive, of which the library writes one file itself."""
    roots = {"tts": tmp_path / "tts", "downloads": tmp_path / "downloads"}
    path = make_zip(tmp_path, PARTS)
    unpack = unpack_of(path, mutable=("*.json",))
    layout = Layout("tts", (unpack,), unpack.path)
    place(layout, roots, {unpack.artifact.digest: path})
    return layout, roots, roots["tts"] / unpack.path


def archive_of(layout: Layout) -> str:
    (unpack,) = layout.placements
    assert isinstance(unpack, Unpack)
    return unpack.artifact.digest


def test_an_unpacked_model_is_its_files(unpacked: tuple[Layout, Roots, Path]) -> None:
    layout, roots, _ = unpacked
    found = inspect(layout, roots, deep=True)
    assert found.presence() == "present"
    assert found.bytes_have == len(OTHER) + len(BODY)
    assert not found.lacking
    assert len(found.inodes) == 3


def test_without_its_record_a_folder_is_no_model(unpacked: tuple[Layout, Roots, Path]) -> None:
    layout, roots, folder = unpacked
    (record,) = folder.glob(".modelset-*.record")
    record.unlink()
    found = inspect(layout, roots)
    assert found.presence() == "missing"
    assert found.lacking == {archive_of(layout)}


@pytest.mark.parametrize("text", ["", "\n", "a,b", "weights/a.bin,md5=x,7\n", "\0", '"'])
def test_a_record_that_lists_nothing_is_none(
    unpacked: tuple[Layout, Roots, Path], text: str
) -> None:
    layout, roots, folder = unpacked
    (record,) = folder.glob(".modelset-*.record")
    record.write_text(text)
    found = inspect(layout, roots)
    assert found.presence() == "missing"
    assert found.lacking == {archive_of(layout)}


@pytest.mark.parametrize("name", ["weights/a.bin", "config.json", "empty"])
def test_a_file_that_has_gone_brings_the_archive_again(
    unpacked: tuple[Layout, Roots, Path], name: str
) -> None:
    layout, roots, folder = unpacked
    (folder / name).unlink()
    found = inspect(layout, roots)
    assert found.presence() == "partial"
    assert found.lacking == {archive_of(layout)}
    assert found.missing == [f"{folder}/{name}"]


def test_a_file_of_another_size_is_seen_at_a_glance_and_of_other_bytes_by_a_deep_look(
    unpacked: tuple[Layout, Roots, Path],
) -> None:
    layout, roots, folder = unpacked
    (folder / "weights/a.bin").write_bytes(bytes(len(BODY)))
    assert inspect(layout, roots).presence() == "present"
    assert inspect(layout, roots, deep=True).presence() == "corrupt"
    (folder / "weights/a.bin").write_bytes(BODY + b"!")
    found = inspect(layout, roots)
    assert found.presence() == "corrupt"
    assert found.lacking == {archive_of(layout)}


@pytest.mark.parametrize("body", [b"", b"{}" * 9, b"x" * len(OTHER)])
def test_what_the_library_writes_itself_may_hold_anything(
    unpacked: tuple[Layout, Roots, Path], body: bytes
) -> None:
    layout, roots, folder = unpacked
    (folder / "config.json").write_bytes(body)
    assert inspect(layout, roots, deep=True).presence() == "present"
    (folder / "more.txt").write_text("of the library")
    assert inspect(layout, roots, deep=True).presence() == "present"


def test_a_record_of_an_archive_may_be_read_with_stops(
    unpacked: tuple[Layout, Roots, Path],
) -> None:
    layout, roots, _ = unpacked

    def stop() -> None:
        raise ModelSetError("stopped", "stopped")

    with pytest.raises(ModelSetError):
        inspect(layout, roots, deep=True, pause=stop)


# ---- keys ----------------------------------------------------------------------------------

KEY = Layout("credentials", (Credential("HOUSE_KEY", "house"),), "house")
DOCUMENT = Layout("credentials", (Credential("HOUSE_FILE", "house.json", is_file=True),))


def test_a_key_that_is_not_there_says_where_it_could_be(tmp_path: Path) -> None:
    roots = {"credentials": tmp_path}
    found = inspect(KEY, roots)
    assert found.presence() == "missing"
    assert found.missing == [f"{tmp_path}/house, or HOUSE_KEY in the environment"]
    assert found.lacking == set()
    other = inspect(KEY, roots, variables={"HOUSE_KE": "x", "HOUSE_KEY": ""})
    assert other.presence() == "missing"


def test_a_key_in_a_variable_or_a_file_is_present_and_weighs_nothing(tmp_path: Path) -> None:
    roots = {"credentials": tmp_path}
    for deep in (False, True):
        found = inspect(KEY, roots, deep=deep, variables={"HOUSE_KEY": "s3cret"})
        assert (found.presence(), found.bytes_have, found.inodes) == ("present", 0, {})
        assert "s3cret" not in repr(found)
    (tmp_path / "house").write_text("s3cret")
    found = inspect(KEY, roots)
    assert (found.presence(), found.bytes_have) == ("present", 0)
    assert "s3cret" not in repr(found)


def test_a_variable_that_names_a_document_is_believed_when_the_document_is_there(
    tmp_path: Path,
) -> None:
    roots, document = {"credentials": tmp_path / "credentials"}, tmp_path / "own.json"
    variables = {"HOUSE_FILE": str(document)}
    found = inspect(DOCUMENT, roots, variables=variables)
    assert found.presence() == "missing"
    assert found.missing == [f"{document}, or HOUSE_FILE in the environment"]
    document.write_text("")
    assert inspect(DOCUMENT, roots, variables=variables).presence() == "missing"
    document.write_text("{}")
    assert inspect(DOCUMENT, roots, variables=variables).presence() == "present"


# ---- texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"a\r\nb\r\n", b"a\nb", b"a\nb\n\n", b"a\rb\r", b"\xff", b""])
def test_a_text_is_compared_byte_for_byte(tmp_path: Path, body: bytes) -> None:
    layout = Layout("ollama", (PutText("m", "a\nb\n"),), "m")
    (tmp_path / "m").write_bytes(body)
    assert inspect(layout, {"ollama": tmp_path}).presence() == "missing"
    (tmp_path / "m").write_bytes(b"a\nb\n")
    assert inspect(layout, {"ollama": tmp_path}).presence() == "present"
