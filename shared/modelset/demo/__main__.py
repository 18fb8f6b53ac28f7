"""Run the demo hub as a child process: `python -m modelset.demo`.

Writes one line of JSON when it is ready: both addresses, and the catalog tables of models that
are the demo's own. Ends when its standard input does (the parent has gone), and on SIGTERM and
SIGINT.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from modelset.demo.hub import DemoHub


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m modelset.demo",
        description="Serve tiny demonstration models on loopback until standard input ends.",
    )
    parser.add_argument("--port", type=int, default=0, help="the hub's port (default: any)")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="before each answer")
    parser.add_argument("--no-token-needed", action="store_true", help="open the gated models")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append one line a request")
    return parser.parse_args()


def _watch_parent(ended: threading.Event) -> None:
    # os.read and not sys.stdin: a thread inside a buffered read would block the exit.
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    ended.set()


def main() -> int:
    """Serve until told to end."""
    options = _options()
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    threading.Thread(target=_watch_parent, args=(ended,), daemon=True).start()
    try:
        hub = DemoHub(
            port=options.port,
            latency=options.latency / 1000,
            is_token_needed=not options.no_token_needed,
            log=options.log,
        )
    except OSError as problem:
        sys.stderr.write(f"modelset.demo: {problem}\n")
        return 1
    with hub:
        ready = {"schema_version": 1, "hub": hub.url, "cdn": hub.cdn_url, "tables": hub.tables}
        sys.stdout.write(json.dumps(ready, separators=(",", ":")) + "\n")
        sys.stdout.flush()
        # A short wait each time: on Windows a signal is only seen between waits.
        while not ended.wait(0.1):
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
