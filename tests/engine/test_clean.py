"""Cleaning under random states: not a byte goes that a pin, the registry or another program needs.

A world is a Hub cache and an Ollama store that a project and other programs have filled, in any
order; what has to survive is worked out here from what they did, not from what a clean knows.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelset.core.clean import DAY_S, Rules
from modelset.core.layout import Layout, Link, PutFile, PutText
from modelset.core.types import Artifact, Model, Pin
from modelset.core.values import replace
from modelset.engine.clean import Cleaned, Cleaner
from modelset.engine.guard import Stop
from modelset.engine.needed import Memory
from modelset.sources import SOURCES
from modelset.store.history import note_replaced, read_history
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.registry import entry_of, read_registry, remember
from modelset.store.roots import roots_below

BODIES = [bytes([65 + number]) * (number + 3) for number in range(6)]
COMMITS = [f"{number}" * 40 for number in range(1, 7)]
# Two models of one repository share blobs and commits; one has files of its own, one a tag.
MODELS: dict[str, dict[str, Any]] = {
    "whisper:a": {"repo": "acme/one"},
    "whisper:b": {"repo": "acme/one", "allow": ["config.json"]},
    "ner:c": {"repo": "acme/two"},
    "tts:d": {"repo": "acme/two", "root": "piper", "allow": ["*"]},
    "ollama:e": {"name": "e:latest"},
    "ollama:f": {"name": "f:latest"},
}
NAMES = ["config.json", "model.bin", "sub/vocab.txt"]


def artifact(name: str, body: bytes) -> Artifact:
    digest = hashlib.sha256(body).hexdigest()
    return Artifact(name, f"https://example.org/{name}", len(body), f"sha256:{digest}")


def files_of(ref: dict[str, Any], number: int) -> dict[str, bytes]:
    """What a commit of a repository holds: some files change, some never do."""
    if "root" in ref:
        return {f"{COMMITS[number][:4]}.onnx": BODIES[number % 6]}
    if "allow" in ref:
        return {"config.json": BODIES[number % 2]}
    chosen = (BODIES[number % 2], BODIES[number % 6], BODIES[(number * 2) % 5])
    return dict(zip(NAMES, chosen, strict=True))


def pin_of(key: str, number: int) -> Pin:
    ref: dict[str, Any] = MODELS[key]
    if "name" in ref:
        rows = [artifact("layer", BODIES[number % 3]), artifact("model-x", BODIES[number])]
        unique = tuple({row.digest: row for row in rows}.values())
        digests = [{"digest": row.digest} for row in unique]
        text = json.dumps({"config": digests[0], "layers": digests[1:], "of": [key, number]})
        return Pin(key, "ollama", ref, hashlib.sha256(text.encode()).hexdigest(), unique, text)
    rows = [artifact(name, body) for name, body in files_of(ref, number).items()]
    return Pin(key, "huggingface", ref, COMMITS[number], tuple(rows))


def layout_of(pin: Pin) -> Layout:
    return SOURCES[pin.source].layout(pin)


class World:
    """A machine, and all that was done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = roots_below(folder / "models", {"site-packages": folder / "site"})
        self.roots |= {"local": Path("/"), "credentials": folder / "credentials"}
        self.lock: dict[str, Pin] = {}
        self.wanted: frozenset[str] = frozenset()
        self.ahead = 0.0
        self.precious: dict[str, bytes] = {}
        self.pulled: set[str] = set()
        self.snapshots: set[Path] = set()
        self.hub.mkdir(parents=True)

    @property
    def hub(self) -> Path:
        return self.roots["huggingface"]

    @property
    def registry(self) -> Path:
        return self.roots["registry"]

    @property
    def cleaner(self) -> Cleaner:
        def recall() -> Memory:
            return Memory(
                dict(self.lock),
                read_history(self.registry),
                read_registry(self.registry),
                self.wanted,
                {key: Model(key, "x", "optional", pin_of(key, 0).source, ref)
                 for key, ref in MODELS.items()},
            )  # fmt: skip

        now = self.folder / "now"
        now.touch()
        return Cleaner(SOURCES, self.roots, recall, lambda: now.stat().st_mtime + self.ahead, {})

    def clean(self, rules: Rules) -> Cleaned:
        return self.cleaner.clean(rules, Stop())

    # --- what happens to a machine ---

    def pin(self, key: str, number: int) -> None:
        """An update: the lock says another revision, which is not here yet."""
        if key in self.lock:
            note_replaced(self.registry, [self.lock[key]])
        self.lock[key] = pin_of(key, number)

    def download(self, key: str, number: int) -> None:
        self.pin(key, number)
        self.fetch(key)

    def fetch(self, key: str) -> None:
        """What is pinned comes, and is remembered."""
        pin = self.lock.get(key)
        if pin is not None:
            bodies = {artifact("x", body).digest: body for body in BODIES}
            layout = layout_of(pin)
            model = Model(key, "x", "optional", pin.source, pin.ref)
            place(layout, self.roots, bodies)
            row = entry_of(model, pin, layout, self.roots, sha256={}, date_added="")
            remember(self.registry, {key: row})

    def drop(self, key: str) -> None:
        """Somebody takes a model out of the lock."""
        if key in self.lock:
            note_replaced(self.registry, [self.lock.pop(key)])

    def foreign(self, repo: str, number: int, ref: str) -> None:
        """Another program fills the same cache, and keeps its own ref of it, or none."""
        key = "whisper:a" if repo == "acme/one" else "ner:c"
        pin = pin_of(key, number)
        bodies = {artifact("x", body).digest: body for body in BODIES}
        layout = layout_of(pin)
        rows = tuple(row for row in layout.placements if not isinstance(row, PutText))
        place(replace(layout, placements=rows), self.roots, bodies)
        folder = self.hub / f"models--{repo.replace('/', '--')}"
        if ref:
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / ref).write_text(pin.revision)
        self.snapshots.add(folder / "snapshots" / pin.revision)

    def extra(self, repo: str, number: int) -> None:
        """Another program adds a file of its own to a snapshot."""
        folder = self.hub / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMITS[number]
        if folder.is_dir():
            (folder / "own.txt").write_bytes(b"own")
            self.snapshots.add(folder)

    def pull(self, number: int) -> None:
        """Ollama itself pulls a model with layers that one of ours has too."""
        pin = replace(pin_of("ollama:e", number), ref={"name": "theirs:latest"})
        bodies = {artifact("x", body).digest: body for body in BODIES}
        place(layout_of(pin), self.roots, bodies)
        self.pulled = {str(self.roots["ollama"] / row.path)
                       for row in layout_of(pin).placements
                       if isinstance(row, PutFile | PutText)}  # fmt: skip
        self.precious |= {path: Path(path).read_bytes() for path in self.pulled}

    # --- what has to survive ---

    def kept_pins(self, keep: int) -> Iterator[Pin]:
        yield from self.lock.values()
        for key, pins in read_history(self.registry).items():
            now = self.lock.get(key)
            yield from [pin for pin in pins if now is None or pin.revision != now.revision][:keep]

    def needed(self, rules: Rules) -> dict[str, bytes]:
        """Every file that is here and must be here afterwards, with its bytes."""
        found: dict[str, bytes] = {}
        for pin in self.kept_pins(rules.keep):
            for row in layout_of(pin).placements:
                assert isinstance(row, PutFile | PutText | Link)
                path = self.roots[layout_of(pin).root] / row.path
                if path.exists():
                    found[str(path)] = path.read_bytes()
        for key, entry in read_registry(self.registry).items():
            if key in self.lock or key in self.wanted or not rules.orphans:
                for row in entry["files"]:
                    found[row["path"]] = Path(row["path"]).read_bytes()
                if os.path.isdir(entry["path"]):
                    found |= contents(Path(entry["path"]))
        for ref in self.hub.glob("models--*/refs/*"):
            repo = ref.parents[1]
            if ref.name != "main" or not rules.orphans:
                found[str(ref)] = ref.read_bytes()
                found |= contents(repo / "snapshots" / ref.read_text())
        if not rules.foreign:
            found |= self.left_by_ollama() | self.unlike_ours()
        return found

    def left_by_ollama(self) -> dict[str, bytes]:
        """What its newest pull names; of earlier ones, what is here and was never ours as well."""
        own = self.placed()
        return {
            path: body
            for path, body in self.precious.items()
            if path in self.pulled or (path not in own and os.path.exists(path))
        }

    def unlike_ours(self) -> dict[str, bytes]:
        """Snapshots of other programs. One that holds what a pin of ours placed and nothing else
        looks like our own: only a ref of theirs keeps it.
        """
        every = [contents(snapshot) for snapshot in self.snapshots]
        own = self.placed()
        return {name: body for one in every if not one.keys() <= own for name, body in one.items()}

    def placed(self) -> set[str]:
        """Every path that a pin of ours has ever named, or that the registry names, as far as it is
        still remembered.
        """
        pins = [*self.lock.values(), *itertools.chain(*read_history(self.registry).values())]
        rows = [(layout_of(pin).root, row) for pin in pins for row in layout_of(pin).placements]
        named = {str(self.roots[root] / row.path) for root, row in rows if hasattr(row, "path")}
        entries = read_registry(self.registry).values()
        return named | {row["path"] for entry in entries for row in entry["files"]}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def holds(needed: dict[str, bytes]) -> None:
    for path, body in needed.items():
        assert Path(path).exists(), path
        assert Path(path).read_bytes() == body, path


