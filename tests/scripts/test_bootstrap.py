from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Tree

BOOTSTRAP = "scripts/bootstrap.sh"
NO_NETWORK = (
    "echo \"WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\"; "
    'echo "ERROR: No matching distribution found for one>=1"; exit 1'
)
NO_SPACE = (
    'echo "ERROR: Could not install packages due to an OSError: '
    '[Errno 28] No space left on device" >&2; exit 1'
)
NO_COMPILER = 'echo "ERROR: Failed to build one"; exit 1'


def wait_for(ready: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


# ---- arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--demo", "--help"]])
def test_help_needs_nothing(tree: Tree, args: list[str]) -> None:
    done = tree.run(BOOTSTRAP, *args)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: scripts/bootstrap.sh")
    assert "--models-only" in done.stdout
    assert "package index" in done.stdout  # what --demo still needs
    assert done.stderr == ""
    assert not (tree.root / ".venv").exists()


def test_hands_on_every_argument_as_it_is(tree: Tree) -> None:
    tree.add_environment()
    args = ["--whisper-models", "base", "large-v3", "--hf-token", "a b*$x", "--json"]
    done = tree.run(BOOTSTRAP, "--models-only", *args)
    assert done.returncode == 0
    assert json.loads(done.stdout)["args"] == ["bootstrap", *args]  # and stdout is only data


def test_after_two_dashes_nothing_is_ours(tree: Tree) -> None:
    tree.add_environment()
    done = tree.run(BOOTSTRAP, "--models-only", "--", "--help")
    assert json.loads(done.stdout)["args"] == ["bootstrap", "--", "--help"]


def test_demo_is_passed_on_and_leaves_out_the_runtime_libraries(tree: Tree) -> None:
    tree.add_environment()
    done = tree.run(BOOTSTRAP, "--demo")
    assert json.loads(done.stdout)["args"] == ["bootstrap", "--demo"]
    assert not any("requirements.txt" in call for call in tree.calls("pip"))


def test_no_models_installs_and_starts_nothing(tree: Tree) -> None:
    tree.add_environment()
    done = tree.run(BOOTSTRAP, "--no-models")
    assert (done.returncode, done.stdout) == (0, "")
    assert any("requirements.txt" in call for call in tree.calls("pip"))


def test_the_service_s_libraries_stay_once_they_were_asked_for(tree: Tree) -> None:
    tree.add_environment()
    listing = tree.root / ".venv/modelset-core.txt"
    tree.run(BOOTSTRAP, "--models-only")
    assert "fastapi" not in listing.read_text()
    done = tree.run(BOOTSTRAP, "--models-only", "--server")
    assert done.returncode == 0
    assert "\nfastapi" in listing.read_text()
    tree.run(BOOTSTRAP, "--models-only")
    assert "\nfastapi" in listing.read_text()


def test_quiet_says_nothing_of_its_own(tree: Tree) -> None:
    tree.add_python()
    assert tree.run(BOOTSTRAP, "--quiet").stderr == ""


# ---- Python ------------------------------------------------------------------------------


def test_no_python_at_all(tree: Tree) -> None:
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 2
    assert "error: Python 3.11 or later is needed; found: none" in done.stderr
    assert "hint: install one" in done.stderr


def test_names_what_was_found(tree: Tree) -> None:
    for name, text in {
        "python3.12": "#!/bin/sh\necho 'not for this folder' >&2; exit 127\n",
        "python3": "#!/bin/sh\ncase $* in *print*) echo 3.9.2 ;; *) exit 1 ;; esac\n",
    }.items():
        (tree.tools / name).write_text(text)
        (tree.tools / name).chmod(0o755)
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 2
    assert "found: python3.12 (does not run), python3 is 3.9.2" in done.stderr


def test_a_name_that_does_not_run_gives_way_to_the_next(tree: Tree) -> None:
    (tree.tools / "python3.13").write_text("#!/bin/sh\nexit 127\n")
    (tree.tools / "python3.13").chmod(0o755)
    tree.add_python("python3.12", has_venv=1)
    tree.add_python("python3")
    assert tree.run(BOOTSTRAP).returncode == 0


def test_the_python_of_the_environment_variable_is_used(tree: Tree) -> None:
    tree.add_python("python3", pip="exit 1")
    chosen = tree.add_python("my python")
    assert tree.run(BOOTSTRAP, PYTHON=str(chosen)).returncode == 0


def test_a_wrong_environment_variable_is_not_ignored(tree: Tree) -> None:
    tree.add_python()
    done = tree.run(BOOTSTRAP, PYTHON="/nowhere/python")
    assert done.returncode == 2
    assert "'/nowhere/python'" in done.stderr


def test_missing_venv_module(tree: Tree) -> None:
    tree.add_python(has_venv=1)
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 2
    assert "venv or ensurepip module is missing" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_venv_fails_on_a_full_disk(tree: Tree) -> None:
    tree.add_python(venv='echo "OSError: [Errno 28] No space left on device"; exit 1')
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 7
    assert "error: the environment could not be made: the disk is full" in done.stderr


def test_a_broken_environment_is_made_again(tree: Tree) -> None:
    tree.add_python()
    python = tree.add_environment()
    python.unlink()
    python.symlink_to("/gone/python3.11")
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 0
    assert "making .venv again" in done.stderr
    assert len(tree.calls("venv")) == 1


def test_a_foreign_folder_is_not_emptied(tree: Tree) -> None:
    tree.add_python()
    precious = tree.root / ".venv" / "precious"
    precious.parent.mkdir()
    precious.touch()
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 2
    assert "is no Python environment" in done.stderr
    assert precious.exists()


# ---- pip ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pip", "code", "words"),
    [
        (NO_NETWORK, 5, "the package index cannot be reached"),
        (NO_SPACE, 7, "the disk is full"),
        (NO_COMPILER, 2, "pip failed: ERROR: Failed to build one"),
    ],
)
def test_core_install_fails(tree: Tree, pip: str, code: int, words: str) -> None:
    tree.add_python(pip=pip)
    done = tree.run(BOOTSTRAP)
    assert done.returncode == code
    assert f"error: the core libraries could not be installed: {words}" in done.stderr
    assert "hint: " in done.stderr
    assert str(tree.root / "out" / "core-install.log") in done.stderr
    assert "ERROR" in (tree.root / "out" / "core-install.log").read_text()
    assert done.stdout == ""  # the models were not started


