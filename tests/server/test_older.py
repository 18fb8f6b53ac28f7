"""The routes below /models: every request that their clients know answers in the known shape."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project
from tests.server.conftest import SLOW, Answer, Serve, Server

# As people write them, with the address that they have there.
CURLS = """\
curl http://localhost:8000/models/status
curl -X POST http://localhost:8000/models/ensure
curl -X POST http://localhost:8000/models/download/ollama:gemma2:9b
curl -X POST http://localhost:8000/models/validate
curl https://your-domain.com/models/status
curl -X POST https://your-domain.com/models/ensure
curl https://your-domain.com/models/health
"""
REQUESTS = """\
GET /models/status
GET /models/detect
POST /models/ensure
POST /models/download/vosk:vi
POST /models/validate
POST /models/cleanup?keep_recent=3
POST /models/configure
GET /models/health
GET /models/recommended
"""
CONFIGURE = {"OLLAMA_MODEL": "gemma2:9b", "PREFERRED_AI_PROVIDER": "ollama"}
# The variables of such a set-up.
VARIABLES = {
    "PREFERRED_AI_PROVIDER": "ollama",
    "OLLAMA_MODEL": "gemma2:9b",
    "OLLAMA_BASE_URL": "http://localhost:11434",
}
STATUS = {
    "total_models": int,
    "available_models": int,
    "required_models": int,
    "missing_required": int,
    "models_by_type": dict,
    "model_details": dict,
}
NEWER = {
    "status": "/v1/models",
    "detect": "/v1/models",
    "recommended": "/v1/hardware",
    "configure": "/v1/openapi.json",
    "health": "/readyz",
}


def looks_right(path: str, document: Any, *, is_ready: bool) -> None:
    """What the answer to each path has to look like."""
    name = path.removeprefix("/models/").partition("?")[0].partition("/")[0]
    assert document["success"] is (is_ready or name != "health")
    if name in ("ensure", "download", "cleanup"):
        assert isinstance(document["message"], str)
        assert document["job"]["action"] == ("clean" if name == "cleanup" else "download")
        return
    data = document["data"]
    assert isinstance(data, dict)
    if name == "status":
        assert {key: type(value) for key, value in data.items()} == STATUS
        assert all(isinstance(rows, list) for rows in data["models_by_type"].values())
        assert "gemma2:9b" in [row["name"] for row in data["model_details"].values()]
    elif name == "validate":
        assert data["valid_models"] + len(data["invalid_models"]) == data["total_models"]
    elif name == "health":
        assert data["status"] == ("ok" if is_ready else "not ready")


def is_marked(answer: Answer, path: str) -> bool:
    """Whether an answer says that its route is an older one, and names the newer."""
    name = path.removeprefix("/models/").partition("?")[0].partition("/")[0]
    link = f'<{NEWER.get(name, "/v1/jobs")}>; rel="successor-version"'
    marked = answer.headers.get("deprecation", "").startswith("@")
    return marked and answer.headers.get("link") == link


def finish(server: Server) -> None:
    for job in server.get("/v1/jobs").json["jobs"]:
        server.wait(job["id"])


def test_every_line_of_curl_answers_as_it_is_written_down(serve: Serve) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    server = serve(env=VARIABLES)
    for line in CURLS.splitlines():
        for address in ("http://localhost:8000", "https://your-domain.com"):
            line = line.replace(address, server.url)
        words = [curl, "-sS", "--noproxy", "*", *shlex.split(line)[1:]]
        done = subprocess.run(words, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        path = line.rpartition(server.url)[2]
        looks_right(path, json.loads(done.stdout), is_ready=server.get("/readyz").status == 200)
        if path == "/models/ensure":
            finish(server)


def test_every_request_answers_in_its_shape_and_names_the_newer_route(serve: Serve) -> None:
    server = serve(env=VARIABLES)
    for line in REQUESTS.splitlines():
        method, path = line.split()
        body = {**CONFIGURE, "AUTO_DOWNLOAD_MODELS": True} if "configure" in path else None
        answer = server.ask(method, path, body)
        assert answer.status == 200, (line, answer.body)
        assert answer.headers["content-type"] == "application/json"
        looks_right(path, answer.json, is_ready=server.get("/readyz").status == 200)
        assert is_marked(answer, path), (line, answer.headers)
        if "job" in answer.json:
            assert answer.headers["location"] == f"/v1/jobs/{answer.json['job']['id']}"
        if path == "/models/ensure":
            finish(server)
    finish(server)
    details = server.get("/models/status").json["data"]["model_details"]
    assert all(row["available"] for row in details.values())
    assert details["vosk:small-vi"]["type"] == "vosk"  # the key that `vosk:vi` stands for


def test_the_status_is_the_set_as_it_is(serve: Serve) -> None:
    server = serve(env=VARIABLES)
    before = server.get("/models/status").json["data"]
    rows = {row["key"]: row for row in server.get("/v1/models").json["models"]}
    assert list(before["model_details"]) == list(rows)
    assert before["models_by_type"]["ollama"] == ["ollama:gemma2:9b"]
    required = [key for key, row in rows.items() if row["tier"] == "critical"]
    assert before["required_models"] == before["missing_required"] == len(required) > 0
    assert before["available_models"] == 0
    assert not before["model_details"]["whisper:base"]["available"]
    answer = server.get("/models/health")
    assert (answer.status, answer.json["success"]) == (503, False)
    assert answer.json["data"]["missing"] == required
    assert is_marked(answer, "/models/health")
    server.wait(server.post("/models/ensure").json["job"]["id"])
    after = server.get("/models/status").json["data"]
    assert after["available_models"] == after["total_models"] == len(rows)
    assert after["missing_required"] == 0
    whisper = after["model_details"]["whisper:base"]
    assert (whisper["name"], whisper["type"], whisper["required"]) == ("base", "whisper", True)
    assert whisper["size"] > 100_000
    assert Path(whisper["path"]).is_dir()


def test_the_same_download_is_one_job_in_both_worlds(serve: Serve) -> None:
    server = serve(env=SLOW)
    first = server.post("/models/download/whisper:base").json["job"]
    assert server.post("/models/download/whisper:base").json["job"]["id"] == first["id"]
    assert server.start("download", keys=["whisper:base"])["id"] == first["id"]
    assert first["options"] == {"keys": ["whisper:base"]}


def test_a_validation_tells_what_is_wrong(server: Server) -> None:
    server.wait(server.start("download", keys=["whisper:base"])["id"])
    folder = Path(server.get("/v1/models/whisper:base").json["path"])
    (folder / "model.bin").resolve().write_bytes(b"x")
    answer = server.post("/models/validate")
    assert (answer.status, answer.json["success"]) == (200, True)
    data = answer.json["data"]
    assert "whisper:base" in data["invalid_models"]
    assert data["results"]["whisper:base"]["valid"] is False
    assert data["results"]["whisper:base"]["problems"]
    assert data["results"]["vad:silero"]["status"] == "missing"
    assert server.job(data["job"]["id"])["state"] == "failed"


def test_a_cleanup_removes_what_nothing_needs(server: Server, project: Project) -> None:
    server.wait(server.start("download", keys=["whisper:base"])["id"])
    aside = project.models_root / "downloads" / ("sha256-" + "0" * 64 + ".part")
    aside.write_bytes(b"left behind")
    job = server.post("/models/cleanup?keep_recent=1").json["job"]
    assert job["options"] == {"yes": True, "keep": 1}
    assert server.wait(job["id"])["result"]["dry_run"] is False
    assert server.post("/models/cleanup").json["job"]["options"]["keep"] == 3
    assert server.get("/v1/models/whisper:base").json["presence"] == "present"


def test_detect_finds_what_another_program_has_put_here(serve: Serve, project: Project) -> None:
    home = project.folder / "home"
    folder = home / ".ollama" / "models" / "manifests" / "registry.ollama.ai" / "library" / "gemma2"
    folder.mkdir(parents=True)
    (folder / "9b").write_text("{}")
    answer = serve(env={"HOME": str(home)}).get("/models/detect")
    data = answer.json["data"]
    assert data["total_detected"] == len(data["found"])
    assert [row["keys"] for row in data["found"]] == [["ollama:gemma2:9b"]]


def settings_of(run_modelset: Any) -> dict[str, Any]:
    rows = run_modelset("config", "--json").json["data"]["settings"]
    return {name: row["value"] for name, row in rows.items()}


def test_settings_are_written_by_their_names_of_today(server: Server, run_modelset: Any) -> None:
    wanted = {
        "AUTO_DOWNLOAD_MODELS": False,
        "MODEL_DOWNLOAD_TIMEOUT": 1800,
        "MAX_CONCURRENT_DOWNLOADS": "2",
        "PREFERRED_AI_PROVIDER": "ollama",
    }
    answer = server.post("/models/configure", wanted)
    assert (answer.status, answer.json["success"]) == (200, True)
    assert answer.json["data"] == {"configured": wanted, "not_configured": {}}
    found = settings_of(run_modelset)
    assert found["download.max_workers"] == 2
    assert found["download.timeout"] == 1800
    assert found["download.on_start"] is found["server.download_on_start"] is False
    assert server.get("/readyz").status == 503  # which reads the settings again


def test_what_no_file_can_hold_is_said_and_the_rest_is_done(
    server: Server, run_modelset: Any
) -> None:
    wanted = {
        "OLLAMA_MODEL": "gemma2:2b",
        "VOSK_MODEL_PATH": "/app/data/models/vosk-vi",
        "OLLAMA_BASE_URL": "http://localhost:11434",
        "MAX_CONCURRENT_DOWNLOADS": 5,
    }
    answer = server.post("/models/configure", wanted)
    assert (answer.status, answer.json["success"]) == (200, False)
    data = answer.json["data"]
    assert data["configured"] == {"MAX_CONCURRENT_DOWNLOADS": 5}
    assert list(data["not_configured"]) == ["OLLAMA_MODEL", "VOSK_MODEL_PATH", "OLLAMA_BASE_URL"]
    assert "set the variable" in data["not_configured"]["OLLAMA_MODEL"]
    assert "OLLAMA_MODEL: no file holds it" in answer.json["message"]
    assert settings_of(run_modelset)["download.max_workers"] == 5


def test_a_variable_that_wins_over_the_file_is_named(serve: Serve) -> None:
    server = serve(env={"MAX_CONCURRENT_DOWNLOADS": "4"})
    data = server.post("/models/configure", {"MAX_CONCURRENT_DOWNLOADS": 2}).json["data"]
    assert "MAX_CONCURRENT_DOWNLOADS wins" in data["not_configured"]["MAX_CONCURRENT_DOWNLOADS"]
    assert server.post("/models/configure", {"MAX_CONCURRENT_DOWNLOADS": 4}).json["success"] is True


WRONG: list[tuple[Any, int, str, str]] = [
    ({"OLAMA_MODEL": "x"}, 400, "usage", "did you mean `OLLAMA_MODEL`?"),
    ({"MAX_CONCURRENT_DOWNLOADS": 0}, 422, "config-invalid", "max_workers = 0"),
    ({"MAX_CONCURRENT_DOWNLOADS": 2.5}, 422, "config-invalid", "'2.5' is not what"),
    ({"MAX_CONCURRENT_DOWNLOADS": True}, 422, "config-invalid", "'true' is not what"),
    ({"MAX_CONCURRENT_DOWNLOADS": "--demo"}, 422, "config-invalid", "'--demo' is not what"),
    ({"MAX_CONCURRENT_DOWNLOADS": "2\n[x]"}, 422, "config-invalid", "is not what"),
    ({"MODEL_DOWNLOAD_TIMEOUT": "٣"}, 422, "config-invalid", "is not what"),
    ({"MODEL_DOWNLOAD_TIMEOUT": -1}, 422, "config-invalid", "'-1' is not what"),
    ({"AUTO_DOWNLOAD_MODELS": "maybe"}, 422, "config-invalid", "'maybe' is not what"),
    ({"AUTO_DOWNLOAD_MODELS": 1, "X": 1}, 400, "usage", "there is no setting X"),
    ({"AUTO_DOWNLOAD_MODELS": None}, 422, "usage", "AUTO_DOWNLOAD_MODELS"),
    ({"AUTO_DOWNLOAD_MODELS": [True]}, 422, "usage", "AUTO_DOWNLOAD_MODELS"),
    ({"x" * 200: 1}, 422, "usage", "at most 100"),
    ({f"X{number}": 1 for number in range(60)}, 422, "usage", "at most 50"),
    ({}, 422, "usage", "at least 1"),
    ([], 422, "usage", "dictionary"),
    (b'{"MODEL_DOWNLOAD_TIMEOUT": NaN}', 422, "config-invalid", "'nan' is not what"),
    (b'{"\\ud800": 1}', 422, "usage", "unicode"),
    (b"{", 422, "usage", "JSON"),
    (None, 422, "usage", "required"),
]


def test_a_wrong_setting_changes_nothing(server: Server, project: Project) -> None:
    before = project.config.read_bytes()
    for body, status, code, words in WRONG:
        answer = server.post("/models/configure", body)
        assert answer.headers["content-type"] == "application/problem+json", body
        assert (answer.status, answer.json["code"]) == (status, code), answer.body
        assert words in answer.json["detail"], (body, answer.json["detail"])
        assert is_marked(answer, "/models/configure")
        assert project.config.read_bytes() == before


def test_wrong_requests_are_problems_and_name_the_newer_route(server: Server) -> None:
    for path, status, code in (
        ("/models/download/nothing:here", 404, "unknown-model"),
        ("/models/download/ollama:..%2F..%2Fx%00", 422, "usage"),
        ("/models/download/--repair", 422, "usage"),
        ("/models/download/whisper:base%20", 422, "usage"),
        ("/models/download/" + "x:" + "y" * 300, 422, "usage"),
        ("/models/cleanup?keep_recent=-1", 422, "usage"),
        ("/models/cleanup?keep_recent=many", 422, "usage"),
    ):
        answer = server.post(path)
        assert (answer.status, answer.json["code"]) == (status, code), path
        assert answer.headers["content-type"] == "application/problem+json"
        assert is_marked(answer, path)
    assert server.get("/v1/jobs").json["jobs"] == []
    assert server.get("/models/nothing").status == 404
    assert server.get("/models/ensure").status == 405


def test_changes_need_the_token_and_reads_do_not(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-0123456789")
    server = serve("--token-file", str(tmp_path / "token"))
    for line in REQUESTS.splitlines():
        method, path = line.split()
        answer = server.ask(method, path)
        assert (answer.status == 401) is (method == "POST"), line
    assert server.get("/v1/jobs").json["jobs"] == []
    own = {"Authorization": "Bearer canary-0123456789"}
    assert server.post("/models/cleanup", headers=own).status == 200


def test_what_begins_work_is_bounded(server: Server) -> None:
    for _ in range(60):
        answer = server.post("/models/configure", {"NOTHING": 1})
    assert answer.status == 400
    for method, path in (("POST", "/models/ensure"), ("GET", "/models/detect")):
        late = server.ask(method, path)
        assert (late.status, late.json["code"]) == (429, "rate-limited")
        assert int(late.headers["retry-after"]) > 0


def test_the_description_marks_them_as_old(server: Server) -> None:
    paths = server.get("/v1/openapi.json").json["paths"]
    old = {path: row for path, row in paths.items() if path.startswith("/models/")}
    assert len(old) == len(REQUESTS.splitlines())
    assert all(one["deprecated"] for row in old.values() for one in row.values())
