"""The real service against hostile clients: strangers, other sites, odd and slow requests."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.conftest import Project, RunModelset
from tests.server.conftest import SLOW, Answer, Serve, Server

TOKEN = "canary-4711-token-of-this-server"
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
WORK = {"action": "verify", "fast": True}


@pytest.fixture
def guarded(serve: Serve, project: Project) -> Server:
    """A service with a token."""
    path = project.folder / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    return serve("--token-file", str(path))


@contextlib.contextmanager
def connected(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        yield peer


def raw(server: Server, *pieces: bytes) -> bytes:
    """Everything that a server says to these bytes until it closes the connection."""
    with connected(server) as peer:
        for piece in pieces:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                peer.sendall(piece)
        said = b""
        with contextlib.suppress(ConnectionResetError):
            while data := peer.recv(65536):
                said += data
        return said


def head(method: str, target: str, **headers: str) -> bytes:
    rows = {"host": "localhost", "connection": "close", **headers}
    lines = [f"{name.replace('_', '-')}: {text}" for name, text in rows.items()]
    return "\r\n".join((f"{method} {target} HTTP/1.1", *lines, "", "")).encode("latin-1")


def status_of(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


def assert_alive(server: Server) -> None:
    assert server.get("/livez").status == 200
    assert "Traceback" not in server.log.read_text()


# ---- the token ------------------------------------------------------------------------------


def test_changes_need_the_token_and_reads_do_not(guarded: Server) -> None:
    for path in ("/", "/v1/models", "/v1/jobs", "/metrics", "/livez", "/v1/openapi.json"):
        assert guarded.get(path).status in (200, 503)
    refused = guarded.post("/v1/jobs", WORK)
    assert (refused.status, refused.json["code"]) == (401, "server-token")
    assert refused.headers["www-authenticate"] == 'Bearer realm="modelset"'
    for wrong in ("Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", TOKEN):
        assert guarded.post("/v1/jobs", WORK, {"Authorization": wrong}).status == 401
    started = guarded.post("/v1/jobs", WORK, KNOWN)
    assert started.status == 202
    assert guarded.ask("DELETE", f"/v1/jobs/{started.json['id']}").status == 401
    assert guarded.post("/models/ensure").status == 401
    assert guarded.post("/models/configure", {"MAX_CONCURRENT_DOWNLOADS": 2}).status == 401


def test_a_token_in_the_address_or_in_a_cookie_is_none(guarded: Server) -> None:
    for query in (f"token={TOKEN}", f"access_token={TOKEN}", f"authorization=Bearer%20{TOKEN}"):
        assert guarded.post(f"/v1/jobs?{query}", WORK).status == 401
    for name in ("modelset_session", "token", "authorization"):
        assert guarded.post("/v1/jobs", WORK, {"Cookie": f"{name}={TOKEN}"}).status == 401
    for name in ("X-Token", "X-Api-Key", "Proxy-Authorization"):
        assert guarded.post("/v1/jobs", WORK, {name: f"Bearer {TOKEN}"}).status == 401


def session_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_a_session_is_a_cookie_that_no_script_and_no_other_site_gets(guarded: Server) -> None:
    opened = guarded.post("/v1/session", {"token": TOKEN})
    assert (opened.status, opened.body) == (204, b"")
    rows = {row.strip().lower() for row in opened.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= rows
    assert not any(row.startswith(("domain", "max-age", "expires")) for row in rows)
    assert TOKEN not in opened.headers["set-cookie"]
    cookie = {"Cookie": session_of(opened)}
    assert guarded.post("/v1/jobs", WORK, cookie).status == 202
    other_site = {**cookie, "Origin": "http://evil.example"}
    assert guarded.post("/v1/jobs", WORK, other_site).status == 403
    assert guarded.ask("DELETE", "/v1/session", headers=cookie).status == 204
    assert guarded.post("/v1/jobs", WORK, cookie).status == 401
    assert guarded.post("/v1/session", {"token": f"{TOKEN}x"}).status == 401


def test_guesses_are_few(guarded: Server) -> None:
    answers = [
        guarded.post("/v1/jobs", WORK, {"Authorization": f"Bearer guess-{number}"})
        for number in range(25)
    ]
    assert [answer.status for answer in answers[:19]] == [401] * 19
    assert {answer.status for answer in answers[20:]} == {429}
    assert answers[-1].headers["retry-after"] == "60"
    assert answers[-1].json["code"] == "rate-limited"
    assert guarded.post("/v1/jobs", WORK, KNOWN).status == 429, "an answer that tells"
    session = guarded.post("/v1/session", {"token": TOKEN})
    assert (session.status, session.headers["retry-after"]) == (429, "60")
    assert guarded.get("/v1/models").status == 200


def test_work_is_begun_sixty_times_a_minute(server: Server) -> None:
    answers = [server.post("/v1/jobs", WORK) for _ in range(61)]
    assert {answer.status for answer in answers[:60]} == {202}
    last = answers[-1]
    assert (last.status, last.headers["retry-after"]) == (429, "60")
    assert (last.json["code"], last.json["retryable"]) == ("rate-limited", True)
    assert server.get("/v1/plan?key=whisper:base").status == 429, "it begins work too"
    assert server.get("/v1/models").status == 200


def everything(server: Server) -> Iterator[Answer]:
    """Answers of every kind, from requests that carry the token in every place."""
    for path in ("/", "/metrics", "/v1/models", "/v1/jobs", "/v1/openapi.json", "/v1/hardware"):
        yield server.ask("GET", path, headers=KNOWN)
    yield server.post("/v1/jobs", {"action": "download", "keys": ["whisper:base"]}, KNOWN)
    yield server.post("/v1/jobs", b"{", KNOWN)
    yield server.post("/v1/jobs", {"action": "nonsense"}, KNOWN)
    yield server.post("/v1/jobs", WORK, {"Authorization": f"Bearer {TOKEN}x"})
    yield server.post("/v1/jobs", WORK, {**KNOWN, "Origin": "http://evil.example"})
    yield server.ask("GET", "/nowhere", headers=KNOWN)
    yield server.ask("PATCH", "/v1/jobs", headers=KNOWN)
    yield server.post("/v1/session", {"token": TOKEN})
    yield server.post("/v1/session", {"token": [TOKEN]})
    yield server.ask("GET", "/v1/models/none:none", headers=KNOWN)


def test_the_token_is_never_seen_again(guarded: Server, project: Project) -> None:
    for answer in everything(guarded):
        shown = json.dumps(dict(answer.headers)) + answer.body.decode()
        assert "canary-4711" not in shown
    raw(guarded, b"GET / HTTP/1.1\r\nauthorization: Bearer " + TOKEN.encode() + b"\r\nbad\r\n\r\n")
    for job in guarded.get("/v1/jobs").json["jobs"]:
        guarded.wait(job["id"])
        events = guarded.get(f"/v1/jobs/{job['id']}/events").body
        assert b"canary-4711" not in events + json.dumps(guarded.job(job["id"])).encode()
    assert guarded.stop() == 143
    assert "canary-4711" not in guarded.log.read_text()
    holds = [
        path
        for path in project.folder.rglob("*")
        if path.is_file() and b"canary-4711" in path.read_bytes()
    ]
    assert holds == [project.folder / "token"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_no_command_knows_the_token(serve: Serve, run_modelset: RunModelset) -> None:
    server = serve(env={"MODELSET_SERVER_TOKEN": TOKEN, **SLOW})
    work = {"action": "download", "keys": ["whisper:base"]}
    job = server.post("/v1/jobs", work, KNOWN).json
    server.wait_until(job["id"], "running")
    own = psutil.Process(server.process.pid)
    end = time.monotonic() + 20
    while not (children := own.children(recursive=True)):
        assert time.monotonic() < end
    for process in (own, *children):
        assert "canary-4711" not in " ".join([process.name(), *process.cmdline()])
    for child in children:
        assert b"canary-4711" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    shown = run_modelset("config", "--json", env={"MODELSET_SERVER_TOKEN": TOKEN})
    assert "canary-4711" not in shown.stdout + shown.stderr


# ---- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_no_stranger_reaches_a_server_without_a_token(host: str, run_modelset: RunModelset) -> None:
    ran = run_modelset("serve", "--host", host, "--port", "0", "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (13, "server-exposed")
    assert "--token-file" in ran.stderr


def test_an_empty_token_file_is_no_token(run_modelset: RunModelset, project: Project) -> None:
    path = project.folder / "token"
    for make in (lambda: None, lambda: path.write_text(" \n")):
        make()
        ran = run_modelset("serve", "--host", "0.0.0.0", "--token-file", str(path), "--json")
        assert (ran.code, ran.json["data"]["error"]["code"]) == (2, "config-invalid")


def test_it_serves_on_the_loopback_of_ipv6(serve: Serve) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    server = serve("--host", "::1")
    assert f"http://[::1]:{server.port}" in server.log.read_text()
    connection = http.client.HTTPConnection("::1", server.port, timeout=20)
    connection.request("GET", "/livez")
    assert connection.getresponse().status == 200
    connection.close()
    for host, expected in ((f"[::1]:{server.port}", 200), ("[::2]", 403), ("::1", 403)):
        connection = http.client.HTTPConnection("::1", server.port, timeout=20)
        connection.request("GET", "/livez", headers={"Host": host})
        assert connection.getresponse().status == expected
        connection.close()


def test_an_address_in_use_is_a_clear_end(run_modelset: RunModelset, server: Server) -> None:
    ran = run_modelset("serve", "--port", str(server.port), "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (4, "server-address")


def test_a_second_server_ends_with_words_and_its_own_code(
    server: Server, run_modelset: RunModelset
) -> None:
    ran = run_modelset("serve", "--port", "0", "--json")
    assert (ran.code, ran.json["data"]["error"]["code"]) == (4, "server-running")
    assert "Traceback" not in ran.stderr


# ---- other sites ----------------------------------------------------------------------------


def test_another_name_for_this_address_opens_nothing(server: Server) -> None:
    for path in ("/", "/livez", "/v1/models", "/static/page.css"):
        refused = server.get(path, Host="rebound.evil.example")
        assert (refused.status, refused.json["code"]) == (403, "origin-refused")
    assert server.get("/livez", Host=f"localhost:{server.port}").status == 200


def test_another_site_neither_changes_nor_embeds(server: Server) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for headers, expected in (
        ({"Origin": own, "Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://localhost:{server.port + 1}", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ):
        assert server.post("/v1/jobs", WORK, headers).status == expected
        assert server.post("/models/validate", None, headers).status in (expected, 200)
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert server.ask("GET", "/v1/plan", headers=embedded).status == 403
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.ask("GET", "/", headers=followed).status == 200


def test_a_form_of_another_site_is_no_work(server: Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = server.post("/v1/jobs", json.dumps(WORK).encode(), {"Content-Type": kind})
        assert answer.status == 422, kind
    assert server.get("/v1/jobs").json["jobs"] == []


def test_there_is_no_sharing_with_other_origins(server: Server) -> None:
    preflight = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    for method, path in (("OPTIONS", "/v1/jobs"), ("GET", "/v1/models"), ("POST", "/v1/jobs")):
        answer = server.ask(method, path, headers=preflight)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert answer.status in (200, 403, 405)


# ---- odd requests ---------------------------------------------------------------------------

TRICKS = [
    *("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/..%5capp.py"),
    *("/static//etc/passwd", "/static/%2fetc/passwd", "/static/....//app.py", "/static/%00"),
    *("/static/..;/app.py", "/static/%c0%ae%c0%ae/app.py", "/static/%252e%252e/app.py", "/static/"),
    *("/v1/models/..%2f..%2fetc%2fpasswd", "/v1/models/../../etc/passwd", "/v1/models/%00"),
    *("/v1/models/whisper:base%00", "/v1/models/whisper:../../x", "/v1/models/%ff%fe"),
    *("/v1/models/whisper:base@../../x", "/v1/models/" + "a" * 20_000, "/v1/models/-rf"),
    *("/v1/models/hf:..%2f..%2fx", "/v1/models/%0d%0aSet-Cookie:%20x=1", "/v1/models/~root"),
    *("/v1/jobs/..", "/v1/jobs/%2e%2e", "/v1/jobs/0123456789ABCDEF", "/v1/jobs/%27%20or%201=1--"),
    *("/v1/jobs/0123456789abcdef%0a", "/v1/jobs/%F0%9F%98%80", "/v1/plan?key=--yes"),
    *("/v1/plan?key=whisper:base;id", "/v1/plan?key=x:y%00z", "/v1/plan?key=x:--json%0a"),
    *("/models/status/../../x", "//evil.example/v1/models", "/v1//models", "/v1/models/%"),
    *("http://evil.example/livez", "*", "/%2e%2e/%2e%2e/etc/passwd", "/v1/catalog?q=%ff%00"),
]


def test_no_path_leads_out_or_breaks_anything(server: Server) -> None:
    for target in TRICKS:
        for method in ("GET", "HEAD", "DELETE"):
            said = raw(server, head(method, target))
            assert status_of(said) in (200, 400, 401, 403, 404, 405, 422), (target, said[:200])
            assert b"root:" not in said
            assert b"def make_app" not in said
            assert b"\r\nset-cookie" not in said.lower()
            if status_of(said) == 200:
                assert target.startswith(("/v1/catalog", "/v1/plan"))
    assert_alive(server)


def test_keys_in_a_body_are_held_to_their_grammar(server: Server) -> None:
    for key in (
        "../x:y",
        "--yes",
        "a:--b",
        "a:\u0000",
        "a:b\n",
        "a:b c",
        "a:" + "b" * 300,
        "\ud800:x",
    ):
        work = {"action": "download", "keys": [key]}
        answer = server.post("/v1/jobs", work)
        assert (answer.status, answer.json["code"]) == (422, "usage"), key
    for body in (
        "[" * 50_000,
        '{"action":"verify","x":1}',
        "NaN",
        '"\\ud800"',
        "1e999",
        "\x00",
        "",
    ):
        assert server.post("/v1/jobs", body.encode()).status in (400, 422)
    for body in (b"\xff\xfe", b'{"action": "\xff"}'):
        assert server.post("/v1/jobs", body).status in (400, 422)
    assert_alive(server)


SHAPES = [
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
    b"content-length: -1\r\n\r\n",
    b"content-length: +2\r\n\r\n{}",
    b"content-length: 0x2\r\n\r\n{}",
    b"content-length: 2 2\r\n\r\n{}",
    b"content-length: 99999999999999999999999\r\n\r\n",
    b"content-length:\xb2\r\n\r\n",
    b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"transfer-encoding: chunked\r\n\r\n-1\r\n\r\n",
    b"x: a\rcontent-length: 5\r\n\r\n",
    b"x: a\x00b\r\n\r\n",
    b"bad name: x\r\n\r\n",
    b": x\r\n\r\n",
    b"host: other.example\r\n\r\n",
]


def test_two_readings_of_a_request_are_none(server: Server) -> None:
    smuggled = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"
    for shape in SHAPES:
        said = raw(server, b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\n" + shape + smuggled)
        assert status_of(said) in (400, 413), (shape, said)
        assert said.count(b"HTTP/1.1 ") == 1, "what follows is taken for another request"
    assert_alive(server)


def test_odd_heads_are_refused(server: Server) -> None:
    for text in (
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: a\r\nhost: localhost\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET  /livez HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /live\xffz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
        b"\x00" * 40_000,
        b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 400_000,
    ):
        assert status_of(raw(server, text)) == 400
    assert status_of(raw(server, b"GET /livez HTTP/1.0\r\n\r\n")) == 403
    for name in ("cookie", "authorization", "origin", "if_none_match", "last_event_id", "accept"):
        for text in ("\xff\xfe\xe9", '"', ";" * 5000, "9" * 20_000, '=\\"\\303'):
            said = raw(server, head("GET", "/v1/models", **{name: text}))
            assert status_of(said) == 200, (name, text[:20], said[:300])
    assert_alive(server)


def test_any_last_event_id_is_taken(server: Server) -> None:
    job = server.start("verify", fast=True)
    server.wait(job["id"])
    for text in ("", "x", "-1", "9" * 5000, "1e3", " 1", "1.0", "\xb2", "0x10"):
        answer = server.get(f"/v1/jobs/{job['id']}/events", Last_Event_ID=text)
        assert answer.status == 200, text
    assert server.get(f"/v1/jobs/{job['id']}/events", Last_Event_ID="9" * 18).status == 204


def test_head_is_a_get_without_its_body(server: Server) -> None:
    for path in ("/livez", "/v1/models", "/v1/catalog", "/", "/metrics", "/nowhere"):
        one, other = server.get(path), server.ask("HEAD", path)
        assert (one.status, other.body) == (other.status, b"")
        assert one.headers["content-type"] == other.headers["content-type"]
    job = server.start("download", keys=["whisper:base"])
    began = time.monotonic()
    assert server.ask("HEAD", f"/v1/jobs/{job['id']}/events").status == 200
    assert time.monotonic() - began < 5
    server.wait(job["id"])


# ---- large and slow -------------------------------------------------------------------------


def test_large_bodies_are_refused_before_they_come(server: Server) -> None:
    for length in ("65537", "10000000000"):
        said = raw(server, head("POST", "/v1/jobs", content_length=length))
        assert status_of(said) == 413
        assert b"application/problem+json" in said
    begin = head("POST", "/v1/jobs", transfer_encoding="chunked", content_type="application/json")
    said = raw(server, begin, *[b"2000\r\n" + b" " * 0x2000 + b"\r\n"] * 9)
    assert status_of(said) == 413
    # What arrives while the answer goes out must not make it vanish.
    for path in ("/nowhere", "/livez", "/v1/jobs"):
        answer = server.ask("POST", path, b"x" * 60_000)
        assert answer.status in (404, 405, 422)
    assert_alive(server)


def test_slow_bodies_and_heads_end_within_their_bounds(server: Server) -> None:
    began = time.monotonic()
    with connected(server) as slow_head, connected(server) as slow_body, connected(server) as idle:
        slow_head.sendall(b"GET /livez HTTP/1.1\r\nho")
        slow_body.sendall(head("POST", "/v1/jobs", content_length="100") + b'{"a')
        for _ in range(6):
            time.sleep(1)
            with contextlib.suppress(OSError):
                slow_head.sendall(b"x")
                slow_body.sendall(b" ")
            assert server.get("/livez").status == 200
        assert slow_head.recv(1000) == b""
        assert status_of(slow_body.recv(65536)) == 408
        assert idle.recv(1000) == b""
    assert 8 < time.monotonic() - began < 16


def test_idle_connections_and_deaf_readers_hold_nobody_up(serve: Serve) -> None:
    server = serve(env=SLOW)
    job = server.start("download", keys=["whisper:base"])
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(server))
        for _ in range(50):
            deaf = stack.enter_context(connected(server))
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            deaf.sendall(head("GET", f"/v1/jobs/{job['id']}/events"))
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert server.get("/v1/models").status == 200
            took.append(time.monotonic() - began)
        assert max(took) < 5
        assert server.ask("DELETE", f"/v1/jobs/{job['id']}").status == 202
        assert server.wait(job["id"])["state"] == "stopped"
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 143
        assert time.monotonic() - began < 10


def test_the_words_of_a_bad_start_are_no_traceback(project: Project) -> None:
    folder = project.models_root / "service"
    folder.mkdir(parents=True)
    (folder / "jobs.sqlite").write_bytes(b"no database at all" * 100)
    done = subprocess.run(
        [sys.executable, "-m", "modelset", "serve", "--port", "0"],
        env=dict(project.environ),
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4
    assert "jobs.sqlite" in done.stderr
    assert "Traceback" not in done.stderr
