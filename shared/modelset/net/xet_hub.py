"""What the Hub tells about a file in Xet: its hash, and where and with what to ask for it."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirrors, canonical, is_loopback
from modelset.core.ports import Get, Guard, Response, Wire
from modelset.core.values import dataclass, field
from modelset.net.failures import error_for, public

HUB = "https://huggingface.co/"

_RESOLVE = re.compile(re.escape(HUB) + r"((?:[^/]+/)?[^/]+)/resolve/([^/]+)/(.+)")
_HASH = re.compile(r"[0-9a-f]{64}")
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="?next"?')


def is_of_hub(url: str) -> bool:
    """Whether a canonical address names a file of the Hub."""
    return _RESOLVE.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the Hub, below the address `base` that the Hub is reached by."""

    base: str
    repo: str
    revision: str
    name: str  # as in the address, quoted

    @property
    def listing(self) -> str:
        """The address of the list that the file stands in."""
        folder = self.name.rpartition("/")[0]
        below = f"{self.base}api/models/{self.repo}/tree/{self.revision}"
        return f"{below}{'/' if folder else ''}{folder}?recursive=false&expand=false"

    @property
    def token(self) -> str:
        """The address that hands out tokens for reading from Xet."""
        return f"{self.base}api/models/{self.repo}/xet-read-token/{self.revision}"


@dataclass(frozen=True, slots=True)
class Access:
    """Where Xet's storage answers, and a token that opens it for reading, for some time."""

    endpoint: str
    token: str = field(repr=False)


@dataclass(slots=True)
class OneGet:
    """The lanes of a transfer of one GET, whose error is kept."""

    get: Get
    asked: bool = False
    error: Exception | None = None

    def next(self) -> Get | None:
        """The GET, once."""
        if self.asked:
            return None
        self.asked = True
        return self.get

    def ended(self, get: Get, error: Exception | None) -> None:
        """Keep the error for who asked."""
        self.error = error


@dataclass(slots=True)
class _Kept:
    """Takes a small answer."""

    response: Response | None = None
    content: bytearray = field(default_factory=bytearray)

    def head(self, response: Response) -> bool:
        self.response = response
        return True

    def body(self, pieces: list[bytes]) -> bool:
        self.content += b"".join(pieces)
        return True


class Hub:
    """Asks the Hub over the ordinary wire, along with a GET: with its credential, its permissions
    and its address. What it answered is remembered, so that a folder is listed once.
    """

    def __init__(self, wire: Wire, mirrors: Mirrors) -> None:
        self._wire, self._mirrors = wire, mirrors
        self._rows: dict[str, dict[str, tuple[str, int]]] = {}
        self._access: dict[str, Access] = {}

    def place_of(self, url: str) -> Place | None:
        """The file that an address names, or None when it is none of the Hub's."""
        plain = canonical(url, self._mirrors)
        found = _RESOLVE.fullmatch(plain)
        below = plain.removeprefix(HUB)
        if found is None or not url.endswith("/" + below):
            return None
        return Place(url.removesuffix(below), *found.groups())

    def row(self, place: Place, get: Get, guard: Guard) -> tuple[str, int] | None:
        """The file's Xet hash and size, or None when the Hub keeps it otherwise."""
        rows = self._rows.get(place.listing)
        if rows is None:
            rows, following = {}, place.listing
            while following:
                response, content = self.ask(following, get, guard, get.credential)
                rows |= _rows_of(content, response)
                following = _page_after(response, place)
            self._rows[place.listing] = rows
        return rows.get(unquote(place.name))

    def access(self, place: Place, get: Get, guard: Guard) -> Access:
        """Where Xet's storage answers, and a token for it."""
        known = self._access.get(place.token)
        if known is not None:
            return known
        response, _ = self.ask(place.token, get, guard, get.credential)
        found = Access(
            response.headers.get("x-xet-cas-url", "").rstrip("/"),
            response.headers.get("x-xet-access-token", ""),
        )
        if not found.endpoint or not found.token:
            raise _odd(response, "no access to the Xet storage")
        _refuse_endpoint(found.endpoint, get)
        self._access[place.token] = found
        return found

    def is_known(self, place: Place) -> bool:
        """Whether the token for a file was good for another one before."""
        return place.token in self._access

    def forget_access(self, place: Place) -> None:
        """Ask for a new token the next time."""
        self._access.pop(place.token, None)

    def ask(
        self,
        url: str,
        get: Get,
        guard: Guard,
        credential: Mapping[str, str],
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[Response, bytes]:
        """A small answer; raises ModelSetError for any other than a good one."""
        kept = _Kept()
        sent = {**headers, "Accept-Encoding": "identity"}
        asking = OneGet(Get(url, kept, sent, credential, get.allow_http, get.allow_private))
        self._wire.run(asking, guard)
        if asking.error is not None:
            raise asking.error
        assert kept.response is not None, "a transfer without an error has a head"
        if kept.response.status not in (200, 206):
            raise error_for(kept.response)
        return kept.response, bytes(kept.content)


def _rows_of(content: bytes, response: Response) -> dict[str, tuple[str, int]]:
    try:
        rows: Any = json.loads(content)
        kept = [row for row in rows if _HASH.fullmatch(str(row.get("xetHash", "")))]
        return {str(row["path"]): (row["xetHash"], int(row["size"])) for row in kept}
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise _odd(response, "its list of files cannot be read") from error


def _odd(response: Response, words: str) -> ModelSetError:
    return ModelSetError("bad-response", f"{public(response.url)}: {words}")


def _page_after(response: Response, place: Place) -> str:
    """The address of the list's next page, empty after the last."""
    found = _NEXT.search(response.headers.get("link", ""))
    if found is None:
        return ""
    # The Hub names itself there, whatever mirror it was asked through.
    following = found[1].replace(HUB, place.base, 1)
    if not following.startswith(place.base):  # the credential would go there too
        raise _odd(response, "its list of files goes on elsewhere")
    return following


def _refuse_endpoint(endpoint: str, get: Get) -> None:
    """What holds for a redirect holds for the storage that the Hub names, as a name can tell."""
    if is_loopback(endpoint):
        allowed = is_loopback(get.url) or get.allow_private
    else:
        allowed = urlsplit(endpoint).scheme == "https" or get.allow_http
    if not allowed:
        raise ModelSetError(
            "address-refused",
            f"{public(get.url)} keeps its files at {public(endpoint)}, which is not allowed",
            "check the mirror, or mark it with `allow_http` or `allow_private`",
        )
