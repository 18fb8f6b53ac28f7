"""An archive's files get into a library's folder all at once, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Strip, Unpack
from modelset.core.types import Artifact
from modelset.store.archives import put_archive
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.roots import Roots, roots_below

FILES = {"am/final.mdl": b"weights", "conf/model.conf": b"--x=1", "README": b"words"}
TOP = {f"vosk-model/{name}": body for name, body in FILES.items()}


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return roots_below(tmp_path / "models", {})


def make_zip(folder: Path, files: dict[str, bytes], name: str = "model.zip") -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for inside, body in files.items():
            archive.writestr(inside, body)
    return path


def unpack_of(path: Path, strip: Strip = "top", mutable: tuple[str, ...] = ()) -> Unpack:
    body = path.read_bytes()
    digest = "sha256:" + hashlib.sha256(body).hexdigest()
    artifact = Artifact(path.name, f"https://example.org/{path.name}", len(body), digest)
    return Unpack("house", artifact, strip, mutable)


def put(
    path: Path,
    roots: Roots,
    *,
    strip: Strip = "top",
    pause: Callable[[], None] = lambda: None,
    unpacked: Callable[[int], None] = lambda count: None,
) -> Layout:
    """Place an archive as a model of Vosk's; returns its layout."""
    unpack = unpack_of(path, strip)
    layout = Layout("vosk", (unpack,), "house")
    put_archive(path, unpack, layout, roots, pause=pause, unpacked=unpacked)
    return layout


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".modelset-")
    }


def assert_clean(roots: Roots) -> None:
    """Nothing but the model is where a library looks, and nothing is left of the work."""
    root = roots["vosk"]
    assert not [name for name in (os.listdir(root) if root.exists() else []) if name != "house"]
    assert not [*roots["downloads"].glob("*")]


def test_the_one_top_folder_is_left_out_and_the_model_is_whole(
    tmp_path: Path, roots: Roots
) -> None:
    counts: list[int] = []
    layout = put(make_zip(tmp_path, TOP), roots, unpacked=counts.append)
    assert tree(roots["vosk"] / "house") == FILES
    assert inspect(layout, roots, deep=True).presence() == "present"
    assert sum(counts) == sum(map(len, FILES.values()))
    assert_clean(roots)


def test_all_folders_are_left_out_or_none(tmp_path: Path, roots: Roots) -> None:
    put(make_zip(tmp_path, TOP), roots, strip="all")
    assert tree(roots["vosk"] / "house") == {
        "final.mdl": b"weights",
        "model.conf": b"--x=1",
        "README": b"words",
    }
    put(make_zip(tmp_path, TOP), roots, strip="none")
    assert tree(roots["vosk"] / "house") == TOP


def test_the_record_is_of_this_very_archive(tmp_path: Path, roots: Roots) -> None:
    old = put(make_zip(tmp_path, TOP), roots)
    new = put(make_zip(tmp_path, {**TOP, "vosk-model/more": b"x"}, "new.zip"), roots)
    assert inspect(new, roots, deep=True).presence() == "present"
    found = inspect(old, roots)
    assert found.presence() == "missing"
    assert found.lacking == {old.placements[0].artifact.digest}  # type: ignore[union-attr]


def test_what_lies_under_the_folders_name_is_replaced_as_a_whole(
    tmp_path: Path, roots: Roots
) -> None:
    old = roots["vosk"] / "house"
    (old / "am").mkdir(parents=True)
    (old / "am/old.mdl").write_text("old")
    put(make_zip(tmp_path, TOP), roots)
    assert tree(old) == FILES
    assert_clean(roots)


def test_a_file_under_the_folders_name_is_replaced(tmp_path: Path, roots: Roots) -> None:
    roots["vosk"].mkdir(parents=True)
    (roots["vosk"] / "house").write_text("half a download")
    put(make_zip(tmp_path, TOP), roots)
    assert tree(roots["vosk"] / "house") == FILES


def test_a_link_under_the_folders_name_is_replaced_and_not_followed(
    tmp_path: Path, roots: Roots
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "keep").write_text("keep")
    roots["vosk"].mkdir(parents=True)
    (roots["vosk"] / "house").symlink_to(precious)
    put(make_zip(tmp_path, TOP), roots)
    assert not (roots["vosk"] / "house").is_symlink()
    assert tree(roots["vosk"] / "house") == FILES
    assert tree(precious) == {"keep": b"keep"}


def test_a_planted_link_above_the_folder_is_refused(tmp_path: Path, roots: Roots) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    roots["vosk"].mkdir(parents=True)
    (roots["vosk"] / "deep").symlink_to(outside)
    path = make_zip(tmp_path, TOP)
    unpack = Unpack("deep/house", unpack_of(path).artifact)
    layout = Layout("vosk", (unpack,), "deep/house")
    with pytest.raises(ModelSetError) as caught:
        place(layout, roots, {unpack.artifact.digest: path})
    assert caught.value.failure.code == "store-not-writable"
    assert list(outside.iterdir()) == []


