"""Who may ask for what.

The rules hold against another page in the user's browser (hosts, origins), against strangers (the
token), and against guessing (a bound of failures).
"""

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from modelset.core.errors import ModelSetError
from modelset.server.problems import problem, problem_of
from modelset.serving import Serving

COOKIE = "modelset_session"
_SAFE = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/livez", "/readyz", "/healthz", "/v1/session", "/")
_OPEN_BELOW = "/static/"
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_SESSIONS_AT_MOST = 100
# Tries with a wrong token, and requests that begin work, of each client.
_GUESSES = parse("20/minute")
_STARTS = parse("60/minute")
_TOO_OFTEN = "too many tries with a token within a minute"


class Access:
    """The rules, and what they have to remember: sessions and counts."""

    def __init__(self, serving: Serving) -> None:
        self._token = hashlib.sha256(serving.token.encode()).digest() if serving.token else b""
        self._is_local = serving.is_local
        self._hosts: frozenset[str] = frozenset()
        if serving.is_local or serving.hosts:
            own = (serving.host.strip("[]"), *serving.hosts, *_LOCAL_HOSTS)
            self._hosts = frozenset(own)
        self._sessions: dict[str, None] = {}
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def refusal(self, scope: Scope) -> Response | None:
        """Why a request is refused, or None."""
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if self._hosts and _host_name(headers.get("host", "")) not in self._hosts:
            return problem(
                "origin-refused",
                "this server is not called by that name",
                "name it in [server] hosts",
            )
        is_safe = method in _SAFE
        if not is_safe and not _is_same_origin(headers):
            return problem("origin-refused", "another site may not change anything here")
        if not _is_own_or_visit(headers):
            return problem("origin-refused", "another site may only lead to a page of this server")
        if not self._token or path in _OPEN or path.startswith(_OPEN_BELOW):
            return None
        if is_safe and self._is_local:
            return None
        return None if self.is_known(scope) else self._without_token(headers, client_of(scope))

    def may_read(self, scope: Scope) -> bool:
        """Whether a client may see what the page shows."""
        return not self._token or self._is_local or self.is_known(scope)

    def may_change(self, scope: Scope) -> bool:
        """Whether a client need not be asked for the token."""
        return not self._token or self.is_known(scope)

    def is_known(self, scope: Scope) -> bool:
        """Whether a request carries the token, or the session of somebody who gave it."""
        headers = Headers(scope=scope)
        found = [
            hmac.compare_digest(own.encode(), session.encode())
            for session in _session_of(headers)
            for own in self._sessions
        ]
        if any(found):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        client = client_of(scope)
        # Who has guessed too often is not told any more, not even that a guess was right.
        if scheme.lower() != "bearer" or self._has_guessed(client):
            return False
        if self.is_token(given.strip().encode("latin-1")):
            return True
        self._limiter.hit(_GUESSES, "guess", client)
        return False

    def is_token(self, given: bytes) -> bool:
        """Whether this is the token, in a time that tells nothing."""
        digest = hashlib.sha256(given).digest()
        return bool(self._token) and hmac.compare_digest(self._token, digest)

    def open_session(self, given: str, client: str) -> str:
        """The name of a new session for who knows the token; raises ModelSetError."""
        self._count(_GUESSES, "guess", client, _TOO_OFTEN)
        if not self.is_token(given.encode()):
            raise ModelSetError("server-token", "this is not the token of this server", "")
        while len(self._sessions) >= _SESSIONS_AT_MOST:
            self._sessions.pop(next(iter(self._sessions)))
        name = secrets.token_urlsafe(32)
        self._sessions[name] = None
        return name

    def close_session(self, scope: Scope) -> None:
        """Forget the session that a request carries."""
        for name in _session_of(Headers(scope=scope)):
            self._sessions.pop(name, None)

    def count_start(self, client: str) -> None:
        """A client begins work; raises ModelSetError `rate-limited`."""
        self._count(_STARTS, "start", client, "too much work was asked for within a minute")

    def _without_token(self, headers: Headers, client: str) -> Response:
        if "authorization" in headers and self._has_guessed(client):
            return problem_of(_limited(_TOO_OFTEN))
        return problem(
            "server-token",
            "this needs the token of the server",
            "send it as `Authorization: Bearer TOKEN`",
            headers={"WWW-Authenticate": 'Bearer realm="modelset"'},
        )

    def _has_guessed(self, client: str) -> bool:
        return not self._limiter.test(_GUESSES, "guess", client)

    def _count(self, rate: RateLimitItem, what: str, client: str, words: str) -> None:
        if not self._limiter.hit(rate, what, client):
            raise _limited(words)


def _limited(words: str) -> ModelSetError:
    return ModelSetError("rate-limited", words, "wait a minute", retry_after_s=60)


def client_of(scope: Scope) -> str:
    """Who asks, for counting."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _host_name(host: str) -> str:
    with contextlib.suppress(ValueError):
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    return ""


def _is_same_origin(headers: Headers) -> bool:
    """Whether a request comes from our own page or from a program, which sends none of these."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _is_own_or_visit(headers: Headers) -> bool:
    """Whether a browser asks for our own page, or goes to one because of a link elsewhere: what
    another site embeds or fetches could begin work, and tell it what is here.
    """
    return (
        headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        or headers.get("sec-fetch-mode") == "navigate"
    )


def _session_of(headers: Headers) -> Iterable[str]:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ()
    return (cookies[COOKIE].value,) if COOKIE in cookies else ()
