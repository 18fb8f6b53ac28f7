"""Keys of providers: where they may be, how they are sent, and that nobody hears of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Project
from tests.contract.samples.api import CHECK, FILED, KEYED, SAMPLES, UNASKED
from tests.fakes.samples import model
from tests.fakes.web import FakeWeb, hub_web
from tests.faults.answers import Json, Status
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout
from modelset.core.lock import dump_lock
from modelset.core.mirrors import credential_of
from modelset.core.types import Model
from modelset.sources.api import SOURCE
from modelset.store.here import Surroundings

SECRET = "sk-5ecret-0123456789"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with running_origin() as running:
        yield running


def layout_of(wish: Model) -> Layout:
    return SOURCE.layout(SOURCE.resolve(wish, FakeWeb()))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_key_is_all_that_there_is_and_nothing_is_asked(name: str) -> None:
    web = FakeWeb()
    pin = SOURCE.resolve(SAMPLES[name].model, web)
    assert (pin.revision, pin.artifacts, pin.size_bytes) == ("key", (), 0)
    assert pin.is_exact
    assert not pin.is_own
    assert web.asked == []


def test_the_layout_says_where_a_key_may_be() -> None:
    assert layout_of(KEYED) == Layout(
        "credentials", (Credential("HOUSE_API_KEY", "house_key"),), "house_key"
    )
    assert layout_of(FILED).placements == (
        Credential("HOUSE_CLOUD_CREDENTIALS", "house-cloud.json", is_file=True),
    )
    assert SOURCE.trace(UNASKED.ref) == ("credentials", "words/key.txt")


# ---- where a key may be --------------------------------------------------------------------


def surroundings(tmp_path: Path, **variables: str) -> Surroundings:
    return Surroundings({"credentials": tmp_path / "credentials"}, variables)


def keep(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / "credentials" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_a_variable_and_a_file_there_is_no_key(tmp_path: Path) -> None:
    for wish in (KEYED, FILED, UNASKED):
        here = surroundings(tmp_path, OTHER_KEY="x")
        assert not here.has_credential(layout_of(wish))
        assert here.secret(layout_of(wish)) == ""


def test_a_key_is_in_its_variable_or_in_its_file_and_the_variable_wins(tmp_path: Path) -> None:
    assert surroundings(tmp_path, HOUSE_API_KEY=SECRET).secret(layout_of(KEYED)) == SECRET
    keep(tmp_path, "house_key", f"  {SECRET}\r\n")
    assert surroundings(tmp_path).has_credential(layout_of(KEYED))
    assert surroundings(tmp_path).secret(layout_of(KEYED)) == SECRET
    assert surroundings(tmp_path, HOUSE_API_KEY="other").secret(layout_of(KEYED)) == "other"


def test_a_key_file_may_lie_deeper(tmp_path: Path) -> None:
    keep(tmp_path, "words/key.txt", SECRET)
    assert surroundings(tmp_path).secret(layout_of(UNASKED)) == SECRET


def test_an_empty_variable_or_file_is_no_key(tmp_path: Path) -> None:
    keep(tmp_path, "house_key", "")
    here = surroundings(tmp_path, HOUSE_API_KEY="")
    assert not here.has_credential(layout_of(KEYED))
    assert here.secret(layout_of(KEYED)) == ""


@pytest.mark.parametrize("text", [" ", "\n", "\r\n\t"])
def test_blanks_are_no_key(tmp_path: Path, text: str) -> None:
    here = surroundings(tmp_path, HOUSE_API_KEY=text)
    assert here.secret(layout_of(KEYED)) == ""
    assert not here.has_credential(layout_of(KEYED))


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "credentials" / "house_key").mkdir(parents=True)
    (tmp_path / "credentials" / "house_key" / "x").write_text("x")
    assert not surroundings(tmp_path).has_credential(layout_of(KEYED))
    cloud = surroundings(tmp_path, HOUSE_CLOUD_CREDENTIALS=str(tmp_path))
    assert not cloud.has_credential(layout_of(FILED))


def test_a_key_that_is_no_text_is_not_sent(tmp_path: Path) -> None:
    keep(tmp_path, "house_key", "").write_bytes(b"\xff\xfe\x00")
    assert surroundings(tmp_path).secret(layout_of(KEYED)) == ""


def test_a_document_that_a_library_reads_is_named_by_its_variable(tmp_path: Path) -> None:
    document = tmp_path / "own.json"
    document.write_text('{"private_key": "x"}')
    here = surroundings(tmp_path, HOUSE_CLOUD_CREDENTIALS=str(document))
    assert here.has_credential(layout_of(FILED))
    assert here.secret(layout_of(FILED)) == ""  # only the library reads it
    gone = surroundings(tmp_path, HOUSE_CLOUD_CREDENTIALS=str(tmp_path / "gone.json"))
    assert not gone.has_credential(layout_of(FILED))


def test_without_its_variable_the_document_is_looked_for_in_its_place(tmp_path: Path) -> None:
    keep(tmp_path, "house-cloud.json", "{}")
    assert surroundings(tmp_path).has_credential(layout_of(FILED))
    # What the variable names is what the library reads, whatever else is there.
    other = surroundings(tmp_path, HOUSE_CLOUD_CREDENTIALS=str(tmp_path / "gone.json"))
    assert not other.has_credential(layout_of(FILED))


# ---- what is said --------------------------------------------------------------------------


def refused(wish: Model, web: FakeWeb) -> ModelSetError:
    with pytest.raises(ModelSetError) as caught:
        SOURCE.check_access(wish, web)
    return caught.value


@pytest.mark.parametrize("name", SAMPLES)
def test_a_missing_key_says_where_to_put_it(name: str) -> None:
    wish, web = SAMPLES[name].model, FakeWeb()
    failure = refused(wish, web).failure
    assert failure.code == "credential-missing"
    assert str(wish.ref["service"]) in failure.message
    assert str(wish.ref["variable"]) in failure.hint
    assert str(wish.ref["file"]) in failure.hint
    assert web.asked == []


def test_without_an_address_to_ask_a_key_is_enough() -> None:
    web = FakeWeb(key=True)
    SOURCE.check_access(UNASKED, web)
    SOURCE.check_access(FILED, web)
    assert web.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_the_provider_does_not_know_is_refused(status: int) -> None:
    web = FakeWeb(key=True, statuses={CHECK: (status, f"wrong key {SECRET}")})
    failure = refused(KEYED, web).failure
    assert failure.code == "token-refused"
    assert "HOUSE_API_KEY" in failure.hint
    assert SECRET not in failure.message + failure.hint


@pytest.mark.parametrize("status", [400, 404, 302])
def test_any_other_answer_is_told(status: int) -> None:
    web = FakeWeb(key=True, statuses={CHECK: (status, "")})
    failure = refused(KEYED, web).failure
    assert failure.code == "not-found"
    assert failure.message == f"test:thing: House Voices answers {status}"


def test_an_answer_of_200_opens() -> None:
    web = FakeWeb(key=True, statuses={CHECK: (200, "")})
    SOURCE.check_access(KEYED, web)
    assert web.asked == [CHECK]


# ---- how a key is sent ---------------------------------------------------------------------

FORMS = {
    "plain": ({}, {"authorization": f"Bearer {SECRET}"}),
    "another prefix": ({"prefix": "Token "}, {"authorization": f"Token {SECRET}"}),
    "another header": ({"header": "x-key", "prefix": ""}, {"x-key": SECRET}),
    "more headers": (
        {"header": "X-Api-Key", "prefix": "", "extra": {"X-Version": "2026-01-01"}},
        {"x-api-key": SECRET, "x-version": "2026-01-01"},
    ),
}


def asking(origin: Origin, answer: Json | Status, **form: object) -> Model:
    return model("api", {**KEYED.ref, "check": origin.serve("/v1/models", answer), **form})


def ask(wish: Model, project: Project) -> None:
    """Ask as a run does: the key is the user's, its headers are the table's."""
    variables = {
        "HOUSE_API_KEY": SECRET,
        "MODELSET_MODELS_ROOT": str(project.models_root),
        "MODELSET_OUT": str(project.out),
    }
    with hub_web(
        project.config, variables=variables, credentials=credential_of(wish.ref, SECRET)
    ) as web:
        SOURCE.check_access(wish, web)


@pytest.mark.parametrize("name", FORMS)
def test_a_key_is_sent_in_the_form_of_its_provider(
    project: Project, origin: Origin, name: str
) -> None:
    form, expected = FORMS[name]
    wish = asking(origin, Json({"data": []}), **form)
    assert SOURCE.check_ref(wish.ref) == []
    ask(wish, project)
    (request,) = origin.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert {key: request.headers[key] for key in expected} == expected
    if "authorization" not in expected:
        assert "authorization" not in request.headers
    assert sum(SECRET in text for text in request.headers.values()) == 1
    assert SECRET not in request.path + request.query


def test_a_key_does_not_follow_a_redirect(project: Project, origin: Origin) -> None:
    with running_origin() as other:
        there = other.serve("/there", Json({}))
        wish = asking(origin, Status(302, {"Location": there}), header="x-key", prefix="")
        ask(wish, project)
        assert SECRET not in str(other.requests[0].headers)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_provider_that_repeats_the_key_does_not_bring_it_into_a_message(
    project: Project, origin: Origin, status: int
) -> None:
    words = f"there is no {SECRET}"
    wish = asking(origin, Status(status, {"X-Error-Message": words, "Content-Length": "0"}))
    with pytest.raises(ModelSetError) as caught:
        ask(wish, project)
    assert SECRET in origin.requests[0].headers["authorization"]
    assert SECRET not in f"{caught.value} {caught.value.failure}"
    assert ("there is no" in str(caught.value)) == (status in (400, 404))


def test_a_key_is_in_no_pin_and_no_lock(tmp_path: Path) -> None:
    for sample in SAMPLES.values():
        pin = SOURCE.resolve(sample.model, FakeWeb(key=True))
        said = dump_lock([pin]) + repr(pin) + repr(SOURCE.layout(pin))
        assert SECRET not in said


def test_what_knows_the_environment_does_not_show_it(tmp_path: Path) -> None:
    assert SECRET not in repr(surroundings(tmp_path, HOUSE_API_KEY=SECRET))


# ---- tables --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variable": "1KEY"}, "ref.variable: should be the name"),
        ({"variable": "A=B"}, "ref.variable: should be the name"),
        ({"variable": ""}, "ref.variable: should be the name"),
        ({"file": "../../etc/shadow"}, "ref.file: unsafe file name"),
        ({"file": "/etc/shadow"}, "ref.file: unsafe file name"),
        ({"kind": "token"}, "ref.kind: should be one of key, file"),
        ({"header": "A\r\nB: c"}, "ref.header: should be the name"),
        ({"header": ""}, "ref.header: should be the name"),
        ({"check": "file:///etc/passwd"}, "ref.check: should be an https address"),
        ({"check": "https://key@example.org/"}, "ref.check: a user and a password"),
        ({"extra": ["a"]}, "ref.extra: should be a table of texts"),
        ({"extra": {"a": ["b"]}}, "ref.extra: should be a table of texts"),
        ({"extra": {"A\r\nB": "c"}}, "ref.extra: "),
        ({"extra": {"A": "b\r\nC: d"}}, "ref.extra: "),
        ({"prefix": "Bearer\r\nX: "}, "ref.prefix: "),
        ({"key": SECRET}, "ref.key: not a field of api"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, object], words: str) -> None:
    problems = SOURCE.check_ref({**KEYED.ref, **changes})
    assert len(problems) == 1
    assert problems[0].startswith(words)


def test_a_table_without_its_fields_says_all_of_them() -> None:
    assert SOURCE.check_ref({}) == [
        f"ref.{name}: a text is missing here" for name in ("service", "variable", "file")
    ]
