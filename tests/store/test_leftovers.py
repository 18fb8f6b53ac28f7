"""What lies around in the folders of models is seen as what it is, and removed only if it is it."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from modelset.core.clean import DAY_S, Item, Name, Step
from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.store.claim import claim
from modelset.store.leftovers import (
    digest_of_stem,
    is_at_work,
    library_leftovers,
    scratches,
    unchanged,
    waiting,
    xet_caches,
)
from modelset.store.life import machine
from modelset.store.removal import remove
from modelset.store.roots import Roots, roots_below
from modelset.store.scratch import scratch
from modelset.store.stock import (
    Spelling,
    hub_repos,
    name_at,
    names_below,
    ollama_blobs,
    ollama_manifests,
    sha256_at,
    total_bytes,
)

COMMIT = "c" * 40
STEM = "sha256-" + "a" * 64
ARTIFACT = Artifact("model.bin", "https://example.org/model.bin", 10, "sha256:" + "a" * 64)


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return roots_below(tmp_path / "models", {"site-packages": tmp_path / "site"})


def put(path: Path, body: bytes = b"body") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def aged(path: Path, days: float = 2) -> Path:
    then = path.stat().st_mtime - days * DAY_S
    os.utime(path, (then, then))
    return path


def now_of(folder: Path) -> float:
    return put(folder / "clock").stat().st_mtime


def snapshot(hub: Path, commit: str = COMMIT, name: str = "config.json") -> Path:
    repo = hub / "models--acme--tiny"
    blob = put(repo / "blobs" / ("b" * 40))
    link = repo / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    put(repo / "refs/main", commit.encode())
    return repo


# --- repositories of the Hub ---


def test_a_repository_is_its_refs_snapshots_and_blobs(tmp_path: Path) -> None:
    folder = snapshot(tmp_path, name="sub/config.json")
    put(folder / "trees" / f"{COMMIT}.json", b"{}")
    put(folder / ".no_exist" / COMMIT / "absent.json", b"")
    put(folder / "blobs" / ("d" * 40 + ".1234.incomplete"))
    (repo,) = hub_repos(tmp_path, Spelling())
    real = os.path.realpath(folder)
    assert repo.is_sound
    assert repo.named == {f"{real}/refs/main": COMMIT}
    assert [blob.path for blob in repo.blobs] == [f"{real}/blobs/{'b' * 40}"]
    (one,) = repo.revisions
    assert one.commit == COMMIT
    assert one.entries == ((f"{real}/snapshots/{COMMIT}/sub/config.json", repo.blobs[0].path),)
    assert [name.path.removeprefix(real) for name in one.names] == [
        f"/snapshots/{COMMIT}/sub/config.json",
        f"/trees/{COMMIT}.json",
        f"/.no_exist/{COMMIT}/absent.json",
    ]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda repo: put(repo / "refs/v1", b"not a commit"),
        lambda repo: put(repo / "refs/v1", b""),
        lambda repo: put(repo / "refs/v1", b"\xff\xfe"),
        lambda repo: (repo / "refs/v1").symlink_to("nowhere"),
        lambda repo: put(repo / "snapshots/stray"),
        lambda repo: (repo / "snapshots" / ("d" * 40)).symlink_to(COMMIT),
        lambda repo: (repo / "snapshots" / COMMIT / "sub").symlink_to(repo / "blobs"),
        lambda repo: os.mkfifo(repo / "snapshots" / COMMIT / "pipe"),
        lambda repo: (
            (repo / "blobs").rename(repo.parent / "b") and (repo / "blobs").symlink_to("../b")
        ),
    ],
)
def test_what_nobody_understands_makes_a_repository_untouchable(tmp_path: Path, spoil) -> None:  # type: ignore[no-untyped-def]
    spoil(snapshot(tmp_path))
    (repo,) = hub_repos(tmp_path, Spelling())
    assert not repo.is_sound
    assert not repo.revisions
    assert not repo.blobs


def test_a_repository_that_lies_elsewhere_is_not_looked_at(tmp_path: Path) -> None:
    snapshot(tmp_path / "other")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/models--acme--tiny").symlink_to(tmp_path / "other/models--acme--tiny")
    assert hub_repos(tmp_path / "hub", Spelling()) == []


def test_two_spellings_of_one_file_are_one_path(tmp_path: Path) -> None:
    put(tmp_path / "real/a")
    (tmp_path / "spelled").symlink_to("real")
    (tmp_path / "real/link").symlink_to("a")
    spelling, real = Spelling(), os.path.realpath(tmp_path / "real")
    assert spelling.of(tmp_path / "spelled/a") == spelling.of(tmp_path / "real/../real/a")
    assert spelling.both(tmp_path / "spelled/link") == (f"{real}/link", f"{real}/a")


def test_a_folder_that_is_a_link_has_no_names(tmp_path: Path) -> None:
    put(tmp_path / "real/a")
    (tmp_path / "spelled").symlink_to("real")
    assert names_below(str(tmp_path / "spelled")) == []
    (tmp_path / "top").mkdir()
    (tmp_path / "top/out").symlink_to(tmp_path / "real")
    assert [name.path for name in names_below(str(tmp_path / "top"))] == [f"{tmp_path}/top/out"]


# --- Ollama ---


def manifest(root: Path, name: str, *digits: str) -> Path:
    rows = [{"digest": f"sha256:{one}"} for one in digits]
    document = {"config": rows[0], "layers": rows[1:]}
    return put(root / "manifests/registry.ollama.ai/library" / name, json.dumps(document).encode())


def test_each_manifest_names_its_blobs(tmp_path: Path) -> None:
    manifest(tmp_path, "a/latest", "a" * 64, "b" * 64)
    put(tmp_path / "blobs" / f"sha256-{'a' * 64}")
    put(tmp_path / "blobs" / f"sha256-{'a' * 64}-partial")
    found = ollama_manifests(tmp_path, Spelling())
    assert found is not None
    (uses,) = found.values()
    assert {use.rpartition("/")[2] for use in uses} == {f"sha256-{x * 64}" for x in "ab"}
    assert len(ollama_blobs(tmp_path, Spelling())) == 1


@pytest.mark.parametrize("text", ["{", "[]", '{"config": 1}', '{"config": {}, "layers": [1]}'])
def test_a_damaged_manifest_says_nothing_of_any_blob(tmp_path: Path, text: str) -> None:
    put(tmp_path / "manifests/h/n/m/latest", text.encode())
    assert ollama_manifests(tmp_path, Spelling()) is None


def test_manifests_elsewhere_say_nothing_either(tmp_path: Path) -> None:
    manifest(tmp_path / "other", "a/latest", "a" * 64)
    (tmp_path / "store").mkdir()
    (tmp_path / "store/manifests").symlink_to(tmp_path / "other/manifests")
    assert ollama_manifests(tmp_path / "store", Spelling()) is None


# --- downloads ---


def test_a_partial_file_of_a_live_process_is_not_waiting(tmp_path: Path, roots: Roots) -> None:
    downloads = roots["downloads"]
    partial = claim(downloads, ARTIFACT)
    assert partial is not None
    assert is_at_work(downloads)
    assert waiting(downloads, Spelling()) == []
    put(downloads / "quarantine" / STEM)
    assert waiting(downloads, Spelling()) == []
    partial.forget()


def test_what_the_dead_left_is_waiting_and_can_be_removed(roots: Roots, dead_pid: int) -> None:
    downloads = roots["downloads"]
    part = put(downloads / f"{STEM}.part")
    put(downloads / f"{STEM}.{machine()}-{dead_pid}-1-0.json", b"{}")
    put(downloads / f"{STEM}.part.copy")
    put(downloads / "notes.txt")
    wrong = put(downloads / "quarantine" / STEM)
    put(downloads / "quarantine/notes.txt")
    items = waiting(downloads, Spelling())
    assert [item.kind for item in items] == ["partial", "aside"]
    assert {digest_of_stem(item.title) for item in items} == {ARTIFACT.digest}
    assert not is_at_work(downloads)
    assert all(remove(Step(item, (), 0)) for item in items)
    assert not part.exists()
    assert not wrong.exists()
    left = sorted(path.name for path in downloads.rglob("*") if path.is_file())
    assert left == ["notes.txt", "notes.txt"]


def test_a_partial_file_that_somebody_took_meanwhile_stays(roots: Roots, dead_pid: int) -> None:
    downloads = roots["downloads"]
    put(downloads / f"{STEM}.part")
    put(downloads / f"{STEM}.{machine()}-{dead_pid}-1-0.json", b"{}")
    (item,) = waiting(downloads, Spelling())
    partial = claim(downloads, ARTIFACT)
    assert partial is not None
    assert not remove(Step(item, (), 0))
    assert (downloads / f"{STEM}.part").exists()
    partial.note()  # it is still this process's
    partial.forget()


def test_scratch_folders_of_the_living_stay(roots: Roots, dead_pid: int) -> None:
    dead = roots["downloads"] / f"scratch.{machine()}-{dead_pid}-1-0.folder"
    put(dead / "new/deep/file")
    far = roots["vosk"] / ".modelset" / "scratch.0badcafe-1-1-0.folder"
    put(far / "old/file")
    aged(far)  # nothing has come or gone there, but a file in it was written just now
    with scratch(roots["vosk"] / ".modelset") as own:
        put(own / "file")
        now = now_of(roots["registry"])
        items = scratches(roots, Spelling(), now)
        assert [item.title for item in items] == [dead.name]
        assert remove(Step(items[0], (), 0))
        assert not dead.exists()
        later = scratches(roots, Spelling(), now + 2 * DAY_S)
        assert [item.title for item in later] == [far.name]
        assert (own / "file").exists()


# --- libraries ---


def test_only_old_ends_of_downloads_and_old_free_locks_are_left_over(tmp_path: Path) -> None:
    repo = snapshot(tmp_path)
    put(repo / "blobs/new.1234.incomplete")
    old = aged(put(repo / "blobs/old.1234.incomplete"))
    sets = aged(put(tmp_path / "datasets--x--y/blobs/old.5678.incomplete"))
    lock = aged(put(tmp_path / ".locks/models--acme--tiny/etag.lock", b""))
    held = aged(put(tmp_path / ".locks/models--acme--tiny/held.lock", b""))
    full = aged(put(tmp_path / ".locks/models--acme--tiny/full.lock", b"words"))
    items = library_leftovers(tmp_path, now_of(tmp_path / "clock"))
    assert {item.title for item in items} == {old.name, sets.name, lock.name, held.name}
    with held.open("w") as stream:
        aged(held)
        fcntl.flock(stream, fcntl.LOCK_EX)
        done = {item.title: remove(Step(item, (), 0)) for item in items}
    assert done == {old.name: True, sets.name: True, lock.name: True, held.name: False}
    assert held.exists()
    assert full.exists()
    assert not lock.exists()


def test_only_what_xet_fills_again_is_its_cache(tmp_path: Path) -> None:
    xet = tmp_path / "huggingface/xet"
    chunk = put(xet / "https___cas/chunk_cache/aa/bb")
    log = put(xet / "logs/xet.log")
    upload = put(xet / "https___cas/staging/session")
    mine = put(xet / "notes.txt")
    items = xet_caches({}, tmp_path / "huggingface/hub")
    assert all(remove(Step(item, (), 0)) for item in items)
    assert not chunk.exists()
    assert not log.exists()
    assert upload.exists()
    assert mine.exists()
    assert not (xet / "https___cas/chunk_cache").exists()


def test_the_cache_of_xet_lies_where_its_own_rules_have_it(tmp_path: Path) -> None:
    put(tmp_path / "a/logs/x")
    put(tmp_path / "b/xet/logs/x")
    put(tmp_path / "xet/logs/x")
    both = {"HF_XET_CACHE": str(tmp_path / "a"), "HF_HOME": str(tmp_path / "b")}
    home = {"HF_HOME": str(tmp_path / "b")}
    found = [
        [item.title for item in xet_caches(variables, hub)]
        for variables, hub in (
            (both, tmp_path / "hub"),
            (home, tmp_path / "hub"),
            ({}, tmp_path / "hub"),
            ({}, tmp_path / "models"),  # beside a folder of another name lies anything
        )
    ]
    real = os.path.realpath(tmp_path)
    assert found == [[f"{real}/a/logs"], [f"{real}/b/xet/logs"], [f"{real}/xet/logs"], []]


# --- what the registry names ---


def row(path: Path) -> dict[str, object]:
    stat = path.stat()
    return {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def test_only_what_is_still_what_was_put_there_is_ours(tmp_path: Path, roots: Roots) -> None:
    same = put(roots["site-packages"] / "en_core/__init__.py")
    compiled = put(roots["site-packages"] / "en_core/__pycache__/__init__.cpython-311.pyc")
    put(roots["site-packages"] / "en_core/__pycache__/other.cpython-311.pyc")
    other = put(roots["vosk"] / "small/am/final.mdl")
    outside = put(tmp_path / "home/precious")
    key = put(roots["credentials"] / "key") if "credentials" in roots else outside
    rows = [row(path) for path in (same, other, outside, key)]
    rows.append({"path": f"{roots['vosk']}/../../home/precious", "size": 4, "mtime_ns": 0})
    os.utime(other, ns=(1, 1))
    (roots["vosk"] / "way").symlink_to(tmp_path / "home")
    rows.append({**row(outside), "path": f"{roots['vosk']}/way/precious"})
    found = {name.path for name in unchanged(rows, roots, Spelling())}
    assert found == {os.path.realpath(same), os.path.realpath(compiled)}


# --- removing ---


def step(path: Path, *blobs: Path) -> Step:
    name = name_at(os.path.realpath(path.parent) + "/" + path.name)
    assert name is not None
    more = tuple(one for blob in blobs if (one := name_at(os.path.realpath(blob))) is not None)
    return Step(Item("revision", "x", "", (name,), tops=(str(path.parent),)), more, 0)


def test_a_file_that_was_replaced_meanwhile_stays_and_so_does_what_it_leads_to(
    tmp_path: Path,
) -> None:
    path, blob = put(tmp_path / "top/a"), put(tmp_path / "blob")
    seen = step(path, blob)
    put(tmp_path / "new").replace(path)
    assert not remove(seen)
    assert path.exists()
    assert blob.exists()


def test_a_folder_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    path = put(tmp_path / "top/a")
    seen = step(path)
    (tmp_path / "top").rename(tmp_path / "moved")
    (tmp_path / "top").symlink_to("moved")
    assert not remove(seen)
    assert (tmp_path / "moved/a").exists()


def test_what_has_gone_already_has_gone(tmp_path: Path) -> None:
    path, blob = put(tmp_path / "top/a"), put(tmp_path / "blob")
    seen = step(path, blob)
    path.unlink()
    path.parent.rmdir()
    assert remove(seen)
    assert not blob.exists()


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    blob = put(tmp_path / "blob")
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to(blob)
    assert remove(step(tmp_path / "top/link"))
    assert blob.exists()
    assert not (tmp_path / "top").exists()


def test_what_may_not_be_removed_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    seen = step(put(tmp_path / "top/a"))
    monkeypatch.setattr("modelset.store.removal.os.unlink", refuse)
    with pytest.raises(ModelSetError, match="cannot remove") as caught:
        remove(seen)
    assert caught.value.failure.code == "store-not-writable"


def test_every_inode_counts_once_in_the_total(tmp_path: Path) -> None:
    path = put(tmp_path / "a/one", b"12345")
    os.link(path, tmp_path / "a/two")
    (tmp_path / "b").symlink_to("a")
    assert total_bytes([tmp_path / "a", tmp_path / "b", tmp_path / "gone"]) == 5


def test_a_sum_of_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert sha256_at(str(tmp_path / "gone")) == ""
    assert name_at(str(tmp_path)) is None
    assert isinstance(name_at(str(put(tmp_path / "a"))), Name)
