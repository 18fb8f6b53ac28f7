"""One file from a socket into a file, and nothing else: bare.py URL PLACE

No library, no digest, no second connection: what this machine needs for the bytes alone.
"""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    """Fetch it."""
    url, place = urlsplit(sys.argv[1]), Path(sys.argv[2])
    place.parent.mkdir(parents=True)
    room = memoryview(bytearray(1024 * 1024))
    with (
        socket.create_connection((url.hostname, url.port)) as line,
        place.open("wb", buffering=0) as file,
    ):
        head = f"GET {url.path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n"
        line.sendall(head.encode())
        seen = room[: line.recv_into(room, 0, socket.MSG_PEEK)]
        line.recv_into(room, bytes(seen).index(b"\r\n\r\n") + 4)
        while count := line.recv_into(room):
            os.write(file.fileno(), room[:count])


if __name__ == "__main__":
    main()
