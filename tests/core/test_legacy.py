"""Settings of older set-ups work, and say what they are called now."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.legacy import legacy_sections, legacy_variables
from modelset.settings import load_settings

KEY_FILE = "/srv/keys/google-cloud.json"
OLD = f"""
[whisper]
download_root = "old/whisper"
model_size = "base"

[vosk]
model_paths = {{ ru = "/srv/vosk/vosk-model-ru-0.22", en = "/srv/vosk/vosk-model-en-us-0.22" }}

[google]
credentials_path = "{KEY_FILE}"

[openai]
api_key_env = "OPENAI_API_KEY"
"""


def test_old_settings_move_the_same_folders(tmp_path: Path) -> None:
    (tmp_path / "modelset.toml").write_text(OLD)
    settings = load_settings({}, {}, tmp_path)
    assert settings.roots["whisper"] == tmp_path / "old" / "whisper"
    assert settings.roots["vosk"] == Path("/srv/vosk")
    assert settings.environ["GOOGLE_APPLICATION_CREDENTIALS"] == KEY_FILE
    assert settings.warnings == (
        f"[whisper] download_root is old; write WHISPER_CACHE_DIR={tmp_path}/old/whisper",
        "[whisper] model_size means nothing any more",
        "[vosk] model_paths is old; write VOSK_MODEL_PATH=/srv/vosk",
        f"[google] credentials_path is old; write GOOGLE_APPLICATION_CREDENTIALS={KEY_FILE}",
        "[openai] api_key_env is old; write OPENAI_API_KEY=...",
    )


def test_an_old_section_moves_no_root_that_a_new_setting_names(tmp_path: Path) -> None:
    old = '[piper]\ndownload_root = "/data/piper"\n[silero]\nmodel_paths = { ru = "/data/s/ru" }\n'
    (tmp_path / "modelset.toml").write_text(f'{old}[paths]\nmodels_root = "/data/models"\n')
    settings = load_settings({}, {}, tmp_path)
    assert settings.models_root == Path("/data/models")
    assert settings.roots["vosk"] == Path("/data/models/vosk")
    assert settings.warnings == (
        "[piper] download_root means nothing any more",
        "[silero] model_paths means nothing any more",
    )
    (tmp_path / "modelset.toml").write_text(old)
    assert load_settings({}, {}, tmp_path).models_root == Path("/data/piper")


def test_a_variable_that_is_set_to_nothing_takes_no_old_setting_away(tmp_path: Path) -> None:
    (tmp_path / "modelset.toml").write_text(OLD)
    assert load_settings({}, {"VOSK_MODEL_PATH": ""}, tmp_path).roots["vosk"] == Path("/srv/vosk")


def test_the_environment_wins_over_an_old_setting(tmp_path: Path) -> None:
    (tmp_path / "modelset.toml").write_text(OLD)
    settings = load_settings({}, {"WHISPER_CACHE_DIR": "/new"}, tmp_path)
    assert settings.roots["whisper"] == Path("/new")


def test_without_old_settings_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "modelset.toml").write_text("[download]\nmax_workers = 2\n")
    settings = load_settings({}, {}, tmp_path)
    assert settings.warnings == ()
    assert "WHISPER_CACHE_DIR" not in settings.environ


@pytest.mark.parametrize("text", ["[whisper]\nsize = 1\n", "[download]\ndownload_root = 'x'\n"])
def test_what_is_no_old_setting_is_still_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "modelset.toml").write_text(text)
    with pytest.raises(ModelSetError) as caught:
        load_settings({}, {}, tmp_path)
    assert caught.value.failure.code == "config-invalid"


@pytest.mark.parametrize("value", [5, [], {}, "", None, {"a": 5}])
def test_odd_values_mean_nothing(value: object) -> None:
    document = {"whisper": {"download_root": value}, "a": 5}
    assert legacy_sections(document) == ("whisper",)
    assert legacy_variables(document, str) == (
        {},
        ("[whisper] download_root means nothing any more",),
    )
