"""docs/service.md is what the service does: its curl lines run, its tables are the code's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project
from tests.docs.pages import Page, code

service = pytest.importorskip("tests.server.conftest", reason="the extra `server` is missing")

from modelset.cli.setting_rows import IN_FILE  # noqa: E402
from modelset.core.errors import KINDS  # noqa: E402
from modelset.core.jobs import ACTIONS  # noqa: E402
from modelset.server.problems import status_of  # noqa: E402
from modelset.server.shapes import AnyWork  # noqa: E402
from modelset.settings import load_settings  # noqa: E402

PAGE = Page("docs/service.md")
# Slow enough that a download of the whole set can be stopped, quick enough for one model.
SLOW = {"MODELSET_DOWNLOAD_LIMIT_RATE": "150K"}
TOKEN = "hunter2-of-this-test"
_PARTS = re.compile(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\b[0-9a-f]{16}\b")
# Above this a number is a size or a moment of one machine.
_EXACT_BELOW = 10_000

serve = service.serve  # a fixture


@dataclass(slots=True)
class Example:
    """The curl lines of one block, and what the page shows of the last one's answer."""

    section: str
    lines: list[str]
    language: str = ""
    shown: str = ""


def examples() -> list[Example]:
    found: list[Example] = []
    section, may_follow = "", False
    for heading, language, text in _PARTS.findall(PAGE.text):
        if heading:
            section = heading
        elif language == "sh":
            lines = re.sub(r"\\\n\s*", "", text).splitlines()
            found.append(Example(section, [line for line in lines if line.startswith("curl ")]))
        elif may_follow and language in ("json", "http", "text"):
            found[-1].language, found[-1].shown = language, text
        may_follow = language == "sh"
    return found


