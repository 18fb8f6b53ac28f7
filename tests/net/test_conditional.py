"""Answers are asked for again by their tag, and no 304 ever stands for another answer."""

from __future__ import annotations

import copy
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.faults.answers import Status, redirect
from tests.faults.origin import Answer, Exchange, Origin
from tests.net.test_web import SECRET, answer, code_of, web_of

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Credentials
from modelset.net.web import HttpWeb
from modelset.net.wire import CurlWire
from modelset.store.answers import Answers

ONE, TWO = {"sha": "1" * 40}, {"sha": "2" * 40}


class Host:
    """A host that keeps to the rules: a 304 for its own tag, else the document."""

    def __init__(self, document: object, tag: str = '"one"', **headers: str) -> None:
        self.document, self.tag, self.headers = document, tag, headers
        self.statuses: list[int] = []

    def __call__(self, exchange: Exchange) -> None:
        asked = exchange.request.headers.get("if-none-match")
        same = asked == self.tag
        self.statuses.append(304 if same else 200)
        headers = {"ETag": self.tag, **self.headers}
        if same:
            exchange.head(304, headers)
            return
        answer(self.document, headers)(exchange)


class Liar:
    """A host that says 304 to whatever comes, with headers of its choice, so many times."""

    def __init__(self, then: Answer, times: int = 10**6, **headers: str) -> None:
        self.then, self.times, self.headers = then, times, headers

    def __call__(self, exchange: Exchange) -> None:
        if self.times:
            self.times -= 1
            exchange.head(
                304, {name.replace("_", "-"): text for name, text in self.headers.items()}
            )
        else:
            self.then(exchange)


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    return Answers(tmp_path / "answers")


def web(wire: CurlWire, answers: Answers, credentials: Credentials | None = None) -> HttpWeb:
    made = web_of(wire, credentials=credentials)
    made._offered = answers
    return made.remembering()


def tags(origin: Origin) -> list[str]:
    return [row.headers.get("if-none-match", "") for row in origin.requests]


@pytest.mark.parametrize("tag", ['"one"', 'W/"1f-abc"'])
def test_what_has_not_changed_comes_from_the_memory(
    wire: CurlWire, origin: Origin, answers: Answers, tag: str
) -> None:
    host = Host(ONE, tag)
    url = origin.serve("/api", host)
    assert [web(wire, answers).get_json(url) for _ in range(3)] == [ONE, ONE, ONE]
    assert host.statuses == [200, 304, 304]
    assert tags(origin) == ["", tag, tag]


