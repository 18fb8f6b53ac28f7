"""Run in a network namespace of its own: a server on an address that counts as public.

Prints one line a case: a word for the case, and the code of the failure or `ok`.
"""

from __future__ import annotations

import subprocess
import sys

from tests.faults.answers import File, redirect
from tests.faults.origin import Origin

from modelset.core.errors import ModelSetError
from modelset.core.ports import Get, Response
from modelset.engine.guard import RunGuard, Stop
from modelset.net.transfer import WireSettings
from modelset.net.wire import CurlWire

PUBLIC, PRIVATE = "9.9.9.9", "10.1.2.3"


class One:
    """One GET, and how it ended."""

    def __init__(self, url: str, *, allow_http: bool, allow_private: bool) -> None:
        self._get: Get | None = Get(url, self, allow_http=allow_http, allow_private=allow_private)
        self.body_ = b""
        self.code = ""

    def next(self) -> Get | None:
        get, self._get = self._get, None
        return get

    def ended(self, get: Get, error: Exception | None) -> None:
        self.code = error.failure.code if isinstance(error, ModelSetError) else "ok"

    def head(self, response: Response) -> bool:
        assert response.status == 200
        return True

    def body(self, pieces: list[bytes]) -> bool:
        self.body_ += b"".join(pieces)
        return True


def main() -> None:
    """Set the addresses up, and try each way."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for place in (PUBLIC, PRIVATE):
        subprocess.run(["ip", "addr", "add", f"{place}/32", "dev", "lo"], check=True)
    public, private, here = (Origin().open(place) for place in (PUBLIC, PRIVATE, "127.0.0.1"))
    wire = CurlWire(WireSettings(connect_s=2))
    for server in (public, private, here):
        server.serve("/m", File(b"right"))
        for name, target in (("public", public), ("private", private), ("here", here)):
            server.serve(f"/to-{name}", redirect(f"{target.url}/m"))
    cases = [
        ("public", public.url + "/m", True, False),
        ("public-without-leave", public.url + "/m", False, False),
        ("public-to-private", public.url + "/to-private", True, False),
        ("public-to-here", public.url + "/to-here", True, False),
        ("public-to-here-with-leave", public.url + "/to-here", True, True),
        ("private-to-here", private.url + "/to-here", True, False),
        ("private-to-public", private.url + "/to-public", True, False),
        ("here-to-public-without-leave", here.url + "/to-public", False, False),
    ]
    for name, url, allow_http, allow_private in cases:
        one = One(url, allow_http=allow_http, allow_private=allow_private)
        before = len(here.requests) + len(private.requests)
        wire.run(one, RunGuard(Stop(), 5))
        assert one.body_ == (b"right" if one.code == "ok" else b"")
        inner = len(here.requests) + len(private.requests) - before
        sys.stdout.write(f"{name} {one.code} {inner}\n")
    wire.close()
    for server in (public, private, here):
        server.close()


if __name__ == "__main__":
    main()
