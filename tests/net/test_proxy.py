"""Proxies: which one is asked, how, and what is said when it does not do its work.

The names below `example.test` are known to the proxies alone. `*.localhost` is this machine to
libcurl, without a resolver, and an ordinary name to everybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.faults.answers import MIB, File, Status, bytes_of, redirect
from tests.faults.origin import Origin
from tests.faults.project import Project
from tests.net.proxy import Proxy, proxy
from tests.net.secure import Authority, port_of, secure_origin
from tests.net.test_wire import Taking, code_of, take

from modelset.core.proxies import Proxies
from modelset.net.transfer import WireSettings
from modelset.net.wire import CurlWire
from modelset.settings import load_settings

DATA = bytes_of("proxy", MIB)
NAME = "files.example.test"
PLAIN, SECURE = f"http://{NAME}/m", f"https://{NAME}/m"
PASSWORD = "Canary:p@ss/w0rd"
ENCODED = "Canary%3Ap%40ss%2Fw0rd"


def proxies_of(environ: Mapping[str, str]) -> Proxies:
    return load_settings({}, environ, Path("/nowhere")).proxies


def behind(environ: Mapping[str, str], authority: Authority | None = None) -> CurlWire:
    ca_file = str(authority.pem) if authority else ""
    proxies = proxies_of(environ)
    return CurlWire(WireSettings(connect_s=0.5, stall_s=1, ca_file=ca_file, proxies=proxies))


def ask(url: str, environ: Mapping[str, str], authority: Authority | None = None) -> Taking:
    """Perform one GET behind what the variables say."""
    wire = behind(environ, authority)
    try:
        return take(wire, url, allow_http=True)
    finally:
        wire.close()


def said(taken: Taking) -> tuple[str, str]:
    """The message and the hint of a failure."""
    assert taken.errors[0] is not None
    return str(taken.errors[0]), taken.errors[0].failure.hint


# --- which proxy -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "variables", "used"),
    [
        (PLAIN, ["http_proxy"], "http_proxy"),
        (PLAIN, ["HTTP_PROXY"], "HTTP_PROXY"),
        (PLAIN, ["ALL_PROXY"], "ALL_PROXY"),
        (PLAIN, ["HTTPS_PROXY", "https_proxy"], ""),
        (SECURE, ["https_proxy"], "https_proxy"),
        (SECURE, ["HTTPS_PROXY"], "HTTPS_PROXY"),
        (SECURE, ["all_proxy"], "all_proxy"),
        (SECURE, ["HTTP_PROXY", "http_proxy"], ""),
        (SECURE, ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"], "https_proxy"),
        (SECURE, ["HTTPS_PROXY", "all_proxy"], "HTTPS_PROXY"),
        (SECURE, ["ALL_PROXY", "all_proxy"], "all_proxy"),
        (PLAIN, ["HTTP_PROXY", "REQUEST_METHOD"], ""),
        (PLAIN, ["http_proxy", "REQUEST_METHOD"], "http_proxy"),
        (PLAIN, [], ""),
    ],
)
def test_a_scheme_has_its_own_variable_and_lower_case_wins(
    url: str, variables: list[str], used: str
) -> None:
    environ = {name: f"{name.replace('_', '-')}.example.test:3128" for name in variables}
    chosen = proxies_of(environ).choose(url)
    assert (chosen.variable if chosen else "") == used
    if chosen:
        assert chosen.url == f"http://{environ[used]}"


@pytest.mark.parametrize(
    ("listed", "host", "goes_to_proxy"),
    [
        ("*", NAME, False),
        ("", NAME, True),
        (NAME, NAME, False),
        (NAME.upper(), NAME, False),
        (NAME, f"{NAME}.", False),
        ("example.test", NAME, False),
        (".example.test", NAME, False),
        ("*.example.test", NAME, False),
        ("other.test, example.test", NAME, False),
        ("other.test example.test", NAME, False),
        ("ample.test", NAME, True),
        ("xample.test,le.test", NAME, True),
        (f"deep.{NAME}", NAME, True),
        (".", NAME, True),
        ("192.0.2.7", "192.0.2.7", False),
        ("192.0.2.0/24", "192.0.2.7", False),
        ("192.0.2.9/24", "192.0.2.7", False),
        ("192.0.2.0/30", "192.0.2.7", True),
        ("192.0.2", "192.0.2.7", True),
        ("0.0.0.0/0", NAME, True),
        ("2001:db8::/32", "[2001:db8::7]", False),
        ("2001:db8::7", "[2001:DB8::7]", False),
        ("[2001:db8::7]", "[2001:db8:0::7]", False),
        ("::/0", "192.0.2.7", True),
        ("nonsense/24", "192.0.2.7", True),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_lists_names_with_all_below_them_addresses_and_networks(
    variable: str, listed: str, host: str, goes_to_proxy: bool
) -> None:
    proxies = proxies_of({"ALL_PROXY": "proxy.example.test", variable: listed})
    for url in (f"https://{host}/m", f"http://{host}:8080/m"):
        assert (proxies.choose(url) is not None) is goes_to_proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]"])
def test_this_machine_is_never_asked_through_a_proxy(host: str) -> None:
    proxies = proxies_of({"ALL_PROXY": "proxy.example.test"})
    assert proxies.choose(f"http://{host}:8080/m") is None
    assert proxies.choose(f"https://{host}/m") is None
    assert proxies.choose("https://localhost.example.test/m") is not None


def test_a_download_from_this_machine_leaves_every_proxy_aside(
    project: Project, origin: Origin
) -> None:
    key = project.model("m", origin.serve("/m", File(DATA)), DATA)
    with proxy({"127.0.0.1": port_of(origin.url)}) as middle:
        for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            project.env[name] = f"http://{middle.place}"
        assert project.run(key).code == 0
        assert not middle.asked
    assert len(origin.requests) == 1


@pytest.mark.parametrize("listed", ["", "files.localhost", ".localhost"])
def test_a_download_from_a_host_in_no_proxy_goes_straight_there(
    listed: str, project: Project, origin: Origin
) -> None:
    port = port_of(origin.url)
    origin.serve("/m", File(DATA))
    project.settings(
        f'[mirrors]\n"https://{NAME}/" = [{{ url = "http://files.localhost:{port}/",'
        " allow_http = true, only = true }]"
    )
    key = project.model("m", SECURE, DATA)
    with proxy({"files.localhost": port}) as middle:
        project.env |= {"HTTP_PROXY": middle.place, "NO_PROXY": listed}
        assert project.run(key).code == 0
        assert bool(middle.asked) is not bool(listed)
    assert len(origin.requests) == 1


def test_what_libcurl_would_read_of_the_environment_has_no_say(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = port_of(origin.url)
    origin.serve("/m", File(DATA))
    with proxy({NAME: port}) as told, proxy({NAME: port, "files.localhost": port}) as untold:
        for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{untold.place}")
        assert ask(f"http://files.localhost:{port}/m", {}).errors == [None]
        monkeypatch.setenv("no_proxy", "*")
        assert ask(PLAIN, {"http_proxy": told.place}).errors == [None]
        assert [asked.target for asked in told.asked] == [PLAIN]
        assert not untold.asked


# --- how it is asked ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("user", ["", f"DOMAIN\\user:{PASSWORD}"], ids=["open", "with-password"])
def test_a_model_comes_whole_through_a_proxy(
    kind: str, user: str, project: Project, authority: Authority
) -> None:
    written = f"DOMAIN%5Cuser:{ENCODED}@" if user else ""
    half = File(DATA, stop_at=MIB // 2, ending="close")
    with secure_origin(authority.issue(NAME)) as server:
        server.serve("/m", File(DATA), first=(half,))
        key = project.model("m", SECURE, DATA)
        with proxy({NAME: port_of(server.url)}, kind=kind, user=user) as middle:
            scheme = "http" if kind == "http" else "socks5h"
            project.env |= {"HTTPS_PROXY": f"{scheme}://{written}{middle.place}"}
            project.env |= {"SSL_CERT_FILE": str(authority.pem)}
            ran = project.run(key, "--json")
    assert ran.code == 0, ran.stdout
    project.assert_clean(m=DATA)
    assert sum(request.sent for request in server.requests) < 2 * MIB, "it was resumed"
    target = f"{NAME}:443" if kind == "http" else f"name {NAME}:443"
    assert {asked.target for asked in middle.asked} == {target}
    if user and kind == "http":
        assert all("proxy-authorization" in asked.headers for asked in middle.asked)
    assert all("proxy-authorization" not in request.headers for request in server.requests)
    assert "Canary" not in ran.stdout + ran.stderr


def test_plain_http_is_asked_for_with_its_whole_address(origin: Origin) -> None:
    origin.serve("/m", File(DATA))
    with proxy({NAME: port_of(origin.url)}, user=f"user:{PASSWORD}") as middle:
        taken = ask(PLAIN, {"HTTP_PROXY": f"user:{ENCODED}@{middle.place}"})  # no scheme: http
    assert taken.errors == [None]
    assert bytes(taken.body_) == DATA
    assert [asked.target for asked in middle.asked] == [PLAIN]


def test_socks5_without_h_sends_an_address_and_with_h_a_name(origin: Origin) -> None:
    port = port_of(origin.url)
    origin.serve("/m", File(DATA))
    with proxy({NAME: port, "192.0.2.7": port}, kind="socks5") as middle:
        named = ask(PLAIN, {"ALL_PROXY": f"socks5h://{middle.place}"})
        literal = ask("http://192.0.2.7/m", {"ALL_PROXY": f"socks5://{middle.place}"})
    assert named.errors == literal.errors == [None]
    assert [asked.target for asked in middle.asked] == [f"name {NAME}:80", "address 192.0.2.7:80"]


def test_a_token_is_for_the_host_behind_the_tunnel_alone(authority: Authority) -> None:
    with secure_origin(authority.issue(NAME)) as server, proxy({NAME: port_of(server.url)}) as way:
        server.serve("/m", File(DATA))
        wire = behind({"HTTPS_PROXY": way.place}, authority)
        taken = take(wire, SECURE, credential={"Authorization": "Bearer s3cret"})
        wire.close()
        assert taken.errors == [None]
        assert server.requests[0].headers["authorization"] == "Bearer s3cret"
        assert "s3cret" not in str(way.asked)
        assert way.asked[0].method == "CONNECT"


def test_a_proxy_s_answer_to_connect_is_no_part_of_the_file_s_answer(authority: Authority) -> None:
    with secure_origin(authority.issue(NAME)) as server, proxy({NAME: port_of(server.url)}) as way:
        server.serve("/m", File(DATA))
        taken = ask(SECURE, {"HTTPS_PROXY": way.place}, authority)
    assert taken.response is not None
    assert "etag" in taken.response.headers
    assert "via" not in taken.response.headers


# --- what can go wrong -------------------------------------------------------------------------


@contextmanager
def nobody(routes: Mapping[str, int]) -> Iterator[Proxy]:
    """Return a place where no proxy listens."""
    absent = Proxy().reserve()
    yield absent
    absent.close()


def answering(text: str) -> Callable[[Mapping[str, int]], AbstractContextManager[Proxy]]:
    head = f"HTTP/1.1 {text}\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html>House!\n"
    return lambda routes: proxy(routes, answer=head.encode())


def faulty(**fault: object) -> Callable[[Mapping[str, int]], AbstractContextManager[Proxy]]:
    return lambda routes: proxy(routes, **fault)


LOCKED = faulty(user="user:right")
FAULTS = {
    # address, form of the proxy's address, what it does, code, words
    "wants": (SECURE, "http://{}", LOCKED, "proxy-refused", "wants credentials"),
    "wants-plain": (PLAIN, "http://{}", LOCKED, "proxy-refused", "wants credentials"),
    "wants-socks": (
        SECURE,
        "socks5h://{}",
        faulty(kind="socks5", user="user:right"),
        "proxy-refused",
        "wants credentials",
    ),
    "wrong": (SECURE, "http://user:Canary@{}", LOCKED, "proxy-refused", "refuses the user"),
    "wrong-plain": (PLAIN, "http://user:Canary@{}", LOCKED, "proxy-refused", "refuses the user"),
    "wrong-socks": (
        SECURE,
        "socks5h://user:Canary@{}",
        faulty(kind="socks5", user="user:right"),
        "proxy-refused",
        "refuses the user",
    ),
    "forbidden": (SECURE, "http://{}", answering("403 No"), "proxy-refused", "response 403"),
    "portal": (SECURE, "http://{}", answering("302 Go"), "proxy-refused", "response 302"),
    "forbidden-socks": (
        SECURE,
        "socks5h://{}",
        faulty(kind="socks5", refusal=2),
        "proxy-refused",
        "refuses",
    ),
    "no-way": (SECURE, "http://{}", lambda routes: proxy({}), "network-unreachable", "cannot"),
    "no-way-socks": (
        SECURE,
        "socks5h://{}",
        lambda routes: proxy({}, kind="socks5"),
        "network-unreachable",
        "cannot reach it",
    ),
    "down": (SECURE, "http://{}", nobody, "network-unreachable", "is not there"),
    "down-plain": (PLAIN, "http://{}", nobody, "network-unreachable", "is not there"),
    "down-socks": (SECURE, "socks5h://{}", nobody, "network-unreachable", "is not there"),
    "drops": (SECURE, "http://{}", faulty(fault="drop"), "connection-lost", "broke"),
    "drops-socks": (
        SECURE,
        "socks5h://{}",
        faulty(kind="socks5", fault="drop"),
        "connection-lost",
        "broke",
    ),
    "mute": (SECURE, "http://{}", faulty(fault="silence"), "connect-timeout", "does not answer"),
    "no-tls": (SECURE, "https://{}", faulty(), "tls-failed", "TLS could not be set up"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_proxy_is_said_with_its_place_and_its_variable(
    name: str, origin: Origin
) -> None:
    url, form, make, code, words = FAULTS[name]
    with make({NAME: port_of(origin.url)}) as middle:
        variable = "HTTP_PROXY" if url == PLAIN else "https_proxy"
        taken = ask(url + "?Signature=s3cret", {variable: form.format(middle.place)})
    message, hint = said(taken)
    assert code_of(taken) == code
    assert words in message
    assert message.startswith(f"{NAME}: "), "the host, and nothing of the address"
    assert middle.place in message or code == "tls-failed"
    assert variable in hint
    assert "Canary" not in message + hint
    assert not origin.requests
    assert not taken.body_


@pytest.mark.parametrize(
    ("answer", "code"),
    [(answering("200 Fine"), "html-page"), (answering("403 No"), "access-denied")],
    ids=["sign-in", "403"],
)
def test_an_html_page_of_a_proxy_is_no_model(
    answer: Callable[[Mapping[str, int]], AbstractContextManager[Proxy]],
    code: str,
    project: Project,
) -> None:
    project.settings(
        f'[mirrors]\n"https://{NAME}/" = [{{ url = "http://{NAME}/", allow_http = true,'
        " only = true }]"
    )
    key = project.model("m", SECURE, DATA)
    with answer({}) as middle:
        project.env["HTTP_PROXY"] = middle.place
        ran = project.run(key, "--json")
    assert ran.failure(key)["code"] == code
    assert not project.path(key).exists()


@pytest.mark.parametrize(
    "address",
    ["http://user:Can/ary@{}", "http://user:Can#ary@{}", "gopher://user:Canary@{}", "http://:x:y"],
)
def test_an_address_that_is_none_of_a_proxy_is_a_wrong_setting_and_not_shown(
    address: str, project: Project
) -> None:
    key = project.model("m", SECURE, DATA)
    with proxy({}) as middle:
        project.env["HTTPS_PROXY"] = address.format(middle.place)
        ran = project.run(key, "--json")
    assert ran.code == 2
    assert ran.failure(key)["code"] == "config-invalid"
    assert ran.failure(key)["message"] == "HTTPS_PROXY is not the address of a proxy"
    for secret in ("user:", "Can", "ary"):
        assert secret not in ran.stdout.replace("user:password", "") + ran.stderr


# --- private networks --------------------------------------------------------------------------

PRIVATE, ELSEWHERE = "10.1.2.3", "cdn.example.test"


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (NAME, ELSEWHERE, ""),
        (NAME, PRIVATE, "address-refused"),
        (NAME, "127.0.0.1:{}", "address-refused"),
        (NAME, "direct.localhost:{}", "address-refused"),
        (PRIVATE, "10.1.2.4", ""),
        (PRIVATE, ELSEWHERE, ""),
        (PRIVATE, "127.0.0.1:{}", "address-refused"),
        (NAME, "[fd00::7]", "address-refused"),
        (NAME, "169.254.169.254", "address-refused"),
        (NAME, "0xa.0x10203", "address-refused"),
        (NAME, "2130706433", "address-refused"),
    ],
)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_behind_a_proxy_on_this_machine_the_hosts_themselves_are_judged(
    kind: str, first: str, second: str, code: str, origin: Origin
) -> None:
    port = port_of(origin.url)
    there = f"http://{second.format(port)}/there"
    origin.serve("/m", redirect(there))
    origin.serve("/there", File(DATA))
    known = (NAME, ELSEWHERE, PRIVATE, "10.1.2.4", "fd00::7", "169.254.169.254", "127.0.0.1")
    routes = dict.fromkeys(known, port)
    with proxy(routes, kind="http" if kind == "http" else "socks5") as middle:
        environ = {"HTTP_PROXY": f"{kind}://{middle.place}", "NO_PROXY": "direct.localhost"}
        taken = ask(f"http://{first}/m", environ)
    assert code_of(taken) == code
    assert len(origin.asked("/m")) == 1
    assert len(origin.asked("/there")) == (0 if code else 1), "refused before anything is asked"
    if code:
        assert "redirects into a private network" in said(taken)[0]


def test_pip_too_asks_an_index_in_no_proxy_straight(project: Project, authority: Authority) -> None:
    with secure_origin(authority.issue("0.0.0.0")) as server, proxy({}) as middle:
        index = f"https://0.0.0.0:{port_of(server.url)}/simple/"
        project.settings(
            f'[download]\nindex_url = "{index}"\n\n'
            '[[model]]\nkey = "house:wheel"\ncategory = "house"\nsource = "wheel"\n'
            'ref = { requirement = "house" }'
        )
        project.env |= {"HTTPS_PROXY": f"http://{middle.place}", "NO_PROXY": "0.0.0.0"}
        project.env["SSL_CERT_FILE"] = str(authority.pem)
        ran = project.run("house:wheel", "--json")
        assert not middle.asked
        assert [request.path for request in server.requests] == ["/simple/house/"]
    assert ran.failure("house:wheel")["code"] == "index-failed"


def test_a_proxy_that_fails_for_a_while_is_asked_again(project: Project, origin: Origin) -> None:
    port = port_of(origin.url)
    origin.serve("/m", File(DATA), first=(Status(503), Status(502)))
    project.settings(
        f'[mirrors]\n"https://{NAME}/" = [{{ url = "http://{NAME}/", allow_http = true,'
        " only = true }]"
    )
    key = project.model("m", SECURE, DATA)
    with proxy({NAME: port}) as middle:
        project.env["HTTP_PROXY"] = middle.place
        assert project.run(key).code == 0
        assert len(middle.asked) == len(origin.requests) == 3
    project.assert_clean(m=DATA)
