"""The whole of the main job on the demo set, through child processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Checkout, make_checkout
from tests.conftest import Ran, run_process

CRITICAL = {"whisper:base", "vad:silero", "spacy:en_core_web_trf"}


def test_the_first_download_brings_every_model(first_run: tuple[Checkout, Ran]) -> None:
    checkout, ran = first_run
    assert ran.code == 0, ran.stderr
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    rows = {row["key"]: row for row in ran.json["data"]["outcomes"]}
    assert rows.keys() >= CRITICAL
    assert {row["result"] for row in rows.values()} == {"downloaded"}
    assert all(row["bytes_moved"] > 0 and row["failure"] is None for row in rows.values())
    assert (checkout.folder / "out/demo/models.lock.json").exists()
    assert not list((checkout.folder / "out/demo/models/downloads").glob("*"))
    assert "downloaded" in ran.stderr
    assert "hf_demo" not in ran.stdout + ran.stderr


def test_everything_lies_below_out(demo: Checkout) -> None:
    home = demo.folder / "home"
    assert not home.exists()
    top = {path.name for path in demo.folder.iterdir()}
    assert top == {"shared", "scripts", "out"}


def test_a_second_run_makes_no_request_and_says_all_is_ready(demo: Checkout) -> None:
    ran = demo.run("download", "--demo", "--json")
    assert ran.code == 0, ran.stderr
    assert demo.requests == []
    assert {row["result"] for row in ran.json["data"]["outcomes"]} == {"ready"}
    assert sum(row["bytes_moved"] for row in ran.json["data"]["outcomes"]) == 0
    kept = json.loads((demo.folder / "out/last_download.json").read_text())
    assert kept == ran.json


def test_check_agrees_and_falls_back_to_the_demo_set_with_a_note(
    demo: Checkout, first_run: tuple[Checkout, Ran]
) -> None:
    asked = demo.run("check", "--demo", "--json")
    fallen = demo.run("--json", door="model_checker.py")
    assert asked.code == fallen.code == 0
    assert "note:" in fallen.stderr
    assert "out/demo" in fallen.stderr
    assert asked.stderr == ""
    for ran in (asked, fallen):
        rows = {row["key"]: row for row in ran.json["data"]["models"]}
        brought = {row["key"] for row in first_run[1].json["data"]["outcomes"]}
        assert rows.keys() == brought
        assert {row["presence"] for row in rows.values()} == {"present"}
        assert ran.json["data"]["total_bytes"] > 1_000_000
    assert (
        fallen.json == asked.json == json.loads((demo.folder / "out/last_check.json").read_text())
    )


def test_a_deep_check_reads_every_byte_and_agrees(demo: Checkout) -> None:
    ran = demo.run("check", "--demo", "--deep", "--strict", "--json")
    assert ran.code == 0
    assert {row["presence"] for row in ran.json["data"]["models"]} == {"present"}


def test_the_screen_of_a_check(demo: Checkout) -> None:
    ran = demo.run("check", "--demo")
    assert ran.code == 0
    for words in ("ML MODEL STATUS CHECK", "Whisper Models:", "VAD Models:", "All models ready!"):
        assert words in ran.stdout
    assert "✓ base" in ran.stdout
    assert "\x1b[" not in ran.stdout


def test_the_screen_of_a_download_that_has_nothing_to_do(demo: Checkout) -> None:
    ran = demo.run("download", "--demo")
    assert ran.code == 0
    for words in ("ML MODEL DOWNLOAD", "DOWNLOAD RESULTS", "SUMMARY", "All critical models ready!"):
        assert words in ran.stdout


def test_plan_shows_what_there_is_to_do_and_why(demo: Checkout) -> None:
    ran = demo.run("plan", "--demo", "--json")
    assert ran.code == 0
    data = ran.json["data"]
    assert ran.json["command"] == "plan"
    assert {row["key"] for row in data["selected"]} >= CRITICAL
    assert all(row["why"] for row in data["selected"])
    assert data["bytes_to_move"] == 0
    assert data["free_bytes"] > 0
    incompatible = {row["key"]: row["why"] for row in data["incompatible"]}
    if sys.platform != "darwin":
        assert incompatible["mlx:tiny"] == "needs Apple Silicon"
    words = demo.run("plan", "--demo").stdout
    for title in ("PLAN", "Compatible and selected", "Compatible, not selected", "Incompatible"):
        assert title in words


def test_a_plan_moves_nothing(demo: Checkout) -> None:
    ran = demo.run("plan", "--demo", "whisper:tiny", "--json")
    assert ran.code == 0
    (row,) = ran.json["data"]["models"]
    assert row["key"] == "whisper:tiny"
    assert ran.json["data"]["bytes_to_move"] == row["bytes_want"] > 0
    assert not [line for line in demo.requests if "/resolve/" in line]
    hub = demo.folder / "out/demo/models/huggingface/hub"
    assert not (hub / "models--Systran--faster-whisper-tiny").exists()


def test_list_marks_what_is_present_selected_and_available(demo: Checkout) -> None:
    ran = demo.run("list", "--demo", "--json")
    states = {row["key"]: row["state"] for row in ran.json["data"]["models"]}
    assert {states[key] for key in CRITICAL} == {"present"}
    assert states["whisper:medium"] == "available"
    assert len(states) > 90
    part = demo.run("list", "--demo", "--json", "--category", "vad")
    keys = [row["key"] for row in part.json["data"]["models"]]
    assert keys == ["vad:silero", "vad:silero-hub"]
    assert "whisper:medium" in demo.run("list", "--demo").stdout
    wanted = demo.run("list", "--demo", "--json", "--recommended")
    assert "whisper:medium" not in {row["key"] for row in wanted.json["data"]["models"]}


@pytest.mark.parametrize("door", ["", "model_checker.py"])
def test_the_commands_run_from_any_folder(demo: Checkout, tmp_path: Path, door: str) -> None:
    arguments = ["--demo", "--json"] if door else ["check", "--demo", "--json"]
    ran = demo.run(*arguments, door=door, cwd=tmp_path)
    assert ran.code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_door_needs_no_path_of_python(demo: Checkout, tmp_path: Path) -> None:
    environ = {name: text for name, text in demo.environ.items() if name != "PYTHONPATH"}
    door = demo.folder / "shared" / "model_checker.py"
    ran = run_process([sys.executable, door, "--demo", "--quiet"], env=environ, cwd=tmp_path)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def test_a_spoiled_file_is_found_and_brought_again(demo: Checkout, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(demo.folder, copy, symlinks=True)
    checkout = Checkout(copy, {**demo.environ, "PYTHONPATH": str(copy / "shared")})
    hub = copy / "out/demo/models/huggingface/hub"
    blob = (hub / "models--Systran--faster-whisper-base/refs/main").read_text()
    model = hub / f"models--Systran--faster-whisper-base/snapshots/{blob}/model.bin"
    target = model.resolve()
    target.write_bytes(b"\0" * target.stat().st_size)
    assert checkout.run("check", "--demo", "--quiet").code == 0
    deep = checkout.run("check", "--demo", "--deep", "--json")
    assert deep.code == 8
    (bad,) = [row for row in deep.json["data"]["models"] if row["presence"] != "present"]
    assert bad["key"] == "whisper:base"
    assert any("model.bin" in line for line in bad["problems"])
    mended = checkout.run("download", "--demo", "--json")
    assert mended.code == 0, mended.stderr
    results = {row["key"]: row["result"] for row in mended.json["data"]["outcomes"]}
    assert results["whisper:base"] == "downloaded"
    assert checkout.run("check", "--demo", "--deep", "--quiet").code == 0


# ---- env -----------------------------------------------------------------------------------


def variables(demo: Checkout) -> dict[str, str]:
    found = demo.run("env", "--demo", "--json").json["data"]["variables"]
    assert isinstance(found, dict)
    return found


def test_env_leads_every_library_to_the_models(demo: Checkout) -> None:
    found = variables(demo)
    root = demo.folder / "out/demo/models"
    assert found["HF_HUB_CACHE"] == str(root / "huggingface/hub")
    assert found["TORCH_HOME"] == str(root / "torch")
    assert found["HF_HUB_OFFLINE"] == "1"
    assert found["PYTHONPATH"] == str(demo.folder / "out/demo/site-packages")


def test_the_shell_form_survives_spaces_and_quotes(demo: Checkout) -> None:
    expected = variables(demo)
    assert "it's a project" in expected["HF_HUB_CACHE"]
    text = demo.run("env", "--demo").stdout
    program = "import json, os, sys; print(json.dumps({n: os.environ[n] for n in sys.argv[1:]}))"
    done = subprocess.run(
        ["bash", "-c", text + 'exec "$PYTHON" -c "$PROGRAM" "$@"', "bash", *expected],
        env={"PYTHON": sys.executable, "PROGRAM": program, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert json.loads(done.stdout) == expected


def test_the_other_forms_say_the_same(demo: Checkout) -> None:
    expected = variables(demo)
    lines = {
        form: demo.run("env", "--demo", "--format", form).stdout.splitlines()
        for form in ("dotenv", "powershell", "docker")
    }
    assert dict(line.split("=", 1) for line in lines["dotenv"]) == expected
    cache = expected["HF_HUB_CACHE"]
    doubled = cache.replace("'", "''")
    assert f"$env:HF_HUB_CACHE = '{doubled}'" in lines["powershell"]
    assert f'ENV HF_HUB_CACHE="{cache}"' in lines["docker"]
    assert {len(found) for found in lines.values()} == {len(expected)}


# ---- bounds of a download ------------------------------------------------------------------


def test_a_download_keeps_within_its_rate_and_its_connections(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "slow")
    bounds = ("--connections", "2", "--limit-rate", "400K", "--transport", "http")
    ran = checkout.run("download", "--demo", "whisper:tiny", *bounds, "--json")
    assert ran.code == 0, ran.stderr
    (row,) = ran.json["data"]["outcomes"]
    assert row["bytes_moved"] > 500_000
    # A tenth of a second's worth may come before the bound is felt.
    assert row["seconds"] > row["bytes_moved"] / 400_000 - 0.3


def test_what_the_hub_does_not_keep_in_xet_comes_over_http(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "plain")
    environ = {"MODELSET_DOWNLOAD_TRANSPORT": "xet"}
    ran = checkout.run("download", "--demo", "whisper:tiny", "--json", env=environ)
    assert ran.code == 0, ran.stderr
    assert [row["result"] for row in ran.json["data"]["outcomes"]] == ["downloaded"]
    assert checkout.run("check", "--demo", "--deep", "whisper:tiny", "--quiet").code == 0


def test_a_trial_without_a_lock_is_of_the_demo_set(demo: Checkout) -> None:
    ran = demo.run("test", "vad:silero", "--json")
    assert "demo set" in ran.stderr
    assert [row["key"] for row in ran.json["data"]["trials"]] == ["vad:silero"]
