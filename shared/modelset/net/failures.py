"""What can go wrong on the wire, in this project's words: libcurl's codes and HTTP's."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import pycurl

from modelset.core.errors import ModelSetError
from modelset.core.ports import Response
from modelset.core.proxies import Proxy


def host_of(url: str) -> str:
    """The host and port of an address."""
    return urlsplit(url).netloc.rpartition("@")[2]


def public(url: str) -> str:
    """An address without what could be a secret: user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


_CODES: Mapping[int, tuple[str, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("network-unreachable", "the name cannot be resolved"),
    pycurl.E_COULDNT_CONNECT: ("network-unreachable", "no connection"),
    pycurl.E_PEER_FAILED_VERIFICATION: ("tls-failed", "its certificate is not trusted"),
    pycurl.E_SSL_CONNECT_ERROR: ("tls-failed", "TLS could not be set up"),
    pycurl.E_PARTIAL_FILE: ("body-truncated", "the body ended early"),
    pycurl.E_GOT_NOTHING: ("connection-lost", "the server closed without an answer"),
    pycurl.E_RECV_ERROR: ("connection-lost", "the connection broke"),
    pycurl.E_SEND_ERROR: ("connection-lost", "the connection broke"),
    pycurl.E_HTTP2: ("connection-lost", "the HTTP/2 connection broke"),
    92: ("connection-lost", "the HTTP/2 stream broke"),  # CURLE_HTTP2_STREAM, unnamed in pycurl
    pycurl.E_UNSUPPORTED_PROTOCOL: ("address-refused", "the scheme is not allowed"),
}
_BEFORE_CONNECTION = ("network-unreachable", "connect-timeout", "tls-failed", "proxy-refused")
_HINTS: Mapping[str, str] = {
    "network-unreachable": "check the network, or try the demo: ./scripts/bootstrap.sh --demo",
    "connect-timeout": "check the network or proxy, or try the demo: ./scripts/bootstrap.sh --demo",
    "tls-failed": "check the clock, or name your CA bundle in SSL_CERT_FILE",
    "stalled": "run the same command again; it resumes",
    "connection-lost": "run the same command again; it resumes",
    "body-truncated": "run the same command again; it resumes",
}


_CHECK_CLOCK = "check this machine's clock; when it is right, only the host can mend this"
_CHECK_PLACE = "check the address, and whether this network or a proxy answers in its place"
# What libcurl's words hold, what that means, and what to do; the first that fits. Without a hint
# it is about trust.
_CERTIFICATES = (
    ("has expired", "its certificate has expired", _CHECK_CLOCK),
    ("not yet valid", "its certificate is not valid yet", _CHECK_CLOCK),
    ("subject name", "its certificate is another host's", _CHECK_PLACE),
    ("self-signed certificate in", "its certificate comes from an unknown authority", ""),
    ("self-signed", "its certificate is signed by itself alone", ""),
    ("issuer", "its certificate comes from an unknown authority", ""),
)
_PROXY_FORM = (
    "its form is http://user:password@host:port, or the same with https, socks4, socks5 or socks5h;"
    " in user and password, @ is written %40 and / is written %2F"
)
_SOCKS_ANSWER = re.compile(r"complete SOCKS.* \((\d+)\)$")
_SOCKS_USER = re.compile("rejected by the SOCKS5|No authentication method")
_CONNECT_ANSWER = re.compile(r"CONNECT tunnel failed, response (\d+)")
_E_PROXY = 97  # CURLE_PROXY, unnamed in pycurl


def translate(
    code: int, words: str, url: str, silent: bool, proxy: Proxy | None = None, ca_origin: str = ""
) -> ModelSetError:
    """The ModelSetError for a libcurl code.

    `silent` tells a silent start from a silent body; `proxy` is the one that was used, and
    `ca_origin` what names the trusted certificates.
    """
    if code == pycurl.E_SSL_CACERT_BADFILE:
        return _unreadable_trust(words, ca_origin)
    if proxy is not None:
        words = words.replace(proxy.url, proxy.host)  # libcurl repeats what it cannot parse
        error = _of_proxy(code, words, url, silent, proxy)
        if error is not None:
            return error
    if code == pycurl.E_OPERATION_TIMEDOUT:
        # libcurl has one code for a silent connect and for a silent body.
        kind, text = _silence(words) if silent else ("stalled", "nothing comes any more")
    else:
        kind, text = _CODES.get(code, ("bad-response", "the transfer failed"))
    hint = _HINTS.get(kind, "")
    if kind == "tls-failed":
        text, hint = _distrust(text, words, proxy, ca_origin)
    # Before a connection stands, the host is all that matters; libcurl's words on a name that
    # does not resolve say nothing more.
    where = host_of(url) if kind in _BEFORE_CONNECTION else public(url)
    said = "" if code == pycurl.E_COULDNT_RESOLVE_HOST else f" ({words})"
    return ModelSetError(kind, f"{where}: {text}{said}", hint)


def stalled(url: str, words: str) -> ModelSetError:
    """The ModelSetError for a connection that brings too little."""
    return ModelSetError("stalled", f"{public(url)}: {words}", _HINTS["stalled"])


def _silence(words: str) -> tuple[str, str]:
    if "onnect" in words or "Resolving" in words:
        return "connect-timeout", "no answer to the connection"
    return "stalled", "no answer to the request"


def _unreadable_trust(words: str, ca_origin: str) -> ModelSetError:
    return ModelSetError(
        "config-invalid",
        f"{ca_origin or 'certifi'} names trusted certificates that cannot be read ({words})",
        "name a PEM file there, or a folder of certificates, or leave it unset",
    )


def _distrust(text: str, words: str, proxy: Proxy | None, ca_origin: str) -> tuple[str, str]:
    """What is wrong with a certificate, and what to do about it."""
    if proxy is not None and proxy.url.startswith("https:") and "wrong version" in words:
        return text, f"a proxy that speaks no TLS itself is named with http:// in {proxy.variable}"
    for sign, meaning, hint in _CERTIFICATES:
        if sign in words:
            return meaning, hint or _trust_hint(ca_origin)
    return text, _HINTS["tls-failed"]


def _trust_hint(ca_origin: str) -> str:
    if ca_origin in ("", "default"):
        return "name its authority's PEM file in SSL_CERT_FILE; a proxy may have put its own there"
    return f"only what {ca_origin} names is trusted: add the authority's certificate there"


def _of_proxy(code: int, words: str, url: str, silent: bool, proxy: Proxy) -> ModelSetError | None:
    """What went wrong at the proxy itself, or None."""
    tunnel, socks = _CONNECT_ANSWER.search(words), _SOCKS_ANSWER.search(words)
    answer = tunnel[1] if tunnel else socks[1] if socks else ""
    if "Unsupported proxy" in words:
        text = f"{proxy.variable} is not the address of a proxy"
        return ModelSetError("config-invalid", text, _PROXY_FORM)
    if answer == "407" or _SOCKS_USER.search(words):
        return proxy_wants_credentials(url, proxy)
    if answer.startswith("5") or (socks and answer != "2"):
        kind, text = "network-unreachable", "cannot reach it"
    elif answer:
        kind, text = "proxy-refused", "refuses"
    elif code == pycurl.E_COULDNT_RESOLVE_PROXY:
        kind, text = "network-unreachable", "has a name that cannot be resolved"
    elif code == pycurl.E_COULDNT_CONNECT:
        kind, text = "network-unreachable", "is not there"
    elif code == pycurl.E_OPERATION_TIMEDOUT and silent and "onnect" in words.lower():
        kind, text = "connect-timeout", "does not answer"
    elif code == _E_PROXY or "CONNECT" in words:
        kind, text = "connection-lost", "broke the connection"
    else:
        return None
    return ModelSetError(
        kind,
        f"{host_of(url)}: the proxy {proxy.host} {text} ({words})",
        f"check {proxy.variable} and the network; NO_PROXY names hosts that need no proxy",
    )


def proxy_wants_credentials(url: str, proxy: Proxy | None) -> ModelSetError:
    """The ModelSetError for the status 407, and for its like in SOCKS."""
    if proxy is None:
        text, hint = f"{public(url)}: a proxy wants credentials", "name it in HTTPS_PROXY; "
        return ModelSetError("proxy-refused", text, hint + _PROXY_FORM)
    if "@" in proxy.url:
        text = f"{proxy.host} refuses the user and the password"
        hint = f"check them in {proxy.variable}; {_PROXY_FORM}"
    else:
        scheme = proxy.url.partition("://")[0]
        text = f"{proxy.host} wants credentials"
        hint = f"put them into {proxy.variable}: {scheme}://user:password@{proxy.host}"
    return ModelSetError("proxy-refused", f"{host_of(url)}: the proxy {text}", hint)


def page_or(code: str, response: Response, words: str) -> ModelSetError:
    """`html-page` when the answer is a page for people, else the given code."""
    where = public(response.url)
    if response.headers.get("content-type", "").startswith("text/html"):
        return ModelSetError(
            "html-page",
            f"{where} answers with a web page instead of the file",
            "sign in to this network in a browser, or check the proxy and the mirror",
        )
    return ModelSetError(code, f"{where}: {words}")


# The Hub answers 401 for what a request without a token may not know to exist.
_HUB_NOT_FOUND = ("RepoNotFound", "RevisionNotFound", "EntryNotFound")


def error_for(response: Response) -> ModelSetError:
    """The ModelSetError for an HTTP error status."""
    where, status, said = public(response.url), response.status, message_of(response)
    words = f"{where} answers {status}" + (f": {said}" if said else "")
    hub_code = response.headers.get("x-error-code", "")
    if status in (404, 410) or hub_code in _HUB_NOT_FOUND:
        hint = "check the name and the revision in the catalog; a private one needs a token"
        return ModelSetError("not-found", words, hint)
    if status in (401, 403):
        code = "token-refused" if status == 401 else "access-denied"
        hint = "check the token: `hf auth login` stores a new one; without need of one, unset it"
        return ModelSetError(code, words, hint)
    if status == 407:
        return proxy_wants_credentials(response.url, None)
    if status == 429:
        return ModelSetError(
            "rate-limited",
            words,
            "wait a little, or give a token, and run the same command again",
            retry_after_s=retry_after(response),
        )
    if status >= 500 or status in (408, 425):
        return ModelSetError(
            "server-error",
            words,
            "run the same command again later; it resumes",
            retry_after_s=retry_after(response),
        )
    return ModelSetError("bad-response", words)


def retry_after(response: Response) -> float | None:
    """Seconds that the server asks to wait, from either form of Retry-After."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    from email.utils import mktime_tz, parsedate_tz  # slow to load, and seldom needed

    when, now = parsedate_tz(text), parsedate_tz(response.headers.get("date", ""))
    # Both times are the server's, so a wrong clock here does not matter.
    if when is None or now is None:
        return None
    return float(max(mktime_tz(when) - mktime_tz(now), 0))


def message_of(response: Response) -> str:
    """The server's own words about an error, as the Hub sends them."""
    return response.headers.get("x-error-message", "")[:200]
