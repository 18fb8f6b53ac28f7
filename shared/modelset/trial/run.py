"""Runs one trial: a child process that can be ended at any moment, and what became of it."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from modelset.core.errors import ModelSetError
from modelset.core.words import size_text
from modelset.engine.guard import RunGuard, Stop
from modelset.trial.network import namespace
from modelset.trial.values import Subject, Trial, one_line, order_text, read_trial

# `-P`: the folder that the child works in is no place to import from.
CHILD = (sys.executable, "-P", "-m", "modelset.trial")
_SOURCE_ROOT = str(Path(__file__).resolve().parents[2])
_TICK_S = 0.05
_LOG_AT_MOST = 64 * 1024 * 1024
_ANSWER_AT_MOST = 64 * 1024
_TAIL = 4096

# Ways to leave the machine's network, best first: as who one is, then as root of a namespace.
_WAYS_OUT = (("unshare", "-n"), ("unshare", "-c", "-n"), ("unshare", "-r", "-n"))
# A credential is of no use without a network, and a model may be a program.
_CREDENTIALS = ("_TOKEN", "_KEY", "_KEY_ID", "_SECRET", "_PASSWORD", "_TOKEN_PATH", "_CREDENTIALS")
# Offline, silent, on the processor, and leaving no compiled files beside what was placed.
_MANNERS = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "PYANNOTE_METRICS_ENABLED": "0",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SCRATCH = ("TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")


def try_model(
    subject: Subject,
    environ: Mapping[str, str],
    timeout_s: float,
    stop: Stop,
    *,
    log: Path | None = None,
    cut_off: Sequence[str] | None = None,
) -> Trial:
    """Load a model in its library and let it do one small job, without a network.

    What the library says goes to the end of `log`. `cut_off` are the words before the command
    that take the network away, asked of the machine when None. Raises ModelSetError `stopped` or
    `terminated`; by then the child is gone, as it is when this returns.
    """
    before = cut_off_words() if cut_off is None else cut_off
    with (
        # Some systems hold on to the files of a process for a moment after its end.
        tempfile.TemporaryDirectory("", "modelset-trial-", ignore_cleanup_errors=True) as scratch,
        tempfile.TemporaryFile(dir=scratch) as answer,
        (log or Path(scratch, "log")).open("ab+") as words,
    ):
        words.write(f"== {subject.key}\n".encode())
        words.flush()
        start = words.seek(0, os.SEEK_END)
        command = [*before, *CHILD]
        with _running(command, _environ(environ, scratch), scratch, answer, words) as process:
            _hand_over(process, order_text(subject, namespace()))
            early = _wait(process, RunGuard(stop, timeout_s), words, start)
        if early:
            return Trial(subject.key, "failed", early)
        answer.seek(0)
        text = answer.read(_ANSWER_AT_MOST).decode(errors="replace")
        found = read_trial(subject, text)
        return found or Trial(subject.key, "failed", _end_words(process.returncode, words, start))


@functools.cache
def cut_off_words() -> tuple[str, ...]:
    """The words before a command that take every network away from it; empty where none do."""
    if sys.platform != "linux":
        return ()
    for words in _WAYS_OUT:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if not subprocess.run([*words, "true"], capture_output=True, timeout=5).returncode:
                return words
    return ()


def _environ(given: Mapping[str, str], scratch: str) -> dict[str, str]:
    kept = {name: text for name, text in given.items() if not name.upper().endswith(_CREDENTIALS)}
    places = [text for text in (kept.get("PYTHONPATH"), _SOURCE_ROOT) if text]
    own = {**_MANNERS, "PYTHONPATH": os.pathsep.join(places)}
    return kept | own | dict.fromkeys(_SCRATCH, scratch)


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    environ: Mapping[str, str],
    folder: str,
    answer: IO[bytes],
    words: IO[bytes],
) -> Iterator["subprocess.Popen[bytes]"]:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=words,
            env=dict(environ),
            cwd=folder,
            start_new_session=True,  # out of reach of a Ctrl-C, and a group to end as a whole
        )
    except OSError as error:
        raise ModelSetError(
            "unexpected",
            f"no process can be started for a trial: {error}",
            "check the limits for this user's processes, then run the command again",
        ) from error
    try:
        yield process
    finally:
        _kill(process)
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the child, all that it started, and what outlives it in its group."""
    import psutil  # here, because it takes a moment that the trial itself does not need

    started: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):  # gone already
        started = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    for one in started:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _hand_over(process: "subprocess.Popen[bytes]", order: str) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # a child that is gone already is noticed by its silence
        process.stdin.write(order.encode())
        process.stdin.close()


def _wait(process: "subprocess.Popen[bytes]", guard: RunGuard, words: IO[bytes], start: int) -> str:
    """Wait for the end; returns in words why the child has to be ended before it, or nothing."""
    while process.poll() is None:
        try:
            guard.sleep(_TICK_S)
        except ModelSetError as error:
            if error.failure.code != "deadline":
                raise ModelSetError(error.failure.code, "stopped") from error
            return error.failure.message
        if os.fstat(words.fileno()).st_size - start > _LOG_AT_MOST:
            return f"wrote more than {size_text(_LOG_AT_MOST)} of words"
    return ""


def _end_words(code: int, words: IO[bytes], start: int) -> str:
    """How a child ended that gave no answer."""
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = " (perhaps for want of memory)" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{why}"
    end = words.seek(0, os.SEEK_END)
    words.seek(max(end - _TAIL, start))
    lines = words.read(_TAIL).decode(errors="replace").split("\n")
    said = next((line for line in map(one_line, reversed(lines)) if line), "")
    return f"its process ended with code {code} and no result" + (f": {said}" if said else "")
