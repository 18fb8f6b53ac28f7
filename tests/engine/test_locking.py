"""What sources say now against what is pinned, asked side by side; and the lock file between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile
from modelset.core.lock import dump_lock, licences_of
from modelset.core.types import Artifact, Choice, Failure, Model, Pin, first_use
from modelset.engine.check import Inspector
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, refuse_stale, stale_of, write_lock
from modelset.engine.locking import Pinned, ask_sources, bytes_to_fetch, write_pins
from modelset.engine.means import Places
from modelset.engine.task import Terms, World
from modelset.store.history import read_history
from modelset.store.registry import read_registry, remember

URL = "https://example.org/m.bin"
MODEL = Model("house:a", "x", "critical", "fake", {"repo": "r"}, licence="MIT")
CHOICE = Choice(MODEL, "critical", "asked for")


def pin(revision: str, digest: str = "", size: int = 3, key: str = "house:a") -> Pin:
    letter = digest or revision[-1]
    artifact = Artifact("m.bin", URL, size, "md5:" + letter * 32)
    return Pin(key, "fake", {"repo": "r"}, revision, (artifact,))


def learned_later(size: int = 3) -> Pin:
    return replace(pin("1"), artifacts=(Artifact("m.bin", URL, size, first_use(URL)),))


Answer = Callable[[Model, Any], Pin]


@dataclass
class Fake:
    """A source that answers as it is told."""

    answer: Answer
    asked: list[str] = field(default_factory=list)
    barred: str = ""

    def resolve(self, model: Model, web: Any) -> Pin:
        self.asked.append(model.key)
        return self.answer(model, web)

    def layout(self, one: Pin) -> Layout:
        return Layout("vosk", tuple(PutFile(row.name, row) for row in one.artifacts), "")

    def check_access(self, model: Model, web: Any) -> None:
        if self.barred:
            raise ModelSetError("licence-not-accepted", self.barred, "accept them")


def world_of(
    folder: Path, source: Fake, web: FakeWeb | None = None, stop: Stop | None = None
) -> World:
    roots = {name: folder / name for name in ("registry", "downloads", "vosk")}
    inspector = Inspector(cast(Any, {"fake": source}), cast(Any, roots))
    return World(
        inspector,
        cast(Places, None),
        lambda guard, on_retry: web or FakeWeb(),
        folder / "models.lock.json",
        stop or Stop(),
        lambda event: None,
        lambda: "now",
    )


# ---- what an answer means -------------------------------------------------------------------

FOREIGN = replace(pin("a"), ref={"repo": "other"})
CHANGES: Mapping[str, tuple[Pin | None, Pin | None, str]] = {
    "nobody was asked": (pin("a"), None, "same"),
    "the same": (pin("a"), pin("a"), "same"),
    "the same from elsewhere": (FOREIGN, pin("a"), "same"),
    "never pinned": (None, pin("a"), "new"),
    "another commit": (pin("a"), pin("b"), "moved"),
    "other bytes under one name": (pin("v1", "a"), pin("v1", "b"), "moved"),
    "pinned for another table": (FOREIGN, pin("b"), "moved"),
    "no digest, never pinned": (None, learned_later(), "unlocked"),
    "no digest, for another table": (FOREIGN, learned_later(), "unlocked"),
    "no digest, the same size": (pin("a"), learned_later(), "unknown"),
    "no digest, another size": (pin("a"), learned_later(4), "moved"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_answer_means(name: str) -> None:
    old, new, change = CHANGES[name]
    row = Pinned(CHOICE, old, new)
    assert row.change == change
    assert row.pin == (new if new is not None and new.is_exact else old)
    assert Pinned(CHOICE, old, new, Failure("stalled", "x")).change == "failed"


# ---- asking ---------------------------------------------------------------------------------


def choices_of(count: int) -> list[Choice]:
    return [
        Choice(replace_model(key=f"house:m{number}"), "optional", "") for number in range(count)
    ]


def replace_model(**changes: Any) -> Model:
    return replace(MODEL, **changes)


def test_only_what_is_not_current_is_asked_unless_it_is_to_be(tmp_path: Path) -> None:
    source = Fake(lambda model, web: pin("b", key=model.key))
    world = world_of(tmp_path, source)
    choices = choices_of(4)
    lock = {f"house:m{n}": pin("a", key=f"house:m{n}") for n in range(3)}
    lock["house:m1"] = replace(lock["house:m1"], ref={"repo": "older"})
    rows = ask_sources(choices, lock, world, Terms())
    assert [row.change for row in rows] == ["same", "moved", "same", "new"]
    assert sorted(source.asked) == ["house:m1", "house:m3"]
    rows = ask_sources(choices, lock, world, Terms(), again=["house:m0"])
    assert [row.change for row in rows] == ["moved", "moved", "same", "new"]
    assert list(tmp_path.iterdir()) == [], "asking writes nothing"


class RememberingWeb(FakeWeb):
    """A web that can ask by what was answered before."""

    def remembering(self) -> str:
        return "remembering"


def test_what_was_not_asked_for_again_is_not_answered_from_memory(tmp_path: Path) -> None:
    seen: dict[str, bool] = {}

    def answer(model: Model, web: Any) -> Pin:
        seen[model.key] = web == "remembering"
        return pin("a", key=model.key)

    world = world_of(tmp_path, Fake(answer), RememberingWeb())
    lock = {"house:m0": pin("a", key="house:m0")}
    ask_sources(choices_of(2), lock, world, Terms(), again=["house:m0"])
    assert seen == {"house:m0": True, "house:m1": False}


def test_sources_are_asked_side_by_side_and_answers_keep_the_order(tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=20)

    def answer(model: Model, web: Any) -> Pin:
        together.wait()
        return pin("a", key=model.key)

    choices = choices_of(4)
    rows = ask_sources(choices, {}, world_of(tmp_path, Fake(answer)), Terms(connections=4))
    assert [row.choice for row in rows] == choices
    assert {row.change for row in rows} == {"new"}


def test_one_models_failure_is_its_own(tmp_path: Path) -> None:
    def answer(model: Model, web: Any) -> Pin:
        if model.key == "house:m0":
            raise ModelSetError("not-found", "gone", "look")
        if model.key == "house:m1":
            raise ZeroDivisionError
        return pin("a", key=model.key)

    rows = ask_sources(choices_of(3), {}, world_of(tmp_path, Fake(answer)), Terms())
    codes = [row.failure.code if row.failure else "" for row in rows]
    assert codes == ["not-found", "unexpected", ""]
    assert [row.change for row in rows] == ["failed", "failed", "new"]


def test_a_closed_gate_says_what_opens_it(tmp_path: Path) -> None:
    def answer(model: Model, web: Any) -> Pin:
        raise ModelSetError("access-denied", "403")

    source = Fake(answer, barred="the terms are not accepted")
    gated = Choice(replace_model(gate="https://example.org/terms"), "optional", "")
    (row,) = ask_sources([gated], {}, world_of(tmp_path, source), Terms())
    assert row.failure == Failure(
        "licence-not-accepted", "the terms are not accepted", "accept them"
    )
    (row,) = ask_sources([CHOICE], {}, world_of(tmp_path, source), Terms())
    assert row.failure is not None
    assert row.failure.code == "access-denied"


def test_a_commit_that_has_not_moved_is_one_question(tmp_path: Path) -> None:
    def answer(model: Model, web: Any) -> Pin:
        commit = web.get_json("commit")["sha"]
        web.get_pages("tree")
        return pin(commit, "b", key=model.key)

    web = FakeWeb(json={"commit": {"sha": "c" * 40}}, pages={"tree": []})
    world = world_of(tmp_path, Fake(answer), web)
    old = pin("c" * 40)
    (row,) = ask_sources([CHOICE], {"house:a": old}, world, Terms(), again=["house:a"], brief=True)
    assert (row.change, row.new, web.asked) == ("same", None, ["commit"])
    # Asked in full, or of another commit, or for another table: everything is listed.
    web.asked.clear()
    for lock, brief in (
        ({"house:a": old}, False),
        ({"house:a": pin("d" * 40)}, True),
        ({"house:a": replace(old, ref={"repo": "older"})}, True),
        ({}, True),
    ):
        (row,) = ask_sources([CHOICE], lock, world, Terms(), again=["house:a"], brief=brief)
        assert row.new is not None
    assert web.asked == ["commit", "tree"] * 4


def test_a_stop_ends_it_and_nothing_is_lost(tmp_path: Path) -> None:
    stop = Stop()

    def answer(model: Model, web: Any) -> Pin:
        if model.key == "house:m1":
            stop.ask("stopped")
        return pin("a", key=model.key)

    world = world_of(tmp_path, Fake(answer), stop=stop)
    rows = ask_sources(choices_of(5), {}, world, Terms(connections=1))
    assert [row.key for row in rows] == [f"house:m{number}" for number in range(5)]
    assert rows[0].change == "new"
    assert {row.failure.code for row in rows if row.failure} == {"stopped"}
    assert rows[4].change == "failed"


# ---- writing --------------------------------------------------------------------------------


def test_what_was_answered_is_written_with_its_licence_and_what_it_replaces_noted(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, Fake(lambda model, web: pin("a")))
    entry = {"files": []}
    remember(tmp_path / "registry", {"house:a": entry, "house:b": entry})
    write_pins([Pinned(CHOICE, None, pin("a"))], world)
    write_pins([Pinned(CHOICE, pin("a"), pin("b"))], world)
    assert read_lock(world.lock_path) == {"house:a": pin("b")}
    assert licences_of(world.lock_path.read_text()) == {"house:a": "MIT"}
    assert read_history(tmp_path / "registry") == {"house:a": (pin("a"),)}
    # What was verified was of the old revision, and names and sizes may be the same.
    assert list(read_registry(tmp_path / "registry")) == ["house:b"]


def test_what_could_not_be_pinned_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    world = world_of(tmp_path, Fake(lambda model, web: pin("a")))
    write_pins([Pinned(CHOICE, None, pin("a"))], world)
    before = world.lock_path.read_bytes()
    for row in (
        Pinned(CHOICE, pin("a"), learned_later()),
        Pinned(CHOICE, pin("a"), failure=Failure("stalled", "x")),
        Pinned(CHOICE, pin("a")),
    ):
        write_pins([row], world)
        assert world.lock_path.read_bytes() == before
    assert read_history(tmp_path / "registry") == {}


def test_a_key_can_be_taken_out_and_is_noted(tmp_path: Path) -> None:
    world = world_of(tmp_path, Fake(lambda model, web: pin("a")))
    write_pins([Pinned(CHOICE, None, pin("a"))], world)
    write_pins([Pinned(CHOICE, pin("a"), learned_later(9))], world, without=["house:a"])
    assert read_lock(world.lock_path) == {}
    assert read_history(tmp_path / "registry") == {"house:a": (pin("a"),)}


def test_a_lock_of_an_earlier_form_gets_lines_and_licences(tmp_path: Path) -> None:
    world = world_of(tmp_path, Fake(lambda model, web: pin("a")))
    other = pin("c", key="house:other")
    world.lock_path.write_text(
        dump_lock([pin("a"), other], {"house:other": "GPL"}).replace("\n", "")
    )
    write_pins([Pinned(CHOICE, pin("a"))], world)
    text = world.lock_path.read_text()
    licences = {"house:a": "MIT", "house:other": "GPL"}
    assert text == dump_lock([pin("a"), other], licences)


def test_a_history_is_kept_only_where_there_is_a_place_for_it(tmp_path: Path) -> None:
    path = tmp_path / "models.lock.json"
    lock = write_lock(path, {}, [pin("a")])
    write_lock(path, lock, [pin("b")])
    assert [entry.name for entry in tmp_path.iterdir()] == ["models.lock.json"]


def test_what_is_stale_is_said_with_the_command_that_mends_it(tmp_path: Path) -> None:
    models = [MODEL, replace_model(key="house:b")]
    assert [one.key for one in stale_of(models, {"house:a": pin("a")})] == ["house:b"]
    with pytest.raises(ModelSetError, match="house:b") as caught:
        refuse_stale(models, {"house:a": pin("a")}, tmp_path)
    assert caught.value.failure.code == "lock-stale"
    assert "modelset lock" in caught.value.failure.hint


# ---- bytes ----------------------------------------------------------------------------------


def test_a_file_of_the_right_name_and_size_may_still_have_to_come(tmp_path: Path) -> None:
    inspector = world_of(tmp_path, Fake(lambda model, web: pin("a"))).inspector
    folder = tmp_path / "vosk"
    folder.mkdir()
    assert bytes_to_fetch(Pinned(CHOICE, pin("a"), pin("b")), inspector) == 3
    (folder / "m.bin").write_bytes(b"old")
    assert bytes_to_fetch(Pinned(CHOICE, pin("a"), pin("b")), inspector) == 3
    assert bytes_to_fetch(Pinned(CHOICE, None, pin("b")), inspector) == 0
    assert bytes_to_fetch(Pinned(CHOICE, pin("a"), pin("b", size=9)), inspector) == 9
    assert bytes_to_fetch(Pinned(CHOICE, pin("a")), inspector) == 0
