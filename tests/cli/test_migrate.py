"""What older set-ups left in their own places and settings is taken over, by digest alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_detect import VOSK, Machine, Origin, machine, origin, tree
from tests.conftest import Ran

from modelset.cli.migrate import advise, legacy_settings
from modelset.core.errors import ModelSetError

__all__ = ["machine", "origin"]  # fixtures

# As the older guide shows them.
OLD = """\
# Providers.
PROVIDERS = {
    "whisper": {"download_root": "~/.cache/irene/whisper", "model_size": size()},
    "vosk": {"model_paths": {
        "ru": "./models/vosk-model-ru-0.22",
        "en": "./models/vosk-model-en-us-0.22",
    }},
    "openai": {"api_key_env": "OPENAI_API_KEY", "api_key": "sk-never-shown"},
    "anthropic": {"api_key_env": "MY_OWN_KEY"},
    "google": {"credentials_path": "/keys/google.json"},
    "silero": {"download_root": "/data/models/silero"},
}
"""


@pytest.fixture
def legacy(machine: Machine, origin: Origin, tmp_path: Path) -> Machine:
    """A home with nothing but what older set-ups had."""
    home = tmp_path / "old"
    irene = home / ".cache" / "irene"
    (irene / "models").mkdir(parents=True)
    shutil.copytree(origin.home / ".cache/whisper", irene / "whisper")
    (irene / "models" / "silero_v3_ru.pt").write_bytes(b"voice")
    (irene / "whisper" / "own.pt").write_bytes(b"mine")
    shutil.copytree(origin.home / ".cache/vosk" / VOSK, machine.folder / "models" / VOSK)
    roots = {"MODELSET_MODELS_ROOT": str(machine.folder / ".cache")}
    (machine.folder / "roots.json").write_text(json.dumps(roots))
    return Machine(home, machine.folder)


def migrate(machine: Machine, *arguments: str) -> Ran:
    env = json.loads((machine.folder / "roots.json").read_text())
    return machine.run("migrate", *arguments, env=env)


def left(ran: Ran) -> dict[str, str]:
    assert ran.code == 0, ran.stderr
    return {row["what"]: row["why"] for row in ran.json["data"]["left"]}


def settings(path: Path) -> dict[str, Any]:
    return {".".join(names): value for names, value in legacy_settings(str(path))}


def test_a_dry_run_says_it_all_and_changes_nothing(legacy: Machine) -> None:
    before = tree(legacy.home), tree(legacy.folder / "models")
    ran = migrate(legacy, "--dry-run", "--json")
    (row,) = ran.json["data"]["models"]
    assert (row["key"], row["result"]) == ("openai-whisper:tiny", "adopted")
    why = left(ran)
    assert set(why) == {"own.pt", "silero_v3_ru.pt", VOSK}
    assert why["own.pt"] == "no model of the catalog"
    assert "`modelset download vosk:small-vi`, or `modelset migrate --trust" in why[VOSK]
    assert (tree(legacy.home), tree(legacy.folder / "models")) == before
    assert not (legacy.folder / ".cache").exists()


def test_files_are_linked_and_moved_only_when_asked(legacy: Machine) -> None:
    old = legacy.home / ".cache/irene/whisper/tiny.pt"
    new = legacy.folder / ".cache/whisper/tiny.pt"
    ran = migrate(legacy, "--json")
    assert ran.json["data"]["models"][0]["bytes_linked"] == old.stat().st_size
    assert new.samefile(old)
    assert "here already" in left(migrate(legacy, "--json"))["tiny.pt"]
    new.unlink()
    shown = migrate(legacy, "--move")
    assert shown.code == 0, shown.stderr
    assert "1 of 1 originals removed" in shown.stdout
    assert new.is_file()
    assert not old.exists()
    # What nothing proves is never moved.
    assert (legacy.home / ".cache/irene/whisper/own.pt").is_file()
    assert (legacy.folder / "models" / VOSK).is_dir()


def test_an_unpacked_folder_comes_along_where_that_is_allowed(legacy: Machine) -> None:
    old = legacy.folder / "models" / VOSK
    (record,) = old.glob(".modelset-*")  # it was one of ours once
    record.unlink()
    before = tree(old)
    tried = migrate(legacy, "--trust-first-use", "--dry-run", "--json")
    assert {row["key"]: row["result"] for row in tried.json["data"]["models"]} == {
        "openai-whisper:tiny": "adopted",
        "vosk:small-vi": "adopted",
    }
    assert VOSK not in left(tried)
    assert tree(old) == before
    ran = migrate(legacy, "--trust-first-use", "--move", "--json")
    row = next(row for row in ran.json["data"]["models"] if row["key"] == "vosk:small-vi")
    assert (row["result"], row["trusted"], row["bytes_copied"]) == ("adopted", True, 0)
    assert set(left(ran)) == {"own.pt", "silero_v3_ru.pt"}
    assert not old.exists()
    env = json.loads((legacy.folder / "roots.json").read_text())
    checked = legacy.run("check", "vosk:small-vi", "--deep", "--json", env=env)
    assert checked.json["data"]["models"][0]["presence"] == "present"
    again = migrate(legacy, "--trust-first-use", "--move", "--json")
    assert again.json["data"]["models"] == []


def test_other_bytes_under_a_known_name_stay(legacy: Machine) -> None:
    old = legacy.home / ".cache/irene/whisper/tiny.pt"
    old.write_bytes(b"\0" * old.stat().st_size)
    ran = migrate(legacy, "--move", "--json")
    assert ran.json["data"]["models"] == []
    assert left(ran)["tiny.pt"] == "other bytes than those that are pinned"
    assert old.is_file()
    assert not (legacy.folder / ".cache/whisper").exists()


def test_old_settings_are_answered_with_the_new_line(legacy: Machine) -> None:
    config = legacy.folder / "old_settings.py"
    config.write_text(OLD)
    ran = migrate(legacy, "--dry-run", "--config", str(config), "--json")
    home = Path("~").expanduser()
    told = {row["setting"]: row["line"] for row in ran.json["data"]["settings"]}
    assert {name.removeprefix("PROVIDERS."): line.replace(str(legacy.home), str(home))
            for name, line in told.items()} == {
        "whisper.download_root": f"WHISPER_CACHE_DIR={home}/.cache/irene/whisper",
        "vosk.model_paths": "VOSK_MODEL_PATH=./models",
        "openai.api_key_env": "remove it: OPENAI_API_KEY is read from the environment",
        "anthropic.api_key_env": 'ANTHROPIC_API_KEY="$MY_OWN_KEY"',
        "google.credentials_path": "GOOGLE_APPLICATION_CREDENTIALS=/keys/google.json",
        "silero.download_root": "MODELSET_MODELS_ROOT=/data/models",
    }  # fmt: skip
    assert "sk-never-shown" not in ran.stdout + ran.stderr
    assert "WHISPER_CACHE_DIR=" in migrate(legacy, "--config", str(config)).stdout


def test_files_where_old_settings_lead_are_looked_at(legacy: Machine, tmp_path: Path) -> None:
    away = tmp_path / "away"
    (legacy.home / ".cache/irene/whisper").rename(away)
    config = legacy.folder / "old.json"
    config.write_text(json.dumps({"whisper": {"download_root": str(away)}}))
    assert migrate(legacy, "--json").json["data"]["models"] == []
    ran = migrate(legacy, "--config", str(config), "--json")
    assert [row["key"] for row in ran.json["data"]["models"]] == ["openai-whisper:tiny"]


def test_what_lies_in_a_root_of_ours_is_never_moved_away(machine: Machine) -> None:
    (machine.folder / "roots.json").write_text("{}")
    assert machine.run("adopt", "ollama:gemma2:2b").code == 0
    (blob,) = [path for path in (machine.models / "ollama/blobs").iterdir()
               if path.stat().st_size > 50_000]  # fmt: skip
    # A model that lacks the very same bytes; only our own root is told to hold them.
    empty = Machine(machine.folder / "empty", machine.folder)
    empty.home.mkdir()
    config = machine.folder / "old.json"
    config.write_text(json.dumps({"llm": {"download_root": str(blob.parent)}}))
    ran = migrate(empty, "--move", "--config", str(config), "--json")
    assert (ran.code, ran.json["data"]["models"], left(ran)) == (0, [], {})
    assert blob.is_file()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"asr": [{"whisper": {"download_root": "/w"}}]}'),
        ("a.toml", '[asr.whisper]\ndownload_root = "/w"\n'),
        ("a.py", 'asr = dict(whisper=dict(download_root="/w"))\n'),
        ("b.py", 'asr = {"whisper": {"download_root": "/w", "x": f(y)}}\n'),
    ],
)
def test_every_form_of_settings_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert settings(tmp_path / name) == {"asr.whisper.download_root": "/w"}


def test_a_program_is_never_run(tmp_path: Path) -> None:
    config = tmp_path / "evil.py"
    config.write_text(f'download_root = open({str(tmp_path / "made")!r}, "w")\nmodel_paths = "\\d"')
    assert settings(config) == {"model_paths": "\\d"}
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text",
    [b"{" * 100_000, b"(" * 100_000, b"\xff\xfe", b"a = = 1", b"x = " + b"-" * 100_000 + b"1"],
)
def test_odd_settings_are_an_error_in_words(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "odd").write_bytes(text)
    with pytest.raises(ModelSetError) as caught:
        settings(tmp_path / "odd")
    assert caught.value.failure.code == "config-invalid"


def test_a_settings_file_that_cannot_be_read_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError) as caught:
        settings(tmp_path / "missing")
    assert "missing" in caught.value.failure.message
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelSetError):
        settings(tmp_path / "pipe")


def test_a_key_in_the_wrong_place_is_not_repeated() -> None:
    (row,) = advise(("openai", "api_key_env"), "sk-abcdef", frozenset({"OPENAI_API_KEY"}))
    assert "sk-abcdef" not in row.value + row.line
    (row,) = advise(("x", "download_root"), "/a b'c\x1b[1m", frozenset())
    assert "\x1b" not in row.value + row.line
    assert row.line.startswith("MODELSET_MODELS_ROOT='/a b")
    assert list(advise(("x", "download_root"), {"a": 5}, frozenset())) == []