def no_link_leads_nowhere(world: World) -> None:
    for path in world.hub.glob("models--*/snapshots/**/*"):
        assert path.exists(), f"{path} leads to nothing"


KEYS = st.sampled_from(sorted(MODELS))
NUMBERS = st.integers(0, 5)
REPOS = st.sampled_from(["acme/one", "acme/two"])
DEEDS = st.one_of(
    st.tuples(st.just("download"), KEYS, NUMBERS),
    st.tuples(st.just("download"), KEYS, NUMBERS),
    st.tuples(st.just("pin"), KEYS, NUMBERS),
    st.tuples(st.just("fetch"), KEYS),
    st.tuples(st.just("drop"), KEYS),
    st.tuples(st.just("foreign"), REPOS, NUMBERS, st.sampled_from(["", "", "main", "v1", "pr"])),
    st.tuples(st.just("extra"), REPOS, NUMBERS),
    st.tuples(st.just("pull"), NUMBERS),
    st.tuples(st.just("clean"), st.integers(0, 3)),
)
RULES = st.builds(
    Rules,
    keep=st.integers(0, 3),
    max_size=st.none() | st.integers(0, 60),
    keys=st.just(frozenset()) | st.frozensets(KEYS, min_size=1, max_size=2),
    orphans=st.booleans(),
    foreign=st.booleans(),
)
WORLDS = st.tuples(st.lists(DEEDS, min_size=1, max_size=14), RULES, st.frozensets(KEYS, max_size=2))


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], World]]:
    """A new world in which some deeds were done, and the last one gone."""
    folder = tmp_path / "world"
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power cut comes in these tests

    def make(deeds: Any) -> World:
        shutil.rmtree(folder, ignore_errors=True)
        world = World(folder)
        world.download("ner:c", 0)  # there is always something that is locked
        for name, *arguments in deeds:
            if name == "clean":
                world.clean(Rules(keep=arguments[0]))
            else:
                getattr(world, name)(*arguments)
        return world

    yield make
    shutil.rmtree(folder, ignore_errors=True)


