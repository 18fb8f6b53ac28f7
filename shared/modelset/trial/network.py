"""Keeps the network away from this process, and tells one network namespace from another."""

import errno
import os
import sys

_REFUSED = frozenset(
    [
        *("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
        *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
    ]
)


def namespace() -> str:
    """A name of the network namespace that this process is in; empty on other systems."""
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:
        return ""


def refuse_network() -> None:
    """Make every connection and every look-up of a name in this process an error, for good."""

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event in _REFUSED:
            raise OSError(errno.ENETUNREACH, f"a trial has no network ({event})")

    sys.addaudithook(refuse)
