"""What every source promises, whichever it is; a new source has its samples in `samples/`."""

from __future__ import annotations

import dataclasses
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.samples.huggingface import hub_web_of, large, small
from tests.fakes.samples import COMMIT, JSON, Sample, every_sample, sha256
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, InstallWheel, Layout, Link, PutFile, PutText, Unpack
from modelset.core.lock import dump_lock, is_current, learned, parse_lock
from modelset.core.types import Model, Pin, check_digest, check_name, first_use
from modelset.sources import SOURCES, check_ref
from modelset.store.roots import BELOW

# Besides those below the models root: packages, keys, and the whole of the file system.
ROOTS = {*BELOW, "site-packages", "credentials", "local"}
BY_SOURCE = every_sample()
EVERY = {
    f"{source}-{name}": sample
    for source, found in BY_SOURCE.items()
    for name, sample in found.samples.items()
}
EVIL = {
    f"{source}: {name}": case
    for source, found in BY_SOURCE.items()
    for name, case in found.evil.items()
}
FIELDS = sorted(
    {
        name
        for found in BY_SOURCE.values()
        for ref in (found.bad_ref[0], *(one.model.ref for one in found.samples.values()))
        for name in ref
    }
)


@pytest.fixture(params=EVERY)
def sample(request: pytest.FixtureRequest) -> Sample:
    return EVERY[request.param]


@pytest.fixture
def pin(sample: Sample) -> Pin:
    return SOURCES[sample.model.source].resolve(sample.model, sample.web())


def layout_of(pin: Pin) -> Layout:
    return SOURCES[pin.source].layout(pin)


def exact(pin: Pin) -> Pin:
    """The pin as a lock holds it: with the sums that a first download told."""
    unknown = {row.digest: sha256(row.url) for row in pin.artifacts if not row.is_exact}
    return learned(pin, unknown) if unknown else pin


def assert_inside(layout: Layout) -> None:
    """No path of a layout leaves its root, and no link leads out of it."""
    assert layout.root in ROOTS
    for path in (layout.folder, layout.opened):
        if path:
            check_name(path)
    for row in layout.placements:
        if isinstance(row, InstallWheel):
            check_name(row.name)
            check_name(row.version)
            continue
        check_name(row.path)
        if isinstance(row, Unpack):
            check_name(row.record)
            assert "/" not in row.record
        if isinstance(row, Link):
            assert not PurePosixPath(row.target).is_absolute()
            steps: list[str] = list(PurePosixPath(row.path).parent.parts)
            for part in PurePosixPath(row.target).parts:
                assert part != ".." or steps
                steps = steps[:-1] if part == ".." else [*steps, part]
            assert "/".join(steps) in {
                other.path for other in layout.placements if isinstance(other, PutFile)
            }


def test_every_source_has_samples_and_every_sample_its_source() -> None:
    assert set(BY_SOURCE) == set(SOURCES)
    for source, found in BY_SOURCE.items():
        assert found.samples
        models = [one.model for one in found.samples.values()]
        assert {model.source for model in models} == {source}
        assert {model.source for model, _ in found.evil.values()} <= {source}


def test_a_pin_says_which_model_and_every_file(sample: Sample, pin: Pin) -> None:
    assert (pin.key, pin.source) == (sample.model.key, sample.model.source)
    assert dict(pin.ref) == dict(sample.model.ref)
    check_name(pin.revision)
    assert is_current(pin, sample.model)
    for artifact in pin.artifacts:
        check_name(artifact.name)
        if artifact.is_exact:
            check_digest(artifact.digest)
        else:
            assert artifact.digest == first_use(artifact.url)
        assert type(artifact.size) is int
        assert artifact.size >= 0
    assert len({artifact.name for artifact in pin.artifacts}) == len(pin.artifacts)


def test_files_come_over_https_or_are_all_the_users_own(pin: Pin) -> None:
    schemes = {artifact.url.partition("://")[0] for artifact in pin.artifacts}
    assert schemes == ({"file"} if pin.is_own else {"https"} if pin.artifacts else set())
    assert pin.is_own == (layout_of(pin).root == "local")


