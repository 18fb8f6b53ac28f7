"""Mirrors heal what one of them does wrong; a credential goes to nobody it was not meant for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, page, redirect
from tests.faults.origin import Answer, Origin
from tests.faults.origin import origin as running_origin
from tests.faults.project import Project, Ran

SIZE = 2 * MIB
RIGHT = bytes_of("right", SIZE)
WRONG = bytes_of("wrong", SIZE)
# Looks like a token, and is found nowhere else.
CANARY = "hf_CanaryCanaryCanaryCanaryCanary7"
FILE = "/acme/house/resolve/main/m.bin"
HUB_FILE = f"https://huggingface.co{FILE}"


@pytest.fixture
def other() -> Iterator[Origin]:
    """Return a second server: another origin, because its port is another."""
    with running_origin() as running:
        yield running


def mirrors(prefix: str, *rows: str) -> str:
    return f'[mirrors]\n"{prefix}" = [{", ".join(rows)}]'


@pytest.mark.parametrize(
    "bad",
    [
        File(WRONG),
        File(RIGHT[:-1]),
        page(),
        Status(404),
        redirect("file:///etc/hostname"),
    ],
    ids=["wrong-bytes", "wrong-size", "page", "404", "redirect-to-a-file"],
)
def test_a_good_mirror_heals_what_a_bad_one_does(
    bad: Answer, project: Project, origin: Origin, other: Origin
) -> None:
    origin.serve("/m", bad)
    other.serve("/m", File(RIGHT))
    project.settings(mirrors("https://packages.example.org/", f'{{ url = "{origin.url}/" }}',
                             f'{{ url = "{other.url}/", only = true }}'))  # fmt: skip
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert len(origin.asked("/m")) == 1
    assert len(other.asked("/m")) == 1
    project.assert_clean(m=RIGHT)
    lock = (project.root / "models.lock.json").read_text("utf-8")
    assert "https://packages.example.org/m" in lock
    assert "127.0.0.1" not in lock, "the lock outlives mirrors"


def test_when_every_mirror_is_bad_the_message_names_the_last_and_nothing_is_placed(
    project: Project, origin: Origin, other: Origin
) -> None:
    for server in (origin, other):
        server.serve("/m", File(WRONG))
    project.settings(mirrors("https://packages.example.org/", f'{{ url = "{origin.url}/" }}',
                             f'{{ url = "{other.url}/", only = true }}'))  # fmt: skip
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 8
    assert ran.failure(key)["code"] == "digest-mismatch"
    assert f"{other.url}/m" in ran.failure(key)["message"]
    assert not project.path(key).exists()


def test_half_a_file_from_one_mirror_is_finished_by_the_next(
    project: Project, origin: Origin, other: Origin
) -> None:
    origin.serve("/m", Status(404), first=(File(RIGHT, stop_at=MIB, ending="close"),))
    other.serve("/m", File(RIGHT, etag='"another"'))
    project.settings(mirrors("https://packages.example.org/", f'{{ url = "{origin.url}/" }}',
                             f'{{ url = "{other.url}/", only = true }}'))  # fmt: skip
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    assert project.run(key).code == 0
    asked = other.asked("/m")
    assert [request.range_start for request in asked] == [MIB]
    assert "if-range" not in asked[0].headers, "one server's tag says nothing to another"
    project.assert_clean(m=RIGHT)


def authorizations(server: Origin) -> set[str]:
    return {request.headers.get("authorization", "") for request in server.requests}


def assert_no_trace(project: Project, *runs: Ran) -> None:
    """The token is in no output and in no file that was written."""
    for ran in runs:
        assert CANARY not in ran.stdout + ran.stderr
    written = [path for path in project.root.rglob("*") if path.is_file()]
    assert any(path.name == "models.lock.json" for path in written)
    for path in written:
        if path.parent.name != "credentials":
            assert CANARY.encode() not in path.read_bytes(), f"the token is in {path}"


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not-trusted"])
def test_a_token_reaches_a_mirror_only_when_that_is_trusted_with_it(
    trusted: bool, project: Project, origin: Origin
) -> None:
    origin.serve(FILE, File(RIGHT), first=(Status(500, text=CANARY),))
    project.settings(mirrors("https://huggingface.co/", f'{{ url = "{origin.url}/", '
                             f"only = true, credentials = {str(trusted).lower()} }}"))  # fmt: skip
    key = project.model("m", HUB_FILE, RIGHT)
    project.env["HF_TOKEN"] = CANARY
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert authorizations(origin) == {f"Bearer {CANARY}" if trusted else ""}
    assert_no_trace(project, ran)


@pytest.mark.parametrize("given", ["HF_TOKEN", "--hf-token", "--hf-token-file", "credentials"])
def test_a_token_never_follows_a_redirect_to_another_origin(
    given: str, project: Project, origin: Origin, other: Origin, tmp_path: Path
) -> None:
    signed = other.serve("/signed", File(RIGHT), first=(File(RIGHT, stop_at=9, ending="close"),))
    origin.serve("/twice" + FILE, redirect(f"{signed}?Signature=s3cret&token={CANARY}"))
    origin.serve(FILE, redirect("/twice" + FILE))
    project.env["HF_ENDPOINT"] = origin.url
    key = project.model("m", HUB_FILE, RIGHT)
    arguments = [key]
    file = (project.root if given == "credentials" else tmp_path) / "credentials" / "hf_token"
    if given == "HF_TOKEN":
        project.env["HF_TOKEN"] = CANARY
    elif given == "--hf-token":
        arguments += ["--hf-token", CANARY]
    else:
        file.parent.mkdir()
        file.write_text(CANARY + "\n")
        arguments += ["--hf-token-file", str(file)] if given == "--hf-token-file" else []
    ran, drawn = project.run(*arguments, "--json"), project.run(*arguments)
    assert ran.code == drawn.code == 0, ran.stdout
    assert authorizations(origin) == {f"Bearer {CANARY}"}
    assert len(origin.asked(FILE)) == len(origin.asked("/twice" + FILE)) == 2
    assert len(other.requests) == 2
    assert authorizations(other) == {""}
    assert_no_trace(project, ran, drawn)
    assert "s3cret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "bad",
    [
        File(WRONG),
        page(),
        Status(401, {"X-Error-Message": "Invalid credentials"}),
        Status(403, {"X-Error-Message": "Access to this resource is disabled."}),
    ],
    ids=["wrong-bytes", "page", "401", "403"],
)
def test_a_failure_tells_the_token_to_nobody(bad: Answer, project: Project, origin: Origin) -> None:
    origin.serve(FILE, bad)
    project.env |= {"HF_ENDPOINT": origin.url, "HF_TOKEN": CANARY}
    key = project.model("m", HUB_FILE, RIGHT)
    ran = project.run(key, "--json", "--timeout", "2")
    drawn = project.run(key, "--timeout", "2")
    assert ran.code == drawn.code != 0
    assert authorizations(origin) == {f"Bearer {CANARY}"}
    assert_no_trace(project, ran, drawn)
    assert "Bearer" not in json.dumps(ran.document)
