"""What TOML texts became is kept from run to run, and never believed for another text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelset.store.documents import Documents

TEXT = '[a]\nb = [1, "two"]\n'


def test_a_document_is_kept_and_found_by_its_whole_text(tmp_path: Path) -> None:
    cache = tmp_path / "toml_cache.json"
    first = Documents(cache)
    assert first.parse(TEXT) == {"a": {"b": [1, "two"]}}
    first.keep()
    assert json.loads(cache.read_text()) == [[TEXT, {"a": {"b": [1, "two"]}}]]

    cache.write_text(json.dumps([[TEXT, {"from": "the cache"}]]))
    second = Documents(cache)
    assert second.parse(TEXT) == {"from": "the cache"}
    assert second.parse(TEXT + "\n") == {"a": {"b": [1, "two"]}}


def test_only_what_the_last_run_used_is_kept(tmp_path: Path) -> None:
    cache = tmp_path / "toml_cache.json"
    for text in ("a = 1", "a = 2"):
        documents = Documents(cache)
        documents.parse(text)
        documents.keep()
    assert json.loads(cache.read_text()) == [["a = 2", {"a": 2}]]


def test_a_run_that_used_nothing_new_writes_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "toml_cache.json"
    documents = Documents(cache)
    documents.parse(TEXT)
    documents.keep()
    written = cache.stat()
    again = Documents(cache)
    again.parse(TEXT)
    again.keep()
    assert (cache.stat().st_ino, cache.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "[1]", '[["a = 1", 5]]', "[" * 5000, "\0"])
def test_a_damaged_file_costs_nothing_but_time(tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "toml_cache.json"
    cache.write_text(damage)
    documents = Documents(cache)
    assert documents.parse("a = 1") == {"a": 1}
    documents.keep()
    assert json.loads(cache.read_text()) == [["a = 1", {"a": 1}]]


def test_what_json_cannot_hold_is_parsed_each_time(tmp_path: Path) -> None:
    cache = tmp_path / "toml_cache.json"
    documents = Documents(cache)
    assert str(documents.parse("day = 2026-11-21")["day"]) == "2026-11-21"
    documents.keep()
    assert not cache.exists()


def test_without_a_folder_nothing_is_made(tmp_path: Path) -> None:
    documents = Documents(tmp_path / "missing" / "toml_cache.json")
    documents.parse(TEXT)
    documents.keep()
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_no_toml_is_said_so_each_time() -> None:
    documents = Documents()
    for _ in range(2):
        with pytest.raises(ValueError, match="Invalid value"):
            documents.parse("a = ")