def refuse_no_lock(world: World, rules: Rules) -> Rules:
    return rules if world.lock else replace(rules, orphans=False)


# Each example makes the fixture's world anew.
RANDOM = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RANDOM
@given(WORLDS)
def test_nothing_that_is_needed_ever_goes(make: Callable[[Any], World], state: Any) -> None:
    deeds, rules, wanted = state
    world = make(deeds)
    rules = refuse_no_lock(world, rules)
    world.wanted = wanted
    world.ahead = 2 * DAY_S  # so that nothing stays for its youth alone
    needed = world.needed(rules)
    whole = [
        pin
        for pin in world.kept_pins(rules.keep)
        if inspect(without_texts(pin), world.roots, deep=True).presence() == "present"
    ]
    before = contents(world.folder / "models")
    seen = world.cleaner.look(rules)
    assert contents(world.folder / "models") == before, "a look changes nothing"
    cleaned = world.clean(rules)
    assert cleaned.done == set(range(len(seen.cleaning.steps)))
    holds(needed)
    no_link_leads_nowhere(world)
    for pin in whole:
        assert inspect(without_texts(pin), world.roots, deep=True).presence() == "present"
    if rules.max_size is None:
        assert world.cleaner.look(rules).cleaning.steps == (), "once is enough"


def without_texts(pin: Pin) -> Layout:
    """Of an earlier pin, what a way back has to find: its texts are those of the newer one."""
    layout = layout_of(pin)
    return replace(
        layout, placements=tuple(row for row in layout.placements if not isinstance(row, PutText))
    )


