"""A secret in every place that takes one, every way to end: nobody else hears or keeps it."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, hang_up, page, redirect, silence
from tests.faults.origin import Answer, Origin, Request
from tests.faults.origin import origin as running_origin
from tests.faults.project import Project, Ran, Running, await_true
from tests.net.proxy import Proxy, proxy
from tests.net.secure import port_of

SIZE = 2 * MIB
RIGHT = {name: bytes_of(name, SIZE) for name in ("hub", "mirror", "proxied", "plain")}
# Each looks like a token, and is found nowhere else.
TOKEN, SIGNATURE, MIRROR, PROXY, QUERY = (
    f"hf_Canary{name}CanaryCanaryCanary7" for name in ("Token", "Signed", "Mirror", "Proxy", "Url")
)
EVERY = (TOKEN, SIGNATURE, MIRROR, PROXY, QUERY)
HUB_FILE = "/acme/house/resolve/main/m.bin"


@dataclass(slots=True)
class World:
    """Four servers, a proxy, and a model for every place in which a secret can be written."""

    project: Project
    hub: Origin
    network: Origin
    mirror: Origin
    plain: Origin
    middle: Proxy
    keys: list[str] = field(default_factory=list)

    def serve(self, answer: Answer | None) -> None:
        """Let every file answer like this; without an answer, as it should."""
        signed = self.network.serve("/signed", answer or File(RIGHT["hub"]))
        self.hub.serve(HUB_FILE, redirect(f"{signed}?Signature={SIGNATURE}"))
        self.mirror.serve("/m", answer or File(RIGHT["mirror"]))
        self.mirror.serve("/proxied", answer or File(RIGHT["proxied"]))
        self.plain.serve("/plain", answer or File(RIGHT["plain"]))

    def requests(self) -> Mapping[str, list[Request]]:
        """What each server was asked."""
        servers = {"hub": self.hub, "network": self.network, "plain": self.plain}
        return {name: list(server.requests) for name, server in servers.items()}


@pytest.fixture
def world(project: Project, origin: Origin) -> Iterator[World]:
    """Return the servers, and a project that asks them."""
    with running_origin() as network, running_origin() as mirror, running_origin() as plain:
        routes = {"files.example.test": port_of(mirror.url)}
        with proxy(routes, user=f"user:{PROXY}") as middle:
            made = World(project, origin, network, mirror, plain, middle)
            project.env |= {
                "HF_TOKEN": TOKEN,
                "HF_ENDPOINT": origin.url,
                "HTTP_PROXY": f"http://user:{PROXY}@{middle.place}",
            }
            place = mirror.url.replace("//", f"//user:{MIRROR}@")
            project.settings(
                f'[mirrors]\n"https://mirrored.example.test/" = [{{ url = "{place}/",'
                ' only = true }]\n"https://files.example.test/" = [{ url ='
                ' "http://files.example.test/", allow_http = true, only = true }]'
            )
            addresses = {
                "hub": f"https://huggingface.co{HUB_FILE}",
                "mirror": "https://mirrored.example.test/m",
                "proxied": "https://files.example.test/proxied",
                "plain": f"{plain.url}/plain?key={QUERY}",
            }
            made.keys = [
                project.model(name, url, RIGHT[name], tier="critical")
                for name, url in addresses.items()
            ]
            made.serve(None)
            yield made


def found_in(text: str | bytes, secrets: tuple[str, ...] = EVERY) -> list[str]:
    """Which secrets a text holds: whole, in part, or as the password of `user`."""
    data = text.encode() if isinstance(text, str) else text
    return [
        secret
        for secret in secrets
        if secret[3:14].encode() in data or base64.b64encode(f"user:{secret}".encode())[:32] in data
    ]


def assert_kept_nowhere(world: World, *runs: Ran) -> None:
    """No secret is in an output, in the name of a file, or in a file, but where it was written."""
    for ran in runs:
        assert found_in(ran.stdout) == []
        assert found_in(ran.stderr) == []
    written = [path for path in world.project.root.rglob("*") if path.is_file()]
    assert any(path.parent.name == "out" for path in written), "out/ is looked into"
    for path in written:
        assert found_in(str(path)) == []
        secrets = EVERY
        if path.name in ("modelset.toml", "toml_cache.json"):
            continue  # the settings, and what was kept of them: a test of its own
        if path.name == "models.lock.json":
            secrets = tuple(one for one in EVERY if one != QUERY)  # the model's own address
        assert found_in(path.read_bytes(), secrets) == [], f"in {path}"


def assert_told_to_nobody_else(world: World) -> None:
    """Every server has heard its own secret, and no other one."""
    asked = world.requests()
    for name, requests in asked.items():
        assert requests, f"{name} was asked"
        heard = found_in("".join(str(request.headers) for request in requests))
        assert heard == ([TOKEN] if name == "hub" else []), name
    heard = "".join(str(request.headers) for request in world.mirror.requests)
    assert found_in(heard) == [MIRROR]
    bare = [row for row in world.mirror.asked("/m") if "authorization" not in row.headers]
    assert world.mirror.asked("/m")
    assert not bare
    assert all("authorization" not in row.headers for row in world.mirror.asked("/proxied"))
    assert all("proxy-authorization" not in row.headers for row in world.mirror.requests)
    assert found_in(str(world.middle.asked)) == [PROXY]


FAULTS: dict[str, tuple[Answer | None, str]] = {
    "none": (None, ""),
    "wrong-bytes": (File(bytes_of("wrong", SIZE)), "digest-mismatch"),
    "wrong-size": (File(bytes_of("wrong", SIZE - 1)), "size-mismatch"),
    "page": (page(), "html-page"),
    "401": (Status(401, {"X-Error-Message": "Invalid credentials"}), "token-refused"),
    "403": (Status(403), "access-denied"),
    "404": (Status(404), "not-found"),
    "418": (Status(418), "bad-response"),
    "redirect-to-a-file": (redirect("file:///etc/hostname"), "address-refused"),
    "redirect-loop": (redirect("?again=1"), "bad-response"),
    "hang-up": (hang_up, "connection-lost"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_no_end_of_a_download_gives_a_secret_away(name: str, world: World) -> None:
    answer, code = FAULTS[name]
    world.serve(answer)
    more = ("--debug", "--timeout", "2" if name in ("403", "hang-up") else "20")
    drawn = world.project.run(*world.keys, *more)
    ran = world.project.run(*world.keys, *more, "--json")
    if code:
        codes = {ran.failure(key)["code"] for key in world.keys}
        assert code in codes, codes
        assert len(codes) == 1 or name == "403", "a 403 to a signed address is an expired one"
        assert "failed" in drawn.stderr
    else:
        assert (drawn.code, ran.code) == (0, 0), drawn.stdout
    assert_told_to_nobody_else(world)
    assert_kept_nowhere(world, drawn, ran)


def titles(pid: int) -> str:
    """What everybody on this machine may read of a process and its children."""
    text = ""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if pid in (parent, int(place.name)):
                text += (place / "cmdline").read_text() + (place / "comm").read_text()
        except OSError:
            continue  # it has ended
    return text


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_from_outside_leaves_no_secret(
    number: signal.Signals, world: World
) -> None:
    # All that has arrived lies in partial files with their journals.
    for server, path, data in (
        (world.network, "/signed", RIGHT["hub"]),
        (world.mirror, "/m", RIGHT["mirror"]),
        (world.mirror, "/proxied", RIGHT["proxied"]),
        (world.plain, "/plain", RIGHT["plain"]),
    ):
        server.serve(path, File(data, stop_at=MIB))
    running: Running = world.project.start(*world.keys, "--debug", "--max-workers", "4")
    await_true("half of each", lambda: all(world.project.part_size(row) for row in RIGHT.values()))
    shown = titles(running.process.pid)
    assert "house:hub" in shown, "it is the command line of this run"
    assert found_in(shown) == []
    running.send(number)
    ran = running.end()
    assert ran.code in (-signal.SIGKILL, 143, 130)
    assert_told_to_nobody_else(world)
    assert_kept_nowhere(world, ran)
    world.serve(None)
    again = world.project.run(*world.keys)
    assert again.code == 0, again.stdout
    assert_kept_nowhere(world, again)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
def test_a_password_of_the_package_index_is_on_no_command_line(
    project: Project, origin: Origin
) -> None:
    index = origin.serve("/simple/house/", silence).removesuffix("house/")
    project.settings(
        f'[download]\nindex_url = "{index.replace("//", f"//user:{MIRROR}@")}"\n\n'
        '[[model]]\nkey = "house:wheel"\ncategory = "house"\nsource = "wheel"\n'
        'ref = { requirement = "house" }'
    )
    running = project.start("house:wheel", "--debug")
    await_true("the question", lambda: bool(origin.asked("/simple/house/")))
    shown = titles(running.process.pid)
    running.send(signal.SIGINT)
    ran = running.end()
    assert found_in(ran.stdout + ran.stderr) == []
    assert found_in(origin.requests[0].headers["authorization"]) == [MIRROR]
    assert "pip" in shown, "pip asks, in a process of its own"
    assert found_in(shown) == []


def test_what_is_kept_of_the_settings_file_holds_no_password_of_a_mirror(world: World) -> None:
    assert world.project.run(world.keys[1]).code == 0
    assert world.project.run(world.keys[1]).code == 0
    kept = [path for path in (world.project.root / "out").iterdir() if path.is_file()]
    assert kept
    assert [path.name for path in kept if found_in(path.read_bytes(), (MIRROR,))] == []


def test_a_password_in_a_model_s_own_address_does_not_reach_the_lock(
    project: Project, origin: Origin
) -> None:
    data = RIGHT["plain"]
    url = origin.serve("/m", File(data)).replace("//", f"//user:{MIRROR}@")
    ran = project.run(project.model("m", url, data), "--json")
    assert found_in(ran.stdout + ran.stderr) == []
    lock = project.root / "models.lock.json"
    assert not lock.exists() or found_in(lock.read_bytes()) == []
    assert ran.code in (0, 2), "it works without, or is refused"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HF_ENDPOINT", f"https://user:{MIRROR}/x@hub.example.test"),
        ("HF_ENDPOINT", f"https://user:{MIRROR}@hub.example.test:port"),
        ("HF_ENDPOINT", f"https://user:99/{MIRROR}@hub.example.test"),
        ("HF_ENDPOINT", f"user:{MIRROR}@hub.example.test"),
        ("HTTP_PROXY", f"http://user:{PROXY}/x@proxy.example.test:3128"),
        ("HTTP_PROXY", f"gopher://user:{PROXY}@proxy.example.test"),
    ],
)
def test_an_address_that_makes_no_sense_is_not_repeated(
    variable: str, value: str, project: Project
) -> None:
    project.env[variable] = value
    project.settings(
        '[mirrors]\n"https://files.example.test/" = [{ url = "http://files.example.test/",'
        " allow_http = true, only = true }]"
    )
    host = "huggingface.co" if variable == "HF_ENDPOINT" else "files.example.test"
    key = project.model("m", f"https://{host}/m", b"abc")
    for more in ((), ("--json",), ("--debug",)):
        ran = project.run(key, *more)
        # With --debug, an error that stops everything shows where it came from, and is no 2.
        assert ran.code == 2 or (more == ("--debug",) and ran.code == 1), ran.stdout
        assert found_in(ran.stdout + ran.stderr) == []
        assert variable in ran.stdout + ran.stderr


@pytest.mark.parametrize("url", [f"https://user:{MIRROR}/x@mirror.example.test/"])
def test_a_mirror_s_address_that_makes_no_sense_is_not_repeated(url: str, project: Project) -> None:
    project.settings(f'[mirrors]\n"https://files.example.test/" = [{{ url = "{url}" }}]')
    key = project.model("m", "https://files.example.test/m", b"abc")
    ran = project.run(key)
    assert ran.code == 2, ran.stdout
    assert found_in(ran.stdout + ran.stderr) == []
