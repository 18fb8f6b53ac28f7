"""A lock may be anybody's, and edited by hand: it leads nowhere but to the places of models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, RunModelset
from tests.faults.answers import File
from tests.faults.origin import origin

DATA = b"ssh-ed25519 AAAA somebody"


def entry(url: str, source: str, ref: dict[str, Any], **other: Any) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    files = [{"name": "one.bin", "url": url, "size": len(DATA), "digest": digest}]
    return {"source": source, "ref": ref, "revision": digest[7:19], "files": files, **other}


def write(project: Project, key: str, made: dict[str, Any]) -> None:
    document = {"schema_version": 1, "models": {key: made}}
    (project.folder / "models.lock.json").write_text(json.dumps(document))


def attacks(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    below = str(folder / "authorized_keys")
    return {
        "any root": ("url", {"root": "local", "path": below.lstrip("/")}),
        "keys": ("url", {"root": "credentials", "path": "authorized_keys"}),
        "a model of one's own": ("local", {"path": below}),
        "a climb": ("url", {"root": "vosk", "path": "../../authorized_keys"}),
        "no such source": ("ftp", {"path": below}),
        "no such name": ("ollama", {"name": "../" * 9 + "x"}),
    }


@pytest.mark.parametrize("name", attacks(Path("/")))
def test_a_frozen_lock_puts_nothing_where_no_model_lies(
    name: str, project: Project, run_modelset: RunModelset, tmp_path: Path
) -> None:
    target = tmp_path / "home"
    target.mkdir()
    source, ref = attacks(target)[name]
    with origin() as running:
        url = running.serve("/one.bin", File(DATA))
        if source == "url":
            ref = {"url": url, **ref}
        write(project, "whisper:base", entry(url, source, ref))
        ran = run_modelset("download", "whisper:base", "--frozen", "--json")
        assert running.requests == []
    assert ran.code == 2, ran.stderr
    failure = ran.json["data"]["outcomes"][0]["failure"]
    assert failure["code"] == "lock-invalid"
    assert list(target.iterdir()) == []
    assert list(project.folder.rglob("authorized_keys")) == []


@pytest.mark.parametrize("count", [0, 2])
def test_a_pin_with_the_wrong_number_of_files_is_an_error_in_words(
    count: int, project: Project, run_modelset: RunModelset
) -> None:
    ref = {"url": "https://example.org/one.bin", "root": "vosk", "path": "one.bin"}
    project.config.write_text(
        '[[model]]\nkey = "house:one"\ncategory = "vosk"\nsource = "url"\n'
        + "".join(f'ref.{name} = "{text}"\n' for name, text in ref.items())
    )
    made = entry(ref["url"], "url", ref)
    made["files"] = [
        {**made["files"][0], "name": f"{number}.bin", "digest": f"sha256:{number:064x}"}
        for number in range(count)
    ]
    write(project, "house:one", made)
    ran = run_modelset("check", "house:one", "--json")
    assert ran.code == 2, ran.stderr
    assert ran.json["data"]["error"]["code"] == "lock-invalid"
    assert "house:one" in ran.stderr
