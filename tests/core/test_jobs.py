"""What a job is: its command line, its end, and why it failed."""

from __future__ import annotations

from typing import Any

import pytest

from modelset.cli.parsers import whole_program
from modelset.core.jobs import (
    ACTIONS,
    Job,
    arguments_of,
    failure_of,
    moves_models,
    state_of,
)


@pytest.mark.parametrize(
    ("action", "options", "words"),
    [
        ("download", {}, ["download"]),
        ("download", {"keys": ["a:b", "c:d"]}, ["download", "a:b", "c:d"]),
        ("download", {"locked": True, "frozen": False}, ["download", "--locked"]),
        ("download", {"category": "ner", "only": "critical"},
         ["download", "--category=ner", "--only=critical"]),
        ("download", {"components": ["asr", "tts"], "keys": ["a:b"]},
         ["download", "a:b", "--components", "asr", "tts"]),
        ("download", {"components": [], "keys": [], "category": None, "only": ""}, ["download"]),
        ("clean", {"keep": 0, "older_than": 30, "yes": True},
         ["clean", "--keep=0", "--older-than=30", "--yes"]),
        ("clean", {"max_size": "5 GB"}, ["clean", "--max-size=5 GB"]),
    ],
)  # fmt: skip
def test_the_command_line_of_a_job(action: str, options: dict[str, Any], words: list[str]) -> None:
    assert arguments_of(action, options) == words


HOSTILE = ("--yes", "-q", "; rm -rf /", "$(id)", "`id`", "a\nb", "--json=x", "\u202e", "=", " ")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_never_becomes_an_option_of_its_own(text: str) -> None:
    words = arguments_of("clean", {"max_size": text})
    assert words == ["clean", f"--max-size={text}"]


def test_keys_stand_before_every_option_that_takes_several() -> None:
    words = arguments_of("download", {"components": ["asr"], "locked": True, "keys": ["x:y"]})
    assert words.index("x:y") < min(words.index("--components"), words.index("--locked"))


def test_a_number_that_is_true_is_a_number() -> None:
    assert arguments_of("clean", {"keep": 1, "yes": True}) == ["clean", "--keep=1", "--yes"]


def test_every_action_is_a_command_of_the_program() -> None:
    assert set(ACTIONS) <= {command.name for command in whole_program().commands}


@pytest.mark.parametrize(
    ("action", "options", "expected"),
    [
        ("download", {}, True),
        ("update", {"check": True}, True),
        ("verify", {"repair": True}, True),
        ("verify", {"fast": True}, False),
        ("verify", {"repair": False}, False),
        ("clean", {"yes": True}, False),
        ("test", {}, False),
    ],
)
def test_only_what_brings_files_waits_for_its_turn(
    action: str, options: dict[str, Any], expected: bool
) -> None:
    assert moves_models(action, options) is expected


@pytest.mark.parametrize(
    ("action", "options", "code", "state"),
    [
        ("download", {}, 0, "succeeded"),
        ("download", {}, 4, "failed"),
        ("download", {}, 130, "stopped"),
        ("download", {}, 143, "stopped"),
        ("download", {}, -9, "failed"),
        ("download", {}, -15, "failed"),
        ("update", {"check": True}, 9, "succeeded"),
        ("update", {"check": True}, 5, "failed"),
        ("update", {}, 9, "failed"),
        ("verify", {"check": True}, 9, "failed"),
    ],
)
def test_how_a_job_ended(action: str, options: dict[str, Any], code: int, state: str) -> None:
    assert state_of(action, options, code) == state


FULL = {"code": "disk-full", "message": "no room", "hint": "make some"}


@pytest.mark.parametrize(
    ("document", "said", "expected"),
    [
        ({"data": {"error": FULL}}, "", FULL),
        ({"data": {"outcomes": [{"failure": None}, {"failure": FULL}]}}, "", FULL),
        ({"data": {"error": None, "outcomes": [{"failure": {"code": "x", "more": [1]}}]}}, "",
         {"code": "x", "message": "", "hint": ""}),
        ({}, "the last words", {"code": "unexpected", "message": "the last words", "hint": ""}),
        ({}, "", {"code": "unexpected", "message": "the command said nothing", "hint": ""}),
        ({"data": {}}, "", {"code": "unexpected", "message": "the command said nothing",
                            "hint": ""}),
        ({"data": {"models": [{"key": "a:b", "presence": "corrupt"},
                              {"key": "c:d", "presence": "present"}]}}, "",
         {"code": "model-missing", "message": "not ready: a:b", "hint": "start a download"}),
    ],
)  # fmt: skip
def test_why_a_job_failed(document: dict[str, Any], said: str, expected: dict[str, str]) -> None:
    assert failure_of(document, said) == expected


@pytest.mark.parametrize(
    "document",
    [
        {"data": None},
        {"data": []},
        {"data": {"outcomes": None}},
        {"data": {"outcomes": ["x"]}},
        {"data": {"error": "words"}},
        {"data": {"models": [{"key": "a:b"}]}},
        {"data": {"models": [None]}},
        {"data": {"outcomes": [{"failure": "words"}]}},
    ],
)
def test_a_document_of_another_shape_is_an_unexpected_end(document: dict[str, Any]) -> None:
    assert failure_of(document, "last words") == {
        "code": "unexpected",
        "message": "last words",
        "hint": "",
    }


def test_a_job_is_over_when_nothing_more_will_happen() -> None:
    states = ("queued", "running", "succeeded", "failed", "stopped")
    over = [state for state in states if Job("1", "verify", {}, state, 0.0).is_over]  # type: ignore[arg-type]
    assert over == ["succeeded", "failed", "stopped"]
