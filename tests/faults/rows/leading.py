"""Rows 24 to 29: redirects, strangers' certificates and proxies, on the way to a file."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from tests.faults.answers import MIB, File, bytes_of, redirect
from tests.faults.rows import inside
from tests.faults.rows.connection import ENOUGH_S
from tests.faults.rows.row import Ground, Row, Verdict, delivered, refused
from tests.faults.rows.tools import Tool
from tests.net.proxy import proxy
from tests.net.secure import Authority, Certificate, port_of, secure_origin

DATA = bytes_of("m", 2 * MIB)
TOKEN = "hf_RowsCanaryRowsCanaryRowsCanary4"
HOST, NAME = "127.0.0.1", "files.example.test"


def _loop(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", DATA)
    wanted.script.change(redirect(wanted.urls[0]))
    return refused(tool.fetch("m", ENOUGH_S), "bad-response", within_s=15.0)


def _chain(tool: Tool, ground: Ground) -> Verdict:
    steps = 60
    for number in range(steps):
        ground.origin.serve(f"/step/{number}", redirect(f"{ground.origin.url}/step/{number + 1}"))
    ground.origin.serve(f"/step/{steps}", File(DATA))
    ground.put("m", DATA, redirect(f"{ground.origin.url}/step/0"))
    ended = tool.fetch("m", ENOUGH_S)
    if ended.code == 0:
        return Verdict(False, f"follows {steps} redirects")
    return refused(ended, "bad-response", within_s=15.0)


def _token_to_another_host(tool: Tool, ground: Ground) -> Verdict:
    tool.token = TOKEN
    other = ground.another()
    wanted = ground.put("m", DATA, redirect(other.serve("/store", File(DATA))))
    verdict = delivered(tool.fetch("m", ENOUGH_S), wanted)
    if any(TOKEN in word for request in other.requests for word in request.headers.values()):
        return Verdict(False, "gives the token to another host")
    if not any(TOKEN in each.headers.get("authorization", "") for each in wanted.script.requests):
        return Verdict(False, "gives the token to nobody")
    return verdict


def _to_a_file(tool: Tool, ground: Ground) -> Verdict:
    target = ground.folder / "target"
    target.write_bytes(DATA)
    ground.put("m", DATA, redirect(target.as_uri()))
    return refused(tool.fetch("m", ENOUGH_S), "address-refused", within_s=15.0)


def _secure(
    tool: Tool, ground: Ground, make: Callable[[Authority], Certificate], *hints: str
) -> Verdict:
    """Without hints the file has to come; with some, the error has to hold them."""
    authority = Authority(ground.folder / "authority")
    tool.trust(authority.pem)
    with secure_origin(make(authority)) as server:
        wanted = ground.put("m", DATA, url=server.url)
        server.serve(urlsplit(wanted.urls[0]).path, File(DATA))
        ended = tool.fetch("m", ENOUGH_S)
    if not hints:
        return delivered(ended, wanted)
    if server.requests:
        return Verdict(False, "asks a stranger")
    verdict = refused(ended, "tls-failed")
    if ended.ours and verdict.passed and not all(hint in ended.output for hint in hints):
        return Verdict(False, f"the error does not say {', '.join(hints)}")
    return verdict


def _own_authority(tool: Tool, ground: Ground) -> Verdict:
    return _secure(tool, ground, lambda own: own.issue(HOST))


def _expired(tool: Tool, ground: Ground) -> Verdict:
    return _secure(tool, ground, lambda own: own.issue(HOST, years=(-2, -1)), "expired", "clock")


def _not_yet_valid(tool: Tool, ground: Ground) -> Verdict:
    return _secure(
        tool, ground, lambda own: own.issue(HOST, years=(1, 2)), "not valid yet", "clock"
    )


def _wrong_host(tool: Tool, ground: Ground) -> Verdict:
    return _secure(tool, ground, lambda own: own.issue(NAME), "another host")


def _stranger(tool: Tool, ground: Ground) -> Verdict:
    def make(own: Authority) -> Certificate:
        return Authority(own.folder / "stranger").issue(HOST)

    return _secure(tool, ground, make, "unknown authority", "CURL_CA_BUNDLE")


def _proxied(tool: Tool, ground: Ground, codes: tuple[str, ...], **fault: str) -> Verdict:
    """Without codes the file has to come, through the proxy."""
    with proxy({NAME: port_of(ground.origin.url)}, **fault) as middle:
        wanted = ground.put("m", DATA, url=f"http://{NAME}")
        tool.env |= {"http_proxy": f"http://{middle.place}", "no_proxy": HOST}
        ended = tool.fetch("m", 30.0)
    if not any(NAME in asked.target for asked in middle.asked):
        return Verdict(False, "does not ask the proxy")
    return refused(ended, *codes, within_s=ENOUGH_S) if codes else delivered(ended, wanted)


def _proxy(tool: Tool, ground: Ground) -> Verdict:
    return _proxied(tool, ground, ())


def _proxy_wants_credentials(tool: Tool, ground: Ground) -> Verdict:
    return _proxied(tool, ground, ("proxy-refused",), user="house:word")


def _proxy_drops(tool: Tool, ground: Ground) -> Verdict:
    codes = ("connection-lost", "body-truncated", "network-unreachable")
    return _proxied(tool, ground, codes, fault="drop")


def _no_proxy(tool: Tool, ground: Ground) -> Verdict:
    with proxy({}, fault="drop") as middle:
        wanted = ground.put("m", DATA)
        tool.env |= {"http_proxy": f"http://{middle.place}", "no_proxy": HOST}
        ended = tool.fetch("m", ENOUGH_S)
    if middle.asked:
        return Verdict(False, "asks the proxy")
    return delivered(ended, wanted)


def _inside(name: str) -> Callable[[Tool, Ground], Verdict]:
    return lambda tool, ground: inside.run(name, tool, ground)


NO_INWARD = "A redirect never leads to a more private network than it came from."
TRUST = "Only a host whose certificate is trusted is asked; the error names the clock or the CA."
PROXY = "Proxies are used as the environment says, and a fault of theirs is called theirs."
ALONE = ("unshare", "ip")
ROWS = (
    Row(24, "redirect-loop", "a redirect to itself", "Redirects are bounded.", _loop),
    Row(24, "redirect-chain", "60 redirects, then the file", "Redirects are bounded.", _chain),
    Row(25, "token-to-another-host", "a redirect to another host, and a token for the first",
        "A credential goes to the origin it belongs to, and nowhere else.",
        _token_to_another_host),
    Row(25, "downgrade", "a redirect from https to http",
        "Plain http is refused unless its mirror is marked.", _inside("downgrade"),
        needs=(*ALONE, "openssl")),
    Row(26, "redirect-to-file", "a redirect to `file:`", "Only http addresses are followed.",
        _to_a_file),
    Row(26, "redirect-to-private", "a redirect from a public address to 10.0.0.0/8", NO_INWARD,
        _inside("private"), needs=ALONE),
    Row(26, "redirect-to-link-local", "a redirect from a public address to 169.254.169.254",
        NO_INWARD, _inside("link-local"), needs=ALONE),
    Row(26, "redirect-to-loopback", "a redirect from a public address to this machine", NO_INWARD,
        _inside("loopback"), needs=ALONE),
    Row(27, "rebinding", "a name that is public when looked up first, and private afterwards",
        "The address that is really connected to is the one that is checked.",
        _inside("rebinding"), needs=ALONE),
    Row(28, "tls-own-authority", "a certificate of a private authority that is trusted",
        "A CA file of one's own is enough.", _own_authority, needs=("openssl",)),
    Row(28, "tls-expired", "an expired certificate", TRUST, _expired, needs=("openssl",)),
    Row(28, "tls-not-yet-valid", "a certificate of next year, as with a clock that is late", TRUST,
        _not_yet_valid, needs=("openssl",)),
    Row(28, "tls-wrong-host", "a certificate of another host", TRUST, _wrong_host,
        needs=("openssl",)),
    Row(28, "tls-unknown-authority", "a certificate of an unknown authority", TRUST, _stranger,
        needs=("openssl",)),
    Row(29, "proxy", "the host can be reached through a proxy only", PROXY, _proxy),
    Row(29, "proxy-407", "a proxy that wants credentials", PROXY, _proxy_wants_credentials),
    Row(29, "proxy-drops", "a proxy that closes every connection", PROXY, _proxy_drops),
    Row(29, "no-proxy", "a broken proxy, and NO_PROXY for the host", PROXY, _no_proxy),
)  # fmt: skip
