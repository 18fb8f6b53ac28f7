"""Redirects between networks of different privacy, on addresses of a namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _is_possible() -> bool:
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    done = subprocess.run(["unshare", "-rn", "true"], capture_output=True, timeout=10, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not _is_possible(), reason="unshare or ip is not there or not permitted")
def test_a_redirect_never_leads_to_a_more_private_network_than_it_came_from() -> None:
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, str(Path(__file__).with_name("public_network.py"))],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # What each ends with, and how many requests reached the private places.
    assert done.stdout.splitlines() == [
        "public ok 0",
        "public-without-leave address-refused 0",
        "public-to-private address-refused 0",
        "public-to-here address-refused 0",
        "public-to-here-with-leave ok 1",
        "private-to-here address-refused 1",
        "private-to-public ok 1",
        "here-to-public-without-leave address-refused 1",
    ]
