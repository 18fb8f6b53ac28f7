"""Verified bytes get the names that a library looks for, in an order that a kill cannot spoil."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.conftest import Project, run_process
from tests.fakes.wheels import make_wheel, placement_of

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, InstallWheel, Layout, Link, PutFile, PutText
from modelset.core.types import Artifact
from modelset.store.inspect import inspect
from modelset.store.life import machine
from modelset.store.place import place
from modelset.store.roots import BELOW, LIBRARY_ROOTS, Roots, roots_below

BODY, OTHER = b"weights", b'{"a": 1}'


def artifact(name: str, body: bytes) -> Artifact:
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    return Artifact(name, f"https://example.org/{name}", len(body), digest)


WEIGHTS, CONFIG = artifact("sub/model.bin", BODY), artifact("config.json", OTHER)
LAYOUT = Layout(
    "huggingface",
    (
        PutFile(f"repo/blobs/{WEIGHTS.hex}", WEIGHTS),
        PutFile(f"repo/blobs/{CONFIG.hex}", CONFIG),
        Link("repo/snapshots/c/sub/model.bin", f"../../../blobs/{WEIGHTS.hex}", WEIGHTS),
        Link("repo/snapshots/c/config.json", f"../../blobs/{CONFIG.hex}", CONFIG),
        PutText("repo/refs/main", "c"),
    ),
    "repo/snapshots/c",
)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    own = {"site-packages": tmp_path / "site-packages"}
    return roots_below(tmp_path / "models", own)


def downloaded(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for one, body in ((WEIGHTS, BODY), (CONFIG, OTHER)):
        path = tmp_path / "downloads" / f"{one.hex}.part"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
        found[one.digest] = path
    return found


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_files_links_and_markers_are_put_in_place(tmp_path: Path, roots: Roots) -> None:
    verified = downloaded(tmp_path)
    place(LAYOUT, roots, verified)
    root = roots["huggingface"]
    link = root / "repo/snapshots/c/sub/model.bin"
    assert os.readlink(link) == f"../../../blobs/{WEIGHTS.hex}"
    assert link.read_bytes() == BODY
    assert (root / "repo/snapshots/c/config.json").read_bytes() == OTHER
    assert (root / "repo/refs/main").read_bytes() == b"c"
    assert inspect(LAYOUT, roots, deep=True).presence() == "present"
    assert not any(path.exists() for path in verified.values())
    assert not [name for name in tree(root) if name.endswith((".tmp", ".link"))]


def test_placing_again_changes_nothing(tmp_path: Path, roots: Roots) -> None:
    place(LAYOUT, roots, downloaded(tmp_path))
    root = roots["huggingface"]
    before = {name: (root / name).lstat() for name in tree(root)}
    place(LAYOUT, roots, {})
    after = {name: (root / name).lstat() for name in tree(root)}
    assert {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in before.items()} == {
        name: (stat.st_ino, stat.st_mtime_ns) for name, stat in after.items()
    }


@pytest.mark.parametrize("done", range(len(LAYOUT.placements)))
def test_a_second_call_finishes_what_a_killed_one_began(
    tmp_path: Path, roots: Roots, done: int
) -> None:
    verified = downloaded(tmp_path)
    place(Layout("huggingface", LAYOUT.placements[:done]), roots, verified)
    assert not (roots["huggingface"] / "repo/refs/main").exists()
    assert inspect(LAYOUT, roots).presence() in ("missing", "partial")
    place(LAYOUT, roots, verified)
    assert inspect(LAYOUT, roots, deep=True).presence() == "present"


def test_what_a_kill_left_between_two_names_is_swept(
    tmp_path: Path, roots: Roots, dead_pid: int
) -> None:
    folder = roots["huggingface"] / "repo/snapshots/c"
    folder.mkdir(parents=True)
    left = folder / f".config.json.{machine()}-{dead_pid}-0.tmp"
    left.symlink_to("nowhere")
    (folder / "config.json").symlink_to("an-older-blob")
    place(LAYOUT, roots, downloaded(tmp_path))
    assert inspect(LAYOUT, roots, deep=True).presence() == "present"
    assert not left.is_symlink()


def test_a_wrong_marker_is_written_anew(tmp_path: Path, roots: Roots) -> None:
    place(LAYOUT, roots, downloaded(tmp_path))
    marker = roots["huggingface"] / "repo/refs/main"
    for wrong in (b"c\n", b"other", b"\xff"):
        marker.write_bytes(wrong)
        assert inspect(LAYOUT, roots).presence() == "partial"
        place(LAYOUT, roots, {})
        assert marker.read_bytes() == b"c"


@pytest.mark.parametrize("planted", ["repo", "repo/snapshots", "repo/blobs", "repo/refs"])
def test_a_planted_link_that_leads_outside_is_refused(
    tmp_path: Path, roots: Roots, planted: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = roots["huggingface"] / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(ModelSetError) as caught:
        place(LAYOUT, roots, downloaded(tmp_path))
    assert caught.value.failure.code == "store-not-writable"
    assert "leads outside" in caught.value.failure.message
    assert list(outside.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(
    tmp_path: Path, roots: Roots
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    for name in (f"repo/blobs/{CONFIG.hex}", "repo/refs/main"):
        path = roots["huggingface"] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(precious)
    place(LAYOUT, roots, downloaded(tmp_path))
    assert precious.read_text() == "keep"
    assert inspect(LAYOUT, roots, deep=True).presence() == "present"


def test_a_root_that_is_itself_a_link_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "models").symlink_to(tmp_path / "disk2")
    roots = roots_below(tmp_path / "models", {})
    place(LAYOUT, roots, downloaded(tmp_path))
    assert (tmp_path / "disk2/huggingface/hub/repo/refs/main").read_text() == "c"


def test_one_file_at_two_paths_is_brought_once(tmp_path: Path, roots: Roots) -> None:
    twice = Layout("piper", (PutFile("a.bin", WEIGHTS), PutFile("a.bin", WEIGHTS)))
    place(twice, roots, downloaded(tmp_path))
    assert (roots["piper"] / "a.bin").read_bytes() == BODY


def test_two_files_of_a_flat_folder_may_have_the_same_bytes(tmp_path: Path, roots: Roots) -> None:
    names = ("a.bin", "b/a.bin", "c.bin")
    layout = Layout("piper", tuple(PutFile(name, WEIGHTS) for name in names))
    place(layout, roots, downloaded(tmp_path))
    assert [(roots["piper"] / name).read_bytes() for name in names] == [BODY] * 3
    assert inspect(layout, roots, deep=True).presence() == "present"
    (roots["piper"] / "b/a.bin").unlink()  # as after a kill: what is lacking comes again
    place(layout, roots, downloaded(tmp_path))
    assert inspect(layout, roots, deep=True).presence() == "present"
    assert tree(roots["piper"]) == ["a.bin", "b", "b/a.bin", "c.bin"]
    (roots["piper"] / "a.bin").write_bytes(b"mine")
    assert (roots["piper"] / "c.bin").read_bytes() == BODY, "each is a file of its own"


def test_a_wheel_is_installed_when_its_bytes_are_here_and_left_alone_otherwise(
    tmp_path: Path, roots: Roots
) -> None:
    wheel = make_wheel(tmp_path)
    row: InstallWheel = placement_of(wheel)
    layout = Layout("site-packages", (row,), "tiny_model-1.0.dist-info")
    place(layout, roots, {})
    assert inspect(layout, roots).presence() == "missing"
    place(layout, roots, {row.artifact.digest: wheel})
    assert inspect(layout, roots).presence() == "present"


# A system without links: the audit hook refuses the call itself, whoever makes it.
WITHOUT_LINKS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path[:0] = sys.argv[4:]
refused = sys.argv[3].split(",")
def refuse(event, arguments):
    if event in refused:
        raise OSError(1, "no such right")
from tests.store.test_place import LAYOUT
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.roots import roots_below
roots = roots_below(Path(sys.argv[1]), {})
downloads = Path(sys.argv[2])
verified = {row.artifact.digest: downloads / f"{row.artifact.hex}.part"
            for row in LAYOUT.placements[:2]}
sys.addaudithook(refuse)
place(LAYOUT, roots, verified)
place(LAYOUT, roots, {})
print(inspect(LAYOUT, roots, deep=True).presence())
"""


