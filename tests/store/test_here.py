"""What sources may know of this machine: installed packages, keys, and the user's own files."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from tests.fakes.wheels import make_wheel, placement_of

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout, PutText
from modelset.core.types import Artifact
from modelset.store.here import Surroundings
from modelset.store.wheels import install_wheel

KEY = Layout("credentials", (Credential("HOUSE_KEY", "house/key"),), "house/key")
CLOUD = Layout("credentials", (Credential("HOUSE_CLOUD", "cloud.json", is_file=True),))


@pytest.fixture
def roots(tmp_path: Path) -> dict[str, Path]:
    return {"credentials": tmp_path / "credentials", "site-packages": tmp_path / "site"}


def put(path: Path, body: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


# ---- packages ------------------------------------------------------------------------------


def test_a_package_is_known_by_its_version(tmp_path: Path, roots: dict[str, Path]) -> None:
    here = Surroundings(roots, {})
    assert here.installed("tiny-model") == ""
    wheel = make_wheel(tmp_path, "1.0")
    install_wheel(wheel, roots["site-packages"], placement_of(wheel))
    for name in ("tiny-model", "tiny_model", "Tiny.Model"):
        assert here.installed(name) == "1.0"
    assert here.installed("tiny") == here.installed("tiny-model-more") == ""


@pytest.mark.parametrize("version", ["3.8.7", "4.0.0.dev3", "1.0+cpu", "2024.1rc1"])
def test_a_version_is_told_as_it_is(roots: dict[str, Path], version: str) -> None:
    (roots["site-packages"] / f"spacy-{version}.dist-info").mkdir(parents=True)
    (roots["site-packages"] / "spacy_legacy-3.0.12.dist-info").mkdir()
    (roots["site-packages"] / "spacy").mkdir()
    assert Surroundings(roots, {}).installed("spacy") == version


def test_an_upgrade_is_seen_at_once(roots: dict[str, Path]) -> None:
    here = Surroundings(roots, {})
    old = roots["site-packages"] / "spacy-3.7.5.dist-info"
    old.mkdir(parents=True)
    assert here.installed("spacy") == "3.7.5"
    old.rename(old.with_name("spacy-3.8.7.dist-info"))
    assert here.installed("spacy") == "3.8.7"


def test_a_file_in_the_place_of_the_packages_holds_none(roots: dict[str, Path]) -> None:
    roots["site-packages"].write_text("a file")
    assert Surroundings(roots, {}).installed("spacy") == ""


# ---- keys ----------------------------------------------------------------------------------


def test_a_key_is_in_its_variable_or_its_file(roots: dict[str, Path]) -> None:
    assert not Surroundings(roots, {}).has_credential(KEY)
    assert Surroundings(roots, {"HOUSE_KEY": "k1"}).has_credential(KEY)
    assert Surroundings(roots, {"HOUSE_KEY": " k1\n"}).secret(KEY) == "k1"
    put(roots["credentials"] / "house/key", b"k2\n")
    assert Surroundings(roots, {}).has_credential(KEY)
    assert Surroundings(roots, {}).secret(KEY) == "k2"
    assert Surroundings(roots, {"HOUSE_KEY": "k1"}).secret(KEY) == "k1"


def test_a_key_file_may_be_a_link_and_a_secret_that_is_mounted(
    tmp_path: Path, roots: dict[str, Path]
) -> None:
    roots["credentials"].mkdir()
    (roots["credentials"] / "house").symlink_to(put(tmp_path / "mounted/key", b"k3").parent)
    assert Surroundings(roots, {}).secret(KEY) == "k3"


def test_a_document_is_never_read(roots: dict[str, Path]) -> None:
    path = put(roots["credentials"] / "cloud.json", b"{}")
    path.chmod(0)
    assert Surroundings(roots, {}).has_credential(CLOUD)
    assert Surroundings(roots, {}).secret(CLOUD) == ""


def test_a_layout_without_a_key_has_no_secret(roots: dict[str, Path]) -> None:
    layout = Layout("credentials", (PutText("a", "b"),))
    assert Surroundings(roots, {"HOUSE_KEY": "k1"}).secret(layout) == ""


# ---- the user's own files ------------------------------------------------------------------


def local(path: Path | str) -> tuple[Artifact, ...]:
    return Surroundings({}, {}).local_files(str(path), lambda: None)


def test_files_are_listed_by_their_names_below_the_folder(tmp_path: Path) -> None:
    for name in ("b", "a/c", "a/b/c", "a.txt"):
        put(tmp_path / "model" / name, name.encode())
    found = local(tmp_path / "model")
    assert [row.name for row in found] == ["a.txt", "a/b/c", "a/c", "b"]
    assert [row.size for row in found] == [5, 5, 3, 1]
    assert found[1].digest == "sha256:" + hashlib.sha256(b"a/b/c").hexdigest()
    assert found[1].url == f"file://{tmp_path}/model/a/b/c"


def test_an_odd_name_is_quoted_in_its_address_alone(tmp_path: Path) -> None:
    put(tmp_path / "model/a b#c?d%2f", b"")
    (row,) = local(tmp_path / "model")
    assert row.name == "a b#c?d%2f"
    assert row.url.endswith("/model/a%20b%23c%3Fd%252f")


def test_nothing_is_changed_by_looking(tmp_path: Path) -> None:
    path = put(tmp_path / "model/a", b"x")
    path.chmod(0o400)
    before = path.stat()
    local(tmp_path / "model")
    after = path.stat()
    assert (before.st_mtime_ns, before.st_mode) == (after.st_mtime_ns, after.st_mode)
    assert stat.S_IMODE(after.st_mode) == 0o400
    assert os.listdir(tmp_path / "model") == ["a"]


def test_a_large_file_pauses_while_it_is_read(tmp_path: Path) -> None:
    put(tmp_path / "large", bytes(3 * 1024 * 1024 + 1))
    pauses: list[int] = []
    Surroundings({}, {}).local_files(str(tmp_path / "large"), lambda: pauses.append(1))
    assert len(pauses) >= 3


@pytest.mark.parametrize("name", ["nothing", "nothing/deeper", ""])
def test_what_is_not_there_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelSetError) as caught:
        local(tmp_path / "empty" / name)
    assert caught.value.failure.code == "not-found"


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path: Path) -> None:
    put(tmp_path / "file", b"x")
    with pytest.raises(ModelSetError) as caught:
        local(tmp_path / "file" / "deeper")
    assert caught.value.failure.code in ("not-found", "store-not-writable")
