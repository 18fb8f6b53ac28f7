"""Every command's manners: what goes where, which code it ends with, how it speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, RunModelset

from modelset import __version__
from modelset.cli.main import COMMANDS

# Commands that need no network, and the code they end with in an empty project.
OFFLINE = {
    "hardware": 0,
    "list": 0,
    "check": 4,
    "env": 0,
    "paths": 0,
    "detect": 0,
    "migrate": 0,
}
DATA = {
    "hardware": {"profile", "recommendation"},
    "list": {"models"},
    "check": {"models", "outcomes", "left_out", "available", "total_bytes", "notes"},
    "env": {"variables"},
    "paths": {"paths"},
    "detect": {"found", "notes"},
    "migrate": {"dry_run", "models", "left", "settings"},
}


@pytest.fixture(autouse=True)
def without_demo(project: Project) -> None:
    """A plain check shows the checkout's demo set while nothing is locked; here something is."""
    project.lock.write_text('{"schema_version": 1, "models": {}}')


def assert_envelope(document: Any, command: str, code: int) -> None:
    assert list(document) == ["schema_version", "command", "exit_code", "data"]
    assert document["schema_version"] == 1
    assert document["command"] == command
    assert document["exit_code"] == code


@pytest.mark.parametrize("command", OFFLINE)
def test_json_is_one_document_on_stdout_and_nothing_else(
    run_modelset: RunModelset, command: str
) -> None:
    ran = run_modelset(command, "--json")
    assert ran.code == OFFLINE[command], ran.stderr
    assert_envelope(ran.json, command, OFFLINE[command])
    assert set(ran.json["data"]) == DATA[command]
    assert "error" not in ran.stderr


@pytest.mark.parametrize("command", OFFLINE)
def test_without_json_there_are_words_and_no_colours(
    run_modelset: RunModelset, command: str
) -> None:
    ran = run_modelset(command)
    assert ran.code == OFFLINE[command]
    assert ran.json is None
    assert len(ran.stdout.splitlines()) >= 4  # a title between two rules, and words
    assert "\x1b" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("command", OFFLINE)
def test_quiet_says_only_what_is_wrong(run_modelset: RunModelset, command: str) -> None:
    ran = run_modelset(command, "--quiet")
    assert ran.code == OFFLINE[command]
    assert ran.stdout == ""
    assert bool(ran.stderr) == (ran.code != 0)
    assert all(line.startswith(("error: ", "hint: ")) for line in ran.stderr.splitlines())


@pytest.mark.parametrize("command", OFFLINE)
def test_ascii_is_enough_for_a_stream_that_cannot_show_more(
    run_modelset: RunModelset, command: str
) -> None:
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    ran = run_modelset(command, env=env)
    assert ran.code == OFFLINE[command], ran.stderr
    assert ran.stdout.isascii()
    assert ran.stdout.strip()
    assert "Traceback" not in ran.stderr
    document = run_modelset(command, "--json", env=env)
    assert document.stdout.isascii()
    assert_envelope(document.json, command, OFFLINE[command])


def test_marks_are_ascii_where_ticks_cannot_be_shown(run_modelset: RunModelset) -> None:
    plain = run_modelset("check", env={"PYTHONIOENCODING": "ascii"}).stdout
    fancy = run_modelset("check").stdout
    assert "  x base" in plain
    assert "  ✗ base" in fancy


