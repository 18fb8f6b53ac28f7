"""Runs the child that holds hf_xet: hands over an order, takes bytes, and can always end it."""

import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.ports import Guard
from modelset.core.values import dataclass

if TYPE_CHECKING:  # slow to load, and seldom needed
    import socket
    import subprocess

# By its path and without its folder on the module path, so that it runs from anywhere.
CHILD = (sys.executable, "-P", os.path.join(os.path.dirname(__file__), "xet_child.py"))
# How long one wait for bytes may last, so that a stop or a deadline is noticed in time.
_TICK_S = 0.1
_PIECE = 1024 * 1024
_SHORTEST_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    """The bytes from `start` to before `end` of a file, and where and with what to ask for it."""

    hash: str
    size: int
    start: int
    end: int
    endpoint: str
    token: str


@dataclass(frozen=True, slots=True)
class Failed:
    """What the child said before it ended; `unavailable` when there is no usable hf_xet."""

    words: str
    unavailable: bool = False


def pour(
    order: Order,
    take: Callable[[bytes], None],
    guard: Guard,
    *,
    environ: Mapping[str, str],
    silence_s: float,
    command: Sequence[str] = CHILD,
) -> Failed | None:
    """Give the bytes to `take` as they come; the child is gone when this returns or raises.

    Raises `stalled` after `silence_s` seconds without a byte, and what the guard or `take` raises.
    """
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs, _running(command, environ, theirs) as process:
        _hand_over(order, process, theirs)
        ours.settimeout(_TICK_S)
        last = guard.now()

        def read(most: int) -> bytes:
            nonlocal last
            while True:
                guard.check()
                with contextlib.suppress(TimeoutError):
                    if data := ours.recv(most):
                        last = guard.now()
                        return data
                if process.poll() is not None:
                    raise EOFError
                if guard.now() - last >= silence_s:
                    raise _stalled(order, silence_s)

        said = b""
        try:
            for kind, piece in _frames(read):
                if kind == b"D":
                    take(piece)
                elif kind == b"Z":
                    return None
                else:
                    said += piece
        except EOFError:
            return Failed(f"its process ended with code {process.returncode}")
        return Failed(said.decode(errors="replace"), unavailable=kind == b"U")


def _frames(read: Callable[[int], bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Every piece of every frame with its kind, up to the frame that is the last."""
    while True:
        head = read(5)
        while len(head) < 5:
            head += read(5 - len(head))
        kind, left = head[:1], int.from_bytes(head[1:], "big")
        if not left:
            yield kind, b""
        while left:
            piece = read(min(left, _PIECE))
            left -= len(piece)
            yield kind, piece
        if kind != b"D":
            return


@contextlib.contextmanager
def _running(
    command: Sequence[str], environ: Mapping[str, str], theirs: "socket.socket"
) -> Iterator["subprocess.Popen[bytes]"]:
    import subprocess

    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,  # out of reach of a Ctrl-C at the terminal
            pass_fds=() if sys.platform == "win32" else (theirs.fileno(),),
        )
    except OSError as error:
        raise ModelSetError(
            "xet-unavailable",
            f"no process can be started for hf_xet: {error}",
            "check the limits for this user's processes, then run the command again",
        ) from error
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(OSError):  # ended meanwhile
                _kill(process)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_SHORTEST_WAIT_S)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def _hand_over(order: Order, process: "subprocess.Popen[bytes]", theirs: "socket.socket") -> None:
    """Over the standard input: a command line and an environment can be read by others."""
    given: int | str = theirs.fileno()
    if sys.platform == "win32":
        given = base64.b64encode(theirs.share(process.pid)).decode()
    words = {name: getattr(order, name) for name in order.__slots__} | {"socket": given}
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # a child that is gone already is noticed by its silence
        process.stdin.write(json.dumps(words).encode() + b"\n")
        process.stdin.flush()


def _stalled(order: Order, silence_s: float) -> ModelSetError:
    return ModelSetError(
        "stalled",
        f"hf_xet brought nothing for {silence_s:.0f} s and was ended ({order.endpoint})",
        "run the same command again; it resumes",
    )