def test_pip_is_asked_quietly_and_without_questions(tree: Tree) -> None:
    tree.add_environment()
    tree.run(BOOTSTRAP)
    assert len(tree.calls("pip")) == 2
    for call in tree.calls("pip"):
        assert {"-q", "--no-input", "--disable-pip-version-check"} <= set(call.split())
        assert "index" not in call
    listed = (tree.root / ".venv" / "modelset-core.txt").read_text()
    assert listed.split() == ["one>=1", "two"]


def test_the_second_run_calls_no_pip(tree: Tree) -> None:
    tree.add_python()
    assert tree.run(BOOTSTRAP).returncode == 0
    before = len(tree.calls("pip"))
    assert before == 2
    start = time.monotonic()
    assert tree.run(BOOTSTRAP).returncode == 0
    assert time.monotonic() - start < 2
    assert len(tree.calls("pip")) == before
    assert len(tree.calls("venv")) == 1


def test_only_what_changed_is_installed_again(tree: Tree) -> None:
    tree.add_environment()
    tree.run(BOOTSTRAP)
    with (tree.root / "requirements.txt").open("a") as file:
        file.write("four\n")
    with (tree.root / "pyproject.toml").open("a") as file:
        file.write("[tool.other]\n")
    tree.run(BOOTSTRAP)
    assert len(tree.calls("pip")) == 3
    assert "requirements.txt" in tree.calls("pip")[-1]


def test_runtime_libraries_fail_but_the_models_are_fine(tree: Tree) -> None:
    tree.add_environment(pip=f'case "$*" in *requirements.txt*) {NO_NETWORK} ;; esac')
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 1
    assert "warning: the runtime libraries could not be installed" in done.stderr
    assert "| ERROR: No matching distribution" in done.stderr
    assert "runtime-install.log" in done.stderr
    assert not (tree.root / ".venv" / "modelset-runtime.stamp").exists()


def test_the_models_exit_code_wins(tree: Tree) -> None:
    tree.add_environment(pip=f'case "$*" in *requirements.txt*) {NO_NETWORK} ;; esac')
    done = tree.run(BOOTSTRAP, STUB_EXIT="6")
    assert done.returncode == 6
    assert "next:" not in done.stderr


