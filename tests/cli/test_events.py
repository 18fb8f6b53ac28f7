"""What a program hears that starts a command with `--events`, and that its own end is enough."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from tests.conftest import Project

SLOW = {"MODELSET_DOWNLOAD_LIMIT_RATE": "60K"}


def start(project: Project, config: str, *words: str, **env: str) -> subprocess.Popen[str]:
    project.config.write_text(config)
    return subprocess.Popen(
        [sys.executable, "-m", "modelset", *words, "--json", "--events"],
        env={**project.environ, **env},
        cwd=project.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def parse(line: str) -> dict[str, Any]:
    return dict(json.loads(line))


def test_every_event_is_a_line_and_the_result_is_one_document(
    project: Project, hub_config: str
) -> None:
    process = start(project, hub_config, "download", "whisper:base")
    # Not `communicate`, which would close the input and so stop the command.
    assert process.stderr is not None
    assert process.stdout is not None
    lines = process.stderr.read().splitlines()
    document = parse(process.stdout.read())
    assert process.wait(30) == 0, lines
    process.communicate()
    events = [parse(line) for line in lines]
    first, last = events[0], events[-1]
    assert (first["event"], first["key"], first["bytes_kept"]) == ("started", "whisper:base", 0)
    assert last == {"event": "ended"} | document["data"]["outcomes"][0]
    assert last["bytes_moved"] == first["bytes_total"]
    counts = [event["bytes"] for event in events if event["event"] == "moved"]
    assert counts == sorted(counts)
    assert counts


def test_the_end_of_its_input_stops_a_command(project: Project, hub_config: str) -> None:
    process = start(project, hub_config, "download", "whisper:base", **SLOW)
    assert process.stderr is not None
    assert process.stdin is not None
    assert parse(process.stderr.readline())["event"] == "started"
    began = time.monotonic()
    process.stdin.close()
    process.stdin = None
    stdout, stderr = process.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert process.returncode == 143
    assert parse(stdout)["data"]["outcomes"][0]["failure"]["code"] == "terminated"
    assert parse(stderr.splitlines()[-1])["event"] == "ended"
