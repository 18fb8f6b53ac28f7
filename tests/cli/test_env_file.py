"""`--env-file`: variables out of a file, under what the environment says already."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import RunModelset


def told(run_modelset: RunModelset, *arguments: str, **env: str) -> dict[str, str]:
    ran = run_modelset("paths", *arguments, "--json", env=env)
    assert ran.code == 0, ran.stderr
    return {name: row["path"] for name, row in ran.json["data"]["paths"].items()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.env"
    lines = ["# a comment", f'export VOSK_MODEL_PATH="{tmp_path}/voices"', "HF_TOKEN=hf_s3cret"]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_variable_of_the_file_counts(run_modelset: RunModelset, file: Path) -> None:
    wanted = str(file.parent / "voices")
    assert told(run_modelset, "--env-file", str(file))["vosk"] == wanted
    assert told(run_modelset, MODELSET_ENV_FILE=str(file))["vosk"] == wanted
    assert told(run_modelset)["vosk"] != wanted


def test_what_the_environment_says_wins(run_modelset: RunModelset, file: Path) -> None:
    paths = told(run_modelset, "--env-file", str(file), VOSK_MODEL_PATH="/elsewhere")
    assert paths["vosk"] == "/elsewhere"


def test_the_origin_names_the_file_and_no_secret_is_shown(
    run_modelset: RunModelset, file: Path
) -> None:
    ran = run_modelset("config", "--show-origin", "--env-file", str(file))
    assert ran.code == 0, ran.stderr
    assert "HF_TOKEN in own.env" in ran.stdout
    assert "hf_s3cret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("text", ["not a line\n", 'A="no end\n'])
def test_a_wrong_line_is_told_with_its_number(
    run_modelset: RunModelset, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "bad.env"
    file.write_text("OK=1\n" + text)
    ran = run_modelset("paths", "--env-file", str(file))
    assert ran.code == 2
    assert "bad.env" in ran.stderr
    assert "2" in ran.stderr


def test_a_file_that_is_not_there_is_told(run_modelset: RunModelset, tmp_path: Path) -> None:
    ran = run_modelset("paths", "--env-file", str(tmp_path / "none.env"))
    assert ran.code == 2
    assert "does not exist" in ran.stderr


def test_the_model_of_an_assistant_that_prefers_ollama_is_wanted(
    run_modelset: RunModelset, tmp_path: Path
) -> None:
    def wanted(**env: str) -> list[str]:
        rows = run_modelset("check", "--json", env=env).json["data"]["models"]
        return [row["key"] for row in rows if row["key"].startswith("ollama:")]

    assert wanted() == []
    assert wanted(OLLAMA_MODEL="gemma2:9b") == ["ollama:gemma2:9b"]
    assert wanted(OLLAMA_MODEL="qwen3:4b", PREFERRED_AI_PROVIDER="ollama") == ["ollama:qwen3:4b"]
    assert wanted(OLLAMA_MODEL="gemma2:9b", PREFERRED_AI_PROVIDER="openai") == []


def test_a_bootstrap_that_must_not_download_only_checks(run_modelset: RunModelset) -> None:
    ran = run_modelset("bootstrap", "--json", env={"DOWNLOAD_MODELS_ON_START": "false"})
    assert ran.code == 4  # nothing is here
    assert ran.json["command"] == "check"
    assert run_modelset("bootstrap", env={"DOWNLOAD_MODELS_ON_START": "perhaps"}).code == 2
