"""`modelset verify`: every digest offline, each provider's own word on its key, never the key."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
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


# ---- bad files, and what mends them ----------------------------------------------------------

BLOBS = "models/huggingface/hub/models--Systran--faster-whisper-base/blobs"
VOSK = "models/vosk/vosk-model-small-vn-0.4"


def flip(path: Path) -> None:
    """Change one bit and nothing else that a glance could see."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def largest(folder: Path) -> Path:
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_bad_file_is_told_with_what_it_should_be_and_what_mends_it(house: House) -> None:
    assert house.run("download", "whisper:base").code == 0
    blob = largest(house.folder / BLOBS)
    right = sha256(blob)
    assert blob.name == right
    flip(blob)
    house.hub.forget_requests()
    ran = house.run("verify", "whisper:base")
    assert ran.code == 8
    lines = [line.strip() for line in ran.stdout.splitlines()]
    assert f"expected sha256:{right}" in lines
    assert f"actual   sha256:{sha256(blob)}" in lines
    assert "mend     modelset verify whisper:base --repair" in lines
    (row,) = house.run("verify", "whisper:base", "--json").json["data"]["files"]
    assert os.path.realpath(row["path"]) == os.path.realpath(blob)
    assert house.hub.requests == []

    mended = house.run("verify", "whisper:base", "--repair", "--json")
    assert mended.code == 0, mended.stderr
    (outcome,) = mended.json["data"]["outcomes"]
    assert outcome["bytes_moved"] == blob.stat().st_size
    assert sha256(blob) == right
    assert [row["presence"] for row in mended.json["data"]["models"]] == ["present"]
    house.hub.forget_requests()
    again = house.run("verify", "whisper:base", "--repair", "--json")
    assert (again.code, again.json["data"]["outcomes"]) == (0, [])
    assert house.hub.requests == []


def test_fast_believes_the_time_of_change_and_reads_only_what_is_new(house: House) -> None:
    assert house.run("download", "whisper:base").code == 0
    blobs = house.folder / BLOBS
    fast = house.run("verify", "whisper:base", "--fast", "--json")
    assert (fast.code, fast.json["data"]["bytes_read"]) == (0, 0)
    small = min(blobs.iterdir(), key=lambda path: path.stat().st_size)
    os.utime(small, ns=(5, 5))
    fast = house.run("verify", "whisper:base", "--fast", "--json")
    assert (fast.code, fast.json["data"]["bytes_read"]) == (0, small.stat().st_size)
    flip(largest(blobs))  # within its time: --fast says in its name what it does not do
    assert house.run("verify", "whisper:base", "--fast").code == 0
    assert house.run("verify", "whisper:base").code == 8
    assert house.run("verify", "whisper:base", "--fast").code == 8, "known as bad by now"


@pytest.mark.parametrize("text", ["", "gone", "cut"])
def test_a_damaged_list_of_files_is_found_and_mended(house: House, text: str) -> None:
    assert house.run("download", "vosk:vi").code == 0
    folder = house.folder / VOSK
    (record,) = folder.glob(".modelset-*.record")
    before = record.read_text()
    # Without its last row a list is still one, of a model that lacks a file.
    record.write_text("".join(before.splitlines(keepends=True)[:-1]) if text == "cut" else text)
    if text == "gone":
        record.unlink()
    for _ in range(2):
        ran = house.run("verify", "vosk:vi", "--json")
        assert ran.code in (4, 8)
        assert [row["path"] for row in ran.json["data"]["files"]] == [str(record)]
    assert house.run("verify", "vosk:vi", "--repair").code == 0
    assert record.read_text() == before
    assert house.run("verify", "vosk:vi").code == 0