def on_a_terminal(project: Project, *arguments: str, **env: str) -> str:
    """What a command shows on a terminal of its own."""
    import pty

    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "modelset", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower,
        env={**project.environ, "TERM": "xterm", **env},
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while data := os.read(leader, 65536):
                shown += data
        except OSError:  # Linux says so when the other end has gone
            pass
        process.wait(timeout=30)
    os.close(leader)
    return shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_colours_are_for_terminals_that_want_them(project: Project) -> None:
    assert "\x1b[31m" in on_a_terminal(project, "check")
    assert "\x1b[" not in on_a_terminal(project, "check", "--no-color")
    assert "\x1b[" not in on_a_terminal(project, "check", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(project, "check", TERM="dumb")
    assert "\x1b[" not in on_a_terminal(project, "check", "--json")


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["chek"], "'chek'"),
        (["check", "--nonsense"], "--nonsense"),
        (["check", "--only", "some"], "'some'"),
        (["env", "--format", "xml"], "'xml'"),
        (["download", "--timeout"], "--timeout"),
        (["download", "--timeout", "soon"], "--timeout: timeout = 'soon'"),
        (["download", "--max-workers", "0"], "--max-workers"),
        (["download", "--connections", "none"], "--connections: connections = 'none'"),
        (["download", "--limit-rate", "20X"], "--limit-rate: limit_rate: 20X is not a rate"),
        (["plan", "--limit-rate", "5"], "5 is less than 1K"),
        (["bootstrap", "--transport", "ftp"], "ftp is none of auto, http, xet"),
        (["check", "--components", "nonsense"], "unknown component: nonsense"),
        (["check", "--category", "nonsense"], "unknown category: nonsense"),
        (["check", "whisper:base", "--category", "vad"], "both by key and by component"),
        (["check", "--hf-token-file", "/none"], "/none"),
    ],
)
def test_a_wrong_command_line_is_code_2_with_the_way_out(
    run_modelset: RunModelset, arguments: list[str], words: str
) -> None:
    ran = run_modelset(*arguments)
    assert ran.code == 2
    assert ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[-1].startswith("hint: ")
    assert words in ran.stderr


@pytest.mark.parametrize("command", ["check", "download", "plan"])
def test_an_unknown_model_is_answered_with_the_nearest(
    run_modelset: RunModelset, command: str
) -> None:
    ran = run_modelset(command, "whisper:large-v4", "--json")
    assert ran.code == 2
    assert_envelope(ran.json, command, 2)
    error = ran.json["data"]["error"]
    assert set(error) == {"code", "message", "hint"}
    assert error["code"] == "unknown-model"
    assert "`whisper:large-v3`" in error["hint"]
    assert "error: unknown model: whisper:large-v4" in ran.stderr


def test_a_name_without_its_family_is_understood_well_enough(run_modelset: RunModelset) -> None:
    ran = run_modelset("check", "silero")
    assert ran.code == 2
    assert "`vad:silero`" in ran.stderr


def test_a_broken_configuration_names_every_problem(
    run_modelset: RunModelset, project: Project
) -> None:
    project.config.write_text("[download]\nmax_workers = 0\ntimeout = -1\n")
    ran = run_modelset("check")
    assert ran.code == 2
    assert ran.stderr.count("error: ") == 2
    assert ran.stderr.count("hint: ") == 1


def test_a_users_own_bad_table_is_named_with_its_line(
    run_modelset: RunModelset, project: Project
) -> None:
    project.config.write_text(
        '\n[[model]]\nkey = "a:b"\ncategory = "x"\nsource = "ftp"\nref = {a=1}'
    )
    ran = run_modelset("list")
    assert ran.code == 2
    assert f"{project.config}:2: a:b: source: unknown" in ran.stderr


def test_a_users_own_model_is_listed_and_checked(
    run_modelset: RunModelset, project: Project
) -> None:
    project.config.write_text(
        '[[model]]\nkey = "whisper:house"\ncategory = "whisper"\nsource = "huggingface"\n'
        'ref = { repo = "acme/whisper-house-ct2" }\n'
    )
    rows = run_modelset("list", "--json").json["data"]["models"]
    assert [row["state"] for row in rows if row["key"] == "whisper:house"] == ["available"]
    ran = run_modelset("check", "whisper:house", "--json")
    assert ran.code == 4
    assert [row["key"] for row in ran.json["data"]["models"]] == ["whisper:house"]


def test_a_broken_lock_is_said_with_the_way_out(
    run_modelset: RunModelset, project: Project
) -> None:
    project.lock.write_text("{")
    ran = run_modelset("check")
    assert ran.code == 2
    assert str(project.lock) in ran.stderr
    assert "version control" in ran.stderr


# ---- the rest ------------------------------------------------------------------------------------


def test_version_and_help_go_to_stdout(run_modelset: RunModelset) -> None:
    version = run_modelset("--version")
    assert (version.code, version.stdout) == (0, f"modelset {__version__}\n")
    text = run_modelset("--help")
    assert text.code == 0
    assert all(command in text.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run_modelset: RunModelset, command: str) -> None:
    ran = run_modelset(command, "--help")
    assert ran.code == 0
    for option in ("--json", "--quiet", "--no-color"):
        assert option in ran.stdout
    assert ran.stderr == ""


