"""What passes or is damaged is mended without a word from the user."""

from __future__ import annotations

import os

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, hang_up, redirect
from tests.faults.origin import Answer, Origin
from tests.faults.project import Project

SIZE = 6 * MIB
RIGHT = bytes_of("right", SIZE)
WRONG = bytes_of("wrong", SIZE)


@pytest.mark.parametrize(
    "first",
    [
        (Status(500), Status(503)),
        (hang_up,),
        (Status(429, {"Retry-After": "1"}),),
        (
            Status(
                429,
                {
                    "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
                    "Retry-After": "Wed, 21 Oct 2015 07:28:01 GMT",
                },
            ),
        ),
    ],
    ids=["500-and-503", "hung-up", "429-in-seconds", "429-at-a-date"],
)
def test_a_passing_fault_is_retried(
    first: tuple[Answer, ...], project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(RIGHT), first=first), RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    asked = origin.asked("/m")
    assert len(asked) == len(first) + 1
    if isinstance(first[0], Status) and first[0].status == 429:
        assert 1.0 <= asked[1].at - asked[0].at < 2.0
    project.assert_clean(m=RIGHT)


def test_a_signed_address_that_expired_is_asked_for_again(project: Project, origin: Origin) -> None:
    signed = origin.serve("/signed", File(RIGHT), first=(Status(403),))
    other = signed.replace("127.0.0.1", "localhost")  # another origin by name
    key = project.model("m", origin.serve("/m", redirect(other)), RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert len(origin.asked("/m")) == 2
    project.assert_clean(m=RIGHT)


def test_bytes_of_a_file_that_somebody_else_put_there_are_read_before_they_are_believed(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(RIGHT)), RIGHT)
    place = project.path(key)
    place.parent.mkdir(parents=True)
    place.write_bytes(RIGHT)
    assert project.run(key, "--json").outcomes[key]["result"] == "ready"
    assert not origin.requests
    registry = project.models / "registry" / "registry.json"
    registry.unlink()
    place.write_bytes(WRONG)
    ran = project.run(key, "--json")
    assert ran.outcomes[key]["result"] == "downloaded"
    assert len(origin.asked("/m")) == 1
    project.assert_clean(m=RIGHT)


@pytest.mark.parametrize("damage", ["shorter", "longer", "other"])
def test_a_damaged_file_under_its_final_name_is_replaced(
    damage: str, project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(RIGHT)), RIGHT)
    assert project.run(key).code == 0
    place = project.path(key)
    bad = {"shorter": RIGHT[:-1], "longer": RIGHT + b"x", "other": WRONG}[damage]
    place.write_bytes(bad)
    os.utime(place, ns=(1, 1))
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert ran.outcomes[key]["result"] == "downloaded"
    project.assert_clean(m=RIGHT)
