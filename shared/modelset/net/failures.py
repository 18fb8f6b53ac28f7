"""What can go wrong on the wire, in this project's words: libcurl's codes and HTTP's."""

import re
from collections.abc import Mapping
from email.utils import mktime_tz, parsedate_tz
from urllib.parse import urlsplit

import pycurl

from modelset.core.errors import ModelSetError
from modelset.core.ports import Response


def host_of(url: str) -> str:
    """The host and port of an address."""
    return urlsplit(url).netloc.rpartition("@")[2]


def public(url: str) -> str:
    """An address without what could be a secret: user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}{parts.path}"


_CODES: Mapping[int, tuple[str, str]] = {
    pycurl.E_COULDNT_RESOLVE_HOST: ("network-unreachable", "the name cannot be resolved"),
    pycurl.E_COULDNT_RESOLVE_PROXY: ("network-unreachable", "the proxy's name cannot be resolved"),
    pycurl.E_COULDNT_CONNECT: ("network-unreachable", "no connection"),
    pycurl.E_PEER_FAILED_VERIFICATION: ("tls-failed", "its certificate is not trusted"),
    pycurl.E_SSL_CONNECT_ERROR: ("tls-failed", "TLS could not be set up"),
    pycurl.E_SSL_CACERT_BADFILE: ("tls-failed", "the file of trusted certificates cannot be read"),
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


def translate(code: int, words: str, url: str, answered: bool) -> ModelSetError:
    """The ModelSetError for a libcurl code; `answered` tells a silent body from a silent start."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        # libcurl has one code for a silent connect and for a silent body.
        kind, text = ("stalled", "nothing comes any more") if answered else _silence(words)
    else:
        kind, text = _CODES.get(code, ("bad-response", "the transfer failed"))
    if re.search("CONNECT tunnel failed|from proxy after CONNECT", words):
        kind, text = "proxy-refused", "the proxy refuses"
    # Before a connection stands, the host is all that matters; libcurl's words on a name that
    # does not resolve say nothing more.
    where = host_of(url) if kind in _BEFORE_CONNECTION else public(url)
    said = "" if code == pycurl.E_COULDNT_RESOLVE_HOST else f" ({words})"
    return ModelSetError(kind, f"{where}: {text}{said}", _HINTS.get(kind, ""))


def _silence(words: str) -> tuple[str, str]:
    if "onnect" in words or "Resolving" in words:
        return "connect-timeout", "no answer to the connection"
    return "stalled", "no answer to the request"


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
        return ModelSetError(
            "proxy-refused", f"{where}: the proxy wants credentials", "put them in HTTPS_PROXY"
        )
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
    if text.isdigit():
        return float(text)
    when, now = parsedate_tz(text), parsedate_tz(response.headers.get("date", ""))
    # Both times are the server's, so a wrong clock here does not matter.
    if when is None or now is None:
        return None
    return float(max(mktime_tz(when) - mktime_tz(now), 0))


def message_of(response: Response) -> str:
    """The server's own words about an error, as the Hub sends them."""
    return response.headers.get("x-error-message", "")[:200]
