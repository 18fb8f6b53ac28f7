"""The Kubernetes objects: kept to the schemas of the API, and to what the program does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.places import kubernetes, pods, settings_under, understood
from tests.deploy.test_images import environ

from modelset.cli.env import exports
from modelset.core.errors import KINDS

# The newest, and the first where podFailurePolicy is no preview any more.
VERSIONS = ("1.37", "1.31")
OBJECTS = {f"{file}:{row['kind']}:{row['metadata']['name']}": row for file, row in kubernetes()}
PODS = pods()


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def own(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in containers(pod) if one["image"] == "modelset:local"]


def test_there_is_an_object_of_each_kind() -> None:
    kinds = {row["kind"] for row in OBJECTS.values()}

    assert kinds >= {
        *("Namespace", "ConfigMap", "PersistentVolumeClaim", "Job", "CronJob", "DaemonSet"),
        *("Deployment", "Service", "NetworkPolicy"),
    }
    assert len(PODS) == 5


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OBJECTS)
def test_the_schema_of_the_api_is_kept(name: str, version: str) -> None:
    checker = pytest.importorskip("kubernetes_validate", reason="not installed")
    row = OBJECTS[name]

    checker.validate(row, version, strict=True)

    broken = copy.deepcopy(row)
    broken["metadata"]["nmae"] = "misspelt"
    with pytest.raises(checker.ValidationError):
        checker.validate(broken, version, strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_keeps_the_restricted_profile(name: str) -> None:
    pod = PODS[name]
    whole = pod["securityContext"]

    assert whole["runAsNonRoot"] is True
    assert (whole["runAsUser"], whole["runAsGroup"], whole["fsGroup"]) == (10001,) * 3
    assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "MODELSET_PORT would be tcp://..."
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    # More than a server takes to stop, and much more than a download.
    assert pod["terminationGracePeriodSeconds"] >= 20
    for one in containers(pod):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in one["resources"]["limits"]
    paths = [volume["name"] for volume in pod["volumes"] if "hostPath" in volume]
    assert paths == (["models"] if "daemonset" in name else [])


@pytest.mark.parametrize("name", PODS)
def test_what_is_mounted_is_there_and_all_that_is_written_is_mounted(
    name: str, tmp_path: Path
) -> None:
    pod = PODS[name]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claims = {row["metadata"]["name"] for row in OBJECTS.values() if "storage" in str(row)}

    for volume in volumes.values():
        claim = volume.get("persistentVolumeClaim")
        assert claim is None or claim["claimName"] in claims
        assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]
    for one in own(pod):
        mounts = {mount["mountPath"]: mount for mount in one["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} <= set(volumes)
        writable = [Path(path) for path, mount in mounts.items() if not mount.get("readOnly")]
        told = {row["name"]: row["value"] for row in one["env"]}
        settings = settings_under({**environ(), **told}, tmp_path)
        written = [settings.out, Path(environ()["HOME"]), settings.models_root]
        written += [
            path for key, path in settings.roots.items() if key not in ("local", "credentials")
        ]
        if "--frozen" not in one["args"] and told.get("MODELSET_LOCK") is None:
            written.append(settings.lock)
        for path in (*written, Path("/tmp")):
            assert any(path.is_relative_to(folder) for folder in writable), path
        assert Path("/etc/modelset") not in writable


@pytest.mark.parametrize("name", PODS)
def test_everything_goes_by_the_lock_that_was_given(name: str) -> None:
    pod = PODS[name]
    (config,) = [volume for volume in pod["volumes"] if volume["name"] == "config"]
    sources = [row["configMap"]["name"] for row in config["projected"]["sources"]]

    assert sources == ["modelset", "modelset-lock"]
    for one in own(pod):
        told = {row["name"]: row["value"] for row in one["env"]}
        assert told["MODELSET_LOCK"] == "/etc/modelset/models.lock.json"
        (mount,) = [row for row in one["volumeMounts"] if row["name"] == "config"]
        assert (mount["mountPath"], mount["readOnly"]) == ("/etc/modelset", True)


@pytest.mark.parametrize("name", PODS)
def test_the_program_understands_what_it_is_told(name: str) -> None:
    for one in own(PODS[name]):
        understood(one["args"])


def test_partial_files_outlive_the_pod(tmp_path: Path) -> None:
    looked_at = 0
    for pod in PODS.values():
        for one in own(pod):
            if one["args"][0] not in ("download", "serve"):
                continue
            told = {row["name"]: row["value"] for row in one["env"]}
            settings = settings_under({**environ(), **told}, tmp_path)
            mounts = {mount["mountPath"]: mount["name"] for mount in one["volumeMounts"]}
            assert settings.roots["downloads"].is_relative_to("/data/models")
            assert mounts["/data/models"] == "models"
            looked_at += 1
    assert looked_at == 5


def test_a_program_starts_when_the_critical_models_are_here_and_reads_them_only() -> None:
    pod = PODS["program.yaml:Deployment"]
    (before,), (program,) = pod["initContainers"], pod["containers"]

    assert before["args"] == ["download", "--frozen", "--only", "critical"]
    (mount,) = [one for one in program["volumeMounts"] if one["name"] == "models"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/data/models", True)
    assert program["envFrom"] == [{"configMapRef": {"name": "modelset-offline"}}]


def test_programs_are_told_what_the_command_env_says(tmp_path: Path) -> None:
    settings = settings_under(environ(), tmp_path)

    assert OBJECTS["config.yaml:ConfigMap:modelset-offline"]["data"] == exports(settings)


def test_how_a_download_ends_decides_what_the_job_does() -> None:
    job = OBJECTS["job.yaml:Job:modelset-download"]["spec"]
    rules = job["podFailurePolicy"]["rules"]
    by_code = {
        rule["action"]: rule["onExitCodes"]["values"] for rule in rules if "onExitCodes" in rule
    }
    again = {kind.exit_code for kind in KINDS.values() if kind.retry == "again"}

    assert by_code == {"Ignore": [5, 12], "FailJob": [2, 6, 7, 8, 9, 13]}
    assert again == {5}, "what another try can help with does not count"
    known = {kind.exit_code for kind in KINDS.values()}
    assert all(set(values) <= known and values == sorted(values) for values in by_code.values())
    assert rules[0] == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    names = {one["name"] for one in PODS["job.yaml:Job"]["containers"]}
    assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == names
    assert PODS["job.yaml:Job"]["restartPolicy"] == "Never"
    assert job["activeDeadlineSeconds"] > 0, "what does not count could go on for ever"


@pytest.mark.parametrize("name", ["server.yaml:Deployment", "daemonset.yaml:DaemonSet"])
def test_a_server_is_asked_by_a_name_that_it_answers_to(name: str, tmp_path: Path) -> None:
    (one,) = PODS[name]["containers"]
    told = {row["name"]: row["value"] for row in one["env"]}
    serving = settings_under({**environ(), **told}, tmp_path).serving
    probes = {
        kind: one[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert [probe["path"] for probe in probes.values()] == ["/livez", "/livez", "/readyz"]
    for probe in probes.values():
        (header,) = probe["httpHeaders"]
        assert (header["name"], header["value"] in serving.hosts) == ("Host", True)
    (port,) = one["ports"]
    assert (port["name"], port["containerPort"]) == ("http", serving.port)
    token = next(mount for mount in one["volumeMounts"] if mount["name"] == "token")
    assert str(serving.token_file) == f"{token['mountPath']}/token"


def test_there_is_one_server_at_a_time() -> None:
    spec = OBJECTS["server.yaml:Deployment:modelset"]["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_what_selects_pods_selects_some() -> None:
    service = OBJECTS["server.yaml:Service:modelset"]["spec"]
    labels = OBJECTS["server.yaml:Deployment:modelset"]["spec"]["template"]["metadata"]["labels"]

    assert service["selector"].items() <= labels.items()
    policy = OBJECTS["server.yaml:NetworkPolicy:modelset"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    for row in OBJECTS.values():
        if "selector" in row.get("spec", {}) and "template" in row["spec"]:
            own_labels = row["spec"]["template"]["metadata"]["labels"]
            assert row["spec"]["selector"]["matchLabels"] == own_labels
