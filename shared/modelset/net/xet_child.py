"""What the child process runs: one file's bytes, in their order, from hf_xet into a socket.

It stands alone, so that it starts fast and can be killed at any moment: the order comes as one line
of JSON on the standard input, and the answer goes into the socket as frames of a kind (one byte), a
length (four bytes, big end first) and that many bytes: `D` data, then one of `Z` all is sent, `E`
words about a failure, `U` words about a library that is missing or too old.
"""

import base64
import json
import socket
import sys
from collections.abc import Iterator
from typing import Any

# Whether a token still holds is for the server to say: the clock of this machine may be wrong.
_FAR_FUTURE = 4102444800


def open_channel(given: int | str) -> socket.socket:
    """The socket that the parent made: a descriptor, or on Windows what `share` wrote."""
    if sys.platform == "win32":
        return socket.fromshare(base64.b64decode(str(given)))
    return socket.socket(fileno=int(given))


def send(channel: socket.socket, kind: bytes, data: bytes = b"") -> None:
    """Send one frame."""
    channel.sendall(kind + len(data).to_bytes(4, "big"))
    channel.sendall(data)


def blocks_of(order: dict[str, Any]) -> Iterator[bytes]:
    """The bytes from `start` to before `end`, in blocks of at most some 64 MiB."""
    import hf_xet  # here alone: a native library that may hang, crash or take memory

    group = hf_xet.XetSession().new_download_stream_group(
        endpoint=order["endpoint"],
        token=order["token"],
        token_expiry_unix_secs=_FAR_FUTURE,
    )
    info = hf_xet.XetFileInfo(order["hash"], order["size"])
    yield from group.download_stream(info, start=order["start"], end=order["end"])


def answer(order: dict[str, Any], channel: socket.socket) -> None:
    """Send the file's bytes; hf_xet may end a stream early without a word, so they are counted."""
    left = order["end"] - order["start"]
    try:
        for block in blocks_of(order):
            send(channel, b"D", block)
            left -= len(block)
    except (ImportError, AttributeError) as error:
        send(channel, b"U", str(error).encode())
    except Exception as error:  # when the parent has gone, this send fails too, and all ends
        send(channel, b"E", f"{type(error).__name__}: {error}".encode())
    else:
        words = f"the stream ended {left} bytes early, without a word" if left else ""
        send(channel, b"E" if left else b"Z", words.encode())


if __name__ == "__main__":
    order = json.loads(sys.stdin.buffer.readline())
    with open_channel(order["socket"]) as channel:
        answer(order, channel)
