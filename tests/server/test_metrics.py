"""Metrics: what /metrics says after downloads, failures, retries, damage and a restart."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.conftest import Project
from tests.deploy.metrics import METRICS
from tests.faults.answers import File, Status, bytes_of
from tests.faults.origin import Origin, origin
from tests.server.conftest import SLOW, Serve, Server

prometheus = pytest.importorskip("prometheus_client", reason="the extra `server` is missing")

from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402
from prometheus_client.openmetrics import parser as openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

from modelset import __version__  # noqa: E402
from modelset.core.jobs import Job  # noqa: E402
from modelset.server.metrics_jobs import Moves  # noqa: E402
from modelset.settings import load_settings  # noqa: E402

OPEN = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5"
DATA = bytes_of("metrics", 200_000)


class Scraped:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.rows: list[tuple[str, dict[str, str], float]] = [
            (row.name, row.labels, row.value)
            for family in text_string_to_metric_families(text)
            for row in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the rows that have these labels, 0 when there is none."""
        return sum(
            value
            for own, found, value in self.rows
            if own == f"modelset_{name}" and labels.items() <= found.items()
        )


def scrape(server: Server) -> Scraped:
    answer = server.get("/metrics")
    assert answer.status == 200, answer.body
    return Scraped(answer.body.decode())


def until(server: Server, name: str, value: float, **labels: str) -> Scraped:
    """The first scrape in which something has this value."""
    end = time.monotonic() + 20
    while (found := scrape(server))(name, **labels) != value:
        assert time.monotonic() < end, [row for row in found.rows if name in row[0]]
        time.sleep(0.1)
    return found


@pytest.fixture
def house() -> Iterator[Origin]:
    """A server of the test's own."""
    with origin() as running:
        yield running


def table(url: str, data: bytes = DATA) -> str:
    """A model of one file, pinned by the table itself."""
    digest = hashlib.sha256(data).hexdigest()
    return f"""
[[model]]
key = "house:one"
category = "vosk"
source = "url"
ref.url = "{url}"
ref.root = "vosk"
ref.path = "one.bin"
ref.digest = "sha256:{digest}"
ref.size = {len(data)}
"""


