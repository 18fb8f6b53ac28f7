import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.servers import free_port, slow_link

BODY = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def upstream() -> Iterator[int]:
    """Answers each byte it gets with the body; ends with the client."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while client.recv(1):
                client.sendall(BODY)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=answer, args=(listener.accept()[0],))
                threads.append(thread)
                thread.start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(5)


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 5)


def read(client: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        data = client.recv(65536)
        assert data, "closed early"
        got += data
    return bytes(got)


def test_a_first_answer_takes_two_round_trips_and_a_later_one_takes_one(
    upstream: int, tmp_path: Path
) -> None:
    seconds = []
    with slow_link(tmp_path, upstream, rtt_ms=200) as link, dial(link.port) as client:
        for _ in range(2):
            began = time.monotonic()
            client.sendall(b"?")
            assert client.recv(1) == BODY[:1]
            seconds.append(time.monotonic() - began)
            assert read(client, len(BODY) - 1) == BODY[1:]
    assert 0.39 <= seconds[0] < 1.5
    assert 0.19 <= seconds[1] < 0.9


def test_each_connection_has_the_cap_to_itself(upstream: int, tmp_path: Path) -> None:
    with slow_link(tmp_path, upstream, cap=4 * len(BODY)) as link:
        clients = [dial(link.port) for _ in range(3)]
        try:
            began = time.monotonic()
            for client in clients:
                client.sendall(b"??")
            assert all(read(client, 2 * len(BODY)) == 2 * BODY for client in clients)
            took = time.monotonic() - began
        finally:
            for client in clients:
                client.close()
        # Two bodies at four a second, less the burst of 50 ms.
        assert 0.4 <= took < 1.5
        assert link.settle() == 3 * 2 * len(BODY)


def test_the_end_of_either_side_reaches_the_other(upstream: int, tmp_path: Path) -> None:
    with slow_link(tmp_path, upstream, rtt_ms=20) as link, dial(link.port) as client:
        client.sendall(b"?")
        read(client, len(BODY))
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_client_is_turned_away_when_nobody_listens_behind_the_link(tmp_path: Path) -> None:
    with slow_link(tmp_path, free_port()) as link, dial(link.port) as client:
        assert client.recv(1) == b""
