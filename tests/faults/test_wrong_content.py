"""Wrong bytes are never placed: each fault has its own code, and a message that names the file."""

from __future__ import annotations

import hashlib
import signal

import pytest
from tests.faults.answers import (
    MIB,
    Chunked,
    Compressed,
    File,
    Status,
    bytes_of,
    endless,
    page,
    redirect,
)
from tests.faults.origin import Answer, Origin
from tests.faults.project import Project, Ran, await_true

from modelset.core.errors import KINDS

SIZE = 6 * MIB
RIGHT = bytes_of("right", SIZE)
WRONG = bytes_of("wrong", SIZE)
LONGER = bytes_of("longer", SIZE + 1)


def assert_refused(project: Project, ran: Ran, code: str) -> dict[str, str]:
    """The model failed with that code and nothing of it lies where a library looks."""
    failure = ran.failure("house:m")
    assert failure["code"] == code, failure
    assert ran.code == KINDS[code].exit_code
    assert "/m" in failure["message"]
    assert not project.path("house:m").exists()
    return failure


@pytest.mark.parametrize(
    ("answer", "code", "exit_code"),
    [
        (File(WRONG), "digest-mismatch", 8),
        (File(LONGER), "size-mismatch", 8),
        (File(RIGHT[:-1]), "size-mismatch", 8),
        (File(LONGER, length=None), "size-mismatch", 8),
        (endless, "size-mismatch", 8),
        (page(), "html-page", 5),
        (page(length=False), "html-page", 5),
        (page(text="<html>" + "x" * (SIZE - 6)), "html-page", 5),
        (Compressed(RIGHT[:MIB]), "bad-response", 5),
        (Chunked(WRONG), "digest-mismatch", 8),
        (Status(404), "not-found", 4),
        (Status(401), "token-refused", 6),
        (Status(403), "access-denied", 6),
        (redirect("file:///etc/hostname"), "address-refused", 13),
        (redirect("/m"), "bad-response", 5),
    ],
    ids=[
        "same-size-wrong-bytes", "one-byte-more", "one-byte-less",
        "one-byte-more-without-length", "endless", "page", "page-without-length",
        "page-of-the-same-size", "compressed", "chunks-of-wrong-bytes",
        "404", "401", "403", "redirect-to-a-file", "redirect-loop",
    ],
)  # fmt: skip
def test_a_wrong_answer_is_never_placed_and_has_its_own_code(
    answer: Answer, code: str, exit_code: int, project: Project, origin: Origin
) -> None:
    # A body that ends early is asked for until it makes no progress; five tries take a while.
    key = project.model("m", origin.serve("/m", answer), RIGHT)
    ran = project.run(key, "--json", "--timeout", "20")
    assert ran.code == exit_code
    failure = assert_refused(project, ran, code)
    assert failure["hint"] or code in ("bad-response",)
    assert not any(name.startswith("whisper/") for name in project.files())


def test_wrong_bytes_wait_in_quarantine_and_the_right_ones_come_afterwards(
    project: Project, origin: Origin
) -> None:
    url = origin.serve("/m", File(RIGHT), first=(File(WRONG), File(WRONG)))
    key = project.model("m", url, RIGHT)
    ran = project.run(key, "--json")
    message = assert_refused(project, ran, "digest-mismatch")["message"]
    assert "m.bin" in message
    assert hashlib.sha256(WRONG).hexdigest() in message
    assert hashlib.sha256(RIGHT).hexdigest() in message
    aside = [name for name in project.files() if "quarantine" in name]
    assert len(aside) == 1
    assert (project.models / aside[0]).read_bytes() == WRONG
    assert project.part_size(RIGHT) == 0
    assert len(origin.asked("/m")) == 2, "once more, and not again and again"
    assert project.run(key, "--json").code == 0
    project.assert_clean(m=RIGHT)


