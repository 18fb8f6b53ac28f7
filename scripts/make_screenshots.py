"""Write docs/images/dashboard-{light,dark,phone}.png: the page of the service, on the demo hub.

python scripts/make_screenshots.py [--out FOLDER]

Needs playwright and a chromium, which CHROMIUM names when it is not on the path. Everything but the
pictures is made in a temporary folder.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from modelset.demo.session import demo_environ, demo_hub  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = ROOT / "docs" / "images"
# What has been done before the pictures, so that the page has something to show.
BEFORE: tuple[dict[str, Any], ...] = (
    {"action": "download", "only": "critical"},
    {"action": "download", "category": "diarization"},
    {"action": "update", "check": True},
    {"action": "verify"},
)
# How fast the demo hub's tiny models come: before, and while the pictures are taken.
BEFORE_RATE, RATE = "300K", "20K"
LARGE = {"viewport": {"width": 960, "height": 900}, "device_scale_factor": 0.85}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {**LARGE, "color_scheme": "light"},
    "dark": {**LARGE, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 780}, "device_scale_factor": 2},
}
# A page of documentation should not have to wait for its pictures.
_AT_MOST = 200_000


@contextlib.contextmanager
def service(environ: Mapping[str, str], rate: str) -> Iterator[str]:
    """A running service at a bound rate; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modelset", "serve", "--port", "0"],
        env={**environ, "MODELSET_DOWNLOAD_LIMIT_RATE": rate},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("serving on "):
                yield line.split()[-1]
                return
        raise SystemExit("the service did not start")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def ask(url: str, body: object = None) -> Any:
    """What the service answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def do(url: str, work: object) -> None:
    """A job, to its end."""
    job = ask(f"{url}/v1/jobs", work)
    while job["state"] in ("queued", "running"):
        time.sleep(0.1)
        job = ask(f"{url}/v1/jobs/{job['id']}")
    if job["state"] != "succeeded":
        raise SystemExit(f"{work}: {job['failure']}")


def take(browser: Browser, url: str, look: str, file: Path) -> None:
    """One picture: on a large screen all that is about models, on a phone what is seen first."""
    context = browser.new_context(**LOOKS[look])
    page = context.new_page()
    page.goto(url)
    bar = page.get_by_role("progressbar").first
    while bar.evaluate("bar => bar.value / bar.max") < 0.2:
        page.wait_for_timeout(200)
    page.wait_for_timeout(500)
    width = page.evaluate("innerWidth")
    end = "innerHeight" if look == "phone" else "document.getElementById('machine').offsetTop - 8"
    clip = {"x": 0.0, "y": 0.0, "width": width, "height": page.evaluate(end)}
    page.screenshot(path=file, full_page=True, clip=clip)  # type: ignore[arg-type]
    context.close()
    size = file.stat().st_size
    if size > _AT_MOST:
        raise SystemExit(f"{file} has {size} bytes, more than {_AT_MOST}")


def main(arguments: list[str] | None = None) -> int:
    """Do the work, then take the pictures while a download is under way."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    out = parser.parse_args(arguments).out
    out.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_hub(Path(folder)),
        sync_playwright() as playwright,
    ):
        environ = demo_environ(Path(folder), os.environ) | {
            "PYTHONPATH": str(ROOT / "shared"),
            "MODELSET_OUT": str(Path(folder) / "out"),
        }
        lock = [sys.executable, "-m", "modelset", "lock", "--quiet"]
        subprocess.run(lock, env=environ, check=True)
        with service(environ, BEFORE_RATE) as url:
            for work in BEFORE:
                do(url, work)
        # Letters in shades of one colour make a smaller picture.
        words = ["--no-sandbox", "--disable-lcd-text"]
        browser = playwright.chromium.launch(executable_path=chromium, args=words)
        with service(environ, RATE) as url:
            ask(f"{url}/v1/jobs", {"action": "download"})
            for look in LOOKS:
                take(browser, url, look, out / f"dashboard-{look}.png")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
