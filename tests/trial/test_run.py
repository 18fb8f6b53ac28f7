"""Whatever a library does in its child process, a trial ends in time and says what happened."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.trial.conftest import Laboratory, subject_of

from modelset.core.errors import ModelSetError
from modelset.engine.guard import Stop
from modelset.trial import run
from modelset.trial.values import Subject, order_text, read_order, read_trial

AUDIT_HOOK: tuple[str, ...] = ()  # nothing before the command: only the hook is left


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


# ---- how it goes ---------------------------------------------------------------------------------


def test_a_trial_times_the_loading_and_the_job(laboratory: Laboratory) -> None:
    trial = laboratory.try_vosk("time.sleep(0.3)", "time.sleep(0.2)")
    assert (trial.key, trial.result) == ("some:model", "passed")
    assert trial.detail == 'heard "so it said"'
    assert 0.3 <= trial.load_s < 5
    assert 0.2 <= trial.job_s < 5
    assert trial.used.startswith("vosk")
    assert trial.isolation in ("namespace", "audit hook")


@pytest.mark.skipif(sys.platform != "linux", reason="others measure by other means")
def test_the_memory_is_that_of_the_child_alone(laboratory: Laboratory) -> None:
    ours = bytearray(os.urandom(1024)) * 300_000
    small = laboratory.try_vosk("")
    large = laboratory.try_vosk("kept = bytearray(os.urandom(1024)) * 200_000")
    assert len(ours) > 300_000_000
    assert 5_000_000 < small.peak_bytes < 150_000_000
    assert 200_000_000 < large.peak_bytes - small.peak_bytes < 260_000_000


def test_what_a_library_prints_goes_to_the_log(laboratory: Laboratory) -> None:
    said = '{"result": "failed", "detail": "x", "load_s": 0, "job_s": 0, "peak_bytes": 0}'
    loading = f"print({said!r})\nos.write(1, b'below Python')\nos.system('echo from a child')"
    trial = laboratory.try_vosk(loading, "print('\\x1b[31m never ends', file=sys.stderr)")
    assert trial.result == "passed"
    for words in ("== some:model", said, "below Python", "from a child", "never ends"):
        assert words in laboratory.words


def test_each_trial_is_added_to_the_log(laboratory: Laboratory) -> None:
    laboratory.try_vosk("print('the first')")
    laboratory.try_vosk("print('the second')")
    assert laboratory.words.index("the first") < laboratory.words.index("the second")


def test_a_trial_without_a_log_leaves_nothing_behind(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = laboratory.folder / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    text = "import tempfile\ntempfile.mkdtemp()\nopen('here', 'w').close()\n"
    laboratory.library("vosk", text)
    trial = run.try_model(subject_of("vosk", laboratory.folder), laboratory.environ, 60, Stop())
    assert (trial.result, trial.detail[:14]) == ("failed", "AttributeError")
    assert list(scratch.iterdir()) == []
    assert {path.name for path in laboratory.folder.iterdir()} == {"libraries", "scratch"}
    assert {path.name for path in laboratory.libraries.iterdir()} == {"vosk.py"}


def test_the_child_gets_no_credential_and_is_told_to_stay_offline(laboratory: Laboratory) -> None:
    environ = {
        "HF_TOKEN": "hf_secret",
        "OPENAI_API_KEY": "sk_secret",
        "aws_secret_access_key": "secret",
        "HF_HUB_CACHE": "/kept",
    }
    trial = laboratory.try_vosk("print(dict(os.environ), sys.path)", environ=environ)
    assert trial.result == "passed"
    assert "secret" not in laboratory.words
    assert "'HF_HUB_CACHE': '/kept'" in laboratory.words
    assert "'HF_HUB_OFFLINE': '1'" in laboratory.words


def test_the_folder_that_a_child_works_in_is_not_imported_from(laboratory: Laboratory) -> None:
    loading = "open('argh.py', 'w').close()\nimport argh"
    trial = laboratory.try_vosk(loading)
    assert trial.result == "failed"
    assert trial.detail == "ModuleNotFoundError: No module named 'argh'"


# ---- a hostile library ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("own_group", ["", ", process_group=0"])
def test_a_job_that_hangs_is_ended_with_all_that_it_started(
    laboratory: Laboratory, own_group: str
) -> None:
    pids = laboratory.folder / "pids"
    loading = (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"sleeping = subprocess.Popen(['sleep', '600']{own_group})\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{sleeping.pid}}')\n"
        "time.sleep(600)"
    )
    start = time.monotonic()
    trial = laboratory.try_vosk(loading, timeout_s=2)
    assert time.monotonic() - start < 8
    assert (trial.result, trial.detail) == ("failed", "not done within 2.0 s")
    left = [int(pid) for pid in pids.read_text().split()]
    assert len(left) == 2
    # The system takes a moment to bury those whose parent is gone.
    while any(map(is_alive, left)):
        assert time.monotonic() - start < 10
        time.sleep(0.02)


def test_a_job_that_crashes_is_a_failure(laboratory: Laboratory) -> None:
    trial = laboratory.try_vosk("import ctypes\nctypes.string_at(0)")
    assert trial.result == "failed"
    if sys.platform != "win32":
        assert trial.detail == "its process was ended by SIGSEGV"
    assert "Segmentation fault" in laboratory.words or sys.platform != "linux"


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_a_job_that_is_killed_may_have_wanted_memory(laboratory: Laboratory) -> None:
    trial = laboratory.try_vosk("", "os.kill(os.getpid(), 9)")
    assert trial.result == "failed"
    assert trial.detail == "its process was ended by SIGKILL (perhaps for want of memory)"


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_that_ends_the_process_has_failed(laboratory: Laboratory, code: int) -> None:
    trial = laboratory.try_vosk(f"print('first')\nprint('the last words')\nos._exit({code})")
    assert trial.result == "failed"
    assert trial.detail == f"its process ended with code {code} and no result: the last words"


def test_garbage_in_place_of_the_result_is_a_failure(laboratory: Laboratory) -> None:
    everywhere = (
        "for descriptor in range(64):\n"
        "    try:\n"
        '        os.write(descriptor, b\'\\xff\\x00{"result": "passed"}\' * 9999)\n'
        "    except OSError:\n"
        "        pass\n"
        "os._exit(0)"
    )
    trial = laboratory.try_vosk(everywhere)
    assert trial.result == "failed"
    assert "no result" in trial.detail
    assert trial.detail.isprintable()
    assert len(trial.detail) < 300


def test_an_error_of_the_library_is_said_on_one_line(laboratory: Laboratory) -> None:
    trial = laboratory.try_vosk("raise ValueError('bad\\n\\x1b[31mweights\\x07\\n' + 'x' * 9999)")
    assert trial.result == "failed"
    assert trial.detail.startswith("ValueError: bad [31mweights x")
    assert trial.detail.isprintable()
    assert len(trial.detail) == 200
    assert "Traceback" in laboratory.words


@pytest.mark.parametrize("leaving", ["sys.exit(0)", "raise SystemExit('enough')"])
def test_a_library_that_leaves_has_failed(laboratory: Laboratory, leaving: str) -> None:
    trial = laboratory.try_vosk("", leaving)
    assert trial.result == "failed"
    assert trial.detail.startswith("SystemExit")


def test_a_library_that_never_stops_talking_is_ended(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_LOG_AT_MOST", 1_000_000)
    trial = laboratory.try_vosk("while True:\n    print('more' * 1000)")
    assert (trial.result, trial.detail) == ("failed", "wrote more than 1.0 MB of words")


def test_a_stop_ends_the_child_and_the_trial(laboratory: Laboratory) -> None:
    stop = Stop()
    asking = threading.Timer(1.5, stop.ask, ["terminated"])
    asking.start()
    start = time.monotonic()
    with pytest.raises(ModelSetError) as caught:
        laboratory.try_vosk("print(os.getpid(), flush=True)\ntime.sleep(600)", stop=stop)
    asking.join()
    assert time.monotonic() - start < 5
    assert caught.value.failure.code == "terminated"
    pid = int(laboratory.words.splitlines()[1])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# ---- a library that is not there -----------------------------------------------------------------


def test_a_missing_library_is_named_with_its_package(laboratory: Laboratory) -> None:
    laboratory.hide("vosk")
    trial = laboratory.try_it(subject_of("vosk", laboratory.folder))
    assert (trial.result, trial.detail) == ("skipped", "vosk is not installed: pip install vosk")
    assert (trial.load_s, trial.used) == (0, "")


def test_a_library_that_lacks_another_says_which(laboratory: Laboratory) -> None:
    laboratory.library("vosk", "import torchaudio")
    laboratory.hide("torchaudio")
    trial = laboratory.try_it(subject_of("vosk", laboratory.folder))
    assert trial.result == "skipped"
    assert trial.detail == "torchaudio is not installed: pip install torchaudio"


@pytest.mark.parametrize("error", ["OSError('libx.so: no such file')", "ImportError('too old')"])
def test_a_library_that_cannot_be_imported_says_nothing_of_the_model(
    laboratory: Laboratory, error: str
) -> None:
    laboratory.library("vosk", f"raise {error}")
    trial = laboratory.try_it(subject_of("vosk", laboratory.folder))
    assert trial.result == "skipped"
    assert trial.detail.startswith("vosk cannot be imported: ")
    assert error.partition("'")[2].rstrip("')") in trial.detail


def test_a_model_cannot_have_a_package_of_its_choice_recommended(laboratory: Laboratory) -> None:
    trial = laboratory.try_vosk("raise ModuleNotFoundError('no', name='evil_package')")
    assert (trial.result, trial.detail) == ("failed", "ModuleNotFoundError: no")
    # Nor does it get away with saying that a library is missing which is here.
    trial = laboratory.try_vosk("raise ModuleNotFoundError('no', name='vosk')")
    assert trial.result == "failed"


# ---- no network ----------------------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.3)
        yield listening


def calls(listening: socket.socket) -> int:
    """How many have called, and hung up."""
    count = 0
    while True:
        try:
            listening.accept()[0].close()
        except TimeoutError:
            return count
        count += 1


TALKS = {
    "connect": "socket.create_connection(('127.0.0.1', PORT), 5)",
    "connect_ex": "print(socket.socket().connect_ex(('127.0.0.1', PORT)))",
    "sendto": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "getaddrinfo": "socket.getaddrinfo('localhost', PORT)",
    "gethostbyname": "socket.gethostbyname('localhost')",
    "http": "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT/', timeout=5)",
}


@pytest.mark.parametrize("talk", TALKS)
def test_the_hook_refuses_every_way_to_the_network(
    laboratory: Laboratory, listener: socket.socket, talk: str
) -> None:
    lines = TALKS[talk].replace("PORT", str(listener.getsockname()[1]))
    trial = laboratory.try_vosk(f"import socket\n{lines}", cut_off=AUDIT_HOOK)
    assert trial.result == "failed"
    assert "a trial has no network" in trial.detail
    assert trial.isolation == "audit hook"
    assert calls(listener) == 0


# Another process, so that no hook of Python stands in its way.
PAST_THE_HOOK = """
code = "import socket; socket.create_connection(('127.0.0.1', PORT), 5)"
subprocess.run([sys.executable, "-I", "-c", code], check=True)
"""


def test_nothing_gets_out_of_the_namespace(laboratory: Laboratory, listener: socket.socket) -> None:
    if not run.cut_off_words():
        pytest.skip("this machine does not let `unshare -n` take the network away")
    lines = PAST_THE_HOOK.replace("PORT", str(listener.getsockname()[1]))
    trial = laboratory.try_vosk(lines)
    assert trial.result == "failed"
    assert trial.isolation == "namespace"
    assert "CalledProcessError" in trial.detail
    assert "Network is unreachable" in laboratory.words
    assert calls(listener) == 0


def test_the_listener_would_have_heard_it(laboratory: Laboratory, listener: socket.socket) -> None:
    lines = PAST_THE_HOOK.replace("PORT", str(listener.getsockname()[1]))
    trial = laboratory.try_vosk(lines, cut_off=AUDIT_HOOK)
    assert trial.result == "passed"
    assert calls(listener) == 1


def test_a_machine_without_namespaces_is_no_obstacle(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.cut_off_words.cache_clear()
    monkeypatch.setattr(run, "_WAYS_OUT", (("no-such-program",), ("false",)))
    try:
        trial = laboratory.try_vosk("")
    finally:
        run.cut_off_words.cache_clear()
    assert (trial.result, trial.isolation) == ("passed", "audit hook")


def test_a_machine_that_starts_no_process_says_so(laboratory: Laboratory) -> None:
    with pytest.raises(ModelSetError, match="no process can be started") as caught:
        laboratory.try_vosk("", cut_off=("/no/such/program",))
    assert caught.value.failure.code == "unexpected"


# ---- what crosses between the processes ----------------------------------------------------------


def test_an_order_crosses_whole() -> None:
    ref = {"repo": "ä/b", "allow": ["*.bin"], "n": 1}
    subject = subject_of("vosk", "/a b/ü", ref=ref, roots={"nltk": "/n"})
    assert read_order(order_text(subject, "net:[1]")) == (subject, "net:[1]")


GOOD = (
    '{"result": "passed", "detail": "d", "load_s": 1, "job_s": 2.5, "peak_bytes": 3,'
    ' "used": "u", "isolation": "namespace"}'
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"passed"',
        "{}",
        "[" * 99999,
        GOOD + GOOD,
        GOOD.replace("passed", "perfect"),
        GOOD.replace('"passed"', "[]"),
        GOOD.replace('"d"', "7"),
        GOOD.replace("2.5", '"soon"'),
        GOOD.replace("2.5", "NaN"),
        GOOD.replace("2.5", "1e999"),
        GOOD.replace("2.5", "-1"),
        GOOD.replace("3,", "Infinity,"),
        GOOD.replace("3,", "null,"),
        GOOD.replace('"used": "u", ', ""),
    ],
)
def test_what_is_no_result_is_not_taken_for_one(text: str) -> None:
    subject: Subject = subject_of("vosk", "/")
    assert read_trial(subject, GOOD) is not None
    assert read_trial(subject, text) is None
