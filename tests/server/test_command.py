"""Commands in child processes: whatever they do, the server hears the end, and none outlives it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.conftest import Project

from modelset.core.errors import ModelSetError
from modelset.core.jobs import Job
from modelset.server import command as module
from modelset.server.command import Command, Ended
from modelset.server.jobs import Jobs
from modelset.store.jobs import JobStore

MIB = 1024 * 1024
Pretend = Callable[[str], Command]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Returns a way to run a program of the test's own in place of modelset."""

    python = sys.executable

    def make(program: str, **environ: str) -> Command:
        path, code = tmp_path / "program", tmp_path / "program.py"
        code.write_text(f"import json, os, signal, subprocess, sys, time\n{program}")
        # Not as the interpreter of the code itself: its path may have a space.
        words = shlex.join([python, str(code)])
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        path.chmod(0o755)
        monkeypatch.setattr(module.sys, "executable", str(path))
        return Command({"PATH": os.environ["PATH"], **environ})

    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    return make


def run(work: Awaitable[Ended], within_s: float = 20.0) -> Ended:
    async def bounded() -> Ended:
        try:
            async with asyncio.timeout(within_s):
                return await work
        finally:
            await asyncio.sleep(0.1)  # the loop lets go of the pipes

    return asyncio.run(bounded())