def stop() -> None:
    raise ModelSetError("stopped", "stopped")


@pytest.mark.parametrize("before", [False, True])
def test_a_stop_leaves_what_was_there(tmp_path: Path, roots: Roots, before: bool) -> None:
    if before:
        put(make_zip(tmp_path, TOP), roots)
    path = make_zip(tmp_path, {**TOP, "vosk-model/more": b"x"}, "new.zip")
    with pytest.raises(ModelSetError) as caught:
        put(path, roots, pause=stop)
    assert caught.value.failure.code == "stopped"
    assert tree(roots["vosk"]) == (
        {f"house/{name}": FILES[name] for name in FILES} if before else {}
    )
    assert_clean(roots)


EVIL: dict[str, tuple[bytes, str]] = {
    "no archive": (b"<html>Sign in</html>", "archive-invalid"),
    "cut": (b"PK\x03\x04 and no more", "archive-invalid"),
    "nothing": (b"", "archive-invalid"),
}


@pytest.mark.parametrize("name", EVIL)
def test_what_is_no_archive_leaves_nothing(tmp_path: Path, roots: Roots, name: str) -> None:
    body, code = EVIL[name]
    (tmp_path / "model.zip").write_bytes(body)
    with pytest.raises(ModelSetError) as caught:
        put(tmp_path / "model.zip", roots)
    assert caught.value.failure.code == code
    assert tree(roots["vosk"]) == {}
    assert_clean(roots)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "C:/x"])
def test_an_archive_that_leads_outside_leaves_nothing(
    tmp_path: Path, roots: Roots, name: str
) -> None:
    path = make_zip(tmp_path, {**TOP, name: b"x"})
    with pytest.raises(ModelSetError) as caught:
        put(path, roots, strip="none")
    assert caught.value.failure.code == "archive-unsafe"
    assert tree(roots["vosk"]) == {}
    assert_clean(roots)


class Evil:
    """Runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


def pickled(value: object) -> bytes:
    stream = io.BytesIO()
    pickle.dump(value, stream)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["model.pt", "deep/model_file.pth", "deep/er/pytorch_model.bin"])
def test_a_dangerous_pickle_in_an_archive_is_refused_before_it_has_its_name(
    tmp_path: Path, roots: Roots, name: str
) -> None:
    path = make_zip(tmp_path, {**TOP, f"vosk-model/{name}": pickled(Evil())})
    with pytest.raises(ModelSetError) as caught:
        put(path, roots)
    assert caught.value.failure.code == "pickle-refused"
    assert name in caught.value.failure.message
    assert "model.zip" in caught.value.failure.message
    assert tree(roots["vosk"]) == {}
    assert_clean(roots)
    assert not Path("evil").exists()


def test_a_harmless_pickle_in_an_archive_comes(tmp_path: Path, roots: Roots) -> None:
    body = pickled({"weights": [1.0, 2.0]})
    put(make_zip(tmp_path, {**TOP, "vosk-model/speakers.pth": body}), roots)
    assert (roots["vosk"] / "house/speakers.pth").read_bytes() == body


def test_where_downloads_lie_on_another_volume_the_work_is_hidden_from_libraries(
    tmp_path: Path, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library takes what it finds by name; a name with a dot is none that it asks for."""
    from modelset.store import archives

    monkeypatch.setattr(archives, "volume_of", lambda path: str(path))
    seen: set[str] = set()

    def look() -> None:
        seen.update(os.listdir(roots["vosk"]))

    layout = put(make_zip(tmp_path, TOP), roots, pause=look)
    assert seen == {".modelset"}
    assert inspect(layout, roots, deep=True).presence() == "present"
    assert not [*(roots["vosk"] / ".modelset").glob("*")]


def test_a_placement_brings_an_archive_and_leaves_it_alone_without_its_bytes(
    tmp_path: Path, roots: Roots
) -> None:
    path = make_zip(tmp_path, TOP)
    unpack = unpack_of(path, mutable=("README",))
    layout = Layout("vosk", (unpack,), "house")
    place(layout, roots, {})
    assert inspect(layout, roots).presence() == "missing"
    counts: list[int] = []
    place(layout, roots, {unpack.artifact.digest: path}, unpacked=counts.append)
    assert inspect(layout, roots, deep=True).presence() == "present"
    assert sum(counts) > 0
    before = (roots["vosk"] / "house").stat().st_ino
    place(layout, roots, {})
    assert (roots["vosk"] / "house").stat().st_ino == before
