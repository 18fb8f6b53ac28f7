"""`modelset verify`: every digest offline, each provider's own word on its key, never the key."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conftest import SHARED, Ran, config_for, run_process

from modelset.demo.hub import DemoHub

KEY = "demo-key"
WRONG = "sk-wrong-0123456789"
KEYED = {
    "api:openai-chat": "OPENAI_API_KEY",
    "api:openai-tts-1": "OPENAI_API_KEY",
    "api:anthropic": "ANTHROPIC_API_KEY",
    "api:elevenlabs": "ELEVENLABS_API_KEY",
}


@dataclass
class House:
    folder: Path
    hub: DemoHub
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> Ran:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(SHARED),
            "PYTHONUTF8": "1",
            "MODELSET_CONFIG": str(self.folder / "modelset.toml"),
            "MODELSET_LOCK": str(self.folder / "models.lock.json"),
            "MODELSET_OUT": str(self.folder / "out"),
            "MODELSET_MODELS_ROOT": str(self.folder / "models"),
            **self.variables,
        }
        command = [sys.executable, "-m", "modelset", *arguments]
        return run_process(command, env=environ, cwd=self.folder)

    def presence(self, *arguments: str) -> dict[str, str]:
        rows = self.run(*arguments, "--json").json["data"]["models"]
        return {row["key"]: row["presence"] for row in rows}

    def written(self) -> str:
        """Everything that any run has left on the disk."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_text("utf-8", "replace") for path in files)


@pytest.fixture
def house(tmp_path: Path, hub: DemoHub) -> Iterator[House]:
    (tmp_path / "modelset.toml").write_text(config_for(hub))
    return House(tmp_path, hub)


def test_without_a_key_the_error_says_which_variable(house: House) -> None:
    ran = house.run("download", "api:openai-chat")
    assert ran.code == 6
    assert "OPENAI_API_KEY" in ran.stdout + ran.stderr
    assert house.run("check", "api:openai-chat").code == 4
    assert house.hub.requests == []


@pytest.mark.parametrize("key", KEYED)
def test_a_key_is_found_offline_and_asked_about_only_to_verify(key: str, house: House) -> None:
    house.variables = {KEYED[key]: KEY}
    assert house.run("download", key).code == 0
    assert house.presence("check", key) == {key: "present"}
    assert house.hub.requests == []
    assert house.run("verify", key).code == 0
    (asked,) = house.hub.requests
    assert asked.status == 200


@pytest.mark.parametrize("key", KEYED)
def test_a_key_that_the_provider_refuses_is_told_and_never_shown(key: str, house: House) -> None:
    house.variables = {KEYED[key]: WRONG}
    assert house.run("download", key).code == 0
    ran = house.run("verify", key)
    assert ran.code == 8
    assert "refused" in ran.stdout
    assert house.hub.requests[-1].status == 401
    everything = ran.stdout + ran.stderr + house.run("verify", key, "--json").stdout
    assert WRONG not in everything + house.written()


def test_a_key_may_lie_in_a_file(house: House) -> None:
    folder = house.folder / "models" / "credentials"
    folder.mkdir(parents=True)
    (folder / "openai_api_key").write_text(KEY + "\n")
    assert house.run("download", "api:openai-chat").code == 0
    assert house.run("verify", "api:openai-chat").code == 0
    assert KEY not in (house.folder / "models.lock.json").read_text()


def test_google_s_key_file_is_looked_for_and_not_read_out(house: House) -> None:
    key = house.folder / "service.json"
    house.variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    assert house.run("download", "api:google-cloud").code == 6
    key.write_text('{"private_key": "s3cret-words"}')
    assert house.run("download", "api:google-cloud").code == 0
    ran = house.run("verify", "api:google-cloud", "--json")
    assert ran.code == 0
    assert house.hub.requests == []
    assert "s3cret-words" not in ran.stdout + ran.stderr


def test_a_provider_that_does_not_answer_is_no_proof_against_the_key(house: House) -> None:
    house.variables = {"OPENAI_API_KEY": KEY}
    assert house.run("download", "api:openai-chat").code == 0
    house.hub.stop()
    ran = house.run("verify", "api:openai-chat")
    house.hub.start = lambda: None  # type: ignore[method-assign]
    assert ran.code == 5
    assert "could not be asked" in ran.stdout


def test_wrong_bytes_of_the_right_size_are_found(house: House) -> None:
    assert house.run("download", "whisper:tiny", "vosk:vi").code == 0
    assert house.run("verify", "whisper:tiny", "vosk:vi").code == 0
    config = house.folder / "models/vosk/vosk-model-small-vn-0.4/conf/mfcc.conf"
    data = bytearray(config.read_bytes())
    data[0] ^= 1
    config.write_bytes(data)
    assert house.run("check", "whisper:tiny", "vosk:vi").code == 0  # a glance cannot see it
    assert house.presence("verify", "whisper:tiny", "vosk:vi") == {
        "whisper:tiny": "present",
        "vosk:small-vi": "corrupt",
    }
    assert house.run("download", "vosk:vi").code == 0
    assert house.run("verify", "vosk:vi").code == 0
