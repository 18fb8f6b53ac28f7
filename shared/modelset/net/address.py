"""Which addresses may be asked: secure ones, and none more private than where a redirect began."""

import ipaddress
from functools import lru_cache
from string import punctuation
from urllib.parse import quote, urlsplit

from modelset.core.errors import ModelSetError
from modelset.core.mirrors import is_loopback
from modelset.core.ports import Get
from modelset.net.failures import public


def ascii_of(url: str | bytes) -> str:
    """An address as it goes over the wire: some servers redirect to names that are not ASCII."""
    return quote(url, safe=punctuation)


def refuse_scheme(url: str, get: Get) -> None:
    """Raise `address-refused` for what is neither secure nor allowed."""
    scheme = urlsplit(url).scheme
    if scheme == "https" or (scheme == "http" and (get.allow_http or is_loopback(url))):
        return
    raise ModelSetError(
        "address-refused",
        f"{public(url)} is not https"
        + (f"; {public(get.url)} redirects there" if url != get.url else ""),
        "use its https address, or mark the mirror with `allow_http = true`",
    )


@lru_cache
def privacy_of(address: str) -> int:
    """0 public, 1 private or link-local, 2 this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        import socket  # here, because a download must start fast

        try:  # 127.1 and 0x7f000001 are addresses too
            parsed = ipaddress.ip_address(socket.inet_aton(address))
        except OSError:
            return 0
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped if mapped is not None else parsed
    if parsed.is_loopback or parsed.is_unspecified:
        return 2
    return 0 if parsed.is_global else 1
