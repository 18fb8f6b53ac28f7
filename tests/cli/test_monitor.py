"""`modelset monitor`: what a timer has to know, offline; and a server's word when it is asked."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.cli.moving import FOLDER, HUB, House, house_in
from tests.conftest import Project, Ran, run_process

from modelset.cli import main, monitor_server

PROGRAM = """
from modelset.cli import main
main.COMMANDS.setdefault("monitor", ("monitor", (), "a command"))
main.run()
"""


class Unread:
    """Takes nothing; what is printed goes where it goes."""

    def readouterr(self) -> Any:
        return SimpleNamespace(out="", err="")


@contextlib.contextmanager
def whole_house(folder: Path) -> Iterator[House]:
    """A house whose set is the models that it has."""
    with (
        pytest.MonkeyPatch.context() as patch,
        house_in(folder, cast(Any, Unread()), patch) as made,
    ):
        assert made.run("download").code == 0
        yield made


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests that change nothing in it."""
    with whole_house(tmp_path_factory.mktemp("monitor")) as made:
        yield made


def enter(made: House, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> House:
    patch.setitem(main.COMMANDS, "monitor", ("monitor", (), "a command"))
    made.capture, made.patch = capture, patch
    capture.readouterr()
    return made


@pytest.fixture
def still(
    sound: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> House:
    return enter(sound, capsys, monkeypatch)


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house of the test's own."""
    with whole_house(tmp_path) as made:
        yield enter(made, capsys, monkeypatch)


@pytest.fixture
def prom(tmp_path: Path) -> Path:
    """Where gauges go."""
    pytest.importorskip("prometheus_client", reason="the extra `server` is not installed")
    return tmp_path / "textfile" / "modelset.prom"


def monitored(house: House, *arguments: str, code: int = 0) -> dict[str, Any]:
    ran = house.run("monitor", *arguments, "--json")
    assert ran.code == code, ran.stdout + ran.stderr
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("monitor", code)
    data: dict[str, Any] = ran.json["data"]
    return data


def levels(data: dict[str, Any], topic: str) -> list[str]:
    return [row["level"] for row in data["findings"] if row["topic"] == topic]


def gauges(file: Path) -> dict[str, dict[tuple[str, ...], float]]:
    """Each gauge with its rows by the values of their labels, in the order of their names."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(file.read_text()):
        for row in family.samples:
            found.setdefault(row.name, {})[
                tuple(row.labels[name] for name in sorted(row.labels))
            ] = row.value
    return found


def remove_whisper(house: House) -> None:
    hub = house.folder / "models" / "huggingface" / "hub"
    shutil.rmtree(hub / "models--Systran--faster-whisper-base")


def test_a_sound_machine_has_nothing_to_look_at(still: House) -> None:
    data = monitored(still)

    assert {row["topic"] for row in data["findings"]} == {
        *("Models", "Disk", "Last download", "Lock")
    }
    assert all(row["level"] == "ok" for row in data["findings"]), data["findings"]
    assert data["critical_missing"] == data["optional_missing"] == data["lock"]["stale"] == []
    assert data["counts"]["present"] > 3
    assert data["total_bytes"] > 100_000
    assert 0 <= data["lock"]["age_s"] < 100
    assert data["server"] is None


def test_people_see_a_row_for_each_and_quiet_says_nothing(still: House) -> None:
    ran = still.run("monitor")

    assert ran.code == 0
    assert "  MONITOR" in ran.stdout
    assert "All is well" in ran.stdout
    quiet = still.run("monitor", "--quiet")
    assert (quiet.code, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_critical_model_that_is_missing_is_the_exit_code_of_a_check(house: House) -> None:
    remove_whisper(house)

    data = monitored(house, code=4)

    assert data["critical_missing"] == [HUB]
    assert "bad" in levels(data, "Models")
    quiet = house.run("monitor", "--quiet")
    assert quiet.stdout == ""
    assert HUB in quiet.stderr
    assert "hint: modelset download" in quiet.stderr


def test_an_optional_one_counts_when_one_says_so(house: House) -> None:
    text = '[[model]]\nkey = "local:own"\ncategory = "nlu"\nsource = "local"\ntier = "optional"\n'
    text += f'ref = {{ path = "{house.folder}/own" }}\n'
    house.config.write_text(house.config.read_text() + text)

    assert levels(monitored(house), "Models") == ["ok", "note"]
    data = monitored(house, "--strict", code=3)
    assert data["optional_missing"] == ["local:own"]
    assert levels(data, "Models") == ["ok", "bad"]


def test_what_is_on_its_way_is_counted(house: House) -> None:
    folder = house.folder / "models" / "downloads"
    folder.mkdir(exist_ok=True)
    stem = f"sha256-{'ab' * 32}"
    (folder / f"{stem}.part").write_bytes(b"x" * 5000)
    journal = {"schema_version": 2, "spans": [[0, 5000]]}
    (folder / f"{stem}.0123abcd-1-1.json").write_text(json.dumps(journal))
    (folder / f"sha256-{'cd' * 32}.0123abcd-1-1.json").write_text("{")

    data = monitored(house)

    assert data["partial"] == {"files": 2, "bytes": 5000}
    assert levels(data, "Partial downloads") == ["note"]


def test_what_the_last_download_did_not_bring_is_said_until_it_is_here(house: House) -> None:
    remove_whisper(house)
    house.use(None)
    assert house.run("download", HUB).code == 5

    data = monitored(house, code=4)

    (failed,) = data["last_download"]["failed"]
    assert failed["key"] == HUB
    assert failed["failure"]
    assert levels(data, "Last download") == ["ok", "warn"]
    house.use(house.old)
    result = house.folder / "out" / "last_download.json"
    kept = result.read_bytes()
    assert house.run("download", HUB).code == 0
    result.write_bytes(kept)
    assert monitored(house)["last_download"]["failed"] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"data": 7}',
        '{"data": {"outcomes": [7, {"key": 7}, {"key": "a:b", "failure": 7}]}}',
        "[" * 100_000,
        "\x00",
    ],
)
def test_an_odd_result_of_a_download_harms_nothing(still: House, text: str) -> None:
    result = still.folder / "out" / "last_download.json"
    kept = result.read_bytes()
    result.write_text(text)
    try:
        data = monitored(still)
    finally:
        result.write_bytes(kept)

    assert not (data["last_download"] or {}).get("failed")


def test_a_lock_that_is_out_of_date_is_said(house: House) -> None:
    lock = json.loads(house.lock_file.read_text())
    del lock["models"][FOLDER if FOLDER in lock["models"] else HUB]
    house.lock_file.write_text(json.dumps(lock))
    os.utime(house.lock_file, (0, 0))

    ran = house.run("monitor", "--json")

    data = ran.json["data"]
    assert len(data["lock"]["stale"]) == 1
    assert data["lock"]["age_s"] > 10**9
    assert levels(data, "Lock") == ["warn"]


def test_little_room_is_a_warning(still: House, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(path)._replace(free=1000))

    data = monitored(still)

    assert levels(data, "Disk") == ["warn"]
    assert data["volumes"][0]["free_bytes"] == 1000
    ran = still.run("monitor", "--quiet")
    assert (ran.code, ran.stdout) == (0, "")
    assert "warning: Disk: 1.0 kB free" in ran.stderr


def test_the_gauges_say_what_the_command_says(house: House, prom: Path) -> None:
    remove_whisper(house)

    data = monitored(house, "--textfile", str(prom), code=4)

    found = gauges(prom)
    assert found["modelset_critical_missing"] == {(): 1}
    assert found["modelset_models"][("whisper", "missing", "critical")] == 1
    assert sum(found["modelset_models"].values()) == sum(data["counts"].values())
    assert found["modelset_store_bytes"] == {("models",): data["total_bytes"], ("partial",): 0}
    assert found["modelset_store_free_bytes"][()] == pytest.approx(
        data["volumes"][0]["free_bytes"], rel=0.5
    )
    assert found["modelset_last_check_success"] == {(): 0}
    assert abs(found["modelset_last_check_timestamp_seconds"][()] - time.time()) < 60
    assert found["modelset_last_download_failed"] == {(): 0}
    assert list(found["modelset_build_info"].values()) == [1]
    assert [path.name for path in prom.parent.iterdir()] == ["modelset.prom"]
    assert house.run("download").code == 0
    monitored(house, "--textfile", str(prom))
    assert gauges(prom)["modelset_last_check_success"] == {(): 1}


def test_promtool_finds_no_fault_in_the_gauges(still: House, prom: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    monitored(still, "--textfile", str(prom))

    done = subprocess.run(
        [promtool, "check", "metrics"], input=prom.read_bytes(), capture_output=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_when_nothing_can_be_looked_at_the_gauges_say_so(house: House, prom: Path) -> None:
    monitored(house, "--textfile", str(prom))
    house.config.write_text("[download]\nnonsense = 1\n")

    ran = house.run("monitor", "--textfile", str(prom), "--json")

    assert ran.code == 2
    found = gauges(prom)
    assert found["modelset_last_check_success"] == {(): 0}
    assert "modelset_critical_missing" not in found


def test_a_file_that_no_collector_reads_is_refused(still: House, tmp_path: Path) -> None:
    ran = still.run("monitor", "--textfile", str(tmp_path / "modelset.txt"))

    assert ran.code == 2
    assert ".prom" in ran.stderr
    assert not (tmp_path / "modelset.txt").exists()


def test_without_the_extra_the_way_to_it_is_said(
    still: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    ran = still.run("monitor", "--textfile", str(tmp_path / "modelset.prom"))

    assert ran.code == 2
    assert "bootstrap.sh --server" in ran.stderr
    assert still.run("monitor").code == 0


def test_no_socket_is_opened_and_nothing_else_is_written(
    project: Project, prom: Path, tmp_path: Path
) -> None:
    project.lock.write_text('{"schema_version": 1, "models": {}}')
    watched = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') or event == 'subprocess.Popen':\n"
        "        sys.stderr.write(f'SEEN {event}\\n')\n"
        "    if event == 'import' and arguments[0] in ('pycurl', 'torch', 'huggingface_hub'):\n"
        "        sys.stderr.write(f'SEEN {arguments[0]}\\n')\n"
        "sys.addaudithook(watch)\n"
    )

    def run(program: str) -> Ran:
        command = [sys.executable, "-c", program, "monitor", "--json"]
        command += ["--textfile", str(prom)]
        return run_process(command, env=project.environ, cwd=project.folder)

    run(PROGRAM)  # the profile is made by a run before: it may ask the system about its cards
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(project.out)}
    ran = run(watched + PROGRAM)

    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(project.out)}
    assert (ran.code, ran.json["command"]) == (4, "monitor"), ran.stderr
    assert "SEEN" not in ran.stderr
    assert after == before


# ---- a server ----------------------------------------------------------------------------------


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that answers so; yields its address and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', '-')}")
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_address[1]}", asked
        finally:
            running.shutdown()
            thread.join()


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_server_that_is_ready_is_said_to_be(still: House, prom: Path) -> None:
    with server(says(200, b'{"status": "ready"}')) as (url, asked):
        data = monitored(still, "--server", url, "--textfile", str(prom))
        monitored(still, "--server", f"{url}/")
        monitored(still, "--server", f"{url}/readyz")

    assert asked == ["/readyz -"] * 3
    assert levels(data, "Server") == ["ok"]
    assert (data["server"]["ready"], data["server"]["status"]) == (True, 200)
    assert gauges(prom)["modelset_server_ready"] == {(): 1}


def test_one_that_is_not_ready_says_why_and_cannot_speak_to_the_terminal(
    still: House, prom: Path
) -> None:
    body = json.dumps({"title": "no", "detail": "2 of 3 here\x1b[2J\n" + "x" * 9000}).encode()
    with server(says(503, body, Retry_After="3600")) as (url, asked):
        began = time.monotonic()
        data = monitored(still, "--server", url, "--textfile", str(prom), code=4)
        ran = still.run("monitor", "--server", url)

    assert time.monotonic() - began < 5
    assert len(asked) == 2
    assert data["server"]["ready"] is False
    assert "not ready: 2 of 3 here" in data["server"]["words"]
    assert data["server"]["words"].isprintable()
    assert len(data["server"]["words"]) < 300
    assert "\x1b" not in ran.stdout
    assert gauges(prom)["modelset_server_ready"] == {(): 0}


def test_what_it_lacks_is_named(still: House) -> None:
    body = json.dumps({"status": "not ready", "missing": ["a:b", "c:d\x07"]}).encode()
    with server(says(503, body)) as (url, _):
        data = monitored(still, "--server", url, code=4)

    assert data["server"]["words"] == f"{url} is not ready: a:b, c:d  missing"


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe", b"[" * 60_000, b"7", b'{"detail": 7}', b"x" * 10_000_000]
)
def test_an_odd_answer_is_not_ready(still: House, body: bytes) -> None:
    with server(says(503, body)) as (url, _):
        data = monitored(still, "--server", url, code=4)

    assert data["server"]["words"] == f"{url} is not ready"


@pytest.mark.parametrize(("status", "code"), [(404, 5), (401, 5), (500, 5)])
def test_another_answer_is_another_program(still: House, status: int, code: int) -> None:
    with server(says(status, b"<html>")) as (url, asked):
        data = monitored(still, "--server", url, code=code)

    assert str(status) in data["server"]["words"]
    assert len(asked) == 1


def test_the_check_itself_comes_first(house: House) -> None:
    remove_whisper(house)
    with server(says(404)) as (url, _):
        data = monitored(house, "--server", url, code=4)

    assert (data["critical_missing"], data["server"]["exit_code"]) == ([HUB], 5)


def test_one_that_is_not_there_is_the_network(still: House) -> None:
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        data = monitored(still, "--server", url, code=5)

    assert data["server"]["code"] == "network-unreachable"
    assert "systemctl" in data["server"]["mend"]


def test_one_that_never_answers_is_given_up(still: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_server, "_LONGEST_S", 0.5)
    release = threading.Event()
    with server(lambda handler: bool(release.wait(20)) and None) as (url, _):
        began = time.monotonic()
        data = monitored(still, "--server", url, code=12)
        took = time.monotonic() - began
        release.set()

    assert data["server"]["code"] == "deadline"
    assert took < 5


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(still: House) -> None:
    with server(says(302, Location="http://192.0.2.1/readyz")) as (url, _):
        data = monitored(still, "--server", url, code=13)

    assert data["server"]["code"] == "address-refused"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", 2),
        ("127.0.0.1:8000", 2),
        ("ftp://127.0.0.1/", 2),
        ("http://[::1", 2),
        ("https://u:hunter2@models.example.org", 2),
        ("https://models.example.org/?token=hunter2", 2),
        ("http://127.0.0.1:8000/#hunter2", 2),
        ("http://models.example.org", 13),
        ("http://127.0.0.1.example.org", 13),
        ("http://10.0.0.1:8000", 13),
    ],
)
def test_an_address_that_will_not_do_is_refused_before_anything(
    still: House, url: str, code: int
) -> None:
    ran = still.run("monitor", f"--server={url}", "--json")

    assert ran.code == code
    assert ran.json["data"]["error"]["hint"]
    assert "hunter2" not in ran.stdout + ran.stderr