def test_only_a_key_is_without_files(pin: Pin) -> None:
    rows = layout_of(pin).placements
    keys = [row for row in rows if isinstance(row, Credential)]
    assert len(keys) == (0 if pin.artifacts else len(rows))


def test_the_same_answers_give_the_same_pin(sample: Sample, pin: Pin) -> None:
    assert SOURCES[sample.model.source].resolve(sample.model, sample.web()) == pin


def test_the_layout_is_the_same_each_time_and_stays_inside(pin: Pin) -> None:
    layout = layout_of(pin)
    assert layout == layout_of(pin)
    assert layout.placements
    assert layout.folder
    assert_inside(layout)


def test_every_file_of_the_pin_has_its_place(pin: Pin) -> None:
    placed = {
        row.artifact.digest
        for row in layout_of(pin).placements
        if not isinstance(row, PutText | Credential)
    }
    assert placed == {artifact.digest for artifact in pin.artifacts}


def test_no_place_is_given_twice(pin: Pin) -> None:
    """Two files of one place would be one, and the other gone."""
    rows = [row for row in layout_of(pin).placements if not isinstance(row, InstallWheel)]
    assert len({row.path for row in rows}) == len(rows)


def test_markers_come_last_and_links_after_files(pin: Pin) -> None:
    def rank(row: object) -> int:
        if isinstance(row, PutText) or (isinstance(row, PutFile) and row.is_marker):
            return 2
        return int(isinstance(row, Link))

    ranks = [rank(row) for row in layout_of(pin).placements]
    assert ranks == sorted(ranks)


def test_the_lock_keeps_a_pin_and_its_layout(pin: Pin) -> None:
    kept = exact(pin)
    parsed = parse_lock(dump_lock([kept]), where="the lock")[pin.key]
    assert parsed == dataclasses.replace(kept, ref=dict(pin.ref))
    assert layout_of(parsed) == layout_of(kept)


def test_what_a_first_download_told_changes_the_digests_and_nothing_else(pin: Pin) -> None:
    kept = exact(pin)
    assert kept.is_exact
    assert (kept.key, kept.source, kept.ref) == (pin.key, pin.source, pin.ref)
    assert [(row.name, row.url, row.size) for row in kept.artifacts] == [
        (row.name, row.url, row.size) for row in pin.artifacts
    ]
    old, new = layout_of(pin), layout_of(kept)
    assert (old.root, old.folder, old.guarded) == (new.root, new.folder, new.guarded)
    if pin.is_exact:
        assert kept == pin
    else:
        with pytest.raises(ModelSetError, match="a digest is missing"):
            parse_lock(dump_lock([pin]), where="the lock")


def test_a_trace_is_a_pattern_below_a_known_root(sample: Sample, pin: Pin) -> None:
    source = SOURCES[sample.model.source]
    root, pattern = source.trace(sample.model.ref)
    assert root == layout_of(pin).root
    check_name(pattern)
    shown = PurePosixPath(layout_of(pin).folder)
    assert shown.match(pattern)


def test_a_good_ref_has_no_problem(sample: Sample) -> None:
    assert check_ref(sample.model.source, sample.model.ref) == []


@pytest.mark.parametrize("source", BY_SOURCE)
def test_a_bad_ref_has_all_its_problems_named_at_once(source: str) -> None:
    ref, expected = BY_SOURCE[source].bad_ref
    problems = check_ref(source, ref)
    for beginning in expected:
        assert any(line.startswith(beginning) for line in problems), (beginning, problems)


@pytest.mark.parametrize("source", SOURCES)
def test_an_empty_ref_is_a_problem(source: str) -> None:
    assert check_ref(source, {})


def test_an_unknown_source_is_named_with_the_known_ones() -> None:
    (problem,) = check_ref("ftp", {})
    assert all(name in problem for name in SOURCES)


@pytest.mark.parametrize("name", ["../url", "_x", "", "os.path", "url.py", "huggingface.SOURCE"])
def test_a_name_that_is_no_source_loads_nothing(name: str) -> None:
    assert name not in SOURCES


