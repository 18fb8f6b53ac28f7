"""Where a canonical address is really asked for, and which credential may go there."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from modelset.core.values import dataclass, field, fields

# The whole host: a name may begin with 127 as well, and would get what only this machine may.
_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another place that serves what lies below a prefix.

    `credentials` marks it as trusted with the credential of the original; `only` means that the
    original is never asked.
    """

    url: str
    credentials: bool = False
    allow_http: bool = False
    allow_private: bool = False
    only: bool = False


Mirrors = Mapping[str, tuple[Mirror, ...]]
# The headers with a credential that each origin gets, and no other.
Credentials = Mapping[str, Mapping[str, str]]
_FLAGS = tuple(known.name for known in fields(Mirror) if known.name != "url")


@dataclass(frozen=True, slots=True)
class Address:
    """One real address of a file, with its credential and what is allowed on the way to it."""

    url: str
    credential: Mapping[str, str] = field(default_factory=dict)
    allow_http: bool = False
    allow_private: bool = False


@lru_cache
def origin_of(url: str) -> str:
    """Scheme, host and port of an address, the default port left out."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    default = {"https": 443, "http": 80}.get(parts.scheme)
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def is_loopback(url: str) -> bool:
    """Whether an address names this machine itself."""
    host = (urlsplit(url).hostname or "").lower()
    return _LOOPBACK.fullmatch(host) is not None


def addresses_of(url: str, mirrors: Mirrors, credentials: Credentials) -> tuple[Address, ...]:
    """Every address to try for a canonical one, in order.

    The longest prefix wins; the original comes last unless a mirror says `only`.
    """
    credential = credentials.get(origin_of(url), {})
    prefix = max((known for known in mirrors if url.startswith(known)), key=len, default=None)
    chosen = mirrors[prefix] if prefix is not None else ()
    found = [
        Address(
            mirror.url + url[len(prefix or "") :],
            credential if mirror.credentials else {},
            mirror.allow_http,
            mirror.allow_private,
        )
        for mirror in chosen
    ]
    if not any(mirror.only for mirror in chosen):
        found.append(Address(url, credential))
    return tuple(found)


def credential_of(ref: Mapping[str, object], secret: str) -> dict[str, Mapping[str, str]]:
    """The headers of a provider's key, for the origin of its free question."""
    extra = ref.get("extra", {})
    header, prefix = str(ref.get("header", "Authorization")), str(ref.get("prefix", "Bearer "))
    own = {header: f"{prefix}{secret}", **(extra if isinstance(extra, Mapping) else {})}
    return {origin_of(str(ref["check"])): own}


def canonical(url: str, mirrors: Mirrors) -> str:
    """The canonical form of an address that a mirror gave: what the lock holds outlives mirrors."""
    bare, best, found = _bare(url), "", url
    for prefix, chosen in mirrors.items():
        for mirror in chosen:
            own = _bare(mirror.url)
            if bare.startswith(own) and len(own) > len(best):  # one may lie within another
                best, found = own, prefix + bare[len(own) :]
    return found


def is_address(url: str) -> bool:
    """Whether it is the http address of a host; a password with a `/` in it makes another one."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.path


def _bare(url: str) -> str:
    """An address without its user: a server names itself without one."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def hub_mirror(endpoint: str) -> Mirror:
    """The mirror that `HF_ENDPOINT` stands for: it replaces the Hub, and gets the Hub's token
    over https or loopback only.
    """
    secure = endpoint.startswith("https://") or is_loopback(endpoint)
    return Mirror(endpoint.rstrip("/") + "/", credentials=secure, allow_http=not secure, only=True)


def parse_mirrors(tables: object, *, where: str) -> tuple[dict[str, tuple[Mirror, ...]], list[str]]:
    """The mirrors that a configuration's `[mirrors]` describes, and every problem, in words."""
    if not isinstance(tables, Mapping):
        return {}, [f"{where}: [mirrors] should be a table"]
    found: dict[str, tuple[Mirror, ...]] = {}
    problems: list[str] = []
    for prefix, rows in tables.items():
        place = f'{where}: mirrors."{prefix}"'
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            problems.append(f"{place}: should be a list of tables")
            continue
        wrong = [f"{place}: {words}" for row in rows for words in _row_problems(row)]
        if not prefix.endswith("/"):
            wrong.append(f"{place}: a prefix ends with /")
        if not prefix.startswith(("https://", "http://")):
            wrong.append(f"{place}: a prefix begins with https://")
        if not wrong:
            found[prefix] = tuple(Mirror(**row) for row in rows)
        problems += wrong
    return found, problems


def _row_problems(row: Mapping[str, Any]) -> list[str]:
    problems = [
        f"{name} is not a field of a mirror" for name in row if name not in ("url", *_FLAGS)
    ]
    problems += [
        f"{name} should be true or false"
        for name in _FLAGS
        if not isinstance(row.get(name, False), bool)
    ]
    url = row.get("url")
    if not (isinstance(url, str) and is_address(url) and url.endswith("/")):
        problems.append("url should be an http address that ends with /")
    return problems
