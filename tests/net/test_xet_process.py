"""The child of Xet: what it is told, and how it ends, whatever it does."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.conftest import SHARED

from modelset.core.errors import ModelSetError
from modelset.engine.guard import RunGuard, Stop
from modelset.net.xet import XetSettings
from modelset.net.xet_process import CHILD, Failed, Order, pour

TOKEN = "s3cret-xet"
ORDER = Order("ab" * 32, 100, 0, 100, "http://127.0.0.1:9", TOKEN)

_OPEN = """
import json, os, signal, socket, sys, time
order = json.loads(sys.stdin.readline())
channel = socket.socket(fileno=order["socket"])
def send(kind, data=b""):
    channel.sendall(kind + len(data).to_bytes(4, "big") + data)
"""


def child(program: str) -> tuple[str, ...]:
    """Return a stand-in for the child, which has opened its socket."""
    return (sys.executable, "-c", _OPEN + program)


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    """Every child has ended when a test has."""
    yield
    assert psutil.Process().children(recursive=True) == []


def run(
    program: str | tuple[str, ...],
    *,
    timeout_s: float = 20.0,
    silence_s: float = 20.0,
    stop: Stop | None = None,
    take: Callable[[bytes], None] | None = None,
) -> tuple[bytes, Failed | None]:
    """Return what came, and how it failed."""
    came = bytearray()
    failed = pour(
        ORDER,
        take or came.extend,
        RunGuard(stop or Stop(), timeout_s),
        environ={"HF_TOKEN_PATH": "/x", "LANG": "C.UTF-8"},
        silence_s=silence_s,
        command=child(program) if isinstance(program, str) else program,
    )
    return bytes(came), failed


def test_the_bytes_of_all_frames_come_in_order_however_they_are_cut() -> None:
    program = """
send(b"D", b"")
for size in (1, 3_000_000, 7):
    frame = b"D" + size.to_bytes(4, "big") + bytes([size % 251]) * size
    channel.sendall(frame[:3]); time.sleep(0.02); channel.sendall(frame[3:])
send(b"Z")
time.sleep(60)
"""
    came, failed = run(program)
    assert failed is None
    assert came == b"".join(bytes([size % 251]) * size for size in (1, 3_000_000, 7))


def test_the_order_comes_over_the_standard_input_alone() -> None:
    program = """
told = {"order": order, "argv": sys.argv, "environ": dict(os.environ)}
if os.path.exists("/proc/self/cmdline"):
    told["cmdline"] = open("/proc/self/cmdline").read()
    told["environ_file"] = open("/proc/self/environ").read()