@pytest.mark.parametrize(("alias", "command"), [("status", "check")])
def test_an_alias_is_the_same_command(run_modelset: RunModelset, alias: str, command: str) -> None:
    one, other = run_modelset(alias, "--json"), run_modelset(command, "--json")
    assert one.code == other.code
    assert one.json["data"]["models"] == other.json["data"]["models"]


def test_check_says_what_is_missing_and_the_command_that_gets_it(
    run_modelset: RunModelset, project: Project
) -> None:
    ran = run_modelset("check")
    assert ran.code == 4
    assert "modelset download whisper:base" in ran.stdout
    assert "Critical models are missing" in ran.stdout
    document = json.loads((project.out / "last_check.json").read_text())
    assert_envelope(document, "check", 4)


def test_strict_counts_optional_models(run_modelset: RunModelset) -> None:
    assert run_modelset("check", "--category", "diarization", "--quiet").code == 0
    env = {"HF_TOKEN": "hf_x"}
    assert run_modelset("check", "--category", "diarization", "--quiet", env=env).code == 0
    strict = run_modelset("check", "--category", "diarization", "--quiet", "--strict", env=env)
    assert strict.code == 3


def test_paths_say_where_each_came_from(run_modelset: RunModelset, project: Project) -> None:
    env = {"WHISPER_CACHE_DIR": str(project.folder / "w")}
    paths = run_modelset("paths", "--json", env=env).json["data"]["paths"]
    assert paths["lock"] == {"path": str(project.lock), "from": "MODELSET_LOCK"}
    assert paths["whisper"] == {"path": str(project.folder / "w"), "from": "WHISPER_CACHE_DIR"}
    assert paths["huggingface"]["from"] == "HF_HOME"
    assert paths["vosk"] == {"path": str(project.models_root / "vosk"), "from": "models_root"}


def test_hardware_profiles_once_and_recommends(run_modelset: RunModelset, project: Project) -> None:
    ran = run_modelset("hardware", "--json")
    cache = project.out / "hardware_cache.json"
    assert (
        ran.json["data"]["profile"]["fingerprint"] == json.loads(cache.read_text())["fingerprint"]
    )
    advice = ran.json["data"]["recommendation"]
    assert set(advice) == {"whisper", "device", "compute_type", "batch_size", "reason", "rule"}
    cache.write_text("half a fi")
    again = run_modelset("hardware", "--json")
    assert again.code == 0
    assert again.json["data"]["recommendation"] == advice
    assert "Recommended:" in run_modelset("hardware", "--refresh").stdout


def test_a_token_is_never_shown(run_modelset: RunModelset) -> None:
    for command in ("check", "list", "env", "paths", "hardware"):
        for form in ([], ["--json"]):
            ran = run_modelset(command, *form, env={"HF_TOKEN": "hf_very_secret"})
            assert "hf_very_secret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["check"], ["env"]])
def test_a_reader_that_has_gone_is_no_traceback(project: Project, arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "modelset", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=subprocess.PIPE,
            env=dict(project.environ),
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode == 1


def test_an_offline_command_leaves_only_what_lies_in_out(
    run_modelset: RunModelset, project: Project, tmp_path: Path
) -> None:
    for command in OFFLINE:
        run_modelset(command)
    out = {path.name for path in project.out.iterdir()}
    assert out >= {"hardware_cache.json", "last_check.json"}
    assert all(name.endswith(".json") for name in out)
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {project.config, project.lock, *(project.out / name for name in out)}


@pytest.mark.parametrize("name", ["[models] x", "x]", "a [/b] c", "[bold]b"])
def test_a_table_shows_what_it_is_given(name: str, run_modelset: RunModelset) -> None:
    for command in ("paths", "config"):
        ran = run_modelset(command, env={"MODELSET_MODELS_ROOT": f"/x/{name}"})
        assert ran.code == 0, ran.stderr
        assert f"/x/{name}" in ran.stdout


@pytest.mark.parametrize("command", ["report --html .", "state export . --force"])
def test_a_folder_is_no_place_for_a_file(command: str, run_modelset: RunModelset) -> None:
    ran = run_modelset(*command.split())
    assert ran.code not in (0, 1), ran.stderr
    assert "error: " in ran.stderr
