"""The site in a real nginx, in front of a small server: events are not held back."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.servers import free_port, nginx_path
from tests.deploy.places import DEPLOY

SITE = (DEPLOY / "nginx" / "modelset.conf").read_text("utf-8")
NAME = "models.example.org"
EVENTS = "/v1/jobs/0123abcd/events"
CONF = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  include {folder}/conf.d/*.conf;
}}
"""


class Service(http.server.BaseHTTPRequestHandler):
    """Sends events with pauses between them, and says what it was asked."""

    protocol_version = "HTTP/1.1"
    pauses = (0.5, 0.5, 0.5)

    def do_GET(self) -> None:
        if self.path.split("?")[0].endswith("/events"):
            self.send_events()
            return
        body = json.dumps({"path": self.path, "headers": dict(self.headers.items())}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def send_events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, pause in enumerate((0.0, *type(self).pauses)):
            time.sleep(pause)
            data = f"id: {number}\ndata: {time.monotonic()}\n\n".encode()
            with contextlib.suppress(OSError):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        with contextlib.suppress(OSError):
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def service() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield int(running.server_address[1])
        finally:
            running.shutdown()
            thread.join()


@dataclass(frozen=True)
class Proxy:
    """A running nginx with the site: its ports, and the certificate to trust."""

    plain: int
    secure: int
    certificate: Path

    def connect(
        self, name: str = NAME, *, secure: bool = True, protocols: tuple[str, ...] = ()
    ) -> socket.socket:
        port = self.secure if secure else self.plain
        raw = socket.create_connection(("127.0.0.1", port), timeout=10)
        if not secure:
            return raw
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = name == NAME
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context.wrap_socket(raw, server_hostname=name)

    def ask(
        self, path: str = "/", *, method: str = "GET", name: str = NAME, secure: bool = True,
        body: bytes = b"", lines: tuple[str, ...] = (),
    ) -> tuple[http.client.HTTPResponse, bytes]:  # fmt: skip
        with self.connect(name, secure=secure) as connection:
            head = [f"{method} {path} HTTP/1.1", f"Host: {name}", "Connection: close", *lines]
            head += [f"Content-Length: {len(body)}"] if body else []
            with contextlib.suppress(OSError):  # a server may refuse before it has read all
                connection.sendall("\r\n".join((*head, "", "")).encode() + body)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            return response, response.read()


def certificate(folder: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem")]
    command += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "fullchain.pem"


@pytest.fixture(scope="module")
def certs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certs")
    certificate(folder)
    return folder


def program() -> str:
    try:
        return nginx_path()
    except FileNotFoundError as error:
        pytest.skip(str(error))


def lay_out(folder: Path, certs: Path, site: str, upstream: str, port: int) -> tuple[int, int]:
    """The site with ports of this test; fails when there is something else to replace."""
    plain, secure = free_port(), free_port()
    for before, after, count in (
        ("listen 80", f"listen 127.0.0.1:{plain}", 2),
        ("listen 443", f"listen 127.0.0.1:{secure}", 2),
        ("/etc/nginx/certs/", f"{certs}/", 5),
        ("/var/www/acme", f"{folder}/acme", 1),
    ):
        assert site.count(before) == count, before
        site = site.replace(before, after)
    upstream, number = re.subn(r"server [\w.]+:8000;", f"server 127.0.0.1:{port};", upstream)
    assert number == 1
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "modelset.conf").write_text(site)
    (folder / "conf.d" / "upstream.conf").write_text(upstream)
    user = pwd.getpwuid(os.getuid()).pw_name
    (folder / "nginx.conf").write_text(CONF.format(user=user, folder=folder))
    return plain, secure


@contextlib.contextmanager
def nginx(
    folder: Path, certs: Path, change: Callable[[str], str] = lambda site: site
) -> Iterator[Proxy]:
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
    with service() as port:
        plain, secure = lay_out(folder, certs, change(SITE), upstream, port)
        command = [program(), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        command += ["-e", str(folder / "error.log")]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
            try:
                wait_for(secure, process, folder / "output")
                yield Proxy(plain, secure, certs / "fullchain.pem")
            finally:
                process.terminate()
                process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(output.read_text())


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, certs: Path) -> Iterator[Proxy]:
    with nginx(tmp_path_factory.mktemp("nginx"), certs) as running:
        yield running


@pytest.mark.parametrize("name", ["upstream.conf", "upstream.compose.conf"])
def test_nginx_takes_the_site(name: str, tmp_path: Path, certs: Path) -> None:
    lay_out(tmp_path, certs, SITE, (DEPLOY / "nginx" / name).read_text(), 8000)
    command = [program(), "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]

    done = subprocess.run(
        [*command, "-e", str(tmp_path / "error.log")], capture_output=True, text=True, check=False
    )

    # From 1.25 on nginx would rather have `http2 on;`, which the one of Debian does not know.
    said = [line for line in done.stderr.splitlines() if "http2" not in line]
    assert (done.returncode, done.stdout, said) == (0, "", [])


def late_by(proxy: Proxy) -> list[float]:
    """How long after it was sent each event came, in seconds; they come from one process."""
    found = []
    with proxy.connect() as connection:
        request = f"GET {EVENTS} HTTP/1.1\r\nHost: {NAME}\r\nAccept: text/event-stream\r\n\r\n"
        connection.sendall(request.encode())
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200
        with contextlib.suppress(http.client.IncompleteRead):
            while line := response.readline():
                if line.startswith(b"data: "):
                    found.append(time.monotonic() - float(line[6:]))
    return found


def test_events_come_one_by_one(proxy: Proxy) -> None:
    late = late_by(proxy)

    assert len(late) == 4
    assert max(late) < 1, late


def test_with_the_buffer_of_the_other_routes_they_would_not(tmp_path: Path, certs: Path) -> None:
    with nginx(
        tmp_path, certs, lambda site: site.replace("proxy_buffering off;", "proxy_buffering on;")
    ) as running:
        late = late_by(running)

    assert len(late) == 4
    assert max(late) > 1.2, "events were not held back, so the test above shows nothing"


def test_a_long_silence_between_events_is_the_time_out_of_the_site(
    tmp_path: Path, certs: Path, monkeypatch: pytest.MonkeyPatch, proxy: Proxy
) -> None:
    found = dict(re.findall(r"(proxy_read_timeout) (\d+h);", SITE))
    assert int(found["proxy_read_timeout"].rstrip("h")) >= 1
    monkeypatch.setattr(Service, "pauses", (0.0, 2.0))

    assert len(late_by(proxy)) == 3
    with nginx(
        tmp_path,
        certs,
        lambda site: site.replace("proxy_read_timeout 24h;", "proxy_read_timeout 1s;"),
    ) as running:
        assert len(late_by(running)) == 2, "the time-out that was changed does not govern"


def test_the_service_hears_who_asked_for_what(proxy: Proxy) -> None:
    path = "/v1/models/whisper%3Abase?filter=a%20b"
    lines = ("Authorization: Bearer 0123abcd", "X-Forwarded-For: 192.0.2.9", "Last-Event-ID: 7")

    response, body = proxy.ask(path, lines=lines)

    said = json.loads(body)
    headers = {name.lower(): value for name, value in said["headers"].items()}
    assert (response.status, said["path"]) == (200, path)
    assert headers["host"] == NAME
    assert headers["authorization"] == "Bearer 0123abcd"
    assert headers["last-event-id"] == "7"
    assert headers["x-forwarded-for"] == "127.0.0.1", "what a client says of itself is not believed"
    assert headers["x-forwarded-proto"] == "https"


def test_browsers_are_told_once_what_they_may_do(proxy: Proxy) -> None:
    response, _ = proxy.ask()

    for name, value in (
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'self'"),
        ("Server", "nginx"),
    ):
        assert response.headers.get_all(name) == [value]
    refused, _ = proxy.ask("/metrics")
    assert refused.headers["X-Content-Type-Options"] == "nosniff"


def test_metrics_are_not_for_everybody(proxy: Proxy) -> None:
    for path in ("/metrics", "/metrics?x=1", "//metrics", "/v1/../metrics", "/%6detrics"):
        response, body = proxy.ask(path)

        assert response.status == 404, path
        assert b"headers" not in body


def test_a_body_has_a_bound(proxy: Proxy) -> None:
    assert proxy.ask("/v1/jobs", method="POST", body=b"x" * 1000)[0].status == 200
    assert proxy.ask("/v1/jobs", method="POST", body=b"x" * 1_100_000)[0].status == 413


def test_plain_http_leads_to_https(proxy: Proxy) -> None:
    response, _ = proxy.ask("/v1/models?a=b", secure=False)

    assert response.status == 301
    assert response.headers["Location"] == f"https://{NAME}/v1/models?a=b"


def test_the_answer_to_a_certificate_authority_goes_over_plain_http(
    proxy: Proxy, tmp_path: Path, certs: Path
) -> None:
    with nginx(tmp_path, certs) as running:
        folder = tmp_path / "acme" / ".well-known" / "acme-challenge"
        folder.mkdir(parents=True)
        (folder / "token").write_text("answer")
        response, body = running.ask("/.well-known/acme-challenge/token", secure=False)

    assert (response.status, body) == (200, b"answer")
    assert proxy.ask("/.well-known/acme-challenge/token", secure=False)[0].status == 404


@pytest.mark.parametrize("secure", [True, False])
def test_another_name_is_nobody(proxy: Proxy, secure: bool) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError)):
        proxy.ask(name="other.example.org", secure=secure)


def test_http_2_is_spoken_and_old_tls_is_not(proxy: Proxy) -> None:
    with proxy.connect(protocols=("h2", "http/1.1")) as connection:
        assert connection.selected_alpn_protocol() == "h2"  # type: ignore[attr-defined]
    assert re.findall(r"ssl_protocols ([^;]+);", SITE) == ["TLSv1.2 TLSv1.3"]


def test_strangers_are_kept_out(tmp_path: Path, certs: Path) -> None:
    with nginx(tmp_path, certs, lambda site: site.replace("allow 127.0.0.0/8;", "")) as running:
        for path in ("/", "/v1/models", EVENTS):
            assert running.ask(path)[0].status == 403, path