def test_a_repair_leaves_alone_what_was_never_here(house: House) -> None:
    assert house.run("download", "whisper:base").code == 0
    lock = house.folder / "models.lock.json"
    kept = lock.read_text()
    assert house.run("download", "vosk:vi").code == 0
    registry = house.folder / "models/registry/registry.json"
    document = json.loads(registry.read_text())
    del document["models"]["vosk:small-vi"]
    registry.write_text(json.dumps(document))
    subprocess.run(["rm", "-r", str(house.folder / VOSK)], check=True)
    house.hub.forget_requests()
    ran = house.run("verify", "whisper:base", "vosk:vi", "--repair", "--json")
    assert ran.code == 4
    assert (ran.json["data"]["outcomes"], house.hub.requests) == ([], [])
    assert lock.read_text() != kept


def test_a_repair_that_cannot_fetch_says_why_and_is_no_success(house: House) -> None:
    assert house.run("download", "whisper:base").code == 0
    flip(largest(house.folder / BLOBS))
    text = (house.folder / "modelset.toml").read_text()
    for url in (house.hub.url, house.hub.cdn_url):
        text = text.replace(url, "http://127.0.0.1:9")
    (house.folder / "modelset.toml").write_text(text)
    house.variables = {"MODELSET_MAX_ATTEMPTS": "1"}
    ran = house.run("verify", "whisper:base", "--repair")
    assert ran.code == 8
    assert "error:" in ran.stderr
    assert "Damaged files" in ran.stdout


