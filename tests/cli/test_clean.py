"""modelset clean, as people and programs meet it: shows first, removes with --yes, says why."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project
from tests.engine.test_clean import COMMITS, World, artifact, layout_of, pin_of
from tests.fakes.wheels import make_wheel, placement_of
from tests.store.test_archives import make_zip, unpack_of

from modelset.cli import clean
from modelset.cli.options import Parser, add_common
from modelset.cli.screen import Screen
from modelset.core.clean import DAY_S
from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel, Layout, Unpack
from modelset.core.lock import dump_lock
from modelset.core.types import Model, Pin
from modelset.engine.guard import Stop
from modelset.store.claim import claim
from modelset.store.place import place
from modelset.store.registry import entry_of, read_registry, remember
from modelset.store.wheels import install_wheel

CONFIG = """
[[model]]
key = "whisper:a"
category = "whisper"
source = "huggingface"
ref = { repo = "acme/one" }
"""
OLD = "models--acme--one@" + COMMITS[0][:12]

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def world(project: Project) -> World:
    """A machine on which a model was updated three times, so that one revision is too old."""
    project.config.write_text(CONFIG)
    world = World(project.folder)
    assert world.roots["registry"] == project.models_root / "registry"
    for number in range(4):
        world.download("whisper:a", number)
    save(project, world)
    return world


def save(project: Project, world: World) -> None:
    project.lock.write_text(dump_lock(world.lock.values()))


@pytest.fixture
def run(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command in this process; returns its exit code, and its document or its words."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "HF_XET_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in project.environ.items():
        monkeypatch.setenv(name, text)

    def run(*arguments: str, stop: Stop | None = None) -> tuple[int, Any]:
        parser = Parser(prog="modelset clean")
        clean.add_options(parser)
        add_common(parser)
        options: argparse.Namespace = parser.parse_args(list(arguments))
        screen = Screen(as_json=options.json, quiet=options.quiet, color=False)
        code = clean.run(options, screen, stop or Stop())
        said = capsys.readouterr()
        return code, json.loads(said.out) if options.json else said.out + said.err

    return run


def files_in(folder: Path) -> dict[str, int]:
    paths = [path for path in folder.rglob("*") if not path.is_dir()]
    return {str(path): path.lstat().st_ino for path in paths}


def test_without_yes_it_only_shows_and_says_how_to_go_on(world: World, run: Run) -> None:
    before = files_in(world.folder / "models")
    for dry in ([], ["--dry-run"]):
        code, words = run(*dry)
        assert code == 0
        assert "CLEAN (DRY RUN)" in words
        assert OLD in words
        assert "an earlier revision of whisper:a" in words
        assert "can be freed: the same command with --yes does it" in words
    assert files_in(world.folder / "models") == before


def test_yes_removes_what_was_shown_and_nothing_is_left_to_show(world: World, run: Run) -> None:
    _, shown = run("--json")
    code, done = run("--json", "--yes")
    assert code == 0
    assert done["command"] == "clean"
    assert [row["paths"] for row in shown["data"]["items"]] == [
        row["paths"] for row in done["data"]["items"]
    ]
    assert shown["data"]["dry_run"]
    assert not done["data"]["dry_run"]
    assert done["data"]["bytes_freed"] == done["data"]["bytes_to_free"] > 0
    for row in done["data"]["items"]:
        assert row["removed"]
        assert (row["kind"], row["key"], row["failure"]) == ("revision", "whisper:a", None)
        assert not any(os.path.lexists(path) for path in row["paths"])
    folders = sorted(os.listdir(world.hub / "models--acme--one/snapshots"))
    assert folders == sorted(COMMITS[1:4]), "two earlier revisions and the present one"
    assert "Nothing to clean" in run()[1]


def test_keep_says_how_many_earlier_revisions_stay(world: World, run: Run) -> None:
    for keep, left in (("3", 4), ("1", 2), ("0", 1)):
        assert run("--yes", "--keep", keep)[0] == 0
        assert len(os.listdir(world.hub / "models--acme--one/snapshots")) == left


def test_only_what_is_old_enough_goes(world: World, run: Run) -> None:
    assert run("--json", "--older-than", "1")[1]["data"]["items"] == []
    for path in world.hub.rglob("*"):
        stat = path.lstat()
        then = stat.st_mtime - 3 * DAY_S
        os.utime(path, (then, then), follow_symlinks=False)
    assert run("--json", "--older-than", "4")[1]["data"]["items"] == []
    assert len(run("--json", "--older-than", "2.5")[1]["data"]["items"]) == 1


def test_keys_leave_other_models_alone(project: Project, world: World, run: Run) -> None:
    for number in range(4):
        world.download("ner:c", number)
    save(project, world)
    rows = run("--json")[1]["data"]["items"]
    assert {row["key"] for row in rows} == {"whisper:a", "ner:c"}
    rows = run("--json", "ner:c")[1]["data"]["items"]  # no catalog has it, the lock does
    assert {row["key"] for row in rows} == {"ner:c"}
    with pytest.raises(ModelSetError) as caught:
        run("ner:nobody")
    assert caught.value.failure.code == "unknown-model"


def test_orphans_go_only_when_asked_for_and_leave_the_registry(
    project: Project, world: World, run: Run
) -> None:
    world.download("tts:d", 1)
    world.download("ollama:e", 4)
    world.download("ner:c", 1)
    for key in ("tts:d", "ollama:e", "ner:c"):
        del world.lock[key]
    save(project, world)
    assert {row["kind"] for row in run("--json")[1]["data"]["items"]} == {"revision"}
    code, done = run("--json", "--orphans", "--yes")
    orphans = {row["key"] for row in done["data"]["items"] if row["kind"] == "orphan"}
    assert (code, orphans) == (0, {"tts:d", "ollama:e", "ner:c"})
    assert set(read_registry(world.registry)) == {"whisper:a"}
    assert not (world.hub / "models--acme--two").exists()
    for root in ("piper", "ollama"):
        left = [path for path in world.roots[root].rglob("*") if path.is_file()]
        assert left == []


def test_an_orphan_that_somebody_changed_or_names_stays(
    project: Project, world: World, run: Run
) -> None:
    world.download("tts:d", 1)
    world.download("ollama:e", 4)
    world.download("ner:c", 1)
    layout = layout_of(world.lock["tts:d"])
    voice = world.roots["piper"] / layout.folder
    voice.write_bytes(b"another voice")
    manifest = world.roots["ollama"] / layout_of(world.lock["ollama:e"]).folder
    manifest.write_text(manifest.read_text() + " ")  # pulled again by Ollama itself
    (world.hub / "models--acme--two/refs/v1").write_text(COMMITS[1])
    for key in ("tts:d", "ollama:e", "ner:c"):
        del world.lock[key]
    save(project, world)
    _, done = run("--json", "--orphans", "--yes")
    assert [row for row in done["data"]["items"] if row["kind"] == "orphan"] == []
    assert voice.read_bytes() == b"another voice"
    assert len(list((world.roots["ollama"] / "blobs").iterdir())) == 2
    assert (world.hub / "models--acme--two/snapshots" / COMMITS[1]).is_dir()
    assert {"ollama:e", "ner:c"} <= read_registry(world.registry).keys(), "they are still here"


def test_a_users_own_files_are_never_orphans(project: Project, world: World, run: Run) -> None:
    own = world.roots["llm"] / "own.gguf"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    stat = own.stat()
    row = {"path": str(own), "size": 3, "sha256": "0" * 64, "mtime_ns": stat.st_mtime_ns}
    entry = {"source": "local", "version": "1", "path": str(own), "files": [row]}
    remember(world.registry, {"llm:own": entry})
    run("--yes", "--orphans")
    assert own.read_bytes() == b"own"


def test_orphans_without_a_lock_are_refused(project: Project, world: World, run: Run) -> None:
    project.lock.unlink()
    with pytest.raises(ModelSetError, match="there is no lock") as caught:
        run("--orphans", "--yes")
    assert caught.value.failure.code == "usage"


def test_a_damaged_lock_removes_nothing(project: Project, world: World, run: Run) -> None:
    before = files_in(world.hub)
    odd = pin_of("whisper:a", 1)
    for pin in (
        Pin(odd.key, "nobody", odd.ref, odd.revision, odd.artifacts),
        Pin(odd.key, odd.source, {"repo": "../../x"}, odd.revision, odd.artifacts),
        Pin(odd.key, odd.source, {"repo": "a/b", "root": "nowhere"}, odd.revision, odd.artifacts),
    ):
        project.lock.write_text(dump_lock([pin]))
        with pytest.raises(ModelSetError) as caught:
            run("--yes", "--keep", "0", "--foreign")
        assert caught.value.failure.code == "lock-invalid"
    project.lock.write_text("{")
    with pytest.raises(ModelSetError):
        run("--yes")
    assert files_in(world.hub) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 99, "models": {}}', "\0"])
def test_lost_memories_remove_nothing(world: World, run: Run, text: str) -> None:
    (world.registry / "registry.json").write_text(text)
    (world.registry / "history.json").write_text(text)
    before = files_in(world.hub)
    assert run("--yes", "--keep", "0", "--orphans")[0] == 0
    assert files_in(world.hub) == before


def test_a_registry_that_names_other_files_removes_none_of_them(
    tmp_path: Path, project: Project, world: World, run: Run
) -> None:
    outside = tmp_path / "precious"
    outside.write_bytes(b"precious")
    theirs = world.hub / "models--x--y/blobs/blob"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    (world.roots["vosk"]).mkdir(parents=True)
    (world.roots["vosk"] / "way").symlink_to(tmp_path)

    def row(path: Path, spelled: str = "") -> dict[str, Any]:
        stat = path.stat()
        told = {"path": spelled or str(path), "size": stat.st_size, "sha256": "0" * 64}
        return told | {"mtime_ns": stat.st_mtime_ns}

    rows = [
        row(outside),
        row(outside, f"{world.roots['vosk']}/way/precious"),
        row(outside, f"{world.roots['vosk']}/../../../precious"),
        row(project.lock),
    ]
    entries: dict[str, Any] = {
        "vosk:evil": {"source": "url", "version": "1", "path": str(tmp_path), "files": rows},
        "vosk:odd": {"source": "url", "path": "a\0b", "files": [{"path": "a\0b"}, 5, {}]},
        "vosk:list": {"files": "x"},
    }
    remember(world.registry, entries)
    assert run("--yes", "--orphans", "--foreign")[0] == 0
    assert outside.read_bytes() == b"precious"
    assert theirs.read_bytes() == b"theirs"
    assert project.lock.exists()


def test_a_bound_of_size_is_reached_or_said_to_be_out_of_reach(world: World, run: Run) -> None:
    code, shown = run("--json", "--keep", "0", "--max-size", "1M")
    total = shown["data"]["total_bytes"]
    assert (code, shown["data"]["items"]) == (0, [])
    code, shown = run("--json", "--keep", "0", "--max-size", f"{total - 1}B")
    assert (code, len(shown["data"]["items"])) == (0, 1)
    code, words = run("--keep", "0", "--max-size", "1", "--yes")
    assert code == 7
    assert "does not fit into 1 B" in words
    assert "--orphans" in words
    assert os.listdir(world.hub / "models--acme--one/snapshots") == [COMMITS[3]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--keep", "-1"],
        ["--keep", "two"],
        ["--keep", "1.5"],
        ["--older-than", "nan"],
        ["--older-than", "inf"],
        ["--max-size", "much"],
        ["--max-size", "-1G"],
        ["--max-size", ""],
        ["--yes", "--dry-run"],
    ],
)
def test_odd_words_are_refused(world: World, run: Run, arguments: list[str]) -> None:
    before = files_in(world.folder)
    with pytest.raises(ModelSetError) as caught:
        run(*arguments)
    assert caught.value.failure.code == "usage"
    assert files_in(world.folder) == before


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500", 500), ("1.5K", 1500), ("2MB", 2_000_000), ("1GiB", 2**30), ("1t", 10**12)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert clean.size_of(text) == size


def test_parts_that_a_download_goes_on_with_stay_unless_asked_for(
    project: Project, world: World, run: Run
) -> None:
    world.pin("whisper:a", 5)
    save(project, world)
    downloads = world.roots["downloads"]
    downloads.mkdir(parents=True)
    lacking = next(row for row in world.lock["whisper:a"].artifacts if row.name == "model.bin")
    stray = artifact("x", b"nobody wants this")
    for one in (lacking, stray):
        stem = one.digest.replace(":", "-")
        (downloads / f"{stem}.part").write_bytes(b"part")
        (downloads / f"{stem}.free.json").write_text("{}")
    (downloads / "quarantine").mkdir()
    (downloads / "quarantine" / stray.digest.replace(":", "-")).write_bytes(b"wrong")
    _, done = run("--json", "--yes")
    kinds = [row["kind"] for row in done["data"]["items"]]
    assert kinds.count("partial") == kinds.count("aside") == 1
    assert len(list(downloads.glob("*.part"))) == 1
    run("--yes", "--partials")
    assert list(downloads.glob("*.part")) == []


def test_a_download_at_work_keeps_the_models_as_they_are(world: World, run: Run) -> None:
    partial = claim(world.roots["downloads"], artifact("x", b"on its way"))
    assert partial is not None
    code, words = run("--yes")
    assert code == 0
    assert "a download is at work here" in words
    assert len(os.listdir(world.hub / "models--acme--one/snapshots")) == 4
    assert run("--json")[1]["data"]["busy"]
    partial.forget()
    run("--yes")
    assert len(os.listdir(world.hub / "models--acme--one/snapshots")) == 3


def test_caches_of_xet_go_only_when_asked_for(world: World, run: Run) -> None:
    chunk = world.hub.parent / "xet/https___cas/chunk_cache/aa"
    chunk.parent.mkdir(parents=True)
    chunk.write_bytes(b"chunk")
    run("--yes")
    assert chunk.exists()
    run("--yes", "--caches")
    assert not chunk.exists()


def test_what_cannot_be_removed_is_said_and_the_rest_goes(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.download("whisper:a", 4)  # so that two revisions are too old

    def unlink(path: str) -> None:
        if COMMITS[0] in str(path):
            raise PermissionError(13, "Permission denied", path)
        os.remove(path)

    monkeypatch.setattr("modelset.store.removal.os.unlink", unlink)
    code, words = run("--yes", "--keep", "1")
    assert code == 4
    assert "error: cannot remove" in words
    assert "hint: make the folder writable" in words
    left = set(os.listdir(world.hub / "models--acme--one/snapshots"))
    assert COMMITS[0] in left
    assert COMMITS[1] not in left


def test_a_stop_ends_it_between_two_steps(world: World, run: Run) -> None:
    stop = Stop()
    stop.ask("stopped")
    before = files_in(world.hub)
    _, done = run("--json", "--yes", stop=stop)
    assert [row["removed"] for row in done["data"]["items"]] == [False]
    assert files_in(world.hub) == before


def test_a_dry_run_works_on_an_empty_machine(project: Project, run: Run) -> None:
    code, words = run()
    assert code == 0
    assert "Nothing to clean" in words
    assert not project.models_root.exists(), "a look makes no folder"


def test_orphaned_packages_and_archives_go_file_by_file(
    tmp_path: Path, project: Project, world: World, run: Run
) -> None:
    site = project.site_packages
    wheel = make_wheel(tmp_path, files={"tiny_model/data/weights": b"weights"})
    installed = placement_of(wheel)
    install_wheel(wheel, site, installed)
    compiled = site / "tiny_model/__pycache__/__init__.cpython-311.pyc"
    compiled.parent.mkdir(exist_ok=True)
    compiled.write_bytes(b"compiled")
    neighbour = site / "other/__init__.py"
    neighbour.parent.mkdir()
    neighbour.write_bytes(b"")
    archive = make_zip(tmp_path, {"top/am/final.mdl": b"model", "top/conf/mfcc.conf": b"conf"})
    unpack = unpack_of(archive)
    layouts = {
        "spacy:tiny": Layout("site-packages", (installed,), "tiny_model-1.0.dist-info"),
        "vosk:small": Layout("vosk", (unpack,), "house"),
    }
    place(layouts["vosk:small"], world.roots, {unpack.artifact.digest: archive})
    note = world.roots["vosk"] / "house/notes.txt"
    note.write_bytes(b"somebody's own")
    for key, layout in layouts.items():
        (row,) = layout.placements
        assert isinstance(row, InstallWheel | Unpack)
        model = Model(key, "x", "optional", "url", {})
        pin = Pin(key, "url", {}, "1.0", (row.artifact,))
        roots = {**world.roots, "site-packages": site}
        entry = entry_of(model, pin, layout, roots, sha256={}, date_added="")
        remember(world.registry, {key: entry})
    _, done = run("--json", "--orphans", "--yes")
    orphans = {row["key"] for row in done["data"]["items"] if row["kind"] == "orphan"}
    assert orphans == set(layouts)
    assert sorted(path.name for path in site.iterdir()) == ["other"]
    assert neighbour.exists()
    left = [path for path in (world.roots["vosk"] / "house").rglob("*") if path.is_file()]
    assert left == [note]
    assert set(read_registry(world.registry)) == {"whisper:a"}


def test_a_package_that_pip_has_replaced_is_not_ours_any_more(
    tmp_path: Path, project: Project, world: World, run: Run
) -> None:
    wheel = make_wheel(tmp_path)
    installed = placement_of(wheel)
    site = project.site_packages
    install_wheel(wheel, site, installed)
    layout = Layout("site-packages", (installed,), "tiny_model-1.0.dist-info")
    model = Model("spacy:tiny", "x", "optional", "url", {})
    pin = Pin("spacy:tiny", "url", {}, "1.0", (installed.artifact,))
    roots = {**world.roots, "site-packages": site}
    entry = entry_of(model, pin, layout, roots, sha256={}, date_added="")
    remember(world.registry, {"spacy:tiny": entry})
    for path in site.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    before = files_in(site)
    run("--orphans", "--yes")
    assert files_in(site) == before
