"""The guard that keeps tests off the network has to hold by itself."""

from __future__ import annotations

import socket

import pytest

from modelset.demo.hub import DemoHub


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("192.0.2.1", 80)),
        (socket.AF_INET6, ("2001:db8::1", 80)),
    ],
)
def test_a_connection_out_of_this_machine_is_refused(family: int, address: tuple[str, int]) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(0.1)
        for connect in (connection.connect, connection.connect_ex):
            with pytest.raises(RuntimeError, match="only tests marked `index`"):
                connect(address)


def test_a_name_is_not_even_looked_up() -> None:
    with pytest.raises(RuntimeError, match="only tests marked `index`"):
        socket.create_connection(("example.org", 443), timeout=0.1)


def test_loopback_stays_open(hub: DemoHub) -> None:
    port = int(hub.url.rpartition(":")[2])
    for host in ("127.0.0.1", "localhost"):
        with socket.create_connection((host, port), timeout=5) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)
