"""Runs one command of this program in a child process, and hears what it says while it runs.

Every change goes through the command that a person would run: there is no second way of doing it,
its threads never hold up an answer, and a stop is the signal that it obeys anyway.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelset.core.values import dataclass

_SOURCE_ROOT = str(Path(__file__).resolve().parents[2])
# A line of events or words; a command's document is not bound by it.
_LINE_AT_MOST = 1024 * 1024
# A command ends within two seconds of the signal; this is for one that hangs in the system.
_PATIENCE_S = 6.0
_LOOK_S = 1.0
# Commands that only answer a question, at once.
_ASIDES = 2
# Not for a command: what only the service itself may know.
_OWN = ("MODELSET_SERVER_TOKEN", "MODELSET_SERVER_TOKEN_FILE")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code, its document, and its last words."""

    exit_code: int
    document: Mapping[str, Any]
    words: str


class Command:
    """The way to run commands under one environment."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        paths = (_SOURCE_ROOT, environ.get("PYTHONPATH", ""))
        self._environ = {
            **{name: text for name, text in environ.items() if name not in _OWN},
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "PYTHONUTF8": "1",
        }
        self._asides = asyncio.Semaphore(_ASIDES)

    async def aside(self, words: Sequence[str]) -> Ended:
        """Run one that only answers a question; few of them at once, however many ask."""
        async with self._asides:
            return await self(words)

    async def __call__(
        self, words: Sequence[str], on_event: Callable[[dict[str, Any]], None] | None = None
    ) -> Ended:
        """Run it to its end; when this is cancelled, the command is stopped first."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "modelset", *words, "--json", "--events"),
            # Its end tells the command that this process has gone, however that happened.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environ,
            limit=_LINE_AT_MOST,
            start_new_session=True,
        )
        answer = bytearray()
        said = [""]
        heard = asyncio.create_task(_hear(process, answer, said, on_event))
        try:
            # Not `process.wait()` alone: it waits for the pipes too, and what the command has left
            # behind may hold those for ever.
            while not heard.done() and process.returncode is None:
                await asyncio.wait({heard}, timeout=_LOOK_S)
            await asyncio.wait({heard}, timeout=_PATIENCE_S)
            if heard.done():
                heard.result()
            code = await process.wait() if process.returncode is None else process.returncode
        finally:
            await _end(process, heard)
        return Ended(code, _document(answer), said[-1])


async def _hear(
    process: asyncio.subprocess.Process,
    answer: bytearray,
    said: list[str],
    on_event: Callable[[dict[str, Any]], None] | None,
) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    await asyncio.gather(_listen(process.stderr, said, on_event), _collect(process.stdout, answer))


async def _collect(stream: asyncio.StreamReader, answer: bytearray) -> None:
    while piece := await stream.read(_LINE_AT_MOST):
        answer += piece


async def _listen(
    stream: asyncio.StreamReader,
    said: list[str],
    on_event: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Tell every event, and remember the last of the other words."""
    while True:
        try:
            line = (await stream.readline()).decode(errors="replace")
        except ValueError:  # longer than any event
            continue
        if not line:
            return
        event = None
        if line.startswith('{"event"'):
            with contextlib.suppress(ValueError):
                event = json.loads(line)
        if event is None:
            said[-1] = line.strip().removeprefix("error: ") or said[-1]
        elif on_event is not None:
            on_event(event)


async def _end(process: asyncio.subprocess.Process, heard: asyncio.Task[None]) -> None:
    """Stop what still runs, and what it started: it leads a group of its own."""
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _PATIENCE_S)
        if process.returncode is None or not heard.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                _kill(process)
        await process.wait()
    finally:
        heard.cancel()


def _kill(process: asyncio.subprocess.Process) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _document(answer: bytearray) -> Mapping[str, Any]:
    try:
        found = json.loads(answer)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
