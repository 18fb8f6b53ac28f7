"""Answers that are asked for again by their tag: a host without news says so in a few bytes."""

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from modelset.core.mirrors import Address
from modelset.core.ports import Response
from modelset.core.values import dataclass

# What goes back to the host word for word: nothing that could end a header's line.
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,200}"')
# Of an answer's head, what its readers look at.
_HEADERS = ("etag", "link", "content-type")


class Memory(Protocol):
    """Keeps answers from one run to the next; may forget any of them, and never raises."""

    def recall(
        self, url: str, accept: str, *, private: bool
    ) -> tuple[Mapping[str, str], bytes] | None:
        """The headers and the body that an address gave for a kind of document, or None."""

    def keep(
        self, url: str, accept: str, headers: Mapping[str, str], body: bytes, *, private: bool
    ) -> None:
        """Remember an answer; one that a credential has opened is `private`."""


@dataclass(frozen=True, slots=True)
class Known:
    """An answer from an earlier run."""

    response: Response
    content: bytes

    @property
    def tag(self) -> str:
        """What it is asked for again by."""
        return self.response.headers["etag"]

    def is_what(self, response: Response | None) -> bool:
        """Whether an answer says that this one still holds, and not some other.

        The tag is another resource's where a redirect led on.
        """
        if response is None or response.status != 304 or response.hop is not None:
            return False
        return _bare(response.headers.get("etag", self.tag)) == _bare(self.tag)


def recall(memory: Memory, address: Address, accept: str) -> Known | None:
    """What is known of an address, when it can be asked for again."""
    url, private = _place(address)
    found = memory.recall(url, accept, private=private)
    if found is None or not _TAG.fullmatch(found[0].get("etag", "")):
        return None
    return Known(Response(200, found[0], address.url), found[1])


def keep(memory: Memory, address: Address, accept: str, response: Response, body: bytes) -> None:
    """Remember an answer that may be remembered: whole, tagged, and of this very address."""
    head = response.headers
    is_barred = "no-store" in head.get("cache-control", "").lower() or head.get("vary") == "*"
    is_tagged = _TAG.fullmatch(head.get("etag", "")) is not None
    if response.status != 200 or response.hop is not None or is_barred or not is_tagged:
        return
    secrets = (value.rpartition(" ")[2].encode() for value in address.credential.values())
    if any(secret and secret in body for secret in secrets):
        return  # a host that repeats the credential
    url, private = _place(address)
    kept = {name: head[name] for name in _HEADERS if name in head}
    memory.keep(url, accept, kept, body, private=private)


def _place(address: Address) -> tuple[str, bool]:
    """The address without a user in it, and whether a credential goes along."""
    parts = urlsplit(address.url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), bool(user or address.credential)


def _bare(tag: str) -> str:
    return tag.removeprefix("W/")