@RANDOM
@given(WORLDS, st.integers(0, 12))
def test_a_kill_half_way_leaves_nothing_that_the_next_run_does_not_end(
    make: Callable[[Any], World], state: Any, count: int
) -> None:
    deeds, rules, _ = state
    world = make(deeds)
    rules = replace(refuse_no_lock(world, rules), max_size=None)
    world.ahead = 2 * DAY_S
    needed = world.needed(rules)
    steps = world.cleaner.look(rules).cleaning.steps
    going = [one.path for step in steps for one in (*step.item.names, *step.blobs)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelset.store.removal.os.unlink", dying_after(count))
        with contextlib.suppress(Killed):
            world.clean(rules)
    holds(needed)
    no_link_leads_nowhere(world)
    world.clean(rules)
    holds(needed)
    assert [path for path in going if os.path.lexists(path)] == []


class Killed(BaseException):
    """What nothing catches."""


def dying_after(count: int) -> Callable[[str], None]:
    left = iter(range(count))

    def unlink(path: str) -> None:
        if next(left, None) is None:
            raise Killed
        os.remove(path)

    return unlink


def test_the_only_whole_revision_stays_while_the_newer_one_is_not_here_yet(
    make: Callable[[Any], World],
) -> None:
    # Neither a pin within `keep` nor a ref names it any more, but the registry does.
    deeds = [
        ("download", "whisper:a", 1),
        ("pin", "whisper:a", 2),
        ("foreign", "acme/one", 3, "main"),
    ]
    world = make(deeds)
    needed = contents(world.hub / "models--acme--one/snapshots" / COMMITS[1])
    assert needed
    world.clean(Rules(keep=0, foreign=True))
    holds(needed)
    world.fetch("whisper:a")
    world.clean(Rules(keep=0))
    assert not any(Path(path).exists() for path in needed)


def test_layers_that_ollama_pulled_as_well_stay_when_ours_move_on(
    make: Callable[[Any], World],
) -> None:
    deeds = [("download", "ollama:e", 4), ("pull", 4), ("download", "ollama:e", 0)]
    world = make(deeds)
    world.clean(Rules(keep=0))
    holds(world.precious)
    theirs = world.roots["ollama"] / "manifests/registry.ollama.ai/library/theirs/latest"
    theirs.unlink()
    cleaned = world.clean(Rules(keep=0))
    kinds = [step.item.kind for step in cleaned.seen.cleaning.steps]
    assert kinds == ["blob", "blob"]
    assert sum(Path(path).exists() for path in world.precious) == 0


def test_a_damaged_manifest_keeps_every_layer(make: Callable[[Any], World]) -> None:
    world = make([("download", "ollama:e", 4), ("download", "ollama:e", 0)])
    damaged = world.roots["ollama"] / "manifests/h/n/m/latest"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    before = contents(world.roots["ollama"])
    world.clean(Rules(keep=0, orphans=True))
    assert contents(world.roots["ollama"]) == before


def test_a_way_back_is_whole_after_keep_two(make: Callable[[Any], World]) -> None:
    world = make([("download", "whisper:a", number) for number in range(6)])
    world.clean(Rules(keep=2))
    for number in (5, 4, 3):
        layout = without_texts(pin_of("whisper:a", number))
        assert inspect(layout, world.roots, deep=True).presence() == "present"
    left = os.listdir(world.hub / "models--acme--one/snapshots")
    assert sorted(left) == sorted(COMMITS[3:6])
    back = pin_of("whisper:a", 3)
    place(layout_of(back), world.roots, {})  # nothing has to be fetched
    assert inspect(layout_of(back), world.roots, deep=True).presence() == "present"
