import sys
import time
from pathlib import Path

import pytest
from benchmarks.bench import hashing_cpu, parse_rate
from benchmarks.measure import Entry, compare, run
from benchmarks.origin import Origin
from benchmarks.tools import Job, Tool

SPEED = """version: 3.0.19
The 'numbers' are in 1000s of bytes per second processed.
type          16384 bytes
sha256         383012.50k
"""


def test_the_rate_is_read_from_what_openssl_prints() -> None:
    assert parse_rate(SPEED) == 383_012_500
    with pytest.raises(RuntimeError, match="no rate"):
        parse_rate("type 16384 bytes\n")


def test_hashing_more_takes_more_processor_time() -> None:
    assert hashing_cpu(64 << 20) > hashing_cpu(1 << 20) >= 0


def python(*lines: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", "\n".join(lines)]


def test_time_and_memory_are_those_of_the_command_and_its_children(tmp_path: Path) -> None:
    child = "b = bytearray(90 << 20); b[::4096] = b'x' * len(b[::4096])"
    command = python(
        "import os, subprocess, sys, time",
        f"subprocess.run([sys.executable, '-I', '-S', '-c', {child!r}], check=True)",
        "ends = time.process_time() + 0.2",
        "while time.process_time() < ends: pass",
        "time.sleep(0.2)",
    )

    took = run(command, {}, tmp_path)

    assert took.wall >= 0.4
    assert 0.2 <= took.cpu < took.wall + 1
    assert 90 << 20 < took.peak < 200 << 20


def test_the_memory_of_whoever_measures_is_not_counted(tmp_path: Path) -> None:
    ballast = bytearray(100 << 20)
    ballast[::4096] = b"x" * len(ballast[::4096])

    assert run(["true"], {"PATH": "/usr/bin:/bin"}, tmp_path).peak < 50 << 20


def test_a_failing_command_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = python("import sys", f"print('in {tmp_path}: no luck')", "sys.exit(7)")

    with pytest.raises(RuntimeError, match=r"ended with 7: in \.: no luck"):
        run(command, {}, tmp_path)


def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    began = time.monotonic()

    with pytest.raises(RuntimeError, match=r"took more than 0\.5 s"):
        run(python("import time", "time.sleep(60)"), {}, tmp_path, limit_s=0.5)

    assert time.monotonic() - began < 10


def test_tools_take_turns_and_one_that_brings_wrong_bytes_is_out(tmp_path: Path) -> None:
    repo = Origin(tmp_path / "www").add("bench/one", {"model.bin": 100})
    source = tmp_path / "www" / "bench" / "one" / "resolve" / repo.commit / "model.bin"
    job = Job("http://127.0.0.1:1", (repo,), tmp_path / "run")
    order = []

    def tool(name: str, *command: str) -> Tool:
        def noted(asked: Job) -> list[str]:
            order.append(name)
            return list(command)

        return Tool(name, noted)

    good = tool("good", "/bin/cp", str(source), "model.bin")
    bad = tool("bad", "/bin/sh", "-c", "echo x > model.bin")
    absent = Tool("absent", lambda asked: [], needs="no-such-program")
    rounds = []

    found = compare(
        [Entry(good, job), Entry(bad, job), Entry(absent, job)], 2, lambda: rounds.append(1)
    )

    assert order == ["good", "bad", "good"]
    assert len(rounds) == 2
    assert len(found["good"].took) == 2
    assert not found["good"].trouble
    assert not found["bad"].took
    assert "did not bring 1 files, such as bench/one/model.bin" in found["bad"].trouble
    assert found["absent"].trouble == "no-such-program is not installed"
    assert not (tmp_path / "run").exists()
