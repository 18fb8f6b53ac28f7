"""Certificates made by openssl, and the scripted server behind TLS."""

from __future__ import annotations

import datetime
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.origin import Origin

_CONFIG = """
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
private_key = authority.key
certificate = authority.pem
default_md = sha256
policy = policy
rand_serial = yes
unique_subject = no
copy_extensions = copy
[policy]
commonName = supplied
[req]
distinguished_name = name
[name]
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows: a PEM file with the certificate, and the key's."""

    pem: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """A private authority in a folder of its own; `pem` is what clients have to trust."""

    folder: Path
    pem: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pem", self.folder / "authority.pem")
        self.folder.mkdir()
        (self.folder / "index.txt").touch()
        (self.folder / "own.cnf").write_text(_CONFIG)
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "authority.key")
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "server.key")
        constraint = ("-addext", "basicConstraints=critical,CA:TRUE")
        self._run(
            *("req", "-x509", "-config", "own.cnf", "-key", "authority.key", "-days", "3650"),
            *("-subj", "/CN=House Authority", *constraint, "-out", "authority.pem"),
        )

    def issue(
        self, *names: str, years: tuple[float, float] = (-0.5, 0.5), own: bool = False
    ) -> Certificate:
        """A certificate for these names, valid between two times counted in years from now;
        `own` leaves the authority out: it is signed with its own key.
        """
        stem = "-".join((*names, *map(str, years), str(own))).replace(":", "_").replace("*", "_")
        request, pem = f"{stem}.csr", f"{stem}.pem"
        kinds = ",".join(f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in names)
        self._run(
            *("req", "-new", "-config", "own.cnf", "-key", "server.key", "-subj", "/CN=house"),
            *("-addext", f"subjectAltName={kinds}", "-out", request),
        )
        start, end = (_stamp(year) for year in years)
        signer = ("-selfsign", "-keyfile", "server.key") if own else ()
        self._run(
            *("ca", "-config", "own.cnf", "-batch", "-notext", *signer),
            *("-startdate", start, "-enddate", end, "-in", request, "-out", pem),
        )
        return Certificate(self.folder / pem, self.folder / "server.key")

    def hashed(self, folder: Path) -> Path:
        """A folder in which openssl finds this authority."""
        folder.mkdir()
        name = self._run("x509", "-hash", "-noout", "-in", "authority.pem").strip()
        shutil.copy(self.pem, folder / f"{name}.0")
        return folder

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["openssl", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _stamp(years: float) -> str:
    when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=365 * years)
    return when.strftime("%Y%m%d%H%M%SZ")


@dataclass(slots=True)
class SecureOrigin(Origin):
    """The scripted server behind TLS; one that is not trusted is never asked for anything."""

    certificate: Certificate | None = None

    def open(self, host: str = "127.0.0.1") -> SecureOrigin:
        """Listen and answer."""
        # Named in full: a class with slots is made anew, and `super()` would mean the first one.
        Origin.open(self, host)
        self.url = self.url.replace("http:", "https:")
        return self

    def _talk(self, peer: socket.socket, number: int) -> None:
        assert self.certificate is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.pem, self.certificate.key)
        peer.settimeout(10)
        with self._lock:
            self._peers.discard(peer)
        try:
            secure = context.wrap_socket(peer, server_side=True)
        except OSError:  # the client has refused the certificate
            peer.close()
            return
        with self._lock:
            self._peers.add(secure)
        with suppress(ssl.SSLError):
            Origin._talk(self, secure, number)


@contextmanager
def secure_origin(certificate: Certificate) -> Iterator[SecureOrigin]:
    """Return a running server that shows a certificate; ends it afterwards."""
    running = SecureOrigin(certificate=certificate).open()
    try:
        yield running
    finally:
        running.close()


def port_of(url: str) -> int:
    """The port of a server's address."""
    return int(url.rpartition(":")[2])


def bundle(path: Path, pieces: Sequence[Path]) -> Path:
    """One PEM file of several."""
    path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    return path
