"""The small questions that sources ask, over the same wire and with the same retries."""

import contextlib
import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout
from modelset.core.mirrors import Address, Credentials, Mirrors, addresses_of, canonical
from modelset.core.ports import Get, Guard, Here, Response, Wheel, Wire, ask
from modelset.core.retry import persist
from modelset.core.types import Artifact
from modelset.core.values import dataclass, replace
from modelset.net.conditional import Memory, keep, recall
from modelset.net.failures import error_for, message_of, page_or, public
from modelset.net.index import PipIndex

T = TypeVar("T")

# No answer of a model host's API is larger than this.
LARGEST_BODY = 64 * 1024 * 1024
HUB = "https://huggingface.co"


@dataclass(slots=True)
class _Question:
    """One GET kept in memory; the lanes of its transfer and its receiver at once."""

    address: Address
    headers: Mapping[str, str]
    head_only: bool = False
    asked: bool = False
    response: Response | None = None
    content: bytes = b""
    error: Exception | None = None

    def next(self) -> Get | None:
        if self.asked:
            return None
        self.asked = True
        return ask(self.address, self, self.headers)

    def ended(self, get: Get, error: Exception | None) -> None:
        if error is not None:
            raise error

    def head(self, response: Response) -> bool:
        self.response = response
        return not self.head_only

    def body(self, pieces: list[bytes]) -> bool:
        self.content += b"".join(pieces)
        if len(self.content) > LARGEST_BODY:
            raise ModelSetError("bad-response", f"{public(self.address.url)}: answer too large")
        return True


class HttpWeb:
    """Web over a wire, for one model: its guard ends every question.

    Answers are looked up in a `memory`, and go there, only once it is `remembering`.
    """

    def __init__(
        self,
        wire: Wire,
        guard: Guard,
        *,
        mirrors: Mirrors,
        credentials: Credentials,
        index: PipIndex,
        here: Here,
        on_retry: Callable[[ModelSetError, int, float], None],
        memory: Memory | None = None,
    ) -> None:
        self._wire, self._guard = wire, guard
        self._mirrors, self._credentials = mirrors, credentials
        self._index, self._here, self._on_retry = index, here, on_retry
        self._offered = memory
        self._memory: Memory | None = None

    def remembering(self) -> "HttpWeb":
        """The same questions; each is asked by the tag of the answer that is known."""
        web = copy.copy(self)
        web._memory = self._offered
        return web

    def get_json(self, url: str) -> Any:
        """The JSON document at an address; raises ModelSetError."""
        return self._persist(url, self._json)[0]

    def get_text(self, url: str, accept: str = "text/plain") -> str:
        """The text at an address, word for word; raises ModelSetError."""

        def ask(address: Address) -> str:
            return self._read(address, accept, bytes.decode, "text")[0]

        return self._persist(url, ask)

    def get_pages(self, url: str) -> list[Any]:
        """The items of a JSON list that continues over `Link: rel="next"` pages."""
        items: list[Any] = []
        following = url
        while following:
            page, response = self._persist(following, self._json)
            if not isinstance(page, list):
                raise ModelSetError("bad-response", f"{public(url)}: a list was expected")
            items += page
            # A mirror may name its own address; in canonical terms its rules go on to hold.
            following = canonical(_next_page(response), self._mirrors)
        return items

    def get_size(self, url: str) -> int:
        """The size in bytes of the file at an address, from the total of a one-byte range."""

        def ask(address: Address) -> int:
            question = self._ask(address, {"Range": "bytes=0-0"}, head_only=True)
            response = _answered(question)
            total = response.headers.get("content-range", "").rpartition("/")[2]
            if response.status == 200:
                total = response.headers.get("content-length", "")
            if not total.isdecimal():
                raise ModelSetError("bad-response", f"{public(url)}: the server tells no size")
            return int(total)

        return self._persist(url, ask)

    def status_of(self, url: str) -> tuple[int, str]:
        """The HTTP status of an address, and the server's message about an error."""

        def ask(address: Address) -> tuple[int, str]:
            question = self._ask(address, {})
            response = question.response
            assert response is not None, "a transfer without an error has a head"
            if response.status >= 500 or response.status in (408, 425, 429):
                raise error_for(response)
            return response.status, message_of(response)

        return self._persist(url, ask)

    def has_token(self) -> bool:
        """Whether a Hugging Face token is known."""
        return HUB in self._credentials

    def has_credential(self, layout: Layout) -> bool:
        """Whether the key that a layout wants is here."""
        return self._here.has_credential(layout)

    def installed(self, distribution: str) -> str:
        """The version of an installed distribution, or nothing."""
        return self._here.installed(distribution)

    def local_files(self, path: str) -> tuple[Artifact, ...]:
        """Every file of a folder of the user's own, or that one file, with its sha256."""
        return self._here.local_files(path, self._guard.check)

    def find_wheel(self, requirement: str) -> Wheel:
        """The wheel that the user's package index offers for a requirement."""
        wheel = self._index.find(requirement, self._guard)
        return replace(wheel, url=canonical(wheel.url, self._mirrors))

    def _persist(self, url: str, ask: Callable[[Address], T]) -> T:
        addresses = addresses_of(url, self._mirrors, self._credentials)
        return persist(addresses, ask, guard=self._guard, on_retry=self._on_retry)

    def _json(self, address: Address) -> tuple[Any, Response]:
        return self._read(address, "application/json", json.loads, "JSON")

    def _read(
        self, address: Address, accept: str, read: Callable[[bytes], T], kind: str
    ) -> tuple[T, Response]:
        """What an answer says, and its head; one that is known may be said to hold still."""
        headers = {"Accept": accept}
        known = recall(self._memory, address, accept) if self._memory is not None else None
        tag = {"If-None-Match": known.tag} if known is not None else {}
        question = self._ask(address, {**headers, **tag})
        if known is not None and question.response is not None:
            if known.is_what(question.response):
                with contextlib.suppress(ValueError):
                    return read(known.content), known.response
            if question.response.status == 304:  # of something else than what was asked for
                question = self._ask(address, headers)
        response = _answered(question)
        try:
            found = read(question.content)
        except ValueError as error:
            raise page_or("bad-response", response, f"the answer is not {kind}") from error
        if self._memory is not None:
            keep(self._memory, address, accept, response, question.content)
        return found, response

    def _ask(
        self, address: Address, headers: Mapping[str, str], *, head_only: bool = False
    ) -> _Question:
        question = _Question(address, headers, head_only)
        self._wire.run(question, self._guard)
        return question


def _answered(question: _Question) -> Response:
    response = question.response
    assert response is not None, "a transfer without an error has a head"
    if response.status not in (200, 206):
        raise error_for(response)
    return response


def _next_page(response: Response) -> str:
    """The address of the next page of a list, empty after the last."""
    found = re.search(r'<([^>]+)>\s*;\s*rel="?next"?', response.headers.get("link", ""))
    url = found[1] if found else ""
    try:
        _ = urlsplit(url).port  # raises
    except ValueError as error:
        words = f"{public(response.url)}: the next page has no address"
        raise ModelSetError("bad-response", words) from error
    return url