def test_a_body_that_always_ends_in_the_middle_is_truncated_and_its_bytes_stay(
    project: Project, origin: Origin
) -> None:
    half = File(RIGHT, stop_at=SIZE // 2, ending="close")
    key = project.model("m", origin.serve("/m", half), RIGHT)
    ran = project.run(key, "--json")
    assert_refused(project, ran, "body-truncated")
    assert project.part_size(RIGHT) == SIZE // 2
    starts = [request.range_start for request in origin.asked("/m")]
    assert starts[0] == 0
    assert set(starts[1:]) == {SIZE // 2}
    assert 4 <= len(starts) <= 6


@pytest.mark.parametrize("ending", ["reset", "close"])
def test_a_server_that_ends_every_connection_after_some_bytes_still_delivers(
    ending: str, project: Project, origin: Origin
) -> None:
    faulty = File(RIGHT, stop_after=MIB, ending=ending)  # type: ignore[arg-type]
    # More connections than there are tries: progress renews them.
    key = project.model("m", origin.serve("/m", faulty), RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stderr
    project.assert_clean(m=RIGHT)
    if ending == "close":
        assert len(origin.asked("/m")) == SIZE // MIB
        assert origin.sent("/m") == SIZE


@pytest.mark.parametrize("now", [WRONG, LONGER], ids=["same-size", "other-size"])
@pytest.mark.parametrize("kept", ["killed", "dropped"])
def test_an_object_that_changed_between_two_tries_is_said_so(
    kept: str, now: bytes, project: Project, origin: Origin
) -> None:
    ending = "hold" if kept == "killed" else "close"
    first = File(RIGHT, stop_at=5 * MIB, ending=ending)  # type: ignore[arg-type]
    key = project.model("m", origin.serve("/m", File(now, etag='"two"'), first=(first,)), RIGHT)
    if kept == "killed":
        running = project.start(key)
        await_true("five megabytes", lambda: project.part_size(RIGHT) >= 5 * MIB)
        running.kill()
    ran = project.run(key, "--json")
    message = assert_refused(project, ran, "object-changed")["message"]
    assert "replaced between two tries" in message
    asked = origin.asked("/m")[1]
    assert asked.range_start >= 4 * MIB
    assert asked.headers["if-range"] == '"one"'
    origin.serve("/m", File(RIGHT, etag='"three"'))
    assert project.run(key, "--json").code == 0
    assert project.path(key).read_bytes() == RIGHT


def test_a_changed_tag_on_a_partial_answer_is_noticed(project: Project, origin: Origin) -> None:
    first = File(RIGHT, stop_at=MIB, ending="close")
    careless = File(WRONG, etag='"two"', if_range=False)
    key = project.model("m", origin.serve("/m", careless, first=(first,)), RIGHT)
    ran = project.run(key, "--json")
    assert_refused(project, ran, "object-changed")
    starts = [request.range_start for request in origin.asked("/m")]
    assert starts[:3] == [0, MIB, 0], "the second answer mixes two objects, so it starts over"


def test_wrong_bytes_from_an_earlier_run_are_fetched_again_from_the_start(
    project: Project, origin: Origin
) -> None:
    first = File(WRONG, etag="", stop_at=5 * MIB)
    key = project.model("m", origin.serve("/m", File(RIGHT, etag=""), first=(first,)), RIGHT)
    running = project.start(key)
    await_true("five megabytes", lambda: project.part_size(RIGHT) >= 5 * MIB)
    running.send(signal.SIGINT)
    assert running.end().code == 130
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert [request.range_start for request in origin.asked("/m")] == [0, 5 * MIB, 0]
    assert project.path(key).read_bytes() == RIGHT


def test_a_sign_in_page_does_not_cost_the_bytes_that_are_here(
    project: Project, origin: Origin
) -> None:
    answers = (File(RIGHT, stop_at=5 * MIB, ending="close"), page())
    key = project.model("m", origin.serve("/m", File(RIGHT), first=answers), RIGHT)
    assert_refused(project, project.run(key, "--json"), "html-page")
    assert project.part_size(RIGHT) == 5 * MIB
    assert project.run(key).code == 0
    assert origin.asked("/m")[-1].range_start == 5 * MIB
    project.assert_clean(m=RIGHT)


@pytest.mark.parametrize(
    ("answer", "requests"),
    [
        (File(RIGHT, ranges=False), 2),
        (File(RIGHT, content_range="bytes 7-9/10"), 2),
        (File(RIGHT, content_range=f"bytes 0-{SIZE - 1}/{SIZE}"), 2),
    ],
    ids=["range-ignored", "range-of-another-size", "range-from-the-start"],
)
def test_a_wrong_answer_to_a_range_never_mixes_bytes(
    answer: File, requests: int, project: Project, origin: Origin
) -> None:
    first = File(RIGHT, stop_at=5 * MIB, ending="close")
    key = project.model("m", origin.serve("/m", answer, first=(first,)), RIGHT)
    ran = project.run(key, "--json")
    assert len(origin.asked("/m")) == requests
    if not answer.content_range:
        assert ran.code == 0
        project.assert_clean(m=RIGHT)
    else:
        failure = ran.failure(key)
        assert failure["code"] in ("bad-response", "object-changed")
        assert not project.path(key).exists()
