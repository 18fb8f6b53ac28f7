"""Rows 31 and 52 to 54: signals, secrets, no network at all, and a machine that sleeps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from tests.faults.answers import MIB, Cut, File, Status, bytes_of, redirect
from tests.faults.project import DOOR, await_true
from tests.faults.rows.connection import ENOUGH_S
from tests.faults.rows.row import PART, Ground, Row, Verdict, delivered, refused, traces
from tests.faults.rows.tools import CLOCK_S, Tool

DATA, LARGE = bytes_of("m", 2 * MIB), 24 * MIB
TOKEN = "hf_RowsCanaryRowsCanaryRowsCanary4"
SIGNATURE = "s3cretSignatureOfTheStore"
CUT_OFF = ("unshare", "-rn")


def _stopped(tool: Tool, ground: Ground, number: signal.Signals) -> Verdict:
    """A body of six MiB a second is broken off half-way; the next run goes on from there."""
    data = bytes_of("m", LARGE)
    wanted = ground.put("m", data, File(data, pause_s=0.01))
    running = tool.start("m")
    await_true("some bytes", lambda: wanted.sent > LARGE // 2)
    asked = time.monotonic()
    running.send(number)
    ended = tool.finish("m", running, 20.0)
    took = time.monotonic() - asked
    if took > 2.0:
        return Verdict(False, f"ends after {took:.0f} s")
    if ended.code == 0 or (ended.ours and ended.code != 128 + number):
        return Verdict(False, f"exit {ended.code}")
    if ended.file is not None and ended.ours:
        return Verdict(False, "a file lies under the final name")
    wanted.script.change(File(data))
    return delivered(tool.fetch("m", ENOUGH_S), wanted, most=LARGE + PART)


def _interrupted(tool: Tool, ground: Ground) -> Verdict:
    return _stopped(tool, ground, signal.SIGINT)


def _terminated(tool: Tool, ground: Ground) -> Verdict:
    return _stopped(tool, ground, signal.SIGTERM)


def _token(tool: Tool, ground: Ground) -> Verdict:
    """Three failures and then the file; the token shows in nothing that is said or written."""
    tool.token = TOKEN
    wanted = ground.put("m", DATA)
    shown: list[str] = []
    wrong = redirect(f"{ground.origin.serve('/store', File(DATA[::-1]))}?token={TOKEN}")
    for answer in (Status(401), Status(403, {"X-Error-Message": TOKEN}), wrong, File(DATA)):
        wanted.script.change(answer)
        ended = tool.fetch("m", ENOUGH_S, deadline=20.0)
        shown += traces(tool, ended, TOKEN)
        if ended.ours and (ended.code == 0) != isinstance(answer, File):
            return Verdict(False, f"exit {ended.code} on {type(answer).__name__}")
    if shown:
        return Verdict(False, f"the token shows in {shown[0]}")
    return Verdict(True, "shows nothing")


def _signature(tool: Tool, ground: Ground) -> Verdict:
    """A store refuses its own signed address, which is as good as a password for a while."""
    store = ground.another()
    ground.put("m", DATA, redirect(f"{store.serve('/m', Status(403))}?Signature={SIGNATURE}"))
    ended = tool.fetch("m", ENOUGH_S)
    if ended.code == 0 or not any(SIGNATURE in each.query for each in store.requests):
        return Verdict(False, "does not ask the store")
    shown = traces(tool, ended, SIGNATURE)
    if shown:
        return Verdict(False, f"the signature shows in {shown[0]}")
    return Verdict(True, "shows nothing")


def _present(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", DATA)
    before = delivered(tool.fetch("m", ENOUGH_S), wanted)
    tool.under = CUT_OFF
    tool.env["HF_HUB_OFFLINE"] = "1"  # as its users have to say
    ended = tool.fetch("m", ENOUGH_S)
    if ended.code == 0 and ended.seconds > 5:
        return Verdict(False, f"takes {ended.seconds:.0f} s")
    return delivered(ended, wanted) if before.passed else before


def _absent(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", DATA)
    tool.under = CUT_OFF
    return refused(tool.fetch("m", ENOUGH_S), "network-unreachable", within_s=10.0)


def _checked(tool: Tool, ground: Ground) -> Verdict:
    """`check` under strace: no socket of the internet's families is ever made."""
    ground.put("m", DATA)
    ended = tool.fetch("m", ENOUGH_S)
    trace = ground.folder / "trace"
    watch = ("strace", "-f", "-qq", "-e", "trace=%network", "-o", str(trace))
    command = [*watch, sys.executable, str(DOOR.with_name("model_checker.py")), "house:m", "--json"]
    done = subprocess.run(
        command, env=tool.env, cwd=tool.folder, capture_output=True, timeout=60, check=False
    )  # fmt: skip
    calls = trace.read_text()
    if ended.code != 0 or done.returncode != 0:
        return Verdict(False, f"exit {ended.code}, then {done.returncode}")
    [status] = json.loads(done.stdout)["data"]["models"]
    if status["presence"] != "present":
        return Verdict(False, f"says {status['presence']}")
    if "AF_INET" in calls:
        return Verdict(False, "opens a socket")
    return Verdict(True, "opens no socket")


def _suspended(tool: Tool, ground: Ground) -> Verdict:
    """The process sleeps longer than its clocks; its connections are gone when it wakes."""
    data = bytes_of("m", LARGE)
    wanted = ground.put("m", data, File(data, cut=Cut(31 * MIB // 2), ending="close"))
    running = tool.start("m")
    await_true("some bytes", lambda: wanted.sent > 4 * MIB)
    running.send(signal.SIGSTOP)
    time.sleep(CLOCK_S + 1.0)
    running.send(signal.SIGCONT)
    return delivered(tool.finish("m", running, ENOUGH_S), wanted, most=LARGE + PART)


SECRET = "A secret shows in no output, journal, lock, registry or file."
NO_RECORD = "it keeps no record of what is here"
STOP = "A stop takes less than two seconds, and costs at most one part for each connection."
ROWS = (
    Row(31, "interrupted", "Ctrl-C (SIGINT) in mid-body", STOP, _interrupted),
    Row(31, "terminated", "SIGTERM in mid-body", STOP, _terminated),
    Row(52, "token-shown", "a token, and errors that tempt to print it", SECRET, _token),
    Row(52, "signature-shown", "a signed address that is refused", SECRET, _signature),
    Row(53, "offline-present", "no network, and the file is here",
        "What is here needs no network.", _present, not_for=("curl", "aria2c"),
        why_not=NO_RECORD, needs=("unshare",)),
    Row(53, "offline-absent", "no network, and nothing is here",
        "Without a network the end comes within ten seconds, and says so.", _absent,
        needs=("unshare",)),
    Row(53, "offline-check", "`check` under strace", "A check opens no socket.", _checked,
        rivals=False, why_not="it has no check that needs no network", needs=("strace",)),
    Row(54, "suspended", "the machine sleeps in mid-body, longer than every clock",
        "Sleep costs no more than the connections that it broke.", _suspended),
)  # fmt: skip