def test_runtime_libraries_are_installed_beside_the_models(tree: Tree) -> None:
    tree.add_environment(pip='case "$*" in *requirements.txt*) sleep 0.5 ;; esac')
    done = tree.run(BOOTSTRAP)
    assert done.returncode == 0
    words = done.stderr
    order = ["in the background", "waiting for the runtime", "libraries: installed", "next:"]
    assert [words.index(word) for word in order] == sorted(words.index(word) for word in order)


# ---- places ------------------------------------------------------------------------------


def test_from_another_folder_and_through_a_link(tree: Tree, tmp_path: Path) -> None:
    tree.add_environment()
    elsewhere = tmp_path / "else where"
    (elsewhere / "modelset").mkdir(parents=True)  # must not win over the project's package
    (elsewhere / "modelset" / "__main__.py").write_text("raise SystemExit(99)")
    (elsewhere / "boot").symlink_to("../a project/scripts/bootstrap.sh")
    done = tree.run(os.path.relpath(elsewhere / "boot", tree.root), cwd=elsewhere)
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["cwd"] == str(elsewhere)
    assert told["path"] == str(tree.root / "shared")
    assert "a\\ project/check-models.sh" in done.stderr  # can be typed as it stands


def test_a_foreign_pythonpath_does_not_reach_pip_or_the_models(tree: Tree) -> None:
    tree.add_environment(pip=f"echo \"path [$PYTHONPATH]\" >>'{tree.record}'")
    done = tree.run(BOOTSTRAP, PYTHONPATH="/elsewhere")
    assert json.loads(done.stdout)["path"] == str(tree.root / "shared")
    assert set(tree.calls("path")) == {"path []"}


def test_the_launcher_works_after_a_move_and_through_a_link(tree: Tree, tmp_path: Path) -> None:
    tree.add_environment()
    tree.run(BOOTSTRAP)
    moved = tree.root.rename(tmp_path / "moved project")
    link = tmp_path / "modelset"
    link.symlink_to(moved / ".venv" / "bin" / "modelset")
    done = subprocess.run(
        [link, "check", "a b"], env=tree.env, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["args"], told["path"]) == (["check", "a b"], str(moved / "shared"))


def test_out_can_lie_elsewhere(tree: Tree, tmp_path: Path) -> None:
    tree.add_environment()
    tree.run(BOOTSTRAP, MODELSET_OUT=str(tmp_path / "logs"))
    assert (tmp_path / "logs" / "core-install.log").exists()
    assert not (tree.root / "out").exists()


def test_no_colours_without_a_terminal(tree: Tree) -> None:
    assert "\033" not in tree.run(BOOTSTRAP, TERM="xterm-256color").stderr


# ---- signals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_models_and_the_background_install(
    tree: Tree, number: signal.Signals, code: int
) -> None:
    pip = f'case "$*" in *requirements.txt*) echo "slow $$" >>\'{tree.record}\'; sleep 30 ;; esac'
    tree.add_environment(pip=pip)
    process = tree.start(BOOTSTRAP, STUB_MODE="wait")
    wait_for(lambda: tree.calls("slow") and tree.calls("models"))
    start = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert time.monotonic() - start < 2
    assert process.returncode == code
    assert tree.calls("models got")
    assert "Terminated" not in err
    for line in [tree.calls("slow")[0], tree.calls("models ")[0]]:
        pid = int(line.split()[1])
        wait_for(lambda pid=pid: not is_running(pid), 1.0)


def test_a_child_that_does_not_listen_is_ended_all_the_same(tree: Tree) -> None:
    tree.add_environment()
    process = tree.start(BOOTSTRAP, "--models-only", STUB_MODE="wait", STUB_DEAF="1")
    wait_for(lambda: tree.calls("models"))
    start = time.monotonic()
    process.terminate()
    process.communicate(timeout=10)
    assert time.monotonic() - start < 2.5
    assert process.returncode == 143
    pid = int(tree.calls("models ")[0].split()[1])
    wait_for(lambda: not is_running(pid), 1.0)


def test_a_signal_during_the_core_install(tree: Tree) -> None:
    tree.add_environment(pip=f"echo \"slow $$\" >>'{tree.record}'; sleep 30")
    process = tree.start(BOOTSTRAP)
    wait_for(lambda: tree.calls("slow"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    assert not (tree.root / ".venv" / "modelset-core.stamp").exists()
    pid = int(tree.calls("slow")[0].split()[1])
    wait_for(lambda: not is_running(pid), 1.0)