def damage(server: Server, key: str) -> None:
    """Change one byte of a model's largest file, and nothing of its size."""
    folder = Path(server.get(f"/v1/models/{key}").json["path"])
    file = max(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.resolve().write_bytes(data)


def test_every_name_is_there_with_its_labels(server: Server) -> None:
    key = "whisper:base"
    assert server.wait(server.start("download", keys=[key])["id"])["state"] == "succeeded"
    scrape(server)  # so that there is a request of a route to be counted
    rows = scrape(server).rows
    found = {name: set(labels) for name, labels, _ in rows if name.startswith("modelset_")}
    known = {name: labels for name, labels in METRICS.items() if "retries" not in name}
    for name, labels in METRICS.items():
        if name.endswith("_bucket"):
            known |= {name.replace("bucket", word): labels - {"le"} for word in ("count", "sum")}
    assert found == known
    assert {name.split("_")[0] for name, *_ in rows} == {"modelset", "process"}
    stages = {labels.get("stage") for name, labels, _ in rows if "integrity" in name}
    assert stages == {"download", "verify"}


def test_a_download_is_counted(server: Server) -> None:
    before = scrape(server)
    assert before("models", state="present") == 0
    assert before("critical_missing") == before("models", tier="critical") > 0
    server.wait(server.start("download", keys=["whisper:base", "vad:silero"])["id"])
    want = server.get("/v1/models/whisper:base").json
    after = until(server, "models", 2, state="present")
    assert after("models", category="whisper", tier="critical", state="present") == 1
    assert after("critical_missing") == before("critical_missing") - 2
    assert after("downloads_started_total", source="huggingface") == 1
    assert after("downloads_started_total", source="wheel") == 1
    done = {"result": "downloaded", "reason": ""}
    assert after("downloads_finished_total", source="huggingface", **done) == 1
    assert after("downloads_finished_total") == 2
    assert after("download_bytes_total", source="huggingface") == want["bytes_want"]
    assert after("download_duration_seconds_count") == 2
    assert after("download_duration_seconds_bucket", le="+Inf") == 2
    assert after("jobs", state="succeeded") == 1
    assert after("store_bytes", kind="models") >= want["bytes_want"]
    assert after("store_bytes", kind="partial") == 0
    assert after("store_free_bytes") > 1e6
    assert after("build_info", version=__version__) == 1
    assert after("last_check_success") == 0  # critical ones are still missing
    assert 0 <= time.time() - after("last_check_timestamp_seconds") < 60


def test_a_whole_set_is_a_success(server: Server) -> None:
    server.wait(server.start("download")["id"])
    found = until(server, "last_check_success", 1)
    assert found("critical_missing") == 0
    assert found("models", state="missing") == 0
    server.wait(server.start("download")["id"])  # nothing is fetched, nothing is counted
    again = scrape(server)
    for name in ("downloads_started_total", "downloads_finished_total", "download_bytes_total"):
        assert again(name) == found(name) > 0


def test_a_failed_download_says_why(serve: Serve) -> None:
    server = serve(env={"HF_TOKEN": ""})
    key = "pyannote:segmentation-3.0"
    assert server.wait(server.start("download", keys=[key])["id"])["state"] == "failed"
    found = scrape(server)
    failed = {"source": "huggingface", "result": "failed"}
    assert found("downloads_finished_total", **failed, reason="token-missing") == 1
    assert found("downloads_started_total", source="huggingface") == 1
    assert found("download_bytes_total") == found("download_duration_seconds_count") == 0
    assert found("jobs", state="failed") == 1


def test_a_retry_is_counted_with_its_reason(serve: Serve, house: Origin) -> None:
    busy = Status(503, {"Retry-After": "0"})
    url = house.serve("/one.bin", File(DATA), first=(busy, busy))
    server = serve(config=table(url))
    assert server.wait(server.start("download", keys=["house:one"])["id"])["state"] == "succeeded"
    found = scrape(server)
    assert found("retries_total", reason="server-error") == 2
    assert found("downloads_finished_total", source="url", result="downloaded") == 1
    assert found("download_bytes_total", source="url") == len(DATA)
    assert found("stalls_total") == found("integrity_failures_total") == 0


def test_wrong_bytes_of_a_host_are_integrity_failures(serve: Serve, house: Origin) -> None:
    wrong = bytes(len(DATA))
    server = serve(config=table(house.serve("/one.bin", File(wrong))))
    assert server.wait(server.start("download", keys=["house:one"])["id"])["state"] == "failed"
    found = scrape(server)
    assert found("integrity_failures_total", stage="download") >= 1
    assert found("integrity_failures_total", stage="verify") == 0
    failed = {"source": "url", "result": "failed", "reason": "digest-mismatch"}
    assert found("downloads_finished_total", **failed) == 1
    assert found("download_bytes_total", source="url") >= len(DATA)


def test_what_a_stopped_job_has_fetched_is_resumed(serve: Serve, project: Project) -> None:
    server = serve(env=SLOW)
    job = server.start("download", keys=["whisper:base"])
    end = time.monotonic() + 20
    while not any(part.stat().st_size for part in project.models_root.glob("downloads/*.part")):
        assert time.monotonic() < end
        time.sleep(0.1)
    # While it runs, not only at its end.
    while not (moved := (found := scrape(server))("download_bytes_total")):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert found("jobs", state="running") == 1
    server.ask("DELETE", f"/v1/jobs/{job['id']}")
    server.wait(job["id"])
    found = scrape(server)
    assert found("jobs", state="stopped") == 1
    assert found("downloads_finished_total", result="stopped") == 1
    assert found("downloads_started_total") == found("downloads_finished_total")
    assert found("download_bytes_total") >= moved
    kept = found("store_bytes", kind="partial")
    assert kept > 0
    server.stop()
    after = serve()
    want = after.get("/v1/models/whisper:base").json["bytes_want"]
    after.wait(after.start("download", keys=["whisper:base"])["id"])
    resumed = scrape(after)
    assert kept <= resumed("download_resumed_bytes_total") < want
    total = resumed("download_bytes_total") + resumed("download_resumed_bytes_total")
    assert total == want
    assert resumed("store_bytes", kind="partial") == 0


def test_damage_that_a_verification_finds_is_told_until_it_is_mended(serve: Serve) -> None:
    server = serve()
    server.wait(server.start("download")["id"])
    until(server, "last_check_success", 1)
    damage(server, "whisper:base")
    assert server.wait(server.start("verify")["id"])["state"] == "failed"
    found = scrape(server)
    assert found("integrity_failures_total", stage="verify") == 1
    assert found("integrity_failures_total", stage="download") == 0
    corrupt = {"category": "whisper", "tier": "critical", "state": "corrupt"}
    assert found("models", **corrupt) == found("critical_missing") == 1
    assert found("last_check_success") == 0
    assert found("downloads_started_total") == found("downloads_finished_total")
    time.sleep(2.1)  # a quick look reads no bytes, and would not see it
    assert scrape(server)("models", **corrupt) == 1
    server.stop()
    after = serve()  # a restart does not forget it
    assert scrape(after)("models", **corrupt) == 1
    assert scrape(after)("integrity_failures_total", stage="verify") == 0
    assert after.wait(after.start("verify", repair=True)["id"])["state"] == "succeeded"
    mended = until(after, "last_check_success", 1)
    assert mended("models", **corrupt) == mended("critical_missing") == 0
    assert mended("downloads_finished_total", source="huggingface", result="downloaded") == 1


def test_damage_that_another_program_has_mended_is_forgotten(
    serve: Serve, project: Project, run_modelset: Any
) -> None:
    server = serve()
    server.wait(server.start("download", keys=["whisper:base"])["id"])
    damage(server, "whisper:base")
    server.wait(server.start("verify", keys=["whisper:base"])["id"])
    assert scrape(server)("models", state="corrupt") == 1
    ran = run_modelset("verify", "whisper:base", "--repair", env={"HF_TOKEN": "hf_demo"})
    assert ran.code == 0, ran.stdout + ran.stderr
    assert scrape(server)("models", state="corrupt") == 0


def test_counts_begin_anew_and_jobs_are_remembered_after_a_kill(serve: Serve) -> None:
    server = serve()
    for _ in range(2):
        server.wait(server.start("download", keys=["vad:silero"])["id"])
    assert scrape(server)("downloads_started_total") == 1
    server.stop(signal.SIGKILL)
    found = scrape(serve())
    assert found("downloads_started_total") == found("download_bytes_total") == 0
    assert found("jobs", state="succeeded") == 2
    assert found("models", category="vad", state="present") == 1


def test_settings_that_cannot_be_read_are_told_too(server: Server, project: Project) -> None:
    assert scrape(server)("models") > 0
    project.config.write_text("[download\n")
    time.sleep(2.1)
    found = scrape(server)
    assert found("models") == found("last_check_success") == 0
    assert 0 <= time.time() - found("last_check_timestamp_seconds") < 2
    assert found("store_free_bytes") > 0


def test_requests_are_counted_by_the_template_of_their_route(server: Server) -> None:
    server.get("/v1/models/whisper:base")
    server.get("/v1/models/vad:silero?x=s3cret")
    server.get("/v1/jobs/0123456789abcdef")
    for path in ("/s3cret/../../etc/passwd", "/v1/s3cret", "/%00s3cret", "/static/s3cret"):
        server.get(path)
    server.ask("PUT", "/v1/jobs")
    server.ask("S3CRET", "/v1/jobs")
    server.post("/v1/jobs", b"{")
    text = server.get("/metrics").body.decode()
    found = Scraped(text)
    one = {"method": "GET", "route": "/v1/models/{key}"}
    assert found("http_requests_total", **one, status="200") == 2
    assert found("http_request_duration_seconds_count", **one) == 2
    assert found("http_requests_total", route="/v1/jobs/{id}", status="404") == 1
    assert found("http_requests_total", status="404") >= 4
    assert found("http_requests_total", method="PUT", status="405") == 1
    assert found("http_requests_total", method="other", status="405") == 1
    assert found("http_requests_total", method="POST", status="422") == 1
    assert "s3cret" not in text.lower()
    assert "whisper:base" not in text


def test_what_is_refused_before_any_route_is_counted_too(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-0123456789")
    server = serve("--token-file", str(tmp_path / "token"))
    own = {"Authorization": "Bearer canary-0123456789"}
    for _ in range(3):
        assert server.post("/v1/jobs", {"action": "verify"}).status == 401
    assert server.post("/v1/jobs", b"x" * 70_000, own).status == 413
    assert server.get("/v1/models", Host="elsewhere.example").status == 403
    found = scrape(server)
    assert found("http_requests_total", method="POST", route="other", status="401") == 3
    assert found("http_requests_total", method="POST", route="other", status="413") == 1
    assert found("http_requests_total", method="GET", route="other", status="403") == 1
    assert found("http_requests_total", route="/v1/jobs") == 0


def test_a_stream_of_events_does_not_count_as_slow(serve: Serve) -> None:
    server = serve(env={"MODELSET_DOWNLOAD_LIMIT_RATE": "200K"})
    job = server.start("download", keys=["whisper:base"])
    began = time.monotonic()
    assert server.events(job["id"])[-1]["state"] == "succeeded"
    assert time.monotonic() - began > 1
    own = {"method": "GET", "route": "/v1/jobs/{id}/events"}
    found = scrape(server)
    assert found("http_requests_total", **own, status="200") == 1
    assert found("http_request_duration_seconds_sum", **own) < 1


def test_no_label_and_no_value_holds_the_token(serve: Serve, tmp_path: Path) -> None:
    canary = "canary-0123456789"
    (tmp_path / "token").write_text(canary)
    server = serve("--token-file", str(tmp_path / "token"))
    own = {"Authorization": f"Bearer {canary}"}
    assert server.post("/v1/jobs", {"action": "verify"}).status == 401
    assert server.post("/v1/jobs", {"action": "verify"}, own).status == 202
    server.get(f"/v1/models/{canary}")
    server.get(f"/v1/models?token={canary}", **own)
    server.get(f"/{canary}")
    for accept in ("*/*", OPEN):
        answer = server.get("/metrics", Accept=accept)
        assert answer.status == 200
        assert canary.encode() not in answer.body
        assert b"hf_demo" not in answer.body


def test_who_asks_for_anything_gets_text(server: Server) -> None:
    asked = [
        "*/*",
        "text/html",
        "",
        "text/plain;version=0.0.4",
        "text/plain;version=x.y",
        ";;,=",
        "é",
    ]
    for accept in asked:
        answer = server.get("/metrics", Accept=accept)
        assert answer.status == 200, accept
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert list(text_string_to_metric_families(answer.body.decode()))


def test_who_asks_for_openmetrics_gets_that(server: Server) -> None:
    answer = server.get("/metrics", Accept=OPEN)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    parse: Any = openmetrics.text_string_to_metric_families
    families = {row.name: row for row in parse(answer.body.decode())}
    assert families["modelset_stalls"].type == "counter"
    assert families["modelset_download_duration_seconds"].type == "histogram"
    assert answer.body.endswith(b"# EOF\n")
    assert b"_created" not in answer.body


def test_promtool_finds_nothing_to_say(server: Server) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    server.wait(server.start("download", keys=["vad:silero"])["id"])
    text = server.get("/metrics").body
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    worse = re.sub(rb"modelset_stalls_total", b"modelset_stalls", text)
    done = subprocess.run(
        [promtool, "check", "metrics"], input=worse, capture_output=True, timeout=30, check=False
    )
    assert done.returncode != 0


class Heard:
    """The counts of jobs, without a service."""

    def __init__(self, project: Project) -> None:
        self.registry = CollectorRegistry()
        settings = load_settings({}, project.environ, project.folder)
        self.snapshot = SimpleNamespace(settings=settings)
        self.moves = Moves(self.registry, cast(Any, self.snapshot))
        self.job = Job("0" * 16, "download", {}, "running", 1.0)

    def say(self, kind: str, **data: Any) -> None:
        self.moves.hear(self.job, {"event": kind, **data})

    def end(self, state: Any, failure: Mapping[str, str] | None = None) -> None:
        self.moves.hear(
            replace(self.job, state=state, failure=failure), {"event": "job", "state": state}
        )

    def __call__(self, name: str, **labels: str) -> float:
        return Scraped(generate_latest(self.registry).decode())(name, **labels)


@pytest.fixture
def heard(project: Project) -> Heard:
    return Heard(project)


def outcome(key: str, result: str, moved: int = 0, code: str = "") -> dict[str, Any]:
    failure = {"code": code, "message": "", "hint": ""} if code else None
    return {"key": key, "result": result, "failure": failure, "bytes_moved": moved, "seconds": 1.5}


def test_bytes_that_were_thrown_away_and_came_again_count_twice(heard: Heard) -> None:
    heard.say("started", key="whisper:base", bytes_total=100, bytes_kept=10)
    for have in (40, 60, 0, 50):
        heard.say("moved", key="whisper:base", bytes=have)
    assert heard("download_bytes_total", source="huggingface") == 100
    heard.say("ended", **outcome("whisper:base", "downloaded", moved=150))
    assert heard("download_bytes_total", source="huggingface") == 150
    assert heard("download_resumed_bytes_total") == 10


def test_a_silent_connection_is_a_stall(heard: Heard) -> None:
    failure = {"code": "stalled", "message": "", "hint": ""}
    heard.say("retrying", key="whisper:base", failure=failure, attempt=1, delay_s=0.5)
    heard.say("ended", **outcome("whisper:base", "failed", code="stalled"))
    assert heard("stalls_total") == 2
    assert heard("retries_total", reason="stalled") == 1
    assert heard("downloads_finished_total", reason="stalled") == 1


@pytest.mark.parametrize(
    ("state", "failure", "reason"),
    [
        ("stopped", None, "stopped"),
        ("failed", {"code": "disk-full"}, "disk-full"),
        ("failed", {"code": "a code that nobody knows"}, "unexpected"),
        ("failed", None, "unexpected"),
    ],
)
def test_what_a_command_did_not_end_ends_with_its_job(
    heard: Heard, state: str, failure: Mapping[str, str] | None, reason: str
) -> None:
    heard.say("started", key="whisper:base", bytes_total=100, bytes_kept=0)
    heard.end(state, failure)
    assert heard("downloads_finished_total", result=state, reason=reason) == 1
    heard.end(state, failure)
    assert heard("downloads_finished_total") == heard("downloads_started_total") == 1


def test_what_was_ready_is_no_download(heard: Heard) -> None:
    for result in ("ready", "skipped"):
        heard.say("ended", **outcome("whisper:base", result))
    assert heard("downloads_started_total") == heard("downloads_finished_total") == 0


def test_keys_never_make_new_labels(heard: Heard) -> None:
    keys = [f"no-such-family:{number}" for number in range(50)]
    for key in (*keys, "ollama:a", "ollama:b", "whisper:base@abc", '"} 1\n'):
        heard.say("started", key=key, bytes_total=1, bytes_kept=0)
        heard.say("ended", **outcome(key, "failed", code="not-in-the-list"))
    rows = Scraped(generate_latest(heard.registry).decode()).rows
    sources = {labels["source"] for _, labels, _ in rows if "source" in labels}
    assert sources == {"other", "ollama", "huggingface"}
    assert {labels.get("reason") for _, labels, _ in rows} <= {None, "unexpected"}


def test_the_source_of_a_model_is_known_as_soon_as_its_table_is_there(
    heard: Heard, project: Project
) -> None:
    heard.say("started", key="house:one", bytes_total=1, bytes_kept=0)
    assert heard("downloads_started_total", source="other") == 1
    project.config.write_text(table("https://example.org/one.bin"))
    heard.snapshot.settings = load_settings({}, project.environ, project.folder)
    heard.say("started", key="house:one", bytes_total=1, bytes_kept=0)
    assert heard("downloads_started_total", source="url") == 1
