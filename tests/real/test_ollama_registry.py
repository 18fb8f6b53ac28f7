"""A real registry serves an Ollama-shaped model: its store is what the protocol says."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conftest import SHARED, Ran, run_process

REGISTRY = shutil.which("docker-registry")
SIZE = 200 * 1000 * 1000
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYERS = {
    "application/vnd.ollama.image.template": b"{{ .Prompt }}",
    "application/vnd.ollama.image.params": b'{"stop":["<|end|>"]}',
    "application/vnd.ollama.image.license": b"For the test alone.",
}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Registry:
    """A docker-registry of this test's own, with its files below `folder`."""

    port: int
    folder: Path
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        plain = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(plain) as connection:
            connection.request(method, url, body, dict(headers or {}))
            answer = connection.getresponse()
            answer.read()
            return answer

    def push_blob(self, name: str, data: bytes) -> dict[str, object]:
        digest = digest_of(data)
        begun = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        place = urllib.parse.urlsplit(begun.headers["Location"])
        query = f"{place.query}&digest={urllib.parse.quote(digest)}"
        octets = {"Content-Type": "application/octet-stream"}
        assert self.ask("PUT", f"{place.path}?{query}", data, octets).status == 201
        self.blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    def push_model(self, name: str, tag: str, weights: bytes) -> bytes:
        """Push a model as `ollama push` does; returns its manifest."""
        config = json.dumps({"model_format": "gguf", "model_family": "llama"}).encode()
        kind = "application/vnd.docker.container.image.v1+json"
        rows = {"application/vnd.ollama.image.model": weights, **LAYERS}
        layers = [{"mediaType": what, **self.push_blob(name, data)} for what, data in rows.items()]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": kind, **self.push_blob(name, config)},
            "layers": layers,
        }
        text = json.dumps(manifest, indent=3).encode()  # a form that nobody would write by chance
        to = f"/v2/{name}/manifests/{tag}"
        assert self.ask("PUT", to, text, {"Content-Type": MANIFEST}).status == 201
        return text

    def file_of(self, digest: str) -> Path:
        plain = digest.removeprefix("sha256:")
        below = f"docker/registry/v2/blobs/sha256/{plain[:2]}/{plain}/data"
        return self.folder / below


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """A running registry; it is ended with the test."""
    if REGISTRY is None:
        pytest.skip("docker-registry is not on this machine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "registry"
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    config = tmp_path / "registry.yml"
    config.write_text(json.dumps(settings))  # JSON is YAML as well
    with (tmp_path / "registry.log").open("wb") as log:
        process = subprocess.Popen([REGISTRY, "serve", str(config)], stdout=log, stderr=log)
    try:
        running = Registry(port, folder)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                if running.ask("GET", "/v2/").status == 200:
                    break
            except OSError:
                time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass(frozen=True)
class Project:
    """A project whose Ollama registry is the real one of the test."""

    folder: Path

    @property
    def store(self) -> Path:
        return self.folder / "models" / "ollama"

    def modelset(self, *arguments: str) -> Ran:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(SHARED),
            "MODELSET_CONFIG": str(self.folder / "modelset.toml"),
            "MODELSET_LOCK": str(self.folder / "models.lock.json"),
            "MODELSET_OUT": str(self.folder / "out"),
            "MODELSET_MODELS_ROOT": str(self.folder / "models"),
        }
        command = [sys.executable, "-m", "modelset", *arguments]
        return run_process(command, env=environ, cwd=self.folder, timeout_s=120)


@pytest.fixture
def project(tmp_path: Path, registry: Registry) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    mirror = f'[{{ url = "{registry.url}/", only = true }}]'
    (folder / "modelset.toml").write_text(f'[mirrors]\n"https://registry.ollama.ai/" = {mirror}\n')
    return Project(folder)


def tree_of(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def test_a_model_of_200_mb_comes_and_its_store_is_byte_for_byte_what_the_server_reads(
    registry: Registry, project: Project
) -> None:
    manifest = registry.push_model("library/tiny", "2b", os.urandom(SIZE))
    ran = project.modelset("download", "ollama:tiny:2b", "--json")
    assert ran.code == 0, ran.stderr
    (outcome,) = ran.json["data"]["outcomes"]
    assert outcome["bytes_moved"] == sum(map(len, registry.blobs.values()))
    expected = {
        f"blobs/{digest.replace(':', '-')}": data for digest, data in registry.blobs.items()
    }
    expected["manifests/registry.ollama.ai/library/tiny/2b"] = manifest
    assert tree_of(project.store) == expected
    assert project.modelset("check", "ollama:tiny:2b", "--deep").code == 0
    again = project.modelset("download", "ollama:tiny:2b", "--json").json["data"]["outcomes"]
    assert [row["result"] for row in again] == ["ready"]


def test_a_blob_that_is_corrupt_in_the_registry_is_refused_and_no_manifest_is_written(
    registry: Registry, project: Project
) -> None:
    weights = os.urandom(3_000_000)
    registry.push_model("library/tiny", "2b", weights)
    place = registry.file_of(digest_of(weights))
    damaged = bytearray(weights)
    damaged[1_500_000] ^= 1
    place.write_bytes(damaged)
    ran = project.modelset("download", "ollama:tiny:2b", "--json")
    assert ran.code == 8, ran.stderr
    (outcome,) = ran.json["data"]["outcomes"]
    assert outcome["failure"]["code"] == "digest-mismatch"
    found = tree_of(project.store)
    assert f"blobs/{digest_of(weights).replace(':', '-')}" not in found
    assert not [path for path in found if path.startswith("manifests/")]
    assert project.modelset("check", "ollama:tiny:2b").code == 4
    place.write_bytes(weights)
    assert project.modelset("download", "ollama:tiny:2b").code == 0


def test_a_namespace_and_the_tag_that_nobody_said(registry: Registry, project: Project) -> None:
    manifest = registry.push_model("acme/voice", "latest", b"GGUF" + bytes(400_000))
    assert project.modelset("download", "ollama:acme/voice").code == 0
    place = project.store / "manifests" / "registry.ollama.ai" / "acme" / "voice" / "latest"
    assert place.read_bytes() == manifest


def test_what_the_registry_has_not_got_is_not_found(registry: Registry, project: Project) -> None:
    ran = project.modelset("download", "ollama:nobody:1b", "--json")
    assert ran.code == 4, ran.stderr
    assert ran.json["data"]["outcomes"][0]["failure"]["code"] == "not-found"


def test_a_running_server_lists_what_was_placed(project: Project, registry: Registry) -> None:
    host = os.environ.get("OLLAMA_HOST", "")
    if not host:
        pytest.skip("no Ollama server: OLLAMA_HOST is not set")
    base = host if "://" in host else f"http://{host}"
    with urllib.request.urlopen(f"{base}/api/version", timeout=5) as answer:
        assert json.load(answer)["version"]
    registry.push_model("library/modelset-test", "1b", b"GGUF" + bytes(400_000))
    assert project.modelset("download", "ollama:modelset-test:1b").code == 0
    store = Path(os.environ.get("OLLAMA_MODELS", Path.home() / ".ollama" / "models"))
    shutil.copytree(project.store, store, dirs_exist_ok=True)
    try:
        with urllib.request.urlopen(f"{base}/api/tags", timeout=30) as answer:
            names = [row["name"] for row in json.load(answer)["models"]]
    finally:
        asked = json.dumps({"model": "modelset-test:1b"}).encode()
        away = urllib.request.Request(f"{base}/api/delete", asked, method="DELETE")
        urllib.request.urlopen(away, timeout=30).close()
    assert "modelset-test:1b" in names