def test_a_stop_in_the_middle_ends_it_with_130(house: House) -> None:
    big = house.folder / "own" / "big.bin"
    big.parent.mkdir()
    table = '\n[[model]]\nkey = "house:big"\ncategory = "llm"\nsource = "local"\n'
    with open(house.folder / "modelset.toml", "a") as stream:
        stream.write(f'{table}ref.path = "{big}"\n')
    big.write_bytes(b"x")
    assert house.run("download", "house:big").code == 0
    size = 60_000_000_000
    os.truncate(big, size)  # a hole: a minute of hashing
    for name in ("models.lock.json",):
        path = house.folder / name
        document = json.loads(path.read_text())
        document["models"]["house:big"]["files"][0]["size"] = size
        path.write_text(json.dumps(document))
    environ = {**os.environ, "PYTHONPATH": str(SHARED), "PYTHONUTF8": "1"}
    environ |= {
        "MODELSET_CONFIG": str(house.folder / "modelset.toml"),
        "MODELSET_LOCK": str(house.folder / "models.lock.json"),
        "MODELSET_OUT": str(house.folder / "out"),
        "MODELSET_MODELS_ROOT": str(house.folder / "models"),
    }
    command = [sys.executable, "-m", "modelset", "verify", "house:big"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "verify start 60.00 GB" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        assert process.wait(20) == 130
        assert time.monotonic() - began < 3


# ---- what other programs put here ------------------------------------------------------------


def foreign(house: House, *arguments: str) -> dict[str, str]:
    """The word on each file that no pin names, by its path below the models root."""
    root = os.path.realpath(house.folder / "models")
    rows = house.run("verify", *arguments, "--foreign", "--json").json["data"]["foreign"]
    return {os.path.relpath(row["path"], root): row["word"] for row in rows}


def put(house: House, name: str, data: bytes) -> Path:
    path = house.folder / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_vouches_for_itself_is_read_and_nothing_else_is_ever_ok(house: House) -> None:
    body, other = b"weights" * 100, b"wrong" * 100
    digest = hashlib.sha256(body).hexdigest()
    git = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
    repo, commit = "huggingface/hub/models--a--b", "c" * 40
    tree = {"plain.bin": {"blob_id": git}, "large.bin": {"blob_id": "0" * 40, "lfs_sha256": digest}}
    tree["odd.bin"] = {"blob_id": "nonsense"}
    put(house, f"{repo}/trees/{commit}.json", json.dumps({"files": tree}).encode())
    put(house, f"{repo}/refs/main", commit.encode())
    checkpoints = "torch/hub/checkpoints"
    expected = {
        f"{repo}/blobs/{digest}": (body, "ok"),
        f"{repo}/blobs/{git}": (body, "ok"),
        f"{repo}/blobs/{'d' * 64}": (body, "corrupt"),
        f"{repo}/blobs/{'d' * 40}": (body, "corrupt"),
        f"{repo}/snapshots/{commit}/plain.bin": (body, "ok"),
        f"{repo}/snapshots/{commit}/large.bin": (other, "corrupt"),
        f"{repo}/snapshots/{commit}/odd.bin": (body, "unknown"),
        f"{repo}/snapshots/{'e' * 40}/plain.bin": (body, "unknown"),
        f"ollama/blobs/sha256-{digest}": (body, "ok"),
        f"ollama/blobs/sha256-{'1' * 64}": (body, "corrupt"),
        f"{checkpoints}/net-{digest[:8]}.pth": (body, "ok"),
        f"{checkpoints}/net-{digest[:7]}0.pth": (body, "corrupt" if digest[7] != "0" else "ok"),
        f"{checkpoints}/net.pth": (body, "unknown"),
        "whisper/tiny.pt": (body, "corrupt"),  # the catalog knows what tiny is
        "whisper/own.pt": (body, "unknown"),
        "vosk/own/am/final.mdl": (body, "unknown"),
    }
    for name, (data, _) in expected.items():
        put(house, name, data)
    found = foreign(house)
    assert found == {name: word for name, (_, word) in expected.items()}
    ran = house.run("verify", "--foreign")
    assert "nothing vouches for it" in ran.stdout
    assert "let its own program fetch it again" in ran.stdout
    assert house.hub.requests == []


def test_a_link_that_leads_to_another_s_blob_is_corrupt_and_a_right_one_is_no_second_file(
    house: House,
) -> None:
    one, two = b"one" * 9, b"two" * 9
    repo, commit = "huggingface/hub/models--a--b", "c" * 40
    names = {data: hashlib.sha256(data).hexdigest() for data in (one, two)}
    tree = {"one": {"lfs_sha256": names[one]}, "two": {"lfs_sha256": names[two]}}
    put(house, f"{repo}/trees/{commit}.json", json.dumps({"files": tree}).encode())
    for data, name in names.items():
        put(house, f"{repo}/blobs/{name}", data)
    folder = house.folder / "models" / repo / "snapshots" / commit
    folder.mkdir(parents=True)
    for name, data in (("one", one), ("two", two)):
        (folder / name).symlink_to(f"../../blobs/{names[data]}")
    assert sorted(foreign(house).values()) == ["ok", "ok"]
    (folder / "two").unlink()
    (folder / "two").symlink_to(f"../../blobs/{names[one]}")
    rows = house.run("verify", "--foreign", "--json").json["data"]["foreign"]
    assert sorted(row["word"] for row in rows) == ["corrupt", "ok", "ok"]


@pytest.mark.parametrize("text", ["", "[", "[]", '{"files": [1]}', '{"files": {"a": 1}}', "\xff"])
def test_a_list_that_is_none_vouches_for_nothing(house: House, text: str) -> None:
    repo, commit = "huggingface/hub/models--a--b", "c" * 40
    put(house, f"{repo}/trees/{commit}.json", text.encode("latin-1"))
    put(house, f"{repo}/snapshots/{commit}/a", b"a")
    assert foreign(house) == {f"{repo}/snapshots/{commit}/a": "unknown"}


def test_what_pins_name_is_not_foreign(house: House) -> None:
    assert house.run("download", "whisper:base", "vosk:vi", "ollama:gemma2:2b").code == 0
    assert foreign(house, "whisper:base") == {}
    put(house, "vosk/stray.bin", b"stray")
    found = foreign(house, "whisper:base")
    assert found == {"vosk/stray.bin": "unknown"}
    ran = house.run("verify", "whisper:base", "--json")
    assert (ran.code, ran.json["data"]["foreign"]) == (0, [])
