"""The units under systemd-analyze, and the crontab under a shell: what they start is understood."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.deploy.places import DEPLOY, environment_file, settings_under, understood

UNITS = sorted((DEPLOY / "systemd").glob("modelset*"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
PROGRAM = "/opt/modelset/bin/modelset"
CRON = DEPLOY / "cron" / "modelset"
# As systemd counts it: 0 is a service that can do nothing, 100 one that can do everything.
EXPOSURE = {"modelset.service": 25, "modelset-backup.service": 10, "modelset-monitor.service": 15}


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed")
    command = [found, "--no-pager", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze is too old")
    return done


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with a program that is here."""
    for unit in UNITS:
        text = unit.read_text().replace(PROGRAM, "/bin/true")
        (tmp_path / unit.name).write_text(text)
    return sorted(tmp_path.iterdir())


def test_the_units_are_sound(units: list[Path], tmp_path: Path) -> None:
    assert [path.name for path in units] == [
        *("modelset-backup.service", "modelset-backup.timer"),
        *("modelset-monitor.service", "modelset-monitor.timer", "modelset.service"),
    ]
    done = analyze("verify", *units)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    broken = tmp_path / "modelset.service"
    broken.write_text(broken.read_text().replace("ProtectSystem=strict", "ProtectSystme=strict"))
    assert "ProtectSystme" in analyze("verify", broken).stderr


@pytest.mark.parametrize("name", EXPOSURE)
def test_a_service_can_do_little(name: str, units: list[Path]) -> None:
    (unit,) = [path for path in units if path.name == name]

    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE[name]}", unit)

    assert done.returncode == 0, done.stdout[-3000:]
    loose = unit.with_name("loose.service")
    loose.write_text("[Service]\nExecStart=/bin/true\n")
    assert analyze("security", "--offline=true", "--threshold=25", loose).returncode == 1


def values(unit: Path, name: str) -> list[str]:
    return re.findall(rf"(?m)^{name}=(.*)$", unit.read_text())


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_starts_what_the_program_understands(unit: Path) -> None:
    (line,) = values(unit, "ExecStart")
    program, *words = shlex.split(line)

    assert program == PROGRAM
    understood(words)
    assert values(unit, "User") == values(unit, "Group") == ["modelset"]
    assert values(unit, "EnvironmentFile") == ["/etc/modelset/environment"]


def test_a_stop_is_no_failure_and_has_time() -> None:
    (unit,) = [path for path in SERVICES if path.name == "modelset.service"]

    assert values(unit, "SuccessExitStatus") == ["143"]
    assert int(values(unit, "TimeoutStopSec")[0]) >= 15
    assert values(unit, "RestartPreventExitStatus") == ["2 9 13"]


def test_the_environment_is_read_and_leads_to_folders_of_the_unit(tmp_path: Path) -> None:
    own = environment_file(DEPLOY / "systemd" / "environment")
    settings = settings_under(own, tmp_path)
    token = {"MODELSET_SERVER_TOKEN_FILE": "/run/credentials/modelset.service/token"}

    written = [
        path for name, path in settings.roots.items() if name not in ("local", "credentials")
    ]
    for path in (*written, settings.lock, settings.out, Path(own["HOME"])):
        assert path.is_relative_to("/var/lib/modelset"), path
    for unit in SERVICES:
        assert values(unit, "StateDirectory") == ["modelset"]
        for path in re.findall(r" (/var/\S+)", values(unit, "ExecStart")[0]):
            assert Path(path).is_relative_to("/var/lib/modelset")
    assert settings.roots["credentials"] == Path("/etc/modelset/credentials")
    assert settings_under({**own, **token}, tmp_path).serving.token_file is not None


def test_a_timer_starts_the_service_of_its_name() -> None:
    timers = [path for path in UNITS if path.suffix == ".timer"]

    assert len(timers) == 2
    for timer in timers:
        assert timer.with_suffix(".service").exists()
        (when,) = values(timer, "OnCalendar")
        done = analyze("calendar", when)
        assert done.returncode == 0, done.stderr
        assert values(timer, "WantedBy") == ["timers.target"]


# ---- cron --------------------------------------------------------------------------------------


def lines_of_cron() -> list[tuple[str, str, str]]:
    """The times, the user and the command of each line."""
    found = []
    for line in CRON.read_text().splitlines():
        if line and line[0] != "#" and not re.match(r"\w+=", line):
            *times, user, command = line.split(maxsplit=6)
            found.append((" ".join(times), user, command))
    return found


def test_the_crontab_starts_what_the_timers_start() -> None:
    rows = lines_of_cron()

    assert CRON.read_text().endswith("\n"), "cron takes no line without its end"
    assert "." not in CRON.name, "cron reads no file with a dot in its name"
    assert [times for times, _, _ in rows] == ["0 2 * * *", "*/5 * * * *"]
    for _, user, command in rows:
        assert user == "modelset"
        assert "%" not in command, "which is the end of a line to cron"
        words = shlex.split(command.rpartition(f"exec {PROGRAM} ")[2])
        understood(words)
        assert "--quiet" in words, "a mail only when there is something to say"
    units = {values(unit, "ExecStart")[0].split()[1] for unit in SERVICES} - {"serve"}
    assert {command.rpartition(PROGRAM)[2].split()[0] for _, _, command in rows} == units


def test_a_shell_takes_the_lines_and_they_run(tmp_path: Path) -> None:
    program = tmp_path / "modelset"
    program.write_text('#!/bin/sh\necho "$MODELSET_MODELS_ROOT $*"\n')
    program.chmod(0o755)
    for _, _, command in lines_of_cron():
        environment = shlex.quote(str(DEPLOY / "systemd" / "environment"))
        own = command.replace(PROGRAM, shlex.quote(str(program)))
        own = own.replace("/etc/modelset/environment", environment)

        done = subprocess.run(
            ["/bin/sh", "-c", own], capture_output=True, text=True, env={}, check=False
        )

        assert (done.returncode, done.stderr) == (0, "")
        words = command.rpartition(f"exec {PROGRAM} ")[2]
        assert done.stdout == f"/var/lib/modelset/models {words}\n"


def test_shellcheck_finds_no_fault(tmp_path: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    pages = [DEPLOY / "README.md", DEPLOY.parent / "docs" / "deployment.md"]
    texts = [command for _, _, command in lines_of_cron()]
    for page in pages:
        texts += re.findall(r"(?ms)^```(?:bash|sh)\n(.*?)^```", page.read_text())

    assert len(texts) > 6
    for number, text in enumerate(texts):
        script = tmp_path / f"{number}.sh"
        script.write_text("#!/bin/sh\nset -e\n" + text + "\n")
        for command in ([shellcheck, "-e", "SC1091"], ["bash", "-n"]):
            done = subprocess.run(
                [*command, str(script)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
