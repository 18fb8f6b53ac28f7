import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.servers import nginx_path
from tests.conftest import ROOT, run_process

RUN = ROOT / "benchmarks" / "run.py"


def needs(*programs: str) -> None:
    """Skip where a program is missing that the tables have to show."""
    try:
        nginx_path()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": str(home)}


def test_a_small_run_measures_every_tool_and_writes_the_page(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    needs("aria2c", "curl", "openssl")
    work, page = tmp_path / "work", tmp_path / "results.md"
    work.mkdir()
    command = [sys.executable, RUN, "--rounds", "1", "--scale", "0.01", "--skip", "hf download"]
    command += ["--folder", work, "--page", page, "--only", "small", "kill"]

    ran = run_process(command, env=environ, timeout_s=120)

    assert ran.code == 1, ran.stderr  # what was left out was not measured
    assert "missed: 4. small files, `hf download` takes: not measured" in ran.stderr
    text = page.read_text()
    assert "Not run: capped, verified, plain, set, cost, rate, stop." in text
    assert "**Scaled: 0.01" in text
    for tool in (
        "modelset", "modelset, TLS", "modelset, HTTP/2", "aria2c -i -j16", "aria2c -i -j16, TLS",
        "aria2c -x16", "curl -C -",
    ):  # fmt: skip
        rows = [line for line in text.splitlines() if line.startswith(f"| {tool} |")]
        assert rows, tool
        assert not any("not measured" in row for row in rows), rows
    assert "| hf download | not measured: left out with --skip |" in text
    assert "| 7. kill -9: fetched again" in text
    charts = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert charts == ["kill.svg", "small-memory.svg", "small-wall.svg"]
    assert list(work.iterdir()) == []


def test_a_stopped_run_leaves_nothing_behind(tmp_path: Path, environ: dict[str, str]) -> None:
    needs()
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, str(RUN), "--rounds", "1", "--only", "stop", "--folder", str(work)]
    process = subprocess.Popen(
        [*command, "--scale", "0.02", "--page", str(tmp_path / "results.md")],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "stop:\n"

    process.terminate()
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert list(work.iterdir()) == []
    assert not (tmp_path / "results.md").exists()


def test_run_sh_passes_its_options_on_and_says_when_there_is_no_python(tmp_path: Path) -> None:
    script = ROOT / "benchmarks" / "run.sh"
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}

    shown = run_process([script, "--help"], env=environ, cwd=tmp_path)
    refused = run_process([script], env={**environ, "PYTHON": str(tmp_path / "none")})

    assert shown.code == 0
    assert "--only CASE" in shown.stdout
    assert refused.code == 2
    assert "set PYTHON" in refused.stderr
