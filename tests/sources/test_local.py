"""The user's own models: registered where they lie, checked there, never changed."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, run_process
from tests.contract.samples.local import FILE, FOLDER, PLACE, own
from tests.fakes.samples import model
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import PutFile
from modelset.core.lock import dump_lock, parse_lock
from modelset.core.select import Wishes
from modelset.core.types import Outcome, Pin
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources.local import SOURCE
from modelset.store.here import Surroundings
from modelset.store.inspect import inspect

FILES = {"config.json": b"{}", "weights/a.bin": b"aaa", "weights/deep/b.bin": b"", "a b.txt": b"b"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of four files, with a history that is no part of it."""
    place = tmp_path / "my model"
    for name, body in {**FILES, ".git/HEAD": b"ref", "weights/.git/x": b"x"}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return place


class Here(FakeWeb):
    """A web that has nothing but this machine."""

    def local_files(self, path: str) -> tuple[Any, ...]:
        return Surroundings({}, {}).local_files(path, lambda: None)


def pin_of(path: Path) -> Pin:
    return SOURCE.resolve(model("local", {"path": str(path)}), Here())


def test_every_file_of_a_folder_is_pinned_by_its_sum(folder: Path) -> None:
    pin = pin_of(folder)
    assert {row.name: row.digest for row in pin.artifacts} == {
        name: "sha256:" + hashlib.sha256(body).hexdigest() for name, body in FILES.items()
    }
    assert {row.name: row.size for row in pin.artifacts} == {
        name: len(body) for name, body in FILES.items()
    }
    assert all(row.url == (folder / row.name).as_uri() for row in pin.artifacts)
    assert pin.is_own
    assert [row.name for row in pin.artifacts] == sorted(FILES)


def test_the_files_are_where_they_are(folder: Path) -> None:
    pin = pin_of(folder)
    found = SOURCE.layout(pin)
    assert (found.root, found.folder) == ("local", str(folder)[1:])
    assert {row.path for row in found.placements if isinstance(row, PutFile)} == {
        f"{str(folder)[1:]}/{name}" for name in FILES
    }
    assert inspect(found, {"local": Path("/")}, deep=True).presence() == "present"
    assert SOURCE.trace(pin.ref) == ("local", str(folder)[1:])


def test_a_single_file_is_a_model_too(folder: Path) -> None:
    pin = pin_of(folder / "a b.txt")
    (artifact,) = pin.artifacts
    assert artifact.name == "a b.txt"
    assert SOURCE.layout(pin).placements == (PutFile(f"{folder}/a b.txt"[1:], artifact),)
    assert inspect(SOURCE.layout(pin), {"local": Path("/")}, deep=True).presence() == "present"


def test_a_file_that_has_the_name_of_its_folder_stays_below_it(tmp_path: Path) -> None:
    (tmp_path / "voice").mkdir()
    (tmp_path / "voice/voice").write_text("x")
    (row,) = SOURCE.layout(pin_of(tmp_path / "voice")).placements
    assert isinstance(row, PutFile)
    assert row.path == f"{tmp_path}/voice/voice"[1:]


def test_the_lock_brings_the_same_pin_and_layout_back(folder: Path) -> None:
    pin = pin_of(folder)
    parsed = parse_lock(dump_lock([pin]), where="x")[pin.key]
    assert parsed == pin
    assert SOURCE.layout(parsed) == SOURCE.layout(pin)


@pytest.mark.parametrize("ending", ["/", "//", "/."])
def test_a_path_may_end_as_people_write_it(folder: Path, ending: str) -> None:
    wish = model("local", {"path": f"{folder}{ending}"})
    assert SOURCE.check_ref(wish.ref) == []
    assert SOURCE.layout(SOURCE.resolve(wish, Here())).folder == str(folder)[1:]


def test_the_revision_changes_with_any_file_and_with_nothing_else(folder: Path) -> None:
    first = pin_of(folder).revision
    (folder / ".git/HEAD").write_bytes(b"another")
    os.utime(folder / "config.json", (1, 1))
    assert pin_of(folder).revision == first
    (folder / "config.json").write_bytes(b"[]")
    second = pin_of(folder).revision
    (folder / "more").write_bytes(b"")
    third = pin_of(folder).revision
    (folder / "more").rename(folder / "else")
    fourth = pin_of(folder).revision
    assert len({first, second, third, fourth}) == 4