@pytest.mark.parametrize(("refused", "links"), [("os.symlink", 2), ("os.symlink,os.link", 1)])
def test_where_links_are_not_allowed_the_files_are_there_all_the_same(
    project: Project, tmp_path: Path, refused: str, links: int
) -> None:
    downloaded(tmp_path)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", WITHOUT_LINKS, str(tmp_path / "models")]
    command += [str(tmp_path / "downloads"), refused, str(root)]
    ran = run_process(command, env=project.environ)
    assert ran.stdout == "present\n", ran.stderr
    file = tmp_path / "models/huggingface/hub/repo/snapshots/c/sub/model.bin"
    assert not file.is_symlink()
    assert file.read_bytes() == BODY
    assert file.stat().st_nlink == links


def test_every_root_lies_below_the_models_root_unless_it_has_its_own(tmp_path: Path) -> None:
    roots = roots_below(tmp_path, {"torch": tmp_path / "elsewhere", "site-packages": tmp_path})
    assert set(roots) == {*BELOW, "site-packages"}
    assert roots["torch"] == tmp_path / "elsewhere"
    assert roots["huggingface"] == tmp_path / "huggingface" / "hub"
    assert roots["nltk"] == tmp_path / "nltk_data"
    assert set(LIBRARY_ROOTS) <= set(BELOW)


