"""What every source promises, whichever it is; a new source is in SOURCES and in the samples."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.samples import (
    BAD_REFS,
    COMMIT,
    SAMPLES,
    Sample,
    evil,
    hub_web_of,
    large,
    small,
)
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.lock import dump_lock, is_current, parse_lock
from modelset.core.types import (
    InstallWheel,
    Layout,
    Link,
    Model,
    Pin,
    PutText,
    check_digest,
    check_name,
)
from modelset.sources import SOURCES, check_ref
from modelset.store.roots import BELOW

ROOTS = {*BELOW, "site-packages"}
EVERY = {
    f"{source}-{name}": sample
    for source, samples in SAMPLES.items()
    for name, sample in samples.items()
}


@pytest.fixture(params=EVERY)
def sample(request: pytest.FixtureRequest) -> Sample:
    return EVERY[request.param]


@pytest.fixture
def pin(sample: Sample) -> Pin:
    return SOURCES[sample.model.source].resolve(sample.model, sample.web())


def layout_of(pin: Pin) -> Layout:
    return SOURCES[pin.source].layout(pin)


def assert_inside(layout: Layout) -> None:
    """No path of a layout leaves its root, and no link leads out of it."""
    assert layout.root in ROOTS
    if layout.folder:
        check_name(layout.folder)
    for row in layout.placements:
        if isinstance(row, InstallWheel):
            check_name(row.name)
            check_name(row.version)
            continue
        check_name(row.path)
        if isinstance(row, Link):
            assert not PurePosixPath(row.target).is_absolute()
            steps: list[str] = list(PurePosixPath(row.path).parent.parts)
            for part in PurePosixPath(row.target).parts:
                assert part != ".." or steps
                steps = steps[:-1] if part == ".." else [*steps, part]
            assert "/".join(steps) in {other.path for other in layout.placements}


def test_every_source_has_samples_and_a_bad_ref() -> None:
    assert set(SAMPLES) == set(BAD_REFS) == set(SOURCES)
    assert all(SAMPLES.values())


def test_a_pin_says_which_model_and_every_file(sample: Sample, pin: Pin) -> None:
    assert (pin.key, pin.source) == (sample.model.key, sample.model.source)
    assert dict(pin.ref) == dict(sample.model.ref)
    assert pin.revision
    assert pin.artifacts
    assert is_current(pin, sample.model)
    for artifact in pin.artifacts:
        assert artifact.url.startswith("https://")
        check_name(artifact.name)
        check_digest(artifact.digest)
        assert type(artifact.size) is int
        assert artifact.size >= 0
    assert len({artifact.name for artifact in pin.artifacts}) == len(pin.artifacts)


def test_the_same_answers_give_the_same_pin(sample: Sample, pin: Pin) -> None:
    assert SOURCES[sample.model.source].resolve(sample.model, sample.web()) == pin


def test_the_layout_is_the_same_each_time_and_stays_inside(pin: Pin) -> None:
    layout = layout_of(pin)
    assert layout == layout_of(pin)
    assert layout.placements
    assert_inside(layout)


def test_every_file_of_the_pin_has_its_place(pin: Pin) -> None:
    placed = {
        row.artifact.digest for row in layout_of(pin).placements if not isinstance(row, PutText)
    }
    assert placed == {artifact.digest for artifact in pin.artifacts}


def test_markers_come_last_and_links_after_files(pin: Pin) -> None:
    def rank(row: object) -> int:
        return 2 if isinstance(row, PutText) else int(isinstance(row, Link))

    ranks = [rank(row) for row in layout_of(pin).placements]
    assert ranks == sorted(ranks)


def test_the_lock_keeps_a_pin_and_its_layout(pin: Pin) -> None:
    parsed = parse_lock(dump_lock([pin]), where="the lock")[pin.key]
    assert parsed == dataclasses.replace(pin, ref=dict(pin.ref))
    assert layout_of(parsed) == layout_of(pin)


def test_a_trace_is_a_pattern_below_a_known_root(sample: Sample, pin: Pin) -> None:
    source = SOURCES[sample.model.source]
    root, pattern = source.trace(sample.model.ref)
    assert root == layout_of(pin).root
    check_name(pattern)
    shown = PurePosixPath(layout_of(pin).folder)
    assert shown.match(pattern)


def test_a_good_ref_has_no_problem(sample: Sample) -> None:
    assert check_ref(sample.model.source, sample.model.ref) == []


@pytest.mark.parametrize("source", SOURCES)
def test_a_bad_ref_has_all_its_problems_named_at_once(source: str) -> None:
    ref, expected = BAD_REFS[source]
    problems = check_ref(source, ref)
    for beginning in expected:
        assert any(line.startswith(beginning) for line in problems), (beginning, problems)


@pytest.mark.parametrize("source", SOURCES)
def test_an_empty_ref_is_a_problem(source: str) -> None:
    assert check_ref(source, {})


def test_an_unknown_source_is_named_with_the_known_ones() -> None:
    (problem,) = check_ref("ftp", {})
    assert all(name in problem for name in SOURCES)


def test_access_to_what_is_open_is_not_refused(sample: Sample) -> None:
    web = FakeWeb(token=True, statuses={_gate(sample.model): (200, "")})
    assert SOURCES[sample.model.source].check_access(sample.model, web) is None


def _gate(model: Model) -> str:
    return f"https://huggingface.co/api/models/{model.ref.get('repo')}/auth-check"


def test_a_web_without_answers_is_a_failure_in_words(sample: Sample) -> None:
    source = SOURCES[sample.model.source]
    if sample.web() == FakeWeb():
        assert source.resolve(sample.model, FakeWeb()).artifacts
        return
    with pytest.raises(ModelSetError) as caught:
        source.resolve(sample.model, FakeWeb())
    assert caught.value.failure.code == "not-found"


EVIL = evil()


@pytest.mark.parametrize("name", EVIL)
def test_a_lying_server_is_a_bad_response_and_nothing_else(name: str) -> None:
    model, web = EVIL[name]
    with pytest.raises(ModelSetError) as caught:
        SOURCES[model.source].resolve(model, web)
    assert caught.value.failure.code == "bad-response"
    assert model.key in caught.value.failure.message


@pytest.mark.parametrize(
    "path", ["%2e%2e/%2e%2e/x", "..%2fx", "~/x", "$HOME/x", "...", "a/....//".rstrip("/"), "CON"]
)
def test_a_name_that_only_looks_evil_stays_inside(path: str) -> None:
    model = SAMPLES["huggingface"]["whole"].model
    pin = SOURCES["huggingface"].resolve(model, hub_web_of({"sha": COMMIT}, [small(path)]))
    assert_inside(layout_of(pin))
    assert pin.artifacts[0].url.startswith("https://huggingface.co/acme/thing/resolve/")
    assert "/../" not in pin.artifacts[0].url
    assert "%2e%2e/" not in pin.artifacts[0].url


def test_a_size_beyond_every_disk_is_taken_at_its_word() -> None:
    model = SAMPLES["huggingface"]["whole"].model
    listing = [large("model.bin", size=10**30)]
    pin = SOURCES["huggingface"].resolve(model, hub_web_of({"sha": COMMIT}, listing))
    assert pin.size_bytes == 10**30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
PATHS = st.text(alphabet="./\\a:%\0~ ", max_size=12)
ROWS = st.fixed_dictionaries(
    {"type": st.just("file"), "path": PATHS | JSON, "size": JSON, "oid": st.just("a" * 40) | JSON},
    optional={"lfs": JSON},
)


@settings(max_examples=150, deadline=None)
@given(listing=st.lists(ROWS | JSON, max_size=3), info=st.just({"sha": COMMIT}) | JSON)
def test_whatever_the_hub_answers_nothing_else_is_raised_and_nothing_leads_outside(
    listing: list[Any], info: Any
) -> None:
    model = SAMPLES["huggingface"]["whole"].model
    pin, code = None, ""
    try:
        pin = SOURCES["huggingface"].resolve(model, hub_web_of(info, listing))
    except ModelSetError as error:
        code = error.failure.code
    if pin is None:
        assert code in ("bad-response", "not-found")
    else:
        assert_inside(layout_of(pin))
        assert layout_of(parse_lock(dump_lock([pin]), where="x")[pin.key]) == layout_of(pin)


@settings(max_examples=60, deadline=None)
@given(
    ref=st.dictionaries(
        st.sampled_from(
            [
                "repo",
                "revision",
                "allow",
                "required",
                "refs",
                "requirement",
                "url",
                "meta",
                "digest",
                "root",
                "path",
                "size",
                "other",
            ]
        ),
        JSON,
    ),
    source=st.sampled_from(sorted(SOURCES)),
)
def test_whatever_a_table_says_its_problems_are_words(ref: dict[str, Any], source: str) -> None:
    problems = check_ref(source, ref)
    assert all(isinstance(line, str) and line for line in problems)
    if not problems:
        root, pattern = SOURCES[source].trace(ref)
        assert root
        assert pattern
