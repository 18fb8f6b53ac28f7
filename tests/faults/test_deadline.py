"""A model whose server does nothing ends at its deadline; the others never notice."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, silence
from tests.faults.origin import Origin, black_hole
from tests.faults.project import Project, Ran

TIMEOUT_S = 3.0
# A deadline ends its model within one second.
LATEST_S = TIMEOUT_S + 1.0
SIZE = 2 * MIB
HEALTHY = ("good", "fine")


@pytest.fixture
def hole() -> Iterator[str]:
    """Return an address that never answers a connect."""
    with black_hole() as url:
        yield url


def add_healthy(project: Project, origin: Origin) -> list[str]:
    bodies = {name: bytes_of(name, SIZE) for name in HEALTHY}
    return [
        project.model(name, origin.serve(f"/{name}", File(data)), data)
        for name, data in bodies.items()
    ]


def assert_ended_at_the_deadline(ran: Ran, bad: str) -> None:
    outcome = ran.outcomes[bad]
    sys.stdout.write(f"{bad}: ended {outcome['seconds'] - TIMEOUT_S:.3f} s after its deadline\n")
    assert outcome["result"] == "failed"
    assert outcome["failure"]["code"] == "deadline"
    assert "3.0 s" in outcome["failure"]["message"]
    assert "--timeout" in outcome["failure"]["hint"]
    assert TIMEOUT_S <= outcome["seconds"] <= LATEST_S
    assert ran.code == 12
    assert ran.seconds < LATEST_S + 2.0  # and the program's own start and end


def assert_the_others_never_noticed(project: Project, ran: Ran) -> None:
    for name in HEALTHY:
        healthy = ran.outcomes[f"house:{name}"]
        assert healthy["result"] == "downloaded"
        assert healthy["seconds"] < TIMEOUT_S / 2
        assert project.path(f"house:{name}").read_bytes() == bytes_of(name, SIZE)


def test_a_stalled_body_ends_at_the_deadline_and_its_bytes_stay(
    project: Project, origin: Origin
) -> None:
    data = bytes_of("bad", SIZE)
    url = origin.serve("/bad", File(data), first=(File(data, stop_at=MIB),))
    bad = project.model("bad", url, data)
    keys = [bad, *add_healthy(project, origin)]
    ran = project.run(*keys, "--timeout", "3", "--json")
    assert_ended_at_the_deadline(ran, bad)
    assert_the_others_never_noticed(project, ran)
    assert ran.outcomes[bad]["bytes_moved"] == project.journalled(data) >= MIB
    again = project.run(*keys, "--json")
    assert again.code == 0
    assert [request.range_start for request in origin.asked("/bad")] == [0, MIB]
    project.assert_clean(bad=data, **{name: bytes_of(name, SIZE) for name in HEALTHY})


def test_five_kinds_of_bad_server_at_once_end_at_the_deadline_side_by_side(
    hole: str, project: Project, origin: Origin
) -> None:
    bodies = {name: bytes_of(name, SIZE) for name in ("mute", "head", "slow", "drip", "hole")}
    answers = {
        "mute": silence,
        "head": File(bodies["head"], stop_at=0),
        "slow": File(bodies["slow"], piece=4096, pause_s=0.05),
        "drip": File(bodies["drip"], piece=1, pause_s=2.0),
    }
    urls = {name: origin.serve(f"/{name}", answer) for name, answer in answers.items()}
    urls["hole"] = f"{hole}/hole"
    bad = [project.model(name, urls[name], bodies[name]) for name in bodies]
    keys = [*bad, *add_healthy(project, origin)]
    ran = project.run(*keys, "--timeout", "3", "--max-workers", "7", "--json")
    for key in bad:
        assert_ended_at_the_deadline(ran, key)
    assert_the_others_never_noticed(project, ran)
    assert 1 <= project.journalled(bodies["drip"]) <= 64
    assert project.part_size(bodies["slow"]) > 0
    assert not project.part(bodies["hole"]).exists()


def test_waiting_longer_than_the_deadline_allows_is_not_begun(
    project: Project, origin: Origin
) -> None:
    data = bytes_of("bad", 9)
    bad = project.model("bad", origin.serve("/bad", Status(503, {"Retry-After": "3600"})), data)
    ran = project.run(bad, "--timeout", "3", "--json")
    assert ran.failure(bad)["code"] == "server-error"
    assert ran.code == 5
    assert ran.seconds < TIMEOUT_S
    assert len(origin.asked("/bad")) == 1


def test_an_optional_model_at_its_deadline_is_a_warning(project: Project, origin: Origin) -> None:
    project.settings("[download]\ntimeout = 1\nmax_workers = 2")
    data = bytes_of("bad", 9)
    bad = project.model("bad", origin.serve("/bad", silence), data, tier="optional")
    ran = project.run("--category", "house", "--json")
    assert ran.failure(bad)["code"] == "deadline"
    assert ran.outcomes[bad]["tier"] == "optional"
    assert ran.code == 0


@pytest.mark.parametrize("asks", ["the host", "the package index"])
def test_a_source_that_gets_no_answer_ends_at_the_deadline(
    asks: str, project: Project, origin: Origin
) -> None:
    if asks == "the host":
        key = project.model("m", origin.serve("/m", silence), b"abc", size=None)
    else:
        key = "house:wheel"
        url = origin.serve("/simple/house/", silence).removesuffix("house/")
        project.settings(
            f'[download]\nindex_url = "{url}"\n\n'
            f'[[model]]\nkey = "{key}"\ncategory = "house"\nsource = "wheel"\n'
            'ref = { requirement = "house" }'
        )
    # pip itself takes a while to start, more so on a busy machine.
    timeout_s = 2 if asks == "the host" else 8
    ran = project.run(key, "--timeout", str(timeout_s), "--json")
    assert origin.requests, "the question was asked"
    assert ran.failure(key)["code"] == "deadline"
    assert timeout_s <= ran.outcomes[key]["seconds"] <= timeout_s + 1
    assert ran.code == 12
    assert not (project.root / "models.lock.json").exists()
