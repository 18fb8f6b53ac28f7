"""A folder that somebody has unpacked is taken on trust when that is allowed, and held to it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_detect import VOSK, Machine, Origin, machine, origin, tree
from tests.conftest import Ran, run_process

from modelset.core.errors import ModelSetError
from modelset.core.found import Candidates
from modelset.core.select import Wishes
from modelset.core.values import replace
from modelset.engine.adopt import Adopt, Manner
from modelset.engine.check import Inspector
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources import SOURCES
from modelset.store.adopt import Proven
from modelset.store.elsewhere import known_places, look, user_home

__all__ = ["machine", "origin"]  # fixtures

KEY = "vosk:small-vi"
TRUST = "--trust-first-use"


@pytest.fixture
def own(machine: Machine, tmp_path: Path) -> Machine:
    """The machine of a user who has nothing but the folder of that model."""
    home = tmp_path / "own"
    shutil.copytree(machine.home / ".cache" / "vosk", home / ".cache" / "vosk")
    (record,) = (home / ".cache" / "vosk" / VOSK).glob(".modelset-*")
    record.unlink()
    return Machine(home, machine.folder)


def theirs(machine: Machine) -> Path:
    return machine.home / ".cache" / "vosk" / VOSK


def ours(machine: Machine) -> Path:
    return machine.models / "vosk" / VOSK


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def adopt(machine: Machine, *arguments: str) -> Any:
    """The row of the model, with the exit code."""
    ran = machine.run("adopt", KEY, *arguments, "--json")
    assert ran.json is not None, ran.stderr
    (row,) = ran.json["data"]["models"]
    return row | {"code": ran.code, "bytes_copied": ran.json["data"]["bytes_copied"]}


def presence(machine: Machine, *arguments: str) -> str:
    ran = machine.run("check", KEY, *arguments, "--json")
    (row,) = ran.json["data"]["models"]
    return str(row["presence"])


def online(machine: Machine, *arguments: str) -> Ran:
    command = [sys.executable, "-m", "modelset", *arguments]
    return run_process(command, env=machine.environ, cwd=machine.folder)


def is_untouched(machine: Machine) -> bool:
    """Whether nothing of the model has come, not even a name or a record of it."""
    left = [path for path in machine.models.rglob("*") if path.is_file()]
    return not ours(machine).exists() and left == []


def test_without_leave_the_row_says_why_and_names_the_flag(own: Machine) -> None:
    before = tree(own.home)
    row = adopt(own)
    assert (row["code"], row["result"], row["trusted"]) == (4, "nothing", False)
    assert row["lacks"] == [f"{VOSK}.zip"]
    assert str(theirs(own)) in row["detail"]
    assert TRUST in row["detail"]
    assert is_untouched(own)
    assert tree(own.home) == before


def test_a_list_of_files_in_the_folder_of_somebody_else_vouches_for_nothing(
    machine: Machine,
) -> None:
    assert list(theirs(machine).glob(".modelset-*.record"))
    assert adopt(machine)["result"] == "nothing"
    assert is_untouched(machine)


def test_with_leave_it_is_linked_and_recorded_as_if_it_had_been_unpacked(
    own: Machine, origin: Origin
) -> None:
    before = tree(own.home)
    ran = own.run("adopt", KEY, TRUST)
    assert ran.code == 0, ran.stdout + ran.stderr
    assert f"Adopted on trust (1.6 kB linked from {theirs(own)})" in ran.stdout
    assert "nobody publishes digests of these files; theirs hold from now on" in ran.stdout
    assert origin.hub.requests == []
    assert tree(own.home) == before
    names = names_in(theirs(own))
    assert len(names) > 5
    assert all((ours(own) / name).samefile(theirs(own) / name) for name in names)
    (record,) = names_in(ours(own)) - names
    assert (ours(own) / record).read_bytes() == (
        origin.first / "models" / "vosk" / VOSK / record
    ).read_bytes()
    registry = json.loads((own.models / "registry" / "registry.json").read_text())
    rows = {row["path"]: row for row in registry["models"][KEY]["files"]}
    assert rows.keys() == {str(ours(own) / name) for name in {*names, record}}
    assert all(len(row["sha256"]) == 64 for row in rows.values())
    assert list((own.models / "downloads").iterdir()) == []

    assert presence(own, "--deep") == "present"
    assert own.run("verify", KEY).code == 0
    assert adopt(own)["result"] == "ready"
    assert online(own, "download", KEY, "--frozen").code == 0
    assert online(own, "clean", "--yes").code == 0
    assert origin.hub.requests == []
    assert presence(own, "--deep") == "present"


def test_the_document_says_that_it_was_taken_on_trust(own: Machine) -> None:
    row = adopt(own, TRUST)
    assert (row["code"], row["result"], row["trusted"]) == (0, "adopted", True)
    assert row["bytes_copied"] == 0
    assert {one["way"] for one in row["taken"]} == {"linked"}
    assert {one["from"] for one in row["taken"]} == {
        str(theirs(own) / name) for name in names_in(theirs(own))
    }


def test_the_policy_in_the_settings_is_leave_too(own: Machine) -> None:
    config = own.folder / "modelset.toml"
    config.write_text(config.read_text().replace("[policy]", "[policy]\nfirst_use = true"))
    assert adopt(own)["trusted"]


@pytest.mark.parametrize("place", [".", VOSK])
def test_a_folder_that_is_named_is_taken_whoever_s_it_is(
    own: Machine, tmp_path: Path, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    away = tmp_path / "elsewhere" / VOSK
    theirs(own).rename(away)
    assert adopt(own, TRUST)["result"] == "nothing"
    row = adopt(own, TRUST, "--from", str(away.parent / place))
    assert (row["code"], row["result"]) == (0, "adopted")
    assert (ours(own) / "am" / "final.mdl").samefile(away / "am" / "final.mdl")


def test_another_name_is_another_model(own: Machine) -> None:
    theirs(own).rename(theirs(own).with_name("vosk-model-small-vn-0.5"))
    row = adopt(own, TRUST)
    assert (row["code"], row["result"], row["detail"]) == (4, "nothing", "")
    assert is_untouched(own)


def test_a_dry_run_changes_nothing(own: Machine) -> None:
    before = tree(own.home)
    row = adopt(own, TRUST, "--dry-run")
    assert (row["code"], row["result"], row["trusted"]) == (0, "adopted", True)
    assert "Can be adopted on trust" in own.run("adopt", KEY, TRUST, "--dry-run").stdout
    assert not own.models.exists()
    assert tree(own.home) == before


def test_a_flipped_byte_is_found_and_the_repair_leaves_the_original(
    own: Machine, origin: Origin
) -> None:
    assert adopt(own, TRUST)["result"] == "adopted"
    name = "am/final.mdl"
    with open(ours(own) / name, "r+b") as stream:
        stream.seek(100)
        (byte,) = stream.read(1)
        stream.seek(100)
        stream.write(bytes([byte ^ 1]))
    ran = own.run("verify", KEY, "--json")
    assert ran.code == 8
    assert [row["path"] for row in ran.json["data"]["files"]] == [str(ours(own) / name)]
    broken = (theirs(own) / name).read_bytes()
    ran = online(own, "verify", KEY, "--repair", "--json")
    assert ran.code == 0, ran.stdout + ran.stderr
    assert origin.hub.requests
    origin.hub.forget_requests()
    assert presence(own, "--deep") == "present"
    assert (ours(own) / name).read_bytes() != broken
    assert (theirs(own) / name).read_bytes() == broken


def link_outward(folder: Path) -> None:
    target = folder.parent.parent / "secret"
    target.write_text("mine")
    (folder / "am" / "tree").symlink_to(target)


def link_away(folder: Path) -> None:
    (folder / "am").rename(folder.parent / "am")
    (folder / "am").symlink_to(folder.parent / "am")


HOSTILE: dict[str, Callable[[Path], None]] = {
    "link outward": link_outward,
    "link to a folder": link_away,
    "pipe": lambda folder: os.mkfifo(folder / "graph" / "pipe"),
    "name with controls": lambda folder: (folder / "x\x1b[31m").touch(),
    "name of Windows": lambda folder: (folder / "aux.txt").touch(),
    "two names in one": lambda folder: (folder / "readme").touch(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_archive_may_hold_is_not_taken_from_a_folder(own: Machine, name: str) -> None:
    HOSTILE[name](theirs(own))
    row = adopt(own, TRUST)
    assert (row["code"], row["result"]) == (13, "failed")
    assert row["failure"]["code"] == "archive-unsafe"
    assert "\x1b" not in own.run("adopt", KEY, TRUST).stdout
    assert is_untouched(own)
    assert adopt(own)["result"] == "nothing"


def cut_short(folder: Path) -> None:
    (folder / "am" / "final.mdl").unlink()


def cut_graph(folder: Path) -> None:
    shutil.rmtree(folder / "graph")


def archive_beside(folder: Path) -> None:
    folder.with_name(f"{VOSK}.zip").write_bytes(b"PK")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


LACKING: dict[str, tuple[Callable[[Path], None], str]] = {
    "a file": (cut_short, "lacks am/final.mdl"),
    "the graph": (cut_graph, "lacks graph/HCLG.fst"),
    "its end": (archive_beside, ".zip lies"),
    "everything": (empty, "holds no file"),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_folder_that_is_not_whole_is_not_taken(own: Machine, name: str) -> None:
    spoil, words = LACKING[name]
    spoil(theirs(own))
    row = adopt(own, TRUST)
    assert (row["code"], row["result"]) == (4, "nothing")
    assert words in row["detail"]
    assert is_untouched(own)
    assert own.run("adopt", KEY, TRUST).stdout.count(words) == 1


def test_a_pickle_that_runs_code_is_not_taken_with_the_rest(own: Machine) -> None:
    (theirs(own) / "am" / "extra.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    row = adopt(own, TRUST)
    assert (row["code"], row["failure"]["code"]) == (13, "pickle-refused")
    assert "system" in row["failure"]["message"]
    assert is_untouched(own)


def test_what_was_unpacked_here_before_is_adopted_by_digest_without_leave(
    own: Machine, origin: Origin
) -> None:
    (theirs(own) / "graph" / "empty").touch()
    assert adopt(own, TRUST)["result"] == "adopted"
    shutil.rmtree(ours(own))
    assert found_state(own) == "adopt"
    moved = theirs(own).with_name("other-folder")
    theirs(own).rename(moved)
    row = adopt(own, "--from", str(moved))  # by digest, so that no name matters
    assert (row["code"], row["result"], row["trusted"]) == (0, "adopted", False)
    assert (ours(own) / "am" / "final.mdl").samefile(moved / "am" / "final.mdl")
    assert presence(own, "--deep") == "present"
    # One file damaged: the others stay, and what lacks comes from where it is.
    damaged = ours(own) / "conf" / "mfcc.conf"
    damaged.unlink()
    row = adopt(own, "--from", str(moved))
    assert (row["code"], row["result"]) == (0, "adopted")
    assert damaged.samefile(moved / "conf" / "mfcc.conf")
    assert origin.hub.requests == []


def test_other_bytes_than_were_unpacked_here_before_are_not_taken_on_trust(own: Machine) -> None:
    assert adopt(own, TRUST)["result"] == "adopted"
    shutil.rmtree(ours(own))
    path = theirs(own) / "conf" / "mfcc.conf"
    path.write_bytes(b"#" * path.stat().st_size)
    row = adopt(own, TRUST)
    assert (row["code"], row["result"], row["lacks"]) == (4, "nothing", ["conf/mfcc.conf"])
    assert not ours(own).exists()
    assert list((own.models / "downloads").iterdir()) == []


def found_state(machine: Machine) -> str:
    rows = machine.run("detect", "--json").json["data"]["found"]
    (row,) = [row for row in rows if row["what"] == VOSK]
    return str(row["state"])


def test_a_folder_that_is_in_its_place_already_gets_its_list(own: Machine) -> None:
    env = {"VOSK_MODEL_PATH": str(theirs(own).parent)}
    before = tree(theirs(own))
    assert own.run("adopt", KEY, env=env).code == 4
    ran = own.run("adopt", KEY, TRUST, "--json", env=env)
    assert ran.code == 0, ran.stderr
    after = tree(theirs(own))
    (record,) = after.keys() - before.keys()
    assert record.startswith(".modelset-")
    assert {name: after[name] for name in before} == before
    assert own.run("verify", KEY, env=env).code == 0
    assert not ours(own).exists()


def test_a_link_in_its_place_is_not_written_through(own: Machine, tmp_path: Path) -> None:
    away = tmp_path / "away"
    theirs(own).rename(away)
    ours(own).parent.mkdir(parents=True)
    ours(own).symlink_to(away)
    before = tree(away)
    assert adopt(own, TRUST)["result"] == "nothing"
    assert tree(away) == before
    shutil.copytree(away, theirs(own))
    assert adopt(own, TRUST)["result"] == "adopted"
    assert not ours(own).is_symlink()
    assert tree(away) == before


def test_of_several_folders_the_one_that_may_be_it_is_named_and_taken(
    own: Machine, tmp_path: Path
) -> None:
    # In its place lies what an unpacking has left that was killed.
    shutil.copytree(theirs(own), ours(own))
    (ours(own) / "am" / "final.mdl").unlink()
    assert adopt(own)["detail"].startswith(f"{theirs(own)} may be it")
    assert adopt(own, TRUST)["result"] == "adopted"
    assert (ours(own) / "am" / "final.mdl").samefile(theirs(own) / "am" / "final.mdl")
    assert presence(own, "--deep") == "present"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second volume to write to")
def test_another_volume_is_copied_from(own: Machine) -> None:
    far = Path("/dev/shm") / f"modelset-unpacked-{os.getpid()}"
    try:
        shutil.copytree(theirs(own), far / VOSK)
        row = adopt(own, TRUST, "--from", str(far))
        assert row["result"] == "adopted"
        assert row["bytes_copied"] == sum((far / VOSK / name).stat().st_size
                                          for name in names_in(far / VOSK))  # fmt: skip
        assert presence(own, "--deep") == "present"
    finally:
        shutil.rmtree(far)


def test_a_stop_halfway_leaves_nothing(own: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tree(own.home)
    models = ModelSet(load_settings({}, own.environ, own.folder))
    settings, stop, put = models.settings, Stop(), Proven.put
    placed: list[Path] = []

    def put_and_stop(self: Proven, target: Path, **how: bool) -> object:
        placed.append(target)
        if len(placed) == 3:
            stop.ask("stopped")
        return put(self, target, **how)

    monkeypatch.setattr(Proven, "put", put_and_stop)
    listings = [look(place, settings.roots) for place in known_places(
        settings.environ, user_home(settings.environ), (), settings.roots)]  # fmt: skip
    policy = replace(settings.policy, first_use=True)
    manner = Manner(policy, stop, lambda: "2030-01-01T00:00:00+00:00")
    run = Adopt(Inspector(SOURCES, settings.roots), Candidates(listings), manner)
    with pytest.raises(ModelSetError) as caught:
        run.run(models.select(Wishes(keys=(KEY,))).choices, read_lock(settings.lock))
    assert caught.value.failure.code == "stopped"
    assert len(placed) == 3
    assert is_untouched(own)
    assert tree(own.home) == before
    assert all(path.lstat().st_nlink == 1 for path in theirs(own).rglob("*") if path.is_file())


def test_a_file_that_changes_while_it_is_taken_leaves_nothing(
    own: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Proven.put

    def change_and_put(self: Proven, target: Path, **how: bool) -> object:
        Path(self.file.path).write_bytes(b"#" * self.file.size)
        os.utime(self.file.path, ns=(1, 1))
        return put(self, target, **how)

    monkeypatch.setattr(Proven, "put", change_and_put)
    models = ModelSet(load_settings({}, own.environ, own.folder))
    settings = models.settings
    listings = [look(place, settings.roots) for place in known_places(
        settings.environ, user_home(settings.environ), (), settings.roots)]  # fmt: skip
    manner = Manner(replace(settings.policy, first_use=True), Stop(), lambda: "")
    run = Adopt(Inspector(SOURCES, settings.roots), Candidates(listings), manner)
    (row,) = run.run(models.select(Wishes(keys=(KEY,))).choices, read_lock(settings.lock))
    assert row.failure is not None
    assert "changed while it was read" in row.failure.message
    assert is_untouched(own)


HEAR = """
import array, json, math, sys
import vosk
vosk.SetLogLevel(-1)
hum = array.array("h", (round(8000 * math.sin(400 * math.pi * at / 16000)) for at in range(16000)))
for folder in sys.argv[1:]:
    recognizer = vosk.KaldiRecognizer(vosk.Model(folder), 16000)
    recognizer.AcceptWaveform(hum.tobytes())
    print(json.loads(recognizer.FinalResult())["text"])
"""


def test_the_real_library_hears_with_the_original_and_with_the_adopted(own: Machine) -> None:
    pytest.importorskip("vosk")
    assert adopt(own, TRUST)["result"] == "adopted"
    command = [sys.executable, "-c", HEAR, str(theirs(own)), str(ours(own))]
    ran = run_process(command, env=own.environ, cwd=own.folder)
    assert ran.stdout.split() == ["low", "low"], ran.stderr
