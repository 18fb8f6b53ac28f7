"""Mirrors heal what one of them does wrong; a credential goes to nobody it was not meant for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, page, redirect, silence
from tests.faults.origin import Answer, Origin
from tests.faults.origin import origin as running_origin
from tests.faults.project import Project, Ran
from tests.net.proxy import proxy
from tests.net.secure import Authority, port_of, secure_origin

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
    # The rest of the file may be asked for by the whole way again, or where the way ended.
    assert 1 <= len(origin.asked(FILE)) == len(origin.asked("/twice" + FILE)) <= 2
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


def test_the_longest_prefix_wins_and_its_mirrors_are_asked_in_their_order(
    project: Project, origin: Origin, other: Origin
) -> None:
    for server in (origin, other):
        server.serve("/deep/m", File(RIGHT))
    origin.serve("/first/m", Status(404))
    origin.serve("/second/m", File(RIGHT))
    project.settings(
        "[mirrors]\n"
        f'"https://packages.example.org/" = [{{ url = "{other.url}/", only = true }}]\n'
        f'"https://packages.example.org/deep/" = [{{ url = "{origin.url}/first/" }},'
        f' {{ url = "{origin.url}/second/", only = true }}, {{ url = "{other.url}/deep/" }}]'
    )
    key = project.model("m", "https://packages.example.org/deep/m", RIGHT)
    assert project.run(key).code == 0
    assert [request.path for request in origin.requests] == ["/first/m", "/second/m"]
    assert not other.requests
    project.assert_clean(m=RIGHT)


@pytest.mark.parametrize("only", [False, True])
def test_the_original_comes_last_unless_a_mirror_says_only(
    only: bool, project: Project, origin: Origin, other: Origin
) -> None:
    origin.serve("/m", Status(404))
    key = project.model("m", other.serve("/m", File(RIGHT)), RIGHT)
    row = f'{{ url = "{origin.url}/", only = {str(only).lower()} }}'
    project.settings(mirrors(f"{other.url}/", row))
    ran = project.run(key, "--json")
    assert len(origin.asked("/m")) == 1
    assert len(other.requests) == (0 if only else 1)
    assert ran.code == (4 if only else 0)
    if only:
        assert ran.failure(key)["code"] == "not-found"


def test_a_mirror_that_stalls_halfway_gives_way_to_the_next(
    project: Project, origin: Origin, other: Origin
) -> None:
    origin.serve("/m", silence, first=(File(RIGHT, stop_at=MIB),))
    other.serve("/m", File(RIGHT))
    project.settings("[download]\nstall_timeout = 1")
    project.settings(mirrors("https://packages.example.org/", f'{{ url = "{origin.url}/" }}',
                             f'{{ url = "{other.url}/", only = true }}'))  # fmt: skip
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    assert project.run(key).code == 0
    assert origin.requests
    assert other.requests
    assert origin.sent("/m") + other.sent("/m") <= SIZE + MIB, "what had come was kept"
    project.assert_clean(m=RIGHT)


def test_a_mirror_that_is_not_there_gives_way_to_the_next(project: Project, other: Origin) -> None:
    with running_origin() as gone:
        url = gone.url
    other.serve("/m", File(RIGHT))
    project.settings(mirrors("https://packages.example.org/", f'{{ url = "{url}/" }}',
                             f'{{ url = "{other.url}/", only = true }}'))  # fmt: skip
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    assert project.run(key).code == 0
    project.assert_clean(m=RIGHT)


@pytest.mark.parametrize("allowed", [False, True])
def test_plain_http_is_for_a_mirror_that_says_so(
    allowed: bool, project: Project, origin: Origin
) -> None:
    origin.serve("/m", File(RIGHT))
    url = f"http://mirror.localhost:{port_of(origin.url)}/"
    row = f'{{ url = "{url}", only = true, allow_http = {str(allowed).lower()} }}'
    project.settings(mirrors("https://packages.example.org/", row))
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == (0 if allowed else 13)
    assert len(origin.requests) == (1 if allowed else 0)


@pytest.mark.parametrize("allowed", [False, True])
def test_a_redirect_into_a_private_network_is_for_a_mirror_that_says_so(
    allowed: bool, project: Project, origin: Origin, other: Origin
) -> None:
    origin.serve("/m", redirect(other.serve("/m", File(RIGHT))))
    row = '{ url = "http://mirror.example.test/", only = true, allow_http = true'
    row += ", allow_private = true }" if allowed else " }"
    project.settings(mirrors("https://packages.example.org/", row))
    key = project.model("m", "https://packages.example.org/m", RIGHT)
    # Only a proxy makes a name of this machine public.
    with proxy({"mirror.example.test": port_of(origin.url)}) as middle:
        project.env["HTTP_PROXY"] = middle.place
        ran = project.run(key, "--json")
    assert ran.code == (0 if allowed else 13)
    assert len(origin.requests) == 1
    assert len(other.requests) == (1 if allowed else 0)


def test_hf_endpoint_over_plain_http_gets_no_token(project: Project, origin: Origin) -> None:
    origin.serve(FILE, File(RIGHT))
    project.env |= {
        "HF_ENDPOINT": f"http://hub.localhost:{port_of(origin.url)}",
        "HF_TOKEN": CANARY,
    }
    key = project.model("m", HUB_FILE, RIGHT)
    ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    assert authorizations(origin) == {""}
    assert_no_trace(project, ran)


def test_hf_endpoint_over_tls_gets_the_token_and_the_proxy_before_it_does_not(
    project: Project, authority: Authority
) -> None:
    with secure_origin(authority.issue("hub.example.test")) as hub:
        hub.serve(FILE, File(RIGHT))
        key = project.model("m", HUB_FILE, RIGHT)
        with proxy({"hub.example.test": port_of(hub.url)}) as middle:
            project.env |= {
                "HF_ENDPOINT": "https://hub.example.test",
                "HF_TOKEN": CANARY,
                "HTTPS_PROXY": middle.place,
                "SSL_CERT_FILE": str(authority.pem),
            }
            ran = project.run(key, "--json")
        assert ran.code == 0, ran.stdout
        assert authorizations(hub) == {f"Bearer {CANARY}"}
        assert CANARY not in str(middle.asked)
        assert_no_trace(project, ran)


COMMIT = "c" * 40
TREE = f"/api/models/acme/house/tree/{COMMIT}"


@pytest.mark.parametrize("named", ["its-own", "with-password", "the-hub-s"])
def test_the_pages_of_a_mirrors_answer_stay_on_the_mirror(
    named: str, project: Project, origin: Origin, other: Origin
) -> None:
    pieces = {f"part{number}.bin": bytes_of(f"part{number}", 1000) for number in range(2)}
    rows = [
        {"type": "file", "path": name, "size": 1000, "oid": "0" * 40,
         "lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": 1000}}
        for name, data in pieces.items()
    ]  # fmt: skip
    place = "https://huggingface.co" if named == "the-hub-s" else origin.url
    json_ = {"Content-Type": "application/json"}
    link = {"Link": f'<{place}{TREE}?cursor=2>; rel="next"'}
    origin.serve(
        "/api/models/acme/house/revision/main",
        Status(200, json_, json.dumps({"sha": COMMIT})),
    )
    origin.serve(
        TREE,
        Status(200, json_, json.dumps(rows[1:])),
        first=(Status(200, json_ | link, json.dumps(rows[:1])),),
    )
    for name, data in pieces.items():
        origin.serve(f"/acme/house/resolve/{COMMIT}/{name}", File(data))
    url = origin.url.replace("//", "//user:password@") if named == "with-password" else origin.url
    project.settings(mirrors("https://huggingface.co/", f'{{ url = "{url}/", only = true }}'))
    project.settings(
        '[[model]]\nkey = "house:repo"\ncategory = "house"\nsource = "huggingface"\n'
        'tier = "available"\nref = { repo = "acme/house" }'
    )
    ran = project.run("house:repo", "--json")
    assert ran.code == 0, ran.stdout
    assert len(origin.asked(TREE)) == 2
    sent = "Basic dXNlcjpwYXNzd29yZA==" if named == "with-password" else ""
    assert authorizations(origin) == {sent}
    lock = (project.root / "models.lock.json").read_text("utf-8")
    assert lock.count("https://huggingface.co/acme/house/resolve") == 2
    assert "127.0.0.1" not in lock
