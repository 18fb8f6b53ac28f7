"""The report page: one file that needs nothing else, whatever names and notes hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from modelset.core.html_report import page, safe
from modelset.core.report_data import (
    categories_data,
    changes_of,
    counts_of,
    downloads_of,
    state_of_report,
)
from modelset.core.types import Category, Model, Status

EVIL = "</title></style><script>document.title='gone'</script>\"'&<img src=x onerror=y>\x00\u202e"
_VOID = {"meta", "rect"}


class Reader(HTMLParser):
    """Follows every element, and notes what does not close, and what would reach outside."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: list[str] = []
        self.reaches: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.reaches += [
            name
            for name in names
            if name.startswith("on") or name in ("src", "href", "xlink:href", "style", "action")
        ]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def statuses(words: str) -> list[Status]:
    rows = []
    for number, presence in enumerate(("present", "missing", "corrupt", "partial", "unpinned")):
        model = Model(f"a:{number}{words}", words, "optional", "url", {}, licence=words, note=words)
        rows.append(
            Status(model, "optional", presence, number * 1000, 9000, words, words, words, (words,))  # type: ignore[arg-type]
        )
    return rows


def data_of(words: str) -> dict[str, Any]:
    rows = statuses(words)
    before = {"schema_version": 1, "made": words, "models": {words: {}}}
    outcome = {
        "key": words, "result": words, "bytes_moved": 5, "seconds": 2.0,
        "failure": {"message": words},
    }  # fmt: skip
    hardware = dict.fromkeys(("system", "machine", "cpu_name", "disk_path"), words)
    numbers = dict.fromkeys(("cores_physical", "memory_bytes", "disk_free_bytes"), 4)
    return {
        "made": words, "models_root": words, "deep": False, "total_bytes": 7,
        "counts": counts_of(rows),
        "categories": categories_data(rows, {words: Category(words, words)}),
        "changes": changes_of(before, state_of_report("now", rows)),
        "downloads": downloads_of({"data": {"outcomes": [outcome, outcome | {"bytes_moved": 0}]}}),
        "hardware": hardware | numbers | {
            "gpus": [{"name": words, "memory_bytes": 1}], "apple_silicon": False,
        },
        "recommendation": dict.fromkeys(
            ("whisper", "device", "compute_type", "batch_size", "reason"), words
        ),
        "lock": {"path": words, "models": 5, "stale": [words]},
    }  # fmt: skip


def test_the_page_is_whole_and_reaches_nowhere() -> None:
    text = page(data_of("plain"))
    read = Reader(text)
    assert read.reaches == []
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(read.seen)
    assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert read.seen.count("svg") == 2
    for number in range(5):
        assert f"{number}plain" in "".join(read.texts)


def test_what_users_write_stays_text() -> None:
    plain, read = Reader(page(data_of("plain"))), Reader(page(data_of(EVIL)))
    assert read.reaches == []
    assert read.seen == plain.seen, "not one element more"
    assert sum("<script>" in text for text in read.texts) > 10
    assert "\x00" not in page(data_of(EVIL))
    assert "\u202e" not in page(data_of(EVIL))
    page(data_of("\ud800")).encode()
    assert safe("a\nb") == "a\nb"


def test_the_bars_are_as_long_as_the_sizes() -> None:
    data = data_of("plain")
    data["categories"] = [
        {"title": str(size), "bytes": size, "models": []} for size in (1000, 500, 0)
    ]
    widths = re.findall(r'class="bar" x="\d+" y="\d+" width="([\d.]+)"', page(data))
    assert [float(width) for width in widths[:3]] == [330.0, 165.0, 0.0]
    data["categories"] = []
    Reader(page(data))


def test_changes_are_said_model_by_model() -> None:
    rows = statuses("")
    old = state_of_report("then", rows)
    assert changes_of(old, state_of_report("now", rows)) == {"since": "then", "models": []}
    del old["models"]["a:0"]
    old["models"]["a:1"] |= {"presence": "present", "bytes": 3000, "revision": "abc"}
    old["models"]["a:9"] = {"presence": "present", "bytes": 1, "revision": ""}
    found = {
        row["key"]: row["words"] for row in changes_of(old, state_of_report("", rows))["models"]
    }
    assert found == {
        "a:0": "new in the set: present",
        "a:1": "present, now missing; revision abc, now none; -2.0 kB",
        "a:9": "no longer in the set",
    }


@pytest.mark.parametrize(
    "odd", [None, 5, [], "x", {}, {"schema_version": 2}, {"schema_version": 1, "models": 5}]
)
def test_an_odd_state_is_none(odd: object) -> None:
    assert changes_of(odd, state_of_report("", []))["since"] == ""
    assert downloads_of(odd) == []


def test_speeds_are_of_what_was_moved() -> None:
    rows = [
        {"key": "a:1", "result": "downloaded", "bytes_moved": 10, "seconds": 4.0},
        {"key": "a:2", "result": "ready", "bytes_moved": 0, "seconds": 1},
        {"key": "a:3", "bytes_moved": "x", "seconds": float("nan")},
        {"key": "a:4", "bytes_moved": 10, "seconds": 0},
        {"key": 5},
        7,
    ]
    found = downloads_of({"data": {"outcomes": rows}})
    assert [row["rate"] for row in found] == [2, 0, 0, 0]
    assert downloads_of({"data": {"outcomes": 5}}) == []


def test_a_real_browser_shows_it_and_runs_nothing(tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no Chromium is installed here")
    file = tmp_path / "report.html"
    file.write_text(page(data_of(EVIL)), encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:  # its sockets' paths have to be short
        shown = dump(browser, file, home)
    assert "<title>Models on this machine</title>" in shown
    assert shown.count("<svg") == 2
    assert "<script" not in shown


def dump(browser: str, file: Path, home: str) -> str:
    """The document as a browser without a screen has read it."""
    command = [
        browser, "--headless", "--disable-gpu", f"--user-data-dir={home}/profile",
        "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")
    # A profile of its own is not enough: its crash reports and its settings go to the home.
    homes = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR")
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | dict.fromkeys(homes, home)
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=60, check=True, env=environ
    )
    return done.stdout
