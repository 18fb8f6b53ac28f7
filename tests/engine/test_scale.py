"""Planning and checking cost each model the same, however many there are.

Steps of the interpreter are counted, not seconds, so that a busy machine cannot blur the answer.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

import pytest
from benchmarks.store import Store
from tests.fakes.wheels import make_wheel, placement_of

from modelset.core.catalog import parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.lock import Lock, dump_lock, parse_lock
from modelset.core.plan import make_plan
from modelset.core.ports import Source
from modelset.core.report import report_data
from modelset.core.select import Wishes, select
from modelset.core.types import Artifact, Choice, Model, Pin, Report, Status
from modelset.engine.check import Inspector
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.engine.run import Crew
from modelset.engine.seldom import REST, Seldom
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources import SOURCES
from modelset.store.registry import entry_of, is_remembered, read_registry, remember
from modelset.store.wheels import install_wheel

SIZES = (6, 18, 54)
# Room for what is not the same for each model, such as a sort.
ROOM = 1.1


def steps_of(work: Callable[[], object]) -> int:
    """How many steps the interpreter takes for a piece of work."""
    count = 0

    def watch(frame: FrameType, event: str, argument: object) -> object:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return watch

    collecting = gc.isenabled()
    gc.disable()  # it may take steps at any time
    before = sys.gettrace()
    sys.settrace(watch)
    try:
        work()
    finally:
        sys.settrace(before)
        if collecting:
            gc.enable()
    return count


def assert_linear(prepare: Callable[[int], Callable[[], object]]) -> None:
    """The steps for another model are as many among many as among few."""
    prepare(1)()  # what happens once a process, such as imports
    low, middle, high = SIZES
    steps = {size: steps_of(prepare(size)) for size in SIZES}
    early = (steps[middle] - steps[low]) / (middle - low)
    late = (steps[high] - steps[middle]) / (high - middle)
    assert early > 0, "the work does nothing"
    assert late <= early * ROOM, f"{late:.0f} steps a model, at first {early:.0f}"


def test_work_that_grows_with_the_square_is_found_out() -> None:
    def prepare(count: int) -> Callable[[], object]:
        rows = [str(number) for number in range(count)]
        return lambda: [next(row for row in rows if row == wanted) for wanted in rows]

    with pytest.raises(AssertionError):
        assert_linear(prepare)


# ---- whole projects -------------------------------------------------------------------------


def project_of(folder: Path, models: int, files: int = 4) -> ModelSet:
    """A project whose models are all there, and have been verified here."""
    store = Store("", models, files, folder / str(models))
    store.build()
    made = load(store)
    entries = {}
    for key, pin in read_lock(made.settings.lock).items():
        layout = SOURCES[pin.source].layout(pin)
        model = made.catalog.models[key]
        entries[key] = entry_of(
            model, pin, layout, made.settings.roots, sha256={}, date_added="2026-01-01T00:00:00Z"
        )
    remember(made.settings.roots["registry"], entries)
    made.check(Wishes())  # what the first run of a project writes, such as the profile
    return load(store)


def load(store: Store) -> ModelSet:
    """The project as a new process finds it."""
    environ = {**store.environ, "MODELSET_SITE_PACKAGES": str(store.folder / "site-packages")}
    store.folder.joinpath("out").mkdir(exist_ok=True)
    return ModelSet(load_settings({}, environ, store.folder))


def test_a_check_grows_with_its_models(tmp_path: Path) -> None:
    def prepare(count: int) -> Callable[[], object]:
        models = project_of(tmp_path, count)
        return lambda: report_data(checked(models, count))

    assert_linear(prepare)


def checked(models: ModelSet, count: int) -> Report:
    """The report of a check that finds everything."""
    report = models.check(Wishes(category="bench"))
    present = [status for status in report.statuses if status.presence == "present"]
    assert len(present) == count
    return report


def test_the_list_and_the_plans_groups_grow_with_the_models(tmp_path: Path) -> None:
    def prepare(count: int) -> Callable[[], object]:
        models = project_of(tmp_path, count)

        def work() -> None:
            everything = models.everything()
            assert len(everything.choices) >= count
            assert len(models.present_keys()) == count

        return work

    assert_linear(prepare)


def test_what_the_registry_remembers_is_compared_once_a_file(tmp_path: Path) -> None:
    def prepare(count: int) -> Callable[[], object]:
        models = project_of(tmp_path, count)
        lock, roots = read_lock(models.settings.lock), models.settings.roots

        def work() -> None:
            known = read_registry(roots["registry"])
            assert all(
                is_remembered(known.get(key), SOURCES[pin.source].layout(pin), roots)
                for key, pin in lock.items()
            )
            assert len(known) == count
            remember(roots["registry"], known)

        return work

    assert_linear(prepare)


def test_a_file_costs_a_check_one_look(tmp_path: Path) -> None:
    """A look asks the system for nothing but each file's state, and each marker's text."""
    models = project_of(tmp_path, 1, files=50)
    lock = read_lock(models.settings.lock)
    choices = tuple(Choice(models.catalog.models[key], "critical", "") for key in lock)
    looks = 0

    def watch(frame: object, event: str, argument: object) -> None:
        nonlocal looks
        looks += event == "c_call" and argument is os.stat

    inspector = Inspector(SOURCES, models.settings.roots)
    sys.setprofile(watch)
    try:
        (seen,) = inspector.look(choices, lock)
    finally:
        sys.setprofile(None)
    assert seen.status.presence == "present"
    assert looks == 50


# ---- values alone ---------------------------------------------------------------------------


def pins_of(count: int) -> Lock:
    """Pins of one file each."""
    digest = "sha256:" + "0" * 64
    return {
        f"house:m{number}": Pin(
            f"house:m{number}",
            "url",
            {"url": "https://example.org/", "digest": digest, "root": "vosk", "path": f"{number}"},
            "r",
            (Artifact(f"{number}", "https://example.org/", 5, digest),),
        )
        for number in range(count)
    }


def test_a_lock_is_read_and_written_in_one_go(tmp_path: Path) -> None:
    def prepare(count: int) -> Callable[[], object]:
        text = dump_lock(pins_of(count).values())
        return lambda: dump_lock(parse_lock(text, where="lock").values())

    assert_linear(prepare)


def test_a_plan_sorts_its_models_and_no_more() -> None:
    def prepare(count: int) -> Callable[[], object]:
        rows = [
            Status(Model(f"a:m{number}", "x", "optional", "url", {}), "optional", "missing")
            for number in range(count)
        ]
        return lambda: make_plan(rows)

    assert_linear(prepare)


def chain_of(count: int, *, last: str = "") -> str:
    """Tables of models of which each needs the one before it."""
    needs = (f'"house:m{number - 1}"' if number else last for number in range(count))
    return "\n".join(
        f'[[model]]\nkey = "house:m{number}"\ncategory = "house"\nsource = "url"\n'
        f'ref = {{ url = "https://example.org/" }}\nneeds = [{need}]\n'
        for number, need in enumerate(needs)
    )


@pytest.mark.parametrize("last", ["", '"cuda"'])
def test_a_long_chain_of_needs_is_walked_once(last: str) -> None:
    def prepare(count: int) -> Callable[[], object]:
        texts = {"own": chain_of(count, last=last)}
        catalog = parse_catalog(texts, check_ref=no_problem)

        def work() -> None:
            wishes = Wishes(keys=tuple(catalog.models))
            found = select(catalog, wishes, capabilities=frozenset(), recommended_whisper="")
            assert len(found.left_out if last else found.choices) == count

        return work

    assert_linear(prepare)


def test_a_catalog_is_read_in_one_go() -> None:
    def prepare(count: int) -> Callable[[], object]:
        text = chain_of(count)
        return lambda: parse_catalog({"own": text}, check_ref=no_problem)

    assert_linear(prepare)


def test_of_many_mistakes_the_first_ones_get_a_suggestion() -> None:
    text = chain_of(30).replace('needs = ["house:m', 'needs = ["hose:m')
    with pytest.raises(ModelSetError) as caught:
        parse_catalog({"own": text}, check_ref=no_problem)
    lines = caught.value.failure.message.splitlines()
    assert len(lines) == 29
    assert all("unknown model hose:m" in line for line in lines)
    assert [line.endswith("?") for line in lines] == [True] * 10 + [False] * 19


def no_problem(source: str, ref: Mapping[str, object]) -> list[str]:
    """Every reference is fine."""
    return []


# ---- wheels ---------------------------------------------------------------------------------


def test_a_folder_of_packages_is_listed_once_for_all_wheels(tmp_path: Path) -> None:
    def prepare(count: int) -> Callable[[], object]:
        site = tmp_path / str(count)
        site.mkdir()
        made = wheels_in(site, count)
        choices = tuple(choice for choice, _ in made)
        lock = {pin.key: pin for _, pin in made}
        sources: Mapping[str, Source] = SOURCES
        inspector = Inspector(sources, {"site-packages": site, "downloads": site / "none"})

        def work() -> None:
            seen = inspector.look(choices, lock)
            assert [one.status.presence for one in seen] == ["present"] * count

        return work

    assert_linear(prepare)


def wheels_in(site: Path, count: int) -> list[tuple[Choice, Pin]]:
    """Installed wheels, with their pins."""
    made = []
    wheel = make_wheel(site, "1.0")
    row = placement_of(wheel)
    if count:
        install_wheel(wheel, site, row)
    for number in range(count):
        name = f"tiny_model{number}"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        record = (site / "tiny_model-1.0.dist-info/RECORD").read_text("utf-8")
        (info / "RECORD").write_text(record, "utf-8")
        ref = {"requirement": name}
        url = f"https://example.org/{name}-1.0-py3-none-any.whl"
        artifact = Artifact(url.rpartition("/")[2], url, 5, row.artifact.digest)
        model = Model(f"w:{name}", "x", "critical", "wheel", ref)
        pin = Pin(model.key, "wheel", ref, "1.0", (artifact,))
        made.append((Choice(model, "critical", ""), pin))
    return made


# ---- writing a document that grows ----------------------------------------------------------


class Growing:
    """A document that takes longer to write the more it holds; the clock it is timed by."""

    def __init__(self) -> None:
        self.time = 0.0
        self.rows: dict[str, int] = {}
        self.written = 0
        self.fails = False

    def now(self) -> float:
        return self.time

    def write(self, rows: Mapping[str, int]) -> None:
        if self.fails:
            raise OSError("no room")
        self.rows |= rows
        self.written += len(self.rows)
        self.time += len(self.rows)

    def fill(self, count: int) -> None:
        """Add rows, one at each tick of the clock, and flush."""
        seldom = Seldom(self.write, self.now)
        for number in range(count):
            self.time += 1
            seldom.add({str(number): number})
        seldom.flush()


def test_a_growing_document_is_written_in_proportion_to_its_rows() -> None:
    few, many = Growing(), Growing()
    few.fill(1000)
    many.fill(8000)
    assert len(few.rows) == 1000
    assert len(many.rows) == 8000
    # The last two writes hold everything; before those a rest of many lengths follows each.
    assert few.written <= 1000 * (2 + 2 / REST)
    assert many.written <= 8000 * (2 + 2 / REST)


def test_the_first_rows_are_written_at_once_and_the_last_by_a_flush() -> None:
    document = Growing()
    seldom = Seldom(document.write, document.now)
    seldom.flush()
    seldom.add({})
    assert document.written == 0
    seldom.add({"a": 1})
    assert document.rows == {"a": 1}
    seldom.add({"b": 2})
    assert document.rows == {"a": 1}, "it rests"
    document.time += REST
    seldom.add({"c": 3})
    assert document.rows == {"a": 1, "b": 2, "c": 3}
    seldom.add({"d": 4})
    seldom.flush()
    assert "d" in document.rows


def test_rows_that_could_not_be_written_wait_for_the_next_time() -> None:
    document = Growing()
    seldom = Seldom(document.write, document.now)
    document.fails = True
    with pytest.raises(OSError, match="no room"):
        seldom.add({"a": 1})
    document.fails = False
    seldom.flush()
    assert document.rows == {"a": 1}


# ---- workers --------------------------------------------------------------------------------


def test_a_tick_asks_what_has_ended_and_not_all_that_waits() -> None:
    def steps_of_a_tick(count: int) -> int:
        gate = threading.Event()
        crew: Crew[bool] = Crew(1, lambda event: None, Stop())
        for _ in range(count):
            crew.start(lambda: gate.wait(20))
        try:
            return steps_of(crew.tick)
        finally:
            gate.set()
            crew.end()

    steps_of_a_tick(1)  # the first event of a process compiles its constructor
    assert steps_of_a_tick(400) <= steps_of_a_tick(20) * ROOM
