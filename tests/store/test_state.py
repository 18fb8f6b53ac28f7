"""A state file holds no secrets and no paths, and nothing in it is believed unread."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from modelset.core.errors import ModelSetError
from modelset.store.state import export_state, import_state, places_of, read_state

MIRROR = '[mirrors]\n"https://huggingface.co/" = [{ url = "https://hub.example.org/" }]\n'
LOCK = '{\n "schema_version": 1,\n "models": {}\n}\n'


def places(folder: Path, settings: str | None = MIRROR, lock: str | None = LOCK) -> dict[str, Path]:
    folder.mkdir()
    found = places_of(folder / "modelset.toml", folder / "models.lock.json", folder / "registry")
    for name, text in (("settings", settings), ("lock", lock)):
        if text is not None:
            found[name].write_text(text)
    return found


def state_with(path: Path, **parts: Any) -> Path:
    rows = {
        name: {"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
        for name, text in parts.items()
    }
    document = {"kind": "modelset state", "schema_version": 1, "parts": rows}
    path.write_text(json.dumps(document))
    return path


def test_an_address_loses_its_user_and_its_password(tmp_path: Path) -> None:
    text = MIRROR.replace("://hub", "://anna:s3cret@hub") + "# https://token9@old.example.org/\n"
    done = export_state(tmp_path / "state.json", places(tmp_path / "one", text))
    written = (tmp_path / "state.json").read_text()
    assert done.stripped == ("settings",)
    assert not any(word in written for word in ("anna", "s3cret", "token9"))
    parts = read_state(tmp_path / "state.json", places(tmp_path / "two", None, None), {})
    assert parts[0].text.startswith(MIRROR)


@pytest.mark.parametrize(
    "text",
    [
        'a.api_key = "x7secret"',
        '[[model]]\nref.extra = { "X-Auth-Token" = "x7secret" }',
        "# once hf_x7secretx7secretx7secret\n",
        'url = "https://anna:x7/secret@hub.example.org/"',
        'url = "https:\\u002f\\u002fanna:x7secret@hub.example.org/"',
        '"https:\\u002f\\u002fx7secret@hub.example.org/" = 1',
    ],
)
def test_any_other_secret_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelSetError) as caught:
        export_state(tmp_path / "state.json", places(tmp_path / "one", text))
    assert caught.value.failure.code == "config-invalid"
    assert "x7" not in caught.value.failure.message
    assert not (tmp_path / "state.json").exists()


def test_an_address_with_a_port_and_an_at_is_no_secret(tmp_path: Path) -> None:
    text = MIRROR.replace("example.org/", "example.org:8443/@team/v1@2/")
    done = export_state(tmp_path / "state.json", places(tmp_path / "one", text))
    assert (set(done.parts), done.stripped) == ({"settings", "lock"}, ())


def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    own = places(tmp_path / "one")
    with pytest.raises(ModelSetError):
        export_state(own["settings"], own)
    assert own["settings"].read_text() == MIRROR
    for _ in range(2):  # one of ours is
        export_state(tmp_path / "state.json", own)


def test_what_differs_stays_unless_it_is_forced_and_then_lies_beside(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    export_state(file, places(tmp_path / "one"))
    here = places(tmp_path / "two", None)
    here["settings"].write_bytes(b"# \xff other\n")
    with pytest.raises(ModelSetError) as caught:
        import_state(read_state(file, here, {}), "now")
    assert str(here["settings"]) in caught.value.failure.message
    assert str(here["lock"]) not in caught.value.failure.message
    assert here["settings"].read_bytes() == b"# \xff other\n"
    kept = import_state(read_state(file, here, {}), "now", force=True)
    assert kept["settings"].read_bytes() == b"# \xff other\n"
    assert here["settings"].read_text() == MIRROR
    here["settings"].write_text("")
    again = import_state(read_state(file, here, {}), "now", force=True)
    assert again["settings"] != kept["settings"], "no copy replaces another"
    assert import_state(read_state(file, here, {}), "now") == {}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "\x00", "[" * 100_000, '{"kind": "modelset state"}',
        '{"kind": "modelset state", "schema_version": 2, "parts": {}}',
        '{"kind": "modelset state", "schema_version": 1, "parts": {"../x": {"text": ""}}}',
        '{"kind": "modelset state", "schema_version": 1, "parts": {"lock": {"text": 5}}}',
        '{"kind": "modelset state", "schema_version": 1, "parts": {"lock": {"sha256": "0"}}}',
    ],
)  # fmt: skip
def test_what_is_no_sound_state_is_refused(tmp_path: Path, text: str) -> None:
    here = places(tmp_path / "two", None, None)
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ModelSetError):
        read_state(tmp_path / "state.json", here, {})
    assert list((tmp_path / "two").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("settings", "[[["),
        ("lock", "<<<<<<< ours"),
        ("lock", '{"schema_version": 1, "models": {"a:b": {"revision": "../x"}}}'),
        ("registry", '{"schema_version": 9, "models": {}}'),
        ("registry", '{"schema_version": 2, "models": {"a:b": 5}}'),
        ("history", '{"schema_version": 1, "models": {"a:b": [{}]}}'),
    ],
)
def test_every_part_is_read_before_one_is_written(tmp_path: Path, name: str, text: str) -> None:
    file = state_with(tmp_path / "state.json", **{name: text})
    with pytest.raises(ModelSetError):
        read_state(file, places(tmp_path / "two"), {})


def test_a_registry_speaks_of_no_file_outside_of_our_roots(tmp_path: Path) -> None:
    vosk = tmp_path / "vosk"
    vosk.mkdir()
    paths = {"good": vosk / "a", "outside": tmp_path / "b", "link": vosk / "link"}
    for path in (vosk / "a", tmp_path / "b"):
        path.write_text("x")
    paths["link"].symlink_to(tmp_path / "b")
    models = {}
    for name, path in {**paths, "up": f"{vosk}/../b", "relative": "a", "gone": vosk / "c"}.items():
        stat = os.stat(tmp_path / "b" if name != "good" else path)
        row = {"path": str(path), "size": 1, "sha256": "0" * 64, "mtime_ns": stat.st_mtime_ns}
        models[f"a:{name}"] = {"files": [row]}
    text = json.dumps({"schema_version": 2, "models": models})
    file = state_with(tmp_path / "state.json", registry=text)
    (part,) = read_state(file, places(tmp_path / "two"), {"vosk": vosk})
    assert list(json.loads(part.text)["models"]) == ["a:good"]


def test_a_damaged_part_is_refused(tmp_path: Path) -> None:
    file = state_with(tmp_path / "state.json", lock=LOCK)
    file.write_text(file.read_text().replace("models\\", "modals\\"))
    with pytest.raises(ModelSetError, match="digest"):
        read_state(file, places(tmp_path / "two"), {})
