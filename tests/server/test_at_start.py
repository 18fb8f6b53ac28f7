"""What the service does by itself: at its start, as older set-ups ask for it, and by the clock."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from tests.conftest import Project
from tests.server.conftest import SLOW, Serve, Server


def jobs(server: Server) -> list[tuple[str, dict[str, Any]]]:
    """What there is to do, the newest first."""
    return [(row["action"], row["options"]) for row in server.get("/v1/jobs").json["jobs"]]


def until_jobs(server: Server, number: int) -> None:
    end = time.monotonic() + 30
    while len(jobs(server)) < number:
        assert time.monotonic() < end, jobs(server)
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({"DOWNLOAD_MODELS_ON_START": "true"}, ""),
        ({"AUTO_DOWNLOAD_MODELS": "1", "AUTO_SETUP_ENABLED": "true"}, ""),
        ({"MODELSET_SERVER_DOWNLOAD_ON_START": "yes", "AUTO_DOWNLOAD_MODELS": "false"}, ""),
        ({}, "[server]\ndownload_on_start = true"),
    ],
)
def test_a_download_begins_where_it_is_asked_for(
    serve: Serve, variables: Mapping[str, str], config: str
) -> None:
    server = serve(env={**SLOW, **variables}, config=config)
    assert jobs(server) == [("download", {})]
    assert server.stop() == 143


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({}, ""),
        ({"DOWNLOAD_MODELS_ON_START": "false"}, "[server]\ndownload_on_start = true"),
        ({"DOWNLOAD_MODELS_ON_START": "true", "AUTO_SETUP_ENABLED": "false"}, ""),
        ({"AUTO_SETUP_ENABLED": "0"}, "[server]\ndownload_on_start = true"),
        ({"AUTO_SETUP_ENABLED": "true"}, ""),
    ],
)
def test_nothing_begins_where_nobody_asks(
    serve: Serve, variables: Mapping[str, str], config: str
) -> None:
    server = serve(env={**SLOW, **variables}, config=config)
    assert jobs(server) == []


def test_the_set_is_there_after_a_start_that_downloads(serve: Serve) -> None:
    server = serve(env={"AUTO_SETUP_ENABLED": "true", "DOWNLOAD_MODELS_ON_START": "true"})
    assert server.get("/readyz").status == 503
    (job,) = server.get("/v1/jobs").json["jobs"]
    assert server.wait(job["id"])["state"] == "succeeded"
    assert server.get("/readyz").status == 200


def test_a_restart_goes_on_with_the_same_download(serve: Serve) -> None:
    wanted = {"DOWNLOAD_MODELS_ON_START": "true"}
    server = serve(env={**SLOW, **wanted})
    (first,) = server.get("/v1/jobs").json["jobs"]
    server.wait_until(first["id"], "running")
    server.stop()
    after = serve(env=wanted)
    assert [row["id"] for row in after.get("/v1/jobs").json["jobs"]] == [first["id"]]
    assert after.wait(first["id"])["state"] == "succeeded"


def begun(server: Server) -> int:
    """How many models have been begun."""
    text = server.get("/metrics").body.decode()
    return sum(int(float(one)) for one in re.findall(r"(?m)^\S+_started_total{.*} (\S+)$", text))


@pytest.mark.parametrize("number", [1, 2])
def test_so_many_models_come_at_once(serve: Serve, number: int) -> None:
    server = serve(env={**SLOW, "MAX_CONCURRENT_DOWNLOADS": str(number)})
    server.start("download", keys=["whisper:base", "whisper:large-v3", "ollama:gemma2:9b"])
    end = time.monotonic() + 20
    while begun(server) < number:
        assert time.monotonic() < end
        time.sleep(0.1)
    time.sleep(1)  # of the many seconds that each of them takes
    assert begun(server) == number
    assert server.get("/v1/jobs").json["jobs"][0]["state"] == "running"


def test_the_older_name_of_the_deadline_reaches_the_job(serve: Serve) -> None:
    server = serve(env={**SLOW, "MODEL_DOWNLOAD_TIMEOUT": "1"})
    job = server.wait(server.start("download", keys=["whisper:base"])["id"])
    assert (job["state"], job["failure"]["code"]) == ("failed", "deadline")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AUTO_SETUP_ENABLED": "perhaps"}, "AUTO_SETUP_ENABLED: auto_setup = 'perhaps'"),
        ({"DOWNLOAD_MODELS_ON_START": "perhaps"}, "should be true or false"),
        ({"MAX_CONCURRENT_DOWNLOADS": "0"}, "MAX_CONCURRENT_DOWNLOADS: max_workers"),
        ({"MODEL_DOWNLOAD_TIMEOUT": "soon"}, "MODEL_DOWNLOAD_TIMEOUT: timeout = 'soon'"),
        ({"MODELSET_SERVER_UPDATE_CHECK": "daily"}, "update_check = 'daily' is no time such as"),
        ({"MODELSET_SERVER_TRANSFERS": "0"}, "transfers = '0' is not a whole number"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_listens(
    serve: Serve, variables: Mapping[str, str], words: str
) -> None:
    with pytest.raises(AssertionError) as said:
        serve(env=variables)
    assert words in str(said.value)


@pytest.mark.parametrize(
    ("variables", "config"),
    [
        ({"MODELSET_SERVER_UPDATE_CHECK": "1s"}, ""),
        ({}, '[server]\nupdate_check = "1s"'),
    ],
)
def test_updates_are_looked_for_by_the_clock(
    serve: Serve, variables: Mapping[str, str], config: str
) -> None:
    server = serve(env=variables, config=config)
    until_jobs(server, 2)
    assert set(map(str, jobs(server))) == {str(("update", {"check": True}))}
    newest = server.get("/v1/jobs").json["jobs"][-1]
    assert server.wait(newest["id"])["state"] in ("succeeded", "failed")
    assert server.stop() == 143


def test_a_look_for_updates_brings_nothing_and_says_what_is_newer(serve: Serve) -> None:
    server = serve()
    server.wait(server.start("download", keys=["whisper:base"])["id"])
    size = server.get("/v1/models").json["total_bytes"]
    server.stop()
    after = serve(env={"MODELSET_SERVER_UPDATE_CHECK": "1s"})
    until_jobs(after, 2)
    look = next(row for row in after.get("/v1/jobs").json["jobs"] if row["action"] == "update")
    done = after.wait(look["id"])
    assert done["state"] == "succeeded", done
    assert done["result"]
    assert after.get("/v1/models").json["total_bytes"] == size


def test_no_clock_runs_unless_somebody_asks(serve: Serve, project: Project) -> None:
    server = serve(env={"MODELSET_SERVER_UPDATE_CHECK": "off"})
    time.sleep(1.5)
    assert jobs(server) == []
