"""Jobs: begun, watched, stopped, and going on after the server was killed."""

from __future__ import annotations

import signal
import time

import pytest
from tests.server.conftest import SLOW, Serve, Server

pytestmark = pytest.mark.filterwarnings("error")


def test_a_download_is_begun_watched_and_found_on_the_disk(server: Server) -> None:
    answer = server.post("/v1/jobs", {"action": "download", "keys": ["whisper:base"]})
    assert answer.status == 202
    job = answer.json
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert answer.headers["retry-after"] == "2"
    over = server.wait(job["id"])
    assert (over["state"], over["exit_code"], over["failure"]) == ("succeeded", 0, None)
    assert [row["result"] for row in over["result"]["outcomes"]] == ["downloaded"]
    row = server.get("/v1/models/whisper:base").json
    assert (row["presence"], row["bytes_have"]) == ("present", row["bytes_want"])
    kinds = [event["event"] for event in server.events(job["id"])]
    assert kinds[:3] == ["job", "job", "started"]
    assert kinds[-2:] == ["ended", "job"]


def test_the_same_work_under_way_is_one_job(serve: Serve) -> None:
    server = serve(env=SLOW)
    first = server.start("download", keys=["whisper:base"])
    again = server.start("download", keys=["whisper:base"])
    other = server.start("download", keys=["vad:silero"])
    assert first["id"] == again["id"] != other["id"]
    for job in (first, other):
        server.ask("DELETE", f"/v1/jobs/{job['id']}")
    assert server.wait(first["id"])["state"] == "stopped"


def test_an_idempotency_key_stands_for_one_request(server: Server) -> None:
    key = {"Idempotency-Key": "one"}
    work = {"action": "verify", "fast": True}
    first = server.post("/v1/jobs", work, key).json
    server.wait(first["id"])
    assert server.post("/v1/jobs", work, key).json["id"] == first["id"]
    conflict = server.post("/v1/jobs", {"action": "verify"}, key)
    assert (conflict.status, conflict.json["code"]) == (409, "job-conflict")
    assert server.start("verify", fast=True)["id"] != first["id"]


def test_a_key_stands_for_the_job_that_it_joined(serve: Serve) -> None:
    server = serve(env=SLOW)
    key = {"Idempotency-Key": "late"}
    work = {"action": "download", "keys": ["whisper:base"]}
    first = server.start("download", keys=["whisper:base"])
    assert server.post("/v1/jobs", work, key).json["id"] == first["id"]
    server.ask("DELETE", f"/v1/jobs/{first['id']}")
    server.wait(first["id"])
    assert server.post("/v1/jobs", work, key).json["id"] == first["id"]
    conflict = server.post("/v1/jobs", {"action": "verify"}, key)
    assert (conflict.status, conflict.json["code"]) == (409, "job-conflict")


def test_work_is_begun_anew_while_the_same_is_being_stopped(serve: Serve) -> None:
    server = serve(env=SLOW)
    first = server.start("download", keys=["whisper:base"])
    server.wait_until(first["id"], "running")
    assert server.ask("DELETE", f"/v1/jobs/{first['id']}").status == 202
    second = server.start("download", keys=["whisper:base"])
    assert second["id"] != first["id"]
    assert server.wait(first["id"])["state"] == "stopped"
    assert server.wait_until(second["id"], "running")["state"] == "running"


def test_a_stopped_job_keeps_its_bytes(serve: Serve) -> None:
    server = serve(env=SLOW)
    job = server.start("download", keys=["whisper:base"])
    end = time.monotonic() + 20
    while server.get("/v1/models/whisper:base").json["presence"] != "partial":
        assert time.monotonic() < end
        time.sleep(0.1)
    began = time.monotonic()
    assert server.ask("DELETE", f"/v1/jobs/{job['id']}").status == 202
    assert server.wait(job["id"])["state"] == "stopped"
    assert time.monotonic() - began < 5
    assert server.get("/v1/models/whisper:base").json["bytes_have"] > 0
    gone = server.ask("DELETE", f"/v1/jobs/{job['id']}")
    assert (gone.status, gone.json["code"]) == (409, "job-conflict")


def test_a_job_that_waits_can_be_stopped(serve: Serve) -> None:
    server = serve(env=SLOW)
    first = server.start("download", keys=["whisper:base"])
    waiting = server.start("download", keys=["vad:silero"])
    server.wait_until(first["id"], "running")
    assert server.job(waiting["id"])["state"] == "queued"
    assert server.ask("DELETE", f"/v1/jobs/{waiting['id']}").status == 202
    assert server.wait(waiting["id"], 5)["state"] == "stopped"
    assert server.job(first["id"])["state"] == "running"


def test_a_reader_goes_on_where_it_left(server: Server) -> None:
    job = server.start("download", keys=["whisper:base"])
    server.wait(job["id"])
    events = server.events(job["id"])
    later = server.events(job["id"], Last_Event_ID=str(events[1]["id"]))
    assert later == events[2:]
    last = server.get(f"/v1/jobs/{job['id']}/events", Last_Event_ID=str(events[-1]["id"]))
    assert last.status == 204


def test_jobs_survive_a_kill(serve: Serve) -> None:
    server = serve(env=SLOW)
    done = server.start("verify")
    server.wait(done["id"])
    job = server.start("download", keys=["whisper:base"])
    server.wait_until(job["id"], "running")
    seen = server.get("/v1/jobs").json["jobs"]
    server.stop(signal.SIGKILL)
    after = serve()
    assert [row["id"] for row in after.get("/v1/jobs").json["jobs"]] == [row["id"] for row in seen]
    assert after.wait(job["id"])["state"] == "succeeded"
    assert after.job(done["id"])["state"] == "failed"  # nothing was there to verify
    numbers = [event["id"] for event in after.events(job["id"])]
    assert numbers == sorted(set(numbers))


def test_a_second_server_says_that_there_is_a_first(server: Server, serve: Serve) -> None:
    with pytest.raises(AssertionError, match="another server works on the models below"):
        serve()
    assert server.get("/livez").status == 200


def test_sigterm_ends_it_soon_and_the_jobs_go_on_later(serve: Serve) -> None:
    server = serve(env=SLOW)
    job = server.start("download", keys=["whisper:base"])
    server.wait_until(job["id"], "running")
    began = time.monotonic()
    assert server.stop() == 143
    assert time.monotonic() - began < 8
    assert serve().wait(job["id"])["state"] == "succeeded"
