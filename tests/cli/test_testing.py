"""`modelset test`: what it tries, what it shows, and the code that it ends with."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Checkout
from tests.conftest import Project, Ran, RunModelset

FIELDS = {
    *("key", "result", "detail", "load_s", "job_s", "peak_bytes", "used", "isolation"),
}
# A library that Python finds before the real one, if that is here at all.
FAKE = """
import os, time
class WhisperModel:
    def __init__(self, path, device, compute_type, local_files_only):
        assert os.path.isfile(os.path.join(path, "model.bin"))
        assert (device, local_files_only) == ("cpu", True)
        {loading}
    def transcribe(self, audio):
        {working}
        return [type("Part", (), {{"text": " heard it"}})], None
"""


@pytest.fixture(autouse=True)
def without_demo(request: pytest.FixtureRequest) -> None:
    """Something is locked, so that no command shows the checkout's demo set."""
    if "project" in request.fixturenames:
        project: Project = request.getfixturevalue("project")
        project.lock.write_text('{"schema_version": 1, "models": {}}')


TryDemo = Callable[..., Ran]


@pytest.fixture
def try_demo(demo: Checkout, tmp_path: Path) -> TryDemo:
    """`modelset test --demo` with a faster_whisper of the test's own; writes into tmp_path."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "numpy.py").write_text("def array(values, kind):\n    return values\n")

    def run(*arguments: str, loading: str = "pass", working: str = "pass") -> Ran:
        text = FAKE.format(loading=loading, working=working)
        (libraries / "faster_whisper.py").write_text(text)
        return demo.run("test", "--demo", *arguments, env=environ_of(demo, tmp_path, libraries))

    return run


def environ_of(demo: Checkout, folder: Path, *libraries: Path) -> Mapping[str, str]:
    paths = [*map(str, libraries), demo.environ["PYTHONPATH"]]
    return {"MODELSET_OUT": str(folder / "out"), "PYTHONPATH": os.pathsep.join(paths)}


def trials(ran: Ran) -> dict[str, Any]:
    assert ran.json is not None, ran.stdout + ran.stderr
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("test", ran.code)
    assert all(set(row) == FIELDS for row in ran.json["data"]["trials"])
    return {row["key"]: row for row in ran.json["data"]["trials"]}


# ---- models that are there -----------------------------------------------------------------------


def test_the_demo_models_pass_in_the_real_libraries(demo: Checkout, tmp_path: Path) -> None:
    for name in ("faster_whisper", "spacy", "torch"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    keys = ("whisper:base", "vad:silero", "spacy:en_core_web_sm")
    environ = environ_of(demo, tmp_path)
    ran = demo.run("test", "--demo", *keys, "--json", env=environ)
    found = trials(ran)
    assert ran.code == 0, found
    assert {key: row["result"] for key, row in found.items()} == dict.fromkeys(keys, "passed")
    assert ran.json["data"]["passed"] == 3
    assert all(row["load_s"] > 0 and row["peak_bytes"] > 10**7 for row in found.values())
    # What was tried is what was placed, not what may be installed beside it.
    assert "post0" in found["vad:silero"]["used"]
    written = json.loads((tmp_path / "out" / "last_test.json").read_text())
    assert written == ran.json
    assert "== whisper:base" in Path(ran.json["data"]["log"]).read_text()


def test_the_screen_has_a_row_for_each_model_and_a_total(try_demo: TryDemo) -> None:
    ran = try_demo("whisper:base")
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "MODEL TEST" in ran.stdout
    (row,) = (line for line in ran.stdout.splitlines() if "whisper:base" in line)
    assert "passed" in row
    assert 'heard "heard it"' in row
    assert "Models: 1 (1 passed, 0 failed, 0 skipped)" in ran.stdout
    assert "Network kept away by: " in ran.stdout
    assert ran.stderr == "testing whisper:base ...\n"


def test_a_model_that_fails_is_code_4_and_says_why(try_demo: TryDemo, tmp_path: Path) -> None:
    error = "raise ValueError('[bold]no[/bold] good')"
    ran = try_demo("whisper:base", loading=error)
    assert ran.code == 4
    assert "ValueError: [bold]no[/bold] good" in ran.stdout
    assert "Models: 1 (0 passed, 1 failed, 0 skipped)" in ran.stdout
    log = tmp_path / "out" / "last_test.log"
    assert str(log) in ran.stdout
    assert "Traceback" in log.read_text()
    assert "Traceback" not in ran.stdout + ran.stderr


def test_quiet_says_only_what_failed(try_demo: TryDemo) -> None:
    ran = try_demo("whisper:base", "--quiet", working="raise ValueError('no good')")
    assert (ran.code, ran.stdout) == (4, "")
    assert ran.stderr == "error: whisper:base: ValueError: no good\n"
    assert try_demo("whisper:base", "--quiet") == Ran(0, "", "")


def test_one_that_hangs_does_not_keep_the_others(try_demo: TryDemo) -> None:
    start = time.monotonic()
    ran = try_demo("whisper:base", "--json", "--timeout", "2", loading="time.sleep(600)")
    assert time.monotonic() - start < 15
    row = trials(ran)["whisper:base"]
    assert ran.code == 4
    assert (row["result"], row["detail"]) == ("failed", "not done within 2.0 s")


def test_all_means_every_model_on_the_disk(try_demo: TryDemo, demo: Checkout) -> None:
    checked = demo.run("check", "--demo", "--json")
    present = {row["key"] for row in checked.json["data"]["models"] if row["presence"] == "present"}
    assert len(present) > 3
    ran = try_demo("--all", "--json", "--timeout", "90")
    found = trials(ran)
    assert set(found) >= present
    assert all("missing" not in row["detail"] for row in found.values())
    assert found["whisper:base"]["result"] == "passed"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_child_at_once(
    demo: Checkout, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    own = tmp_path / "faster_whisper.py"
    pid = tmp_path / "pid"
    lines = f"import os, time\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
    own.write_text(lines + "time.sleep(600)\n")
    environ = environ_of(demo, tmp_path, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "modelset", "test", "--demo", "whisper:base", "--json"],
        env={**demo.environ, **environ},
        cwd=demo.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 30
        while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        start = time.monotonic()
        stdout, stderr = process.communicate(timeout=20)
        assert time.monotonic() - start < 2
    assert process.returncode == code
    assert json.loads(stdout)["exit_code"] == code
    assert "Traceback" not in stderr
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


# ---- models that are not -------------------------------------------------------------------------


def test_a_missing_model_that_is_named_is_code_4(run_modelset: RunModelset) -> None:
    ran = run_modelset("test", "whisper:base", "--json")
    row = trials(ran)["whisper:base"]
    assert ran.code == 4
    assert (row["result"], row["detail"]) == ("skipped", "missing: modelset download whisper:base")


def test_missing_models_that_nobody_named_are_only_skipped(run_modelset: RunModelset) -> None:
    ran = run_modelset("test", "--json")
    found = trials(ran)
    assert ran.code == 0
    assert {"whisper:base", "vad:silero"} <= set(found)
    assert {row["result"] for row in found.values()} == {"skipped"}
    words = run_modelset("test")
    assert words.code == 0
    assert "modelset download whisper:base" in words.stdout


def test_a_named_model_that_is_not_for_this_machine_is_code_4(run_modelset: RunModelset) -> None:
    if sys.platform == "darwin":
        pytest.skip("may be Apple Silicon")
    ran = run_modelset("test", "mlx:tiny", "--json")
    assert ran.code == 4
    assert trials(ran)["mlx:tiny"]["detail"] == "needs Apple Silicon"


def test_an_api_is_not_tried_whether_its_key_is_there_or_not(run_modelset: RunModelset) -> None:
    for env in ({}, {"ANTHROPIC_API_KEY": "sk-very-secret"}):
        ran = run_modelset("test", "api:anthropic", "--json", env=env)
        row = trials(ran)["api:anthropic"]
        assert ran.code == 0
        assert (row["result"], row["load_s"]) == ("skipped", 0)
        assert row["detail"] == "needs the network: modelset verify api:anthropic"
        assert "very-secret" not in ran.stdout + ran.stderr


def test_an_alias_counts_as_its_model(run_modelset: RunModelset) -> None:
    ran = run_modelset("test", "whisper:turbo", "--json")
    assert ran.code == 4
    assert set(trials(ran)) == {"whisper:large-v3-turbo"}


def test_all_of_nothing_is_nothing(run_modelset: RunModelset) -> None:
    ran = run_modelset("test", "--all", "--json")
    assert (ran.code, trials(ran)) == (0, {})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all", "whisper:base"], "--all stands for every model"),
        (["--all", "--category", "vad"], "--all stands for every model"),
        (["--timeout", "0"], "'0' is not a number of seconds"),
        (["--timeout", "soon"], "'soon' is not a number of seconds"),
        (["--timeout", "inf"], "'inf' is not a number of seconds"),
        (["whisper:none"], "unknown model"),
    ],
)
def test_a_wrong_command_line_is_code_2(
    run_modelset: RunModelset, arguments: list[str], words: str
) -> None:
    ran = run_modelset("test", *arguments)
    assert ran.code == 2
    assert words in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="folders are protected otherwise")
def test_a_log_that_cannot_be_written_is_no_obstacle(try_demo: TryDemo, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    ran = try_demo("vad:silero", "--json")
    assert ran.json is not None, ran.stderr
    assert ran.json["data"]["log"] == ""
    assert ran.json["data"]["trials"][0]["key"] == "vad:silero"