def test_what_has_changed_is_seen_and_known_from_then_on(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    host = Host(ONE)
    url = origin.serve("/api", host)
    web(wire, answers).get_json(url)
    host.document, host.tag = TWO, '"two"'
    assert [web(wire, answers).get_json(url) for _ in range(2)] == [TWO, TWO]
    assert host.statuses == [200, 200, 304]


def test_only_who_asks_again_asks_by_tag(wire: CurlWire, origin: Origin, answers: Answers) -> None:
    url = origin.serve("/api", Host(ONE))
    plain = web_of(wire)
    plain._offered = answers
    assert [plain.get_json(url) for _ in range(2)] == [ONE, ONE]
    assert plain.remembering().get_json(url) == ONE
    assert plain.get_json(url) == ONE
    assert tags(origin) == ["", "", "", ""]


def test_a_web_without_a_memory_has_nothing_to_remember(wire: CurlWire, origin: Origin) -> None:
    url = origin.serve("/api", Host(ONE))
    made = web_of(wire).remembering()
    assert [made.get_json(url), made.get_json(url)] == [ONE, ONE]
    assert tags(origin) == ["", ""]


def test_pages_and_texts_are_remembered_each_for_itself(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    second = Host([2], '"p2"')
    first = Host([1], '"p1"', Link=f'<{origin.url}/two>; rel="next"')
    url = origin.serve("/one", first)
    origin.serve("/two", second)
    assert [web(wire, answers).get_pages(url) for _ in range(2)] == [[1, 2], [1, 2]]
    second.document, second.tag = [3], '"p3"'
    assert web(wire, answers).get_pages(url) == [1, 3]
    assert first.statuses == [200, 304, 304]
    assert second.statuses == [200, 304, 200]
    # The same address as another kind of document is another answer.
    assert web(wire, answers).get_text(url) == "[1]"
    assert web(wire, answers).get_text(url) == "[1]"
    assert web(wire, answers).get_text(url, "application/xml") == "[1]"
    assert first.statuses[3:] == [200, 304, 200]


@pytest.mark.parametrize("known", [False, True])
def test_a_304_that_nobody_asked_for_is_an_error(
    wire: CurlWire, origin: Origin, answers: Answers, known: bool
) -> None:
    if known:
        origin.serve("/api", Host(ONE))
        web(wire, answers).get_json(f"{origin.url}/api")
    for asking in (web(wire, answers), web_of(wire)):
        if known:  # the tag of what is known is said to be another's, time after time
            url = origin.serve("/api", Liar(Host(TWO), ETag='"other"'))
        else:
            url = origin.serve("/api", Liar(Host(TWO), ETag='"one"'))
        with pytest.raises(ModelSetError) as caught:
            asking.get_json(url)
        assert code_of(caught) == "bad-response"


def test_a_304_of_another_tag_is_asked_without_any(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    url = origin.serve("/api", Host(ONE))
    web(wire, answers).get_json(url)
    origin.serve("/api", Liar(Host(TWO, '"two"'), 1, ETag='"two"'))
    assert web(wire, answers).get_json(url) == TWO
    assert tags(origin) == ["", '"one"', ""]


def test_a_304_may_leave_its_tag_out_or_weaken_it(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    url = origin.serve("/api", Host(ONE))
    web(wire, answers).get_json(url)
    for headers in ({}, {"ETag": 'W/"one"'}):
        origin.serve("/api", Liar(Host(TWO), **headers))
        assert web(wire, answers).get_json(url) == ONE


def test_where_a_redirect_leads_is_never_remembered(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    there = origin.serve("/there", Host(ONE))
    url = origin.serve("/here", redirect(there))
    assert [web(wire, answers).get_json(url) for _ in range(2)] == [ONE, ONE]
    assert tags(origin) == [""] * 4
    # What was known before the redirect is not what a tag behind it speaks of.
    origin.serve("/here", Host(TWO))
    assert web(wire, answers).get_json(url) == TWO
    origin.serve("/here", redirect(there))
    assert web(wire, answers).get_json(url) == ONE
    assert tags(origin)[-4:] == ['"one"', '"one"', "", ""]


@pytest.mark.parametrize(
    "reply",
    [
        answer(ONE),
        answer(ONE, {"ETag": '"one"', "Cache-Control": "private, no-store"}),
        answer(ONE, {"ETag": '"one"', "Vary": "*"}),
        answer(ONE, {"ETag": "one"}),
        answer(ONE, {"ETag": '"a b"'}),
        answer(ONE, {"ETag": '"' + "x" * 1000 + '"'}),
        Status(206, {"ETag": '"one"', "Content-Type": "application/json"}, json.dumps(ONE)),
    ],
)
def test_what_may_not_be_remembered_is_asked_for_anew(
    wire: CurlWire, origin: Origin, answers: Answers, tmp_path: Path, reply: Status
) -> None:
    url = origin.serve("/api", reply)
    assert [web(wire, answers).get_json(url) for _ in range(2)] == [ONE, ONE]
    assert tags(origin) == ["", ""]
    assert not (tmp_path / "answers").exists()


def test_an_answer_that_is_no_document_is_not_remembered(
    wire: CurlWire, origin: Origin, answers: Answers, tmp_path: Path
) -> None:
    url = origin.serve("/api", Status(200, {"ETag": '"one"'}, "{half"))
    with pytest.raises(ModelSetError):
        web(wire, answers).get_json(url)
    assert not (tmp_path / "answers").exists()


def test_an_error_is_no_news_of_the_document(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    url = origin.serve("/api", Host(ONE))
    web(wire, answers).get_json(url)
    origin.serve("/api", Status(404, {"ETag": '"one"'}, "{}"))
    with pytest.raises(ModelSetError) as caught:
        web(wire, answers).get_json(url)
    assert code_of(caught) == "not-found"
    origin.serve("/api", Host(ONE))
    assert web(wire, answers).get_json(url) == ONE
    assert tags(origin)[-1] == '"one"'


def test_with_and_without_a_credential_are_two_answers_and_it_is_never_kept(
    wire: CurlWire, origin: Origin, answers: Answers, tmp_path: Path
) -> None:
    host = Host(ONE)
    url = origin.serve("/api", host)
    private = {origin.url: SECRET}
    for credentials in (private, None, private, None):
        web(wire, answers, credentials).get_json(url)
    assert tags(origin) == ["", "", '"one"', '"one"']
    files = list((tmp_path / "answers").iterdir())
    assert len(files) == 2
    assert stat.S_IMODE((tmp_path / "answers").stat().st_mode) == 0o700
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"s3cret" not in path.read_bytes()
        assert origin.url.encode() not in path.read_bytes()
    # A host that repeats the credential is not quoted.
    url = origin.serve("/echo", Host({"you": "Bearer s3cret"}, '"echo"'))
    web(wire, answers, private).get_json(url)
    assert len(list((tmp_path / "answers").iterdir())) == 2


def test_a_user_in_the_address_is_a_credential_and_no_part_of_any_name(
    wire: CurlWire, origin: Origin, answers: Answers
) -> None:
    host = Host(ONE)
    url = origin.serve("/api", host)
    for name in ("ann:pw1@", "bob:pw2@", ""):
        web(wire, answers).get_json(url.replace("://", f"://{name}"))
    assert tags(origin) == ["", '"one"', ""]


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])


DAMAGES = {
    "flipped": flip,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "emptied": lambda path: path.write_bytes(b""),
    "no head": lambda path: path.write_bytes(b"[1, 2]\n{}"),
    "nested": lambda path: path.write_bytes(b"[" * 15_000 + b"\n{}"),
    "readable by all": lambda path: path.chmod(0o644),
    "writable by all": lambda path: path.chmod(0o666),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link": lambda path: (path.rename(path.with_suffix(".x")),
                            path.symlink_to(path.with_suffix(".x"))),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_memory_is_none(
    wire: CurlWire, origin: Origin, answers: Answers, tmp_path: Path, name: str
) -> None:
    url = origin.serve("/api", Host(ONE))
    web(wire, answers).get_json(url)
    (path,) = (tmp_path / "answers").iterdir()
    DAMAGES[name](path)
    assert web(wire, answers).get_json(url) == ONE
    assert tags(origin) == ["", ""]


def test_an_answer_under_the_name_of_another_is_none(
    wire: CurlWire, origin: Origin, answers: Answers, tmp_path: Path
) -> None:
    one, two = origin.serve("/one", Host(ONE)), origin.serve("/two", Host(TWO))
    web(wire, answers).get_json(one)
    (first,) = (tmp_path / "answers").iterdir()
    web(wire, answers).get_json(two)
    (second,) = set((tmp_path / "answers").iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    assert web(wire, answers).get_json(two) == TWO
    assert tags(origin) == ["", "", ""]


def test_a_folder_that_cannot_be_written_is_no_error(
    wire: CurlWire, origin: Origin, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    blocked = Answers(tmp_path / "file" / "answers")
    url = origin.serve("/api", Host(ONE))
    assert [web(wire, blocked).get_json(url) for _ in range(2)] == [ONE, ONE]


def test_a_copy_that_remembers_leaves_the_other_as_it_was(wire: CurlWire, answers: Answers) -> None:
    plain = web_of(wire)
    plain._offered = answers
    before: Mapping[str, object] = copy.copy(vars(plain))
    plain.remembering()
    assert vars(plain) == before