@pytest.mark.parametrize("name", ["gone", "empty", "only folders", "only history"])
def test_where_there_is_no_file_nothing_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "only folders/deep").mkdir(parents=True)
    (tmp_path / "only history/.git").mkdir(parents=True)
    (tmp_path / "only history/.git/HEAD").write_text("x")
    with pytest.raises(ModelSetError, match=f"there is no file at .*/{name}$") as caught:
        pin_of(tmp_path / name)
    assert caught.value.failure.code == "not-found"
    assert "ref.path" in caught.value.failure.hint


@pytest.mark.parametrize("name", ["a\\b", "a:b", "a\nb", "a\x01"])
def test_a_name_that_no_other_system_could_hold_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(ModelSetError, match="unsafe file name") as caught:
        pin_of(tmp_path)
    assert caught.value.failure.hint == "rename that file"


@pytest.mark.skipif(sys.platform != "linux", reason="only there a name may be any bytes")
def test_a_name_that_is_no_text_is_said_or_kept(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/weights-\xff.bin", "wb") as stream:
        stream.write(b"x")
    try:
        pin = pin_of(tmp_path)
    except ModelSetError as error:
        assert error.failure.code == "not-found"  # noqa: PT017 - either end is right
    else:
        assert parse_lock(dump_lock([pin]), where="x")[pin.key] == pin


def test_a_link_that_leads_nowhere_is_said(folder: Path) -> None:
    (folder / "broken").symlink_to("nowhere")
    with pytest.raises(ModelSetError) as caught:
        pin_of(folder)
    assert caught.value.failure.code == "store-read-error"


def test_a_link_to_a_file_is_that_file_and_a_folder_behind_a_link_is_left_out(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "blob").write_bytes(b"blob")
    (folder / "linked.bin").symlink_to(tmp_path / "blob")
    (folder / "circle").symlink_to(folder)
    pin = pin_of(folder)
    names = {row.name: row for row in pin.artifacts}
    assert set(names) == {*FILES, "linked.bin"}
    assert names["linked.bin"].size == 4
    assert inspect(SOURCE.layout(pin), {"local": Path("/")}, deep=True).presence() == "present"


PIPE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from modelset.core.errors import ModelSetError
from modelset.store.here import Surroundings
try:
    found = Surroundings({}, {}).local_files(sys.argv[1], lambda: None)
    print(sorted(row.name for row in found))
except ModelSetError as error:
    print(error.failure.code)
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_among_the_files_does_not_stop_everything(tmp_path: Path, project: Project) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a.bin").write_text("x")
    os.mkfifo(tmp_path / "model/pipe")
    shared = project.environ["PYTHONPATH"]
    command = [sys.executable, "-c", PIPE, str(tmp_path / "model"), shared]
    # A process of its own: one that waits for a pipe cannot be told to stop.
    ran = run_process(command, env=project.environ, timeout_s=5)
    assert ran.stdout in ("['a.bin']\n", "not-found\n", "store-read-error\n"), ran.stderr


def test_a_long_look_can_be_stopped(folder: Path) -> None:
    def stop() -> None:
        raise ModelSetError("stopped", "stopped")

    with pytest.raises(ModelSetError) as caught:
        Surroundings({}, {}).local_files(str(folder), stop)
    assert caught.value.failure.code == "stopped"


@pytest.mark.parametrize(
    "path", ["model", "./model", "~/model", "", "/", "/data/../etc", "../x", "/.."]
)
def test_a_path_is_absolute_and_without_steps_back(path: str) -> None:
    assert SOURCE.check_ref({"path": path}) == ["ref.path: should be an absolute path without `..`"]


@pytest.mark.parametrize("path", [5, None, ["/x"], {}])
def test_a_path_is_a_text(path: object) -> None:
    assert SOURCE.check_ref({"path": path}) == ["ref.path: should be a text"]


@pytest.mark.parametrize("name", ["models [v2]", "a*", "what?"])
def test_a_trace_finds_a_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    root, pattern = SOURCE.trace({"path": str(tmp_path / name)})
    assert root == "local"
    assert list(Path("/").glob(pattern)) == [tmp_path / name]


def test_what_a_web_tells_is_taken_as_it_is() -> None:
    rows = (own("config.json"), own("sub/weights.bin"))
    pin = SOURCE.resolve(FOLDER, FakeWeb(files={PLACE: rows}))
    assert pin.artifacts == rows
    file = own("voice.onnx", "/data/voice.onnx")
    alone = SOURCE.resolve(FILE, FakeWeb(files={"/data/voice.onnx": (file,)}))
    assert SOURCE.layout(alone).placements == (PutFile("data/voice.onnx", file),)


# ---- through a whole run -------------------------------------------------------------------


@pytest.fixture
def house(project: Project, folder: Path) -> ModelSet:
    """A project whose one model of its own is the folder."""
    project.config.write_text(f"""
[[model]]
key = "local:house"
category = "house"
source = "local"
ref = {{ path = "{folder}" }}
""")
    return ModelSet(load_settings({}, project.environ, project.folder))


def bring(house: ModelSet, **terms: bool) -> Outcome:
    (outcome,) = house.download(Wishes(keys=("local:house",)), Terms(**terms)).outcomes
    return outcome


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def presence(house: ModelSet, *, deep: bool = False) -> str:
    (status,) = house.check(Wishes(keys=("local:house",)), deep=deep).statuses
    return status.presence


def test_a_model_is_registered_without_being_touched(house: ModelSet, folder: Path) -> None:
    before = state(folder)
    assert presence(house) == "unpinned"
    outcome = bring(house)
    assert (outcome.result, outcome.failure) == ("ready", None)
    assert outcome.bytes_moved == 0
    assert presence(house, deep=True) == "present"
    assert house.path("local:house") == folder
    assert bring(house, frozen=True).result == "ready"
    assert state(folder) == before


@pytest.mark.parametrize("body", [b"[1]", b"[]"])
def test_a_changed_model_is_seen_and_registered_anew(
    house: ModelSet, folder: Path, body: bytes
) -> None:
    bring(house)
    (folder / "config.json").write_bytes(body)
    assert presence(house, deep=True) == "corrupt"
    outcome = bring(house)
    assert (outcome.result, outcome.failure) == ("ready", None)
    assert presence(house, deep=True) == "present"
    assert (folder / "config.json").read_bytes() == body


@pytest.mark.parametrize("terms", [{"frozen": True}, {"locked": True}])
def test_a_changed_model_is_refused_where_the_lock_is_to_hold(
    house: ModelSet, folder: Path, terms: dict[str, bool]
) -> None:
    bring(house)
    lock = house.settings.lock.read_bytes()
    (folder / "weights/a.bin").write_bytes(b"b")
    failure = bring(house, **terms).failure
    assert failure is not None
    assert failure.code == "local-changed"
    assert "local:house" in failure.message
    assert house.settings.lock.read_bytes() == lock
    assert (folder / "weights/a.bin").read_bytes() == b"b"


def test_a_model_that_has_gone_is_missing_and_not_found(house: ModelSet, folder: Path) -> None:
    bring(house)
    folder.rename(folder.with_name("elsewhere"))
    assert presence(house) == "missing"
    failure = bring(house).failure
    assert failure is not None
    assert failure.code == "not-found"
    folder.with_name("elsewhere").rename(folder)
    assert presence(house, deep=True) == "present"


def test_a_file_that_was_added_is_registered_with_the_next_change(
    house: ModelSet, folder: Path
) -> None:
    bring(house)
    (folder / "weights/a.bin").unlink()
    (folder / "new.bin").write_bytes(b"new")
    assert presence(house) == "partial"
    assert bring(house).result == "ready"
    pin = parse_lock(house.settings.lock.read_text(), where="x")["local:house"]
    names = {row.name for row in pin.artifacts}
    assert names == {*FILES, "new.bin"} - {"weights/a.bin"}