@dataclass(slots=True)
class Reader:
    """Somebody who types what the page shows; names of jobs are those that they really got."""

    folder: Path
    port: int = 0
    names: dict[str, str] = field(default_factory=dict)

    def run(self, line: str) -> tuple[int, str]:
        """The status of one line, and what it printed."""
        line = self.real(line).replace("localhost:8000", f"localhost:{self.port}")
        done = subprocess.run(
            ["bash", "-c", line.replace("curl ", "curl -w '%{stderr}%{http_code}' ", 1)],
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return int(done.stderr), done.stdout

    def real(self, text: str) -> str:
        return _ID.sub(lambda found: self.names.get(found[0], found[0]), text)

    def learn(self, shown: str, printed: str) -> None:
        """The first name that a block shows and that is not known yet is the one that came."""
        new = [name for name in _ID.findall(shown) if name not in self.names]
        came = [name for name in _ID.findall(printed) if name not in self.names.values()]
        if new and came:
            self.names[new[0]] = came[0]


def fits(shown: Any, real: Any) -> bool:
    """Whether an answer is the shown one, apart from what is of one machine or one moment."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(
            name in real and fits(value, real[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(real, list) and all(
            any(fits(value, other) for other in real) for value in shown
        )
    if isinstance(shown, bool) or shown is None:
        return shown is real
    if isinstance(shown, int | float) and shown >= _EXACT_BELOW:
        return isinstance(real, int | float) and real >= 0
    if isinstance(shown, str) and "..." in shown:
        return isinstance(real, str) and line_fits(shown, real)
    return type(shown) is type(real) and shown == real


def line_fits(shown: str, real: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, real) is not None


def lines_fit(shown: str, real: str) -> list[str]:
    """The shown lines that do not come, in their order."""
    lines = iter(real.splitlines())
    return [line for line in shown.splitlines() if not any(line_fits(line, one) for one in lines)]


def check(example: Example, reader: Reader) -> None:
    status, printed = 0, ""
    for line in example.lines:
        status, printed = reader.run(line)
        if line is not example.lines[-1]:
            assert status < 400, f"{line}: {printed}"
    reader.learn(example.shown, printed)
    shown = reader.real(example.shown)
    if example.language == "json":
        wanted = json.loads(shown)
        assert fits(wanted, json.loads(printed)), f"{example.lines[-1]}\n{shown}\n{printed}"
        assert status == wanted["status"] if "code" in wanted else status < 400
        return
    assert lines_fit(shown, printed) == [], f"{example.lines[-1]}\n{printed}"
    if example.language == "http":
        assert shown.startswith(("HTTP/1.1 ...", f"HTTP/1.1 {status} "))
    else:
        assert status < 400, f"{example.lines[-1]}: {printed}"


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="needs curl and bash"
)
def test_every_curl_line_does_what_the_page_says(serve: Any, project: Project) -> None:
    reader = Reader(project.folder)
    (project.folder / "server.token").write_text(f"{TOKEN}\n")
    running = with_token = None
    for example in examples():
        if running is None or with_token != (example.section == "The token"):
            with_token = example.section == "The token"
            if running is not None:
                assert running.stop() == 143
            words = ("--token-file", "server.token") if with_token else ()
            running = serve(*words, env=SLOW)
            reader.port = running.port
        check(example, reader)
    assert running is not None
    assert len(reader.names) == 2
    assert TOKEN not in running.log.read_text()


def test_the_page_has_lines_to_run_and_answers_to_compare() -> None:
    found = examples()

    assert sum(len(example.lines) for example in found) > 20
    assert all(example.lines for example in found)
    assert sum(bool(example.shown) for example in found) > 15
    assert [example.section for example in found if "server.token" in " ".join(example.lines)] == [
        "The token"
    ]
    named = re.findall(r"^\s*curl ", PAGE.text, re.MULTILINE)
    assert len(named) == sum(len(example.lines) for example in found)


@pytest.mark.parametrize(
    ("shown", "real", "is_so"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {"a": 0}, False),
        ({"a": 20_000}, {"a": 7}, True),
        ({"a": 20_000}, {"a": None}, False),
        ([{"a": 1}], [{"a": 2}, {"a": 1}], True),
        ([{"a": 1}], [], False),
        ("closest: ...", "closest: `x`", True),
        ("closest: ...", "nothing", False),
        ("text", "other", False),
    ],
)
def test_an_answer_that_differs_is_noticed(shown: Any, real: Any, is_so: bool) -> None:
    assert fits(shown, real) is is_so


def test_lines_that_lack_or_come_in_another_order_are_noticed() -> None:
    assert lines_fit("a\n...b\n", "a\nx\nxb\n") == []
    assert lines_fit("a\nb\n", "b\na\n") == ["b"]
    assert lines_fit("a...c\n", "abd\n") == ["a...c"]


def test_the_table_of_routes_is_that_of_the_service(serve: Any) -> None:
    document = serve().get("/v1/openapi.json").json
    offered = {
        f"{method.upper()} {path.replace('{key:path}', '{key}')}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    new = {span for row in PAGE.table("route", "does") for span in code(row["route"])}
    old = {
        span.partition("?")[0]
        for row in PAGE.table("older route", "instead")
        for span in code(row["older route"])
    }

    assert {route for route in offered if " /models/" not in route} == new
    assert {route for route in offered if " /models/" in route} == old


def test_the_table_of_settings_is_that_of_the_settings(tmp_path: Path) -> None:
    rows = [row for row in PAGE.table("setting", "environment") if code(row["setting"])]
    shown = {code(row["setting"])[0].replace("[server] ", "server."): row for row in rows}

    assert set(shown) == {name for name in IN_FILE if name.startswith("server.")}
    for name, row in shown.items():
        (variable,) = code(row["environment"])
        assert variable == f"MODELSET_{name.upper().replace('.', '_')}"
    defaults = load_settings({}, {}, tmp_path).serving
    assert shown["server.host"]["default"] == defaults.host
    assert shown["server.port"]["default"] == str(defaults.port)
    assert shown["server.transfers"]["default"] == str(defaults.transfers)


def test_the_table_of_errors_says_the_statuses() -> None:
    rows = {code(row["code"])[0]: int(row["status"]) for row in PAGE.table("status", "code")}

    assert rows == {name: status_of(name) for name in rows}
    assert {name for name in KINDS if name.startswith(("server-token", "job-", "origin-"))} <= set(
        rows
    )


def test_the_table_of_actions_is_that_of_jobs() -> None:
    shown = {
        code(row["action"])[0]: set(code(row["options"])) - {'"critical"'}
        for row in PAGE.table("action", "options")
    }
    (union, _) = AnyWork.__args__[0], AnyWork.__metadata__  # type: ignore[attr-defined]
    taken = {
        work.model_fields["action"].annotation.__args__[0]: set(work.model_fields) - {"action"}
        for work in union.__args__
    }

    assert shown == taken
    assert set(taken) == set(ACTIONS)
