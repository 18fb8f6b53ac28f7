"""`modelset doctor`: a fault that is planted is found, with what mends it; nothing else is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, Ran, run_own, run_process

RUN = "from modelset.cli.main import run; run()"
SECRET = "hf_hunter2secret"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(autouse=True)
def locked(project: Project) -> None:
    project.lock.write_text('{"schema_version": 1, "models": {}}')
    (project.folder / "home").mkdir()


def findings(project: Project, **env: str) -> list[dict[str, str]]:
    ran = run_own(project, "doctor", "--json", env=env)
    assert ran.json, ran.stderr
    assert list(ran.json) == ["schema_version", "command", "exit_code", "data"]
    assert (ran.json["command"], ran.json["exit_code"]) == ("doctor", ran.code)
    found: list[dict[str, str]] = ran.json["data"]["findings"]
    bad = {row["code"] for row in found if row["level"] == "bad"}
    assert bool(ran.code) == bool(bad)
    return found


def of(found: list[dict[str, str]], topic: str) -> list[dict[str, str]]:
    return [row for row in found if row["topic"] == topic]


def test_a_sound_machine_has_no_fault_and_every_topic(project: Project) -> None:
    found = findings(project)

    assert [row for row in found if row["level"] == "bad"] == []
    assert {row["topic"] for row in found} >= {
        *("Python", "Open files", "Clock", "Temporary files", "Settings", "Disk", "Proxy"),
        *("Certificates", "Token", "Program", "Catalog", "Lock", "Registry"),
    }
    assert all(row["mend"] for row in found if row["level"] == "warn")
    assert of(found, "Other programs") == []


def test_people_see_a_row_for_each_and_the_way_out(project: Project) -> None:
    ran = run_own(project, "doctor")

    assert ran.code == 0
    assert "  DOCTOR" in ran.stdout
    assert "Disk: " in ran.stdout
    assert "      hf auth login" in ran.stdout
    assert "\x1b" not in ran.stdout
    plain = run_own(project, "doctor", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert plain.code == 0
    assert plain.stdout.isascii()


def test_it_leaves_only_what_lies_in_out(project: Project, tmp_path: Path) -> None:
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(project.out)}

    findings(project)

    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(project.out)}
    assert after == before


def _lock(project: Project) -> dict[str, str]:
    project.lock.write_text("{")
    return {}


def _catalog(project: Project) -> dict[str, str]:
    project.config.write_text('[[model]]\nkey = "a:b"\n')
    return {}


def _settings(project: Project) -> dict[str, str]:
    project.config.write_text("[download]\nmax_workers = 0\nnonsense = 1\n")
    return {}


def _certificates(project: Project) -> dict[str, str]:
    (project.folder / "ca.pem").write_text("no certificate at all")
    return {"SSL_CERT_FILE": str(project.folder / "ca.pem")}


def _root(project: Project) -> dict[str, str]:
    (project.folder / "file").write_text("")
    return {"MODELSET_MODELS_ROOT": str(project.folder / "file" / "models")}


def _proxy(project: Project) -> dict[str, str]:
    return {"HTTPS_PROXY": "ftp://u:hunter2@proxy.example:99999"}


def _mirror(project: Project) -> dict[str, str]:
    project.config.write_text(
        '[mirrors]\n"https://huggingface.co/" = [{ url = "http://u:hunter2@hub.example/" }]\n'
    )
    return {}


def _index(project: Project) -> dict[str, str]:
    project.config.write_text('[download]\nindex_url = "u:hunter2@packages"\n')
    return {}


FAULTS: list[tuple[Callable[[Project], dict[str, str]], str, str, int, str]] = [
    (_lock, "Lock", "lock-invalid", 2, "models.lock.json"),
    (_catalog, "Catalog", "catalog-invalid", 2, "a:b"),
    (_settings, "Settings", "config-invalid", 2, "max_workers = 0"),
    (_certificates, "Certificates", "tls-failed", 5, "holds no certificate"),
    (_root, "Disk", "store-not-writable", 4, "models_root"),
    (_proxy, "Proxy", "proxy-refused", 5, "HTTPS_PROXY"),
    (_mirror, "Mirrors", "address-refused", 13, "http://hub.example/"),
    (_index, "Package index", "config-invalid", 2, "index_url"),
]


@pytest.mark.parametrize(("plant", "topic", "code", "ends", "words"), FAULTS)
def test_a_fault_is_found_and_nothing_else(
    project: Project,
    plant: Callable[[Project], dict[str, str]],
    topic: str,
    code: str,
    ends: int,
    words: str,
) -> None:
    env = plant(project)

    ran = run_own(project, "doctor", "--json", env=env)

    bad = [row for row in ran.json["data"]["findings"] if row["level"] == "bad"]
    assert {(row["topic"], row["code"]) for row in bad} == {(topic, code)}
    assert all(row["mend"] for row in bad)
    assert any(words in row["words"] for row in bad)
    assert ran.code == ends
    assert "hunter2" not in ran.stdout + ran.stderr
    quiet = run_own(project, "doctor", "--quiet", env=env)
    assert quiet.code == ends
    assert quiet.stdout == ""
    assert all(line.startswith(("error: ", "hint: ")) for line in quiet.stderr.splitlines())
    assert words in quiet.stderr


def test_every_problem_of_the_settings_is_a_row(project: Project) -> None:
    _settings(project)

    rows = of(findings(project), "Settings")

    assert len(rows) == 2
    assert any("nonsense" in row["words"] for row in rows)


def test_two_different_faults_are_code_4(project: Project) -> None:
    _lock(project)
    env = _certificates(project)

    assert run_own(project, "doctor", "--quiet", env=env).code == 4


def test_a_good_proxy_and_good_certificates_are_named(project: Project) -> None:
    ca = project.folder / "ca.pem"
    ca.write_text(CERTIFICATE * 2)

    found = findings(
        project, HTTPS_PROXY="http://u:hunter2@proxy.example:3128", SSL_CERT_FILE=str(ca)
    )

    (proxy,) = of(found, "Proxy")
    assert "proxy.example:3128 (HTTPS_PROXY)" in proxy["words"]
    (certificates,) = of(found, "Certificates")
    assert certificates["words"] == f"2 in {ca} (SSL_CERT_FILE)"
    assert "hunter2" not in json.dumps(found)
    (none,) = of(findings(project, HTTPS_PROXY="http://p", NO_PROXY="huggingface.co"), "Proxy")
    assert none["words"].startswith("none for ")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such rights")
def test_a_token_is_said_to_be_there_and_kept_to_itself(project: Project) -> None:
    file = project.folder / "cache" / "huggingface" / "token"
    file.parent.mkdir(parents=True)
    file.write_text(SECRET)
    file.chmod(0o644)

    rows = of(findings(project), "Token")

    assert [row["level"] for row in rows] == ["ok", "warn"]
    assert rows[1]["mend"] == f"chmod 600 {file}"
    assert SECRET not in json.dumps(rows)
    file.chmod(0o600)
    assert [row["level"] for row in of(findings(project), "Token")] == ["ok"]


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ('{"schema_version": 1, "models": {}}', "ok", "0 models"),
        ('{"schema_version": 99, "models": {}}', "warn", "version 99"),
        ('{"schema_version": 1, "mod', "warn", "cannot be read"),
        ("[]", "warn", "cannot be read"),
        ("", "warn", "cannot be read"),
        ("[" * 100_000, "warn", "cannot be read"),
    ],
)
def test_the_registry_is_looked_at(project: Project, text: str, level: str, words: str) -> None:
    folder = project.models_root / "registry"
    folder.mkdir(parents=True)
    (folder / "registry.json").write_text(text)

    (row,) = of(findings(project), "Registry")

    assert row["level"] == level
    assert words in row["words"]


def test_what_unfinished_downloads_left_is_counted(project: Project) -> None:
    downloads = project.models_root / "downloads"
    blobs = project.models_root / "huggingface" / "hub" / "models--a--b" / "blobs"
    downloads.mkdir(parents=True)
    blobs.mkdir(parents=True)
    (downloads / "sha256-ab.part").write_bytes(b"x" * 5000)
    (blobs / "ab.1234.incomplete").write_bytes(b"x" * 7000)
    (blobs / "cd").write_bytes(b"x" * 9000)

    rows = of(findings(project), "Leftovers")

    assert [row["level"] for row in rows] == ["note", "note"]
    assert "5.0 kB (1 file)" in rows[0]["words"]
    assert "7.0 kB (1 file)" in rows[1]["words"]
    assert all("modelset clean" in row["mend"] for row in rows)


def test_what_other_programs_keep_is_counted(project: Project) -> None:
    cache = project.folder / "cache" / "whisper"
    cache.mkdir(parents=True)
    (cache / "base.pt").write_bytes(b"x" * 5000)

    (row,) = of(findings(project), "Other programs")

    assert "5.0 kB (1 file)" in row["words"]
    assert str(cache) in row["words"]
    assert row["mend"] == "modelset detect"


def doctor_behind(program: str, project: Project) -> Ran:
    """The command, in a process that a program has prepared."""
    command = [sys.executable, "-c", program + RUN]
    return run_process([*command, "doctor", "--json"], env=project.environ, cwd=project.folder)


def test_too_little_space_for_what_is_to_come_is_a_fault(project: Project) -> None:
    program = (
        "import shutil\n"
        "usage = shutil.disk_usage\n"
        "shutil.disk_usage = lambda path: usage(path)._replace(free=1000)\n"
    )

    ran = doctor_behind(program, project)

    assert ran.code == 7, ran.stdout
    (bad,) = [row for row in ran.json["data"]["findings"] if row["level"] == "bad"]
    assert bad["code"] == "disk-full"
    assert "still to come" in bad["words"]


def test_no_socket_is_opened_and_no_library_is_imported(project: Project) -> None:
    program = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.') or event == 'subprocess.Popen':\n"
        "        sys.stderr.write(f'SEEN {event}\\n')\n"
        "    heavy = ('torch', 'spacy', 'pycurl', 'huggingface_hub', 'numpy')\n"
        "    if event == 'import' and arguments[0] in heavy:\n"
        "        sys.stderr.write(f'SEEN {arguments[0]}\\n')\n"
        "sys.addaudithook(watch)\n"
    )
    # The profile is made by a run before: it may ask the system about its cards.
    findings(project)

    ran = doctor_behind(program, project)

    assert ran.json is not None
    assert "SEEN" not in ran.stderr


def test_a_library_that_is_missing_or_too_old_is_named(project: Project, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    info = packages / "rich-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rich\nVersion: 1.0\n")
    path = f"{packages}:{project.environ['PYTHONPATH']}"

    rows: list[Any] = of(findings(project, PYTHONPATH=path), "Program")

    warned = [row for row in rows if row["level"] == "warn"]
    assert [row["words"] for row in warned] == ["rich 1.0 does not fit >=13.7"]
    assert warned[0]["mend"] == "./scripts/bootstrap.sh"
