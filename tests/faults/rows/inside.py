"""Rows that need addresses of their own: run in a network namespace, where some count as public.

As a program (`NAME TOOL FOLDER`) it sets the namespace up, runs one row and prints the verdict.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.answers import MIB, File, Status, bytes_of, redirect
from tests.faults.origin import Origin
from tests.faults.project import SHARED, Project
from tests.faults.rows.row import Ground, Verdict, ground, refused
from tests.faults.rows.tools import TOOLS, Tool
from tests.net.secure import Authority, SecureOrigin

PUBLIC, PRIVATE, LINK_LOCAL, LOOPBACK = "9.9.9.9", "10.1.2.3", "169.254.169.254", "127.0.0.1"
NAME = "rebinding.example.test"
DATA = bytes_of("m", MIB)
WAY = ("unshare", "-rnm")


def run(name: str, tool: Tool, outer: Ground) -> Verdict:
    """The verdict of a row in a namespace of its own."""
    env = {**os.environ, "PYTHONPATH": f"{SHARED}{os.pathsep}{SHARED.parent}"}
    warm = [str(outer.warm.root)] if outer.warm else []
    command = [*WAY, sys.executable, "-m", "tests.faults.rows.inside", name, tool.name]
    done = subprocess.run(
        [*command, str(outer.folder / "inside"), *warm], env=env, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Verdict(**json.loads(done.stdout))


@contextmanager
def _server(server: Origin, host: str) -> Iterator[Origin]:
    try:
        yield server.open(host)
    finally:
        server.close()


def _inward(tool: Tool, here: Ground, host: str) -> Verdict:
    """A public server sends the client to a host that is not public, and that has the file."""
    with _server(Origin(), PUBLIC) as public, _server(Origin(), host) as inner:
        return _sent_on(tool, here, public, inner, "asks the private network")


def _sent_on(tool: Tool, here: Ground, first: Origin, second: Origin, words: str) -> Verdict:
    """The first server redirects to the second, which nobody may ask."""
    wanted = here.put("m", DATA, url=first.url)
    first.serve(urlsplit(wanted.urls[0]).path, redirect(second.serve("/m", File(DATA))))
    ended = tool.fetch("m", 25.0)
    assert first.requests, ended.output
    return Verdict(False, words) if second.requests else refused(ended, "address-refused")


def _downgrade(tool: Tool, here: Ground) -> Verdict:
    authority = Authority(here.folder / "authority")
    tool.trust(authority.pem)
    secure = SecureOrigin(certificate=authority.issue(PUBLIC))
    with _server(secure, PUBLIC), _server(Origin(), PUBLIC) as plain:
        return _sent_on(tool, here, secure, plain, "goes on over plain http")


@contextmanager
def _names(*answers: str) -> Iterator[None]:
    """Answer the questions for addresses, one after another; the last answer stays."""
    left, closing = list(answers), threading.Event()
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((LOOPBACK, 53))

    def serve() -> None:
        while not closing.is_set():
            if not select.select([listener], [], [], 0.1)[0]:
                continue
            question, peer = listener.recvfrom(512)
            end = question.index(b"\0", 12) + 5
            found = b""
            if question[end - 4 : end - 2] == b"\0\1":  # an address of four bytes
                address = left.pop(0) if len(left) > 1 else left[0]
                found = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address)
            counts = b"\x81\x80\0\1" + bytes((0, 1 if found else 0)) + b"\0\0\0\0"
            listener.sendto(question[:2] + counts + question[12:end] + found, peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join(10)
        listener.close()


def _rebinding(tool: Tool, here: Ground) -> Verdict:
    """The first run is led to a public server, the next one by the same name to a private one."""
    resolver = here.folder / "resolv.conf"
    resolver.write_text(f"nameserver {LOOPBACK}\n")
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)
    with (
        _names(PUBLIC, PRIVATE),
        _server(Origin(), PUBLIC) as first,
        _server(Origin(), PRIVATE) as inner,
    ):
        port = urlsplit(inner.url).port
        # The same port on both addresses, as one name has one.
        with _server(Origin(port=port or 0), PUBLIC) as outer:
            wanted = here.put("m", DATA, url=first.url)
            first.serve(urlsplit(wanted.urls[0]).path, redirect(f"http://{NAME}:{port}/m"))
            outer.serve("/m", Status(404))
            inner.serve("/m", File(DATA))
            tool.fetch("m", 25.0)
            assert outer.requests, "the name led nowhere"
            ended = tool.fetch("m", 25.0)
            if inner.requests:
                return Verdict(False, "asks the private network")
            return refused(ended, "address-refused")


CASES: Mapping[str, Callable[[Tool, Ground], Verdict]] = {
    "private": lambda tool, here: _inward(tool, here, PRIVATE),
    "link-local": lambda tool, here: _inward(tool, here, LINK_LOCAL),
    "loopback": lambda tool, here: _inward(tool, here, LOOPBACK),
    "downgrade": _downgrade,
    "rebinding": _rebinding,
}


def main(name: str, tool: str, folder: str, *warm: str) -> None:
    """Set the addresses up, and run the row."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for place in (PUBLIC, PRIVATE, LINK_LOCAL):
        subprocess.run(["ip", "addr", "add", f"{place}/32", "dev", "lo"], check=True)
    with ground(Path(folder)) as here:
        if warm:
            # Made anew beside the other: a project is not made twice in one folder.
            here.warm = Project(Path(folder) / "warm")
            here.warm.env["PYTHONPYCACHEPREFIX"] = str(Path(warm[0]) / "compiled")
            shutil.copy(Path(warm[0]) / "out" / "hardware_cache.json", here.warm.profile)
        verdict = CASES[name](TOOLS[tool](here), here)
    sys.stdout.write(json.dumps({"passed": verdict.passed, "words": verdict.words}))


if __name__ == "__main__":
    main(*sys.argv[1:])