def test_models_of_one_repository_are_placed_side_by_side(tmp_path: Path, roots: Roots) -> None:
    folder = tmp_path / "bytes"
    folder.mkdir()
    markers = Layout(LAYOUT.root, LAYOUT.placements[2:], LAYOUT.folder)
    for number in range(30):
        verified = {}
        for one, body in ((WEIGHTS, BODY), (CONFIG, OTHER)):
            verified[one.digest] = folder / f"{one.hex}-{number}"
            verified[one.digest].write_bytes(body)
        place(LAYOUT, roots, verified)
        snapshot = roots["huggingface"] / "repo/snapshots/c"
        for link in (snapshot / "config.json", snapshot / "sub/model.bin"):
            link.unlink()
        (roots["huggingface"] / "repo/refs/main").unlink()
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(place, markers, roots, {}) for _ in range(4)]:
                done.result()

        assert inspect(LAYOUT, roots).presence() == "present"
    assert not [name for name in tree(roots["huggingface"]) if name.endswith(".tmp")]


# ---- texts, keys, and what others may not change -------------------------------------------


@pytest.mark.parametrize("text", ["a\nb\n", "a\r\nb\r\n", "a\rb", "{}", ""])
@pytest.mark.parametrize("before", [b"a\nb\n", b"a\r\nb\r\n", b"a\rb", b"{}\r\n", b"", None])
def test_a_text_is_written_byte_for_byte_whatever_was_there(
    roots: Roots, text: str, before: bytes | None
) -> None:
    layout = Layout("ollama", (PutText("manifests/m", text),), "manifests/m")
    path = roots["ollama"] / "manifests/m"
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(before)
    place(layout, roots, {})
    assert path.read_bytes() == text.encode()
    assert inspect(layout, roots).presence() == "present"


def test_a_text_that_is_right_already_is_not_written_again(roots: Roots) -> None:
    layout = Layout("ollama", (PutText("m", "a\r\nb\r\n"),), "m")
    place(layout, roots, {})
    before = (roots["ollama"] / "m").stat().st_ino
    place(layout, roots, {})
    assert (roots["ollama"] / "m").stat().st_ino == before


def test_a_key_is_put_there_by_people_alone(tmp_path: Path, roots: Roots) -> None:
    root = tmp_path / "credentials"
    place(Layout("credentials", (Credential("A", "key"),)), {**roots, "credentials": root}, {})
    assert not root.exists()


def modes(root: Path) -> set[int]:
    paths = [root, *root.rglob("*")]
    return {stat.S_IMODE(path.stat().st_mode) & (stat.S_IWGRP | stat.S_IWOTH) for path in paths}


GUARDED = Layout("nltk", (PutFile("deep/er/config.json", CONFIG),), guarded=True)


@pytest.mark.parametrize("root_mode", [0o777, 0o775, 0o755])
def test_what_a_library_refuses_to_share_is_taken_from_others_down_from_the_root(
    tmp_path: Path, roots: Roots, root_mode: int
) -> None:
    root = roots["nltk"]
    (root / "deep").mkdir(parents=True)
    root.parent.chmod(0o777)
    root.chmod(root_mode)
    (root / "deep").chmod(0o777)
    verified = downloaded(tmp_path)
    verified[CONFIG.digest].chmod(0o666)
    old = os.umask(0)
    try:
        place(GUARDED, roots, verified)
    finally:
        os.umask(old)
    assert modes(root) == {0}
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o777  # what is above is not ours
    assert (root / "deep/er/config.json").stat().st_mode & stat.S_IRUSR


def test_what_is_there_already_is_taken_from_others_too(tmp_path: Path, roots: Roots) -> None:
    place(GUARDED, roots, downloaded(tmp_path))
    (roots["nltk"] / "deep/er/config.json").chmod(0o666)
    place(GUARDED, roots, {})
    assert modes(roots["nltk"]) == {0}


def test_other_libraries_may_share_their_files(tmp_path: Path, roots: Roots) -> None:
    plain = Layout("nltk", GUARDED.placements)
    verified = downloaded(tmp_path)
    verified[CONFIG.digest].chmod(0o664)
    place(plain, roots, verified)
    path = roots["nltk"] / "deep/er/config.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_what_has_the_right_mode_is_not_touched(
    tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root may be another's, who shares it well: only its owner may set its mode."""
    place(GUARDED, roots, downloaded(tmp_path))

    def refuse(path: Path, mode: int, **_: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    place(GUARDED, roots, {})
    assert inspect(GUARDED, roots).presence() == "present"


def test_bytes_in_memory_are_placed_as_files_are(roots: Roots) -> None:
    place(LAYOUT, roots, {WEIGHTS.digest: BODY, CONFIG.digest: OTHER})
    assert inspect(LAYOUT, roots, deep=True).presence() == "present"