def test_access_to_what_is_open_is_not_refused(sample: Sample) -> None:
    web = FakeWeb(token=True, key=True, statuses=dict.fromkeys(_gates(sample.model), (200, "")))
    assert SOURCES[sample.model.source].check_access(sample.model, web) is None


def _gates(model: Model) -> tuple[str, str]:
    hub = f"https://huggingface.co/api/models/{model.ref.get('repo')}/auth-check"
    return hub, str(model.ref.get("check"))


def test_a_web_without_answers_is_a_failure_in_words(sample: Sample, pin: Pin) -> None:
    source = SOURCES[sample.model.source]
    if sample.web() == FakeWeb():
        web = FakeWeb()
        assert source.resolve(sample.model, web) == pin
        assert web.asked == []
        return
    with pytest.raises(ModelSetError) as caught:
        source.resolve(sample.model, FakeWeb())
    assert caught.value.failure.code == "not-found"


@pytest.mark.parametrize("name", EVIL)
def test_a_lying_server_is_a_bad_response_and_nothing_else(name: str) -> None:
    model, web = EVIL[name]
    with pytest.raises(ModelSetError) as caught:
        SOURCES[model.source].resolve(model, web)
    assert caught.value.failure.code == "bad-response"
    assert model.key in caught.value.failure.message


@pytest.mark.parametrize(
    "source", [source for source, found in BY_SOURCE.items() if not found.evil]
)
def test_only_a_source_that_asks_no_server_cannot_be_lied_to(source: str) -> None:
    for one in BY_SOURCE[source].samples.values():
        web = one.web()
        SOURCES[source].resolve(one.model, web)
        assert all(question in web.files for question in web.asked)


@pytest.mark.parametrize(
    "path", ["%2e%2e/%2e%2e/x", "..%2fx", "~/x", "$HOME/x", "...", "a/....//".rstrip("/"), "CON"]
)
def test_a_name_that_only_looks_evil_stays_inside(path: str) -> None:
    model = EVERY["huggingface-whole"].model
    pin = SOURCES["huggingface"].resolve(model, hub_web_of({"sha": COMMIT}, [small(path)]))
    assert_inside(layout_of(pin))
    assert pin.artifacts[0].url.startswith("https://huggingface.co/acme/thing/resolve/")
    assert "/../" not in pin.artifacts[0].url
    assert "%2e%2e/" not in pin.artifacts[0].url


def test_a_size_beyond_every_disk_is_taken_at_its_word() -> None:
    model = EVERY["huggingface-whole"].model
    listing = [large("model.bin", size=10**30)]
    pin = SOURCES["huggingface"].resolve(model, hub_web_of({"sha": COMMIT}, listing))
    assert pin.size_bytes == 10**30


@pytest.mark.parametrize("source", [name for name, found in BY_SOURCE.items() if found.fuzz])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_whatever_is_answered_nothing_else_is_raised_and_nothing_leads_outside(
    source: str, data: st.DataObject
) -> None:
    fuzz = BY_SOURCE[source].fuzz
    assert fuzz is not None
    model, webs = fuzz
    pin, code = None, ""
    try:
        pin = SOURCES[source].resolve(model, data.draw(webs))
    except ModelSetError as error:
        code = error.failure.code
    if pin is None:
        assert code in ("bad-response", "not-found")
    else:
        kept = exact(pin)
        assert_inside(layout_of(kept))
        assert layout_of(parse_lock(dump_lock([kept]), where="x")[pin.key]) == layout_of(kept)


TABLES = st.dictionaries(
    st.sampled_from([*FIELDS, "other"]),
    JSON | st.sampled_from(["https://[x/a.whl", "a/../b", "//[", "a\0b", "C:\\x", "*", "a" * 300]),
)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=60, deadline=None)
@given(ref=TABLES)
def test_whatever_a_table_says_its_problems_are_words(source: str, ref: dict[str, Any]) -> None:
    problems = check_ref(source, ref)
    assert all(isinstance(line, str) and line for line in problems)
    if not problems:
        root, pattern = SOURCES[source].trace(ref)
        assert root
        assert pattern
