"""TLS: whose certificates are trusted, and what is said about one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import certifi
import pytest
from tests.faults.answers import File, bytes_of, redirect
from tests.faults.origin import Origin
from tests.faults.project import Project
from tests.net.secure import Authority, Certificate, SecureOrigin, bundle, secure_origin
from tests.net.test_wire import code_of, take

from modelset.net.transfer import WireSettings
from modelset.net.wire import CurlWire

DATA = bytes_of("tls", 100_000)
HOST = "127.0.0.1"
FILES = ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
VARIABLES = (*FILES, "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Said:
    """What a refused certificate is said to be."""

    message: str
    hint: str


@pytest.fixture
def good(authority: Authority) -> Certificate:
    """Return a certificate for this machine."""
    return authority.issue(HOST)


def served(server: SecureOrigin, project: Project) -> str:
    return project.model("m", server.serve("/m", File(DATA)), DATA)


@pytest.mark.parametrize("variable", VARIABLES)
def test_each_variable_alone_makes_a_private_authority_trusted(
    variable: str, project: Project, authority: Authority, good: Certificate, tmp_path: Path
) -> None:
    place = authority.hashed(tmp_path / "cas") if variable == "SSL_CERT_DIR" else authority.pem
    with secure_origin(good) as server:
        key = served(server, project)
        before = project.run(key, "--json")
        assert before.failure(key)["code"] == "tls-failed"
        assert not server.requests, "nothing is asked of a stranger"
        project.env[variable] = str(place)
        assert project.run(key).code == 0
        assert project.path(key).read_bytes() == DATA


@pytest.mark.parametrize("variable", FILES)
def test_a_variable_for_a_file_may_name_a_folder_too(
    variable: str, project: Project, authority: Authority, good: Certificate, tmp_path: Path
) -> None:
    project.env[variable] = str(authority.hashed(tmp_path / "cas"))
    with secure_origin(good) as server:
        key = served(server, project)
        assert project.run(key).code == 0
        assert server.requests


def test_a_list_of_folders_is_one_place(
    project: Project, authority: Authority, good: Certificate, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    project.env["SSL_CERT_DIR"] = f"{tmp_path / 'empty'}:{authority.hashed(tmp_path / 'cas')}"
    with secure_origin(good) as server:
        assert project.run(served(server, project)).code == 0


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_the_settings_file_names_a_place_relative_to_itself(
    folder: bool, project: Project, authority: Authority, good: Certificate
) -> None:
    if folder:
        authority.hashed(project.root / "own")
    else:
        bundle(project.root / "own", [authority.pem])
    project.settings('[download]\nca_file = "own"')
    with secure_origin(good) as server:
        key = served(server, project)
        assert project.run(key).code == 0
        assert server.requests


@pytest.mark.parametrize(("first", "second"), list(pairwise(VARIABLES)))
def test_of_two_variables_the_earlier_of_the_documented_order_wins(
    first: str,
    second: str,
    project: Project,
    authority: Authority,
    good: Certificate,
    tmp_path: Path,
) -> None:
    stranger = Authority(tmp_path / "stranger")
    wrong = stranger.hashed(tmp_path / "cas") if second == "SSL_CERT_DIR" else stranger.pem
    project.settings('[download]\nca_file = "/nowhere/at/all.pem"')
    with secure_origin(good) as server:
        key = served(server, project)
        project.env |= {first: str(stranger.pem), second: str(authority.pem)}
        ran = project.run(key, "--json")
        assert ran.failure(key)["code"] == "tls-failed"
        assert first in ran.failure(key)["hint"]
        project.env |= {first: str(authority.pem), second: str(wrong)}
        assert project.run(key).code == 0


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("wrong", ["missing", "no-certificate"])
def test_a_place_that_holds_no_certificates_is_said_with_the_variable_that_names_it(
    wrong: str, variable: str, project: Project, good: Certificate
) -> None:
    place = project.root / "own.pem"
    if wrong == "no-certificate":
        place.write_text("not a certificate\n")
    project.env[variable] = str(place)
    with secure_origin(good) as server:
        key = served(server, project)
        ran = project.run(key, "--json")
    assert ran.code == 2
    failure = ran.failure(key)
    assert failure["code"] == "config-invalid"
    assert failure["message"].startswith(f"{variable} names trusted certificates")
    assert str(place) in failure["message"]
    assert not server.requests


def test_a_check_does_not_care_about_a_place_it_never_looks_into(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    project.env["SSL_CERT_FILE"] = "/nowhere/at/all.pem"
    assert project.run(key).code == 0, "no TLS is needed on loopback"
    assert project.run(key).code == 0


CERTIFICATES: dict[str, tuple[Callable[[Authority], Certificate], Said]] = {
    "expired": (
        lambda own: own.issue(HOST, years=(-2, -1)),
        Said("its certificate has expired", "clock"),
    ),
    "not-yet-valid": (
        lambda own: own.issue(HOST, years=(1, 2)),
        Said("its certificate is not valid yet", "clock"),
    ),
    "wrong-host": (
        lambda own: own.issue("files.example.test"),
        Said("its certificate is another host's", "check the address"),
    ),
    "self-signed": (
        lambda own: own.issue(HOST, own=True),
        Said("its certificate is signed by itself alone", "SSL_CERT_FILE"),
    ),
    "unknown-authority": (
        lambda own: Authority(own.folder / "stranger").issue(HOST),
        Said("its certificate comes from an unknown authority", "SSL_CERT_FILE"),
    ),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_is_not_trusted_is_said_with_its_reason(
    name: str, authority: Authority
) -> None:
    make, said = CERTIFICATES[name]
    wire = CurlWire(WireSettings(ca_file=str(authority.pem), ca_origin="SSL_CERT_FILE"))
    with secure_origin(make(authority)) as server:
        taken = take(wire, server.serve("/m", File(DATA)) + "?Signature=s3cret")
        wire.close()
    assert code_of(taken) == "tls-failed"
    assert taken.errors[0] is not None
    assert said.message in str(taken.errors[0])
    assert str(taken.errors[0]).startswith(f"{server.url[8:]}: "), "the host says it all"
    assert said.hint in taken.errors[0].failure.hint
    assert not server.requests
    assert not taken.body_


def test_without_a_setting_the_hint_says_which_variable_names_an_authority(
    project: Project, good: Certificate
) -> None:
    with secure_origin(good) as server:
        key = served(server, project)
        drawn, ran = project.run(key), project.run(key, "--json")
    assert ran.code == drawn.code == 5
    assert "SSL_CERT_FILE" in ran.failure(key)["hint"]
    assert "unknown authority" in drawn.stdout
    assert "SSL_CERT_FILE" in drawn.stdout


def test_a_mirror_that_is_not_trusted_leaves_it_to_the_next(
    project: Project, good: Certificate, origin: Origin
) -> None:
    origin.serve("/m", File(DATA))
    with secure_origin(good) as server:
        project.settings(
            f'[mirrors]\n"https://files.example.test/" = [{{ url = "{server.url}/" }},'
            f' {{ url = "{origin.url}/", only = true }}]'
        )
        key = project.model("m", "https://files.example.test/m", DATA)
        assert project.run(key).code == 0
    assert len(origin.asked("/m")) == 1
    assert not server.requests


def test_a_redirect_to_a_host_that_is_not_trusted_is_not_followed(
    authority: Authority, good: Certificate, origin: Origin, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    wire = CurlWire(WireSettings(ca_file=str(authority.pem)))
    with secure_origin(stranger.issue(HOST)) as there, secure_origin(good) as here:
        url = here.serve("/m", redirect(there.serve("/m", File(DATA))))
        taken = take(wire, url)
        wire.close()
    assert code_of(taken) == "tls-failed"
    assert len(here.requests) == 1
    assert not there.requests


def test_where_nothing_is_named_those_of_certifi_are_trusted(
    authority: Authority, good: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certifi, "where", lambda: str(authority.pem))
    wire = CurlWire(WireSettings())
    with secure_origin(good) as server:
        taken = take(wire, server.serve("/m", File(DATA)))
        wire.close()
    assert code_of(taken) == ""
    assert taken.body_ == DATA
