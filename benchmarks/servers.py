"""What serves the files: one nginx with several listeners, and slow links in front of them."""

import contextlib
import mmap
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proxy import COUNT

HERE = Path(__file__).resolve().parent
MB = 1_000_000
MIB = 1024 * 1024

# The caps are MiB a second: nginx writes megabytes so.
CAP = 20 * MIB

_CONF = """
daemon off;
user {user};
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000;
  ssl_certificate {folder}/cert.pem;
  ssl_certificate_key {folder}/key.pem;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  root {root};
{servers}
}}
"""
_SERVER = """
  server {{
    listen 127.0.0.1:{port}{mode};
    {extra}
    location /api/ {{ default_type application/json; }}
    location ~ "/resolve/([0-9a-f]{{40}})/" {{ add_header X-Repo-Commit $1; }}
  }}
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Ports:
    """Where nginx listens, one port for each manner of serving the same files."""

    free: int
    capped: int
    tls: int
    h2: int


@contextlib.contextmanager
def nginx(folder: Path, root: Path) -> Iterator[tuple[Ports, Path]]:
    """Serve a folder; yields the ports and the certificate to trust."""
    folder.mkdir(parents=True)
    cert = _certificate(folder)
    ports = Ports(free_port(), free_port(), free_port(), free_port())
    modes = (
        (ports.free, "", ""),
        (ports.capped, "", f"limit_rate {CAP};"),
        (ports.tls, " ssl", ""),
        (ports.h2, " ssl http2", ""),
    )
    servers = "".join(
        _SERVER.format(port=port, mode=mode, extra=extra) for port, mode, extra in modes
    )
    user = pwd.getpwuid(os.getuid()).pw_name
    conf = folder / "nginx.conf"
    conf.write_text(_CONF.format(user=user, folder=folder, root=root, servers=servers))
    log = folder / "error.log"
    with (folder / "output").open("wb") as output:
        command = [nginx_path(), "-p", str(folder), "-e", str(log), "-c", str(conf)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            for port, _, _ in modes:
                _await_port(port, process, folder / "output")
            yield ports, cert
        finally:
            process.terminate()
            process.wait(10)


def nginx_path() -> str:
    """The nginx of this machine; it often lies where ordinary users do not look."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise FileNotFoundError("nginx is not installed")
    return found


def _certificate(folder: Path) -> Path:
    """A certificate for this machine that signs itself, good for two days."""
    cert = folder / "cert.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-keyout", str(folder / "key.pem"), "-out", str(cert), "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert


def _await_port(port: int, process: subprocess.Popen[bytes], output: Path) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nginx does not listen: {output.read_text(errors='replace')}")


@dataclass(frozen=True, slots=True)
class Link:
    """A running slow link."""

    port: int
    process: subprocess.Popen[bytes]
    counter: mmap.mmap

    @property
    def passed(self) -> int:
        """Bytes that clients got through it so far, headers included."""
        return int(COUNT.unpack(self.counter[: COUNT.size])[0])

    def settle(self) -> int:
        """The same, once nothing moves any more."""
        before, now = -1, self.passed
        while before != now:
            time.sleep(0.1)
            before, now = now, self.passed
        return now

    def cpu(self) -> float:
        """Seconds that the link itself has computed; only Linux tells."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def slow_link(folder: Path, upstream: int, *, rtt_ms: float = 0, cap: float = 0) -> Iterator[Link]:
    """A link to a port of this machine; `cap` is in bytes a second, for each connection."""
    counter = folder / f"count-{free_port()}"
    counter.write_bytes(COUNT.pack(0))
    command = [sys.executable, "-I", str(HERE / "proxy.py"), str(upstream)]
    command += ["--rtt-ms", str(rtt_ms), "--cap", str(cap), "--counter", str(counter)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with counter.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as seen:
            yield Link(port, process, seen)
    finally:
        process.kill()
        process.communicate()