async def cancelled_after(work: Awaitable[Ended], is_ready: Callable[[], bool]) -> float:
    """Cancel as soon as something is so; returns how long the end took."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(20):
        while not is_ready():
            await asyncio.sleep(0.01)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    took = time.monotonic() - began
    await asyncio.sleep(0.1)
    return took


def test_a_real_command_answers_with_its_document(project: Project) -> None:
    ended = run(Command(project.environ)(["check"]), 60)
    assert (ended.exit_code, ended.document["command"]) == (4, "check")
    assert ended.document["data"]["models"]


def test_its_events_are_heard_and_its_last_words_kept(pretend: Pretend) -> None:
    command = pretend(
        'for text in (\'{"event": "started", "key": "a"}\', \'some words\', \'{"event" broken\','
        " 'error: the last words', '', '{\"event\": \"ended\"}'):\n"
        "    print(text, file=sys.stderr)\n"
        'print(\'{"data": {"x": 1}}\')\nsys.exit(5)\n'
    )
    heard: list[dict[str, Any]] = []
    ended = run(command(["x"], heard.append))
    assert heard == [{"event": "started", "key": "a"}, {"event": "ended"}]
    assert ended == Ended(5, {"data": {"x": 1}}, "the last words")


@pytest.mark.parametrize(
    "printed", ["", "words", "[1, 2]", '"text"', '{"cut": ', "\\xff\\xfe\\x00", "null"]
)
def test_what_is_no_document_is_an_empty_one(pretend: Pretend, printed: str) -> None:
    ended = run(pretend(f"sys.stdout.buffer.write(b'''{printed}''')\n")([]))
    assert (ended.exit_code, ended.document) == (0, {})


def test_a_death_is_an_end(pretend: Pretend) -> None:
    ended = run(
        pretend("print('why', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)")(
            []
        )
    )
    assert (ended.exit_code, ended.document, ended.words) == (-9, {}, "why")


def test_a_flood_of_words_neither_stops_it_nor_hides_an_event(pretend: Pretend) -> None:
    command = pretend(
        f"sys.stderr.write('x' * {5 * MIB})\nsys.stderr.write('\\n')\n"
        "for number in range(200_000): sys.stderr.write('many words\\n')\n"
        'sys.stderr.write(\'{"event": "ended"}\\n\')\n'
        f"sys.stdout.write(json.dumps({{'data': 'y' * {3 * MIB}}}))\n"
    )
    heard: list[dict[str, Any]] = []
    ended = run(command([], heard.append))
    assert heard == [{"event": "ended"}]
    assert len(ended.document["data"]) == 3 * MIB
    assert ended.words == "many words"


def test_one_that_ignores_the_signal_is_killed(pretend: Pretend, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = pretend(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(mark)!r} + '.new', 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(mark)!r} + '.new', {str(mark)!r})\n"
        "time.sleep(300)\n"
    )
    took = asyncio.run(cancelled_after(command([]), mark.exists))
    assert 0.4 < took < 3
    assert_gone(*map(int, mark.read_text().split()))


def test_one_that_talks_while_it_is_stopped_can_end(pretend: Pretend, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = pretend(
        "def stop(*_):\n"
        f"    sys.stderr.write('x' * {8 * MIB})\n    open({str(mark)!r}, 'w').write('saved')\n"
        "    os._exit(143)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"open({str(mark)!r}, 'w').write('begun')\ntime.sleep(300)\n"
    )
    is_begun = lambda: mark.exists() and mark.read_text() == "begun"  # noqa: E731
    asyncio.run(cancelled_after(command([]), is_begun))
    assert mark.read_text() == "saved"


def test_what_it_leaves_behind_does_not_hold_up_its_end(pretend: Pretend, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = pretend(
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(mark)!r}, 'w').write(str(child.pid))\n"
        "print('{\"data\": {}}', flush=True)\n"
    )
    ended = run(command([]), 5)
    assert (ended.exit_code, ended.document) == (0, {"data": {}})
    assert_gone(int(mark.read_text()))


def test_an_error_of_who_listens_ends_the_command(pretend: Pretend, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = pretend(
        f"open({str(mark)!r}, 'w').write(str(os.getpid()))\n"
        'print(\'{"event": "started"}\', file=sys.stderr, flush=True)\ntime.sleep(300)\n'
    )

    def refuse(event: dict[str, Any]) -> None:
        raise ValueError(event["event"])

    with pytest.raises(ValueError, match="started"):
        run(command([], refuse))
    assert_gone(int(mark.read_text()))


def test_a_program_that_is_not_there_is_an_error(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = pretend("")
    monkeypatch.setattr(module.sys, "executable", "/nowhere/python")
    with pytest.raises(OSError, match="nowhere"):
        run(command([]))


def test_it_knows_nothing_of_the_server(pretend: Pretend) -> None:
    program = (
        "import select\n"
        "ready = bool(select.select([0], [], [], 0.2)[0])\n"
        "print(json.dumps({'environ': dict(os.environ), 'argv': sys.argv[1:], 'ended': ready}))\n"
    )
    secrets = {"MODELSET_SERVER_TOKEN": "canary", "MODELSET_SERVER_TOKEN_FILE": "/canary"}
    command = pretend(program, HF_TOKEN="hf_x", PYTHONPATH="/mine", **secrets)  # type: ignore[call-arg]
    document = run(command(["download", "--locked"])).document
    assert "canary" not in json.dumps(document)
    assert document["environ"]["HF_TOKEN"] == "hf_x"
    assert document["environ"]["PYTHONPATH"].endswith(f"{os.pathsep}/mine")
    assert document["argv"] == [
        "-P",
        "-m",
        "modelset",
        "download",
        "--locked",
        "--json",
        "--events",
    ]
    assert document["ended"] is False, "its input has ended although the server lives"


def test_only_few_questions_are_asked_at_once(pretend: Pretend, tmp_path: Path) -> None:
    folder = tmp_path / "running"
    folder.mkdir()
    command = pretend(
        f"folder = {str(folder)!r}\nmine = os.path.join(folder, str(os.getpid()))\n"
        "open(mine, 'w').close()\ntime.sleep(0.1)\n"
        "print(json.dumps({'data': len(os.listdir(folder))}))\nos.unlink(mine)\n"
    )

    async def many() -> list[Ended]:
        try:
            return await asyncio.gather(*(command.aside([]) for _ in range(6)))
        finally:
            await asyncio.sleep(0.1)

    counts = [ended.document["data"] for ended in asyncio.run(many())]
    assert max(counts) <= 2


def assert_gone(*numbers: int) -> None:
    end = time.monotonic() + 5
    while any(psutil.pid_exists(number) and _runs(number) for number in numbers):
        assert time.monotonic() < end, "a process is left behind"
        time.sleep(0.02)


def _runs(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ---- jobs over commands ---------------------------------------------------------------------


class Pretended:
    """In place of commands: each hangs until it is told, or ends as it is told at once."""

    def __init__(self, ends: Ended | Exception | None = None) -> None:
        self.ends, self.began, self.stopped = ends, 0, 0

    async def __call__(self, words: list[str], on_event: object) -> Ended:
        self.began += 1
        if isinstance(self.ends, Exception):
            raise self.ends
        if self.ends is not None:
            return self.ends
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.1)  # saves what it has
            self.stopped += 1
        raise AssertionError


class Full(JobStore):
    """A store on a disk that can be full."""

    is_full = False

    def _do(self, words: str, values: Any) -> None:
        if self.is_full:
            raise ModelSetError("store-not-writable", "no space", "")
        super()._do(words, values)


def with_jobs(
    folder: Path, pretended: Pretended, work: Callable[[Jobs, Full], Awaitable[None]]
) -> None:
    async def whole() -> None:
        store = Full(folder)
        jobs = Jobs(store, pretended, 1)  # type: ignore[arg-type]
        jobs.resume()
        async with asyncio.timeout(20):
            try:
                await work(jobs, store)
            finally:
                await jobs.close()

    asyncio.run(whole())


async def over(jobs: Jobs, name: str) -> Job:
    while not (job := jobs.get(name)).is_over:
        await asyncio.sleep(0.01)
    return job


def test_a_job_that_is_stopped_twice_stops_its_command_once(tmp_path: Path) -> None:
    pretended = Pretended()

    async def work(jobs: Jobs, store: Full) -> None:
        job, _ = jobs.submit("download", {})
        await asyncio.sleep(0.05)
        jobs.stop(job.id)
        await asyncio.sleep(0.02)
        jobs.stop(job.id)
        assert (await over(jobs, job.id)).state == "stopped"
        assert pretended.stopped == 1, "it was left before it had saved what it has"

    with_jobs(tmp_path, pretended, work)


def test_a_job_can_be_stopped_before_it_has_begun(tmp_path: Path) -> None:
    async def work(jobs: Jobs, store: Full) -> None:
        job, _ = jobs.submit("download", {})
        log = jobs.log(job)
        jobs.stop(job.id)
        assert (await over(jobs, job.id)).state == "stopped"
        assert log.is_over

    pretended = Pretended()
    with_jobs(tmp_path, pretended, work)
    assert pretended.began == 0


@pytest.mark.parametrize("error", [OSError("no fork"), ValueError("odd"), KeyError("x")])
def test_a_command_that_cannot_run_ends_its_job(tmp_path: Path, error: Exception) -> None:
    async def work(jobs: Jobs, store: Full) -> None:
        job = await over(jobs, jobs.submit("verify", {})[0].id)
        assert (job.state, job.failure and job.failure["code"]) == ("failed", "unexpected")
        assert type(error).__name__ in (job.failure or {})["message"]
        again, is_new = jobs.submit("verify", {})
        assert is_new
        assert (await over(jobs, again.id)).state == "failed"

    with_jobs(tmp_path, Pretended(error), work)


def test_a_full_disk_keeps_no_job_from_its_end(tmp_path: Path) -> None:
    async def work(jobs: Jobs, store: Full) -> None:
        job, _ = jobs.submit("verify", {})
        store.is_full = True
        assert (await over(jobs, job.id)).state == "succeeded"
        assert [row.state for row in jobs.all()] == ["succeeded"]
        assert jobs.all(state="running") == []
        with pytest.raises(ModelSetError, match="no space"):
            jobs.submit("verify", {})
        store.is_full = False
        later, is_new = jobs.submit("verify", {})
        assert is_new, "what is over is taken for work under way"
        await over(jobs, later.id)
        kept = store.get(job.id)
        assert kept is not None
        assert kept.state == "succeeded", "it was not written once there was room"

    with_jobs(tmp_path, Pretended(Ended(0, {"data": {}}, "")), work)


def test_what_a_server_does_not_finish_the_next_one_does(tmp_path: Path) -> None:
    names: list[str] = []

    async def begin(jobs: Jobs, store: Full) -> None:
        names.extend(jobs.submit("download", {"keys": [key]})[0].id for key in ("a:b", "c:d"))
        await asyncio.sleep(0.05)
        assert [jobs.get(name).state for name in names] == ["running", "queued"]

    async def finish(jobs: Jobs, store: Full) -> None:
        assert [(await over(jobs, name)).state for name in names] == ["succeeded"] * 2
        assert [job.id for job in jobs.all()] == names[::-1]

    with_jobs(tmp_path, Pretended(), begin)
    with_jobs(tmp_path, Pretended(Ended(0, {"data": {}}, "")), finish)


def test_not_more_than_a_hundred_jobs_wait(tmp_path: Path) -> None:
    async def work(jobs: Jobs, store: Full) -> None:
        for number in range(100):
            jobs.submit("download", {"keys": [f"a:{number}"]})
        with pytest.raises(ModelSetError) as caught:
            jobs.submit("download", {"keys": ["one:more"]})
        assert caught.value.failure.code == "rate-limited"
        _, is_new = jobs.submit("download", {"keys": ["a:7"]})
        assert not is_new

    with_jobs(tmp_path, Pretended(), work)