send(b"D", json.dumps(told).encode()); send(b"Z")
"""
    came, _ = run(program)
    told = json.loads(came)
    order = told.pop("order")
    assert (order["token"], order["hash"], order["end"]) == (TOKEN, ORDER.hash, 100)
    assert TOKEN not in json.dumps(told)


def test_no_credential_of_the_user_is_in_the_childs_environment(tmp_path: Path) -> None:
    environ = {
        "HF_TOKEN": "hf_1",
        "HUGGING_FACE_HUB_TOKEN": "hf_2",
        "PATH": "/bin",
        "HF_XET_CACHE": "/home/someone",
        "HF_XET_TELEMETRY_ENABLED": "1",
        "HF_XET_CLIENT_READ_TIMEOUT": "7s",
    }
    made = XetSettings(environ, stall_s=9, ca_file="/ca.pem").child_environ(tmp_path)
    assert not [text for text in made.values() if "hf_" in text]
    assert made["PATH"] == "/bin"
    assert made["HF_XET_CACHE"] == str(tmp_path)
    assert made["HF_XET_TELEMETRY_ENABLED"] == "0"
    assert made["HF_XET_CLIENT_READ_TIMEOUT"] == "7s"
    assert made["SSL_CERT_FILE"] == "/ca.pem"
    assert made["HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT"] == "512mb"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("sys.exit(3)", "its process ended with code 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "its process ended with code -11"),
        ('send(b"D", b"half"); os._exit(0)', "its process ended with code 0"),
        ('channel.sendall(b"D\\0\\0"); os._exit(1)', "its process ended with code 1"),
        ('send(b"E", b"it hurts"); time.sleep(60)', "it hurts"),
    ],
)
def test_a_child_that_fails_is_a_failure_in_words(program: str, words: str) -> None:
    came, failed = run(program)
    assert failed == Failed(words)
    assert came == (b"half" if "half" in program else b"")


def test_a_program_that_cannot_be_run_fails_without_hanging() -> None:
    _, failed = run((sys.executable, "/nowhere/child.py"))
    assert failed is not None
    assert "ended with code" in failed.words


def test_a_process_that_cannot_be_started_is_said_in_words() -> None:
    with pytest.raises(ModelSetError) as raised:
        run(("/nowhere/program",))
    assert raised.value.failure.code == "xet-unavailable"


@pytest.mark.parametrize("library", ["None", "types.ModuleType('hf_xet')"])
def test_a_missing_library_and_one_that_is_too_old_are_told_from_a_failure(library: str) -> None:
    program = (
        f"import runpy, sys, types; sys.modules['hf_xet'] = {library};"
        f" runpy.run_path({CHILD[-1]!r}, run_name='__main__')"
    )
    _, failed = run((sys.executable, "-c", program))
    assert failed is not None
    assert failed.unavailable
    assert "hf_xet" in failed.words


@pytest.mark.skipif(
    importlib.util.find_spec("hf_xet") is None, reason="hf_xet is not in this environment"
)
def test_the_real_child_starts_without_this_package_on_its_path(tmp_path: Path) -> None:
    came = bytearray()
    quick = {"HF_XET_CLIENT_RETRY_MAX_ATTEMPTS": "1", "HF_XET_CLIENT_RETRY_BASE_DELAY": "10ms"}
    environ = XetSettings(quick).child_environ(tmp_path)
    guard = RunGuard(Stop(), 20)
    failed = pour(ORDER, came.extend, guard, environ=environ, silence_s=10)
    assert failed is not None
    assert not failed.unavailable
    assert not came


def test_silence_is_a_stall_and_every_byte_starts_its_clock_again() -> None:
    program = """
for _ in range(4):
    send(b"D", b"x"); time.sleep(0.4)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(60)
"""
    came = bytearray()
    began = time.monotonic()
    with pytest.raises(ModelSetError) as raised:
        run(program, silence_s=1.0, take=came.extend)
    assert raised.value.failure.code == "stalled"
    assert bytes(came) == b"xxxx"
    assert 2.0 < time.monotonic() - began < 5.0


@pytest.mark.parametrize("busy", ["time.sleep(60)", "send(b'D', bytes(1000))"])
@pytest.mark.parametrize("code", ["deadline", "terminated"])
def test_a_deadline_and_a_stop_kill_the_child_and_its_children_within_a_second(
    busy: str, code: str
) -> None:
    program = f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if not os.fork():
    time.sleep(60)
send(b"D", b"begun")
while True:
    {busy}
"""
    stop, asked = Stop(), []

    def take(data: bytes) -> None:
        if not asked:
            asked.append(time.monotonic())
            if code == "terminated":
                stop.ask("terminated")

    with pytest.raises(ModelSetError) as raised:
        run(program, timeout_s=1.0 if code == "deadline" else 60, stop=stop, take=take)
    ended = time.monotonic()
    assert raised.value.failure.code == code
    assert ended - asked[0] < (2.0 if code == "deadline" else 1.0)
    assert psutil.Process().children(recursive=True) == []


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")
def test_a_child_ends_soon_after_its_parent_was_killed(tmp_path: Path) -> None:
    program = (
        'send(b"D", str(os.getpid()).encode())\nwhile True: send(b"D", bytes(9)); time.sleep(0.1)'
    )
    parent = f"""
import sys
from modelset.engine.guard import RunGuard, Stop
from modelset.net.xet_process import Order, pour
def take(data):
    print(data.decode(), flush=True)
order = Order("", 1, 0, 1, "", "")
pour(order, take, RunGuard(Stop()), environ={{}}, silence_s=60, command={child(program)!r})
"""
    env = {"PYTHONPATH": str(SHARED), "PATH": os.environ["PATH"]}
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, env=env) as run_:
        assert run_.stdout is not None
        orphan = psutil.Process(int(run_.stdout.readline()))
        run_.send_signal(signal.SIGKILL)
        run_.wait(5)
    psutil.wait_procs([orphan], timeout=3)
    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
