"""What a client asks and what it is answered, as values."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.message import Message
from urllib.parse import parse_qsl

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One request; `path` is still percent-encoded and begins with a slash."""

    method: str
    path: str
    query_text: str
    headers: Message
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        """Return the query, the last value of each name."""
        return dict(parse_qsl(self.query_text, keep_blank_values=True))

    @property
    def token(self) -> str | None:
        """Return the bearer token, if one was sent."""
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    def under(self, prefix: str) -> Ask | None:
        """Return the same request without a prefix of its path, or None if it has not got it."""
        if not self.path.startswith(prefix + "/"):
            return None
        return replace(self, path=self.path[len(prefix) :])


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; `Content-Length` is added when it is sent."""

    status: int
    headers: Headers = ()
    body: bytes | memoryview = b""


def json_reply(
    document: object, headers: Headers = (), kind: str = "application/json", status: int = 200
) -> Reply:
    """Answer with a JSON document."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(status, (("Content-Type", f"{kind}; charset=utf-8"), *headers), body)


def tagged(ask: Ask, reply: Reply) -> Reply:
    """The same answer with a weak tag of its body, or a 304 for who has that body already."""
    is_plain = reply.status == 200 and ask.method in ("GET", "HEAD")
    if not is_plain or any(name == "ETag" for name, _ in reply.headers):
        return reply
    digest = base64.b64encode(hashlib.sha1(reply.body, usedforsecurity=False).digest())
    # The form that the Hub's own server gives it: the length, and a short sum.
    tag = f'W/"{len(reply.body):x}-{digest.decode().rstrip("=")}"'
    headers = (*reply.headers, ("ETag", tag))
    asked = [one.strip() for one in (ask.headers.get("If-None-Match") or "").split(",")]
    bare = [one.removeprefix("W/") for one in asked]
    if "*" in asked or tag.removeprefix("W/") in bare:
        return Reply(304, headers)
    return replace(reply, headers=headers)


def text_reply(text: str, kind: str = "text/plain", status: int = 200) -> Reply:
    """Answer with text."""
    return Reply(status, (("Content-Type", f"{kind}; charset=utf-8"),), text.encode())


def redirect(status: int, location: str, headers: Headers = ()) -> Reply:
    """Send the client elsewhere."""
    body = f"Redirecting to {location}\n".encode()
    kind = ("Content-Type", "text/plain; charset=utf-8")
    return Reply(status, (("Location", location), kind, *headers), body)


def error_reply(
    status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None
) -> Reply:
    """Refuse the way the Hub does: a code and a message in headers, the message in the body."""
    extra = [("X-Error-Message", message)]
    if code is not None:
        extra.insert(0, ("X-Error-Code", code))
    extra += list((headers or {}).items())
    kind = ("Content-Type", "application/json; charset=utf-8")
    return Reply(status, (kind, *extra), json.dumps({"error": message}).encode())
