"""`modelset report`: a page and a document that say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.moving import FOLDER, HUB, House, house_in
from tests.core.test_html_report import Reader

from modelset.cli import main

NAMED = """
[[model]]
key = "house:bold"
licence = "<b>bold</b>"
category = "vosk"
source = "url"
tier = "critical"
note = "<script>alert(1)</script>"
ref.url = "https://alphacephei.com/vosk/models/vosk-model-small-vn-0.4.zip"
ref.root = "vosk"
ref.path = "bold.zip"
"""


@pytest.fixture
def house(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    """A house with two models; `report` is a command."""
    monkeypatch.setitem(main.COMMANDS, "report", ("report", (), "a command"))
    with house_in(tmp_path, capsys, monkeypatch) as made:
        assert made.run("download", HUB, FOLDER).code == 0
        yield made


def test_every_model_is_on_the_page_and_every_text_is_escaped(house: House) -> None:
    house.tables += NAMED
    house.use(None)
    ran = house.run("report", "--json")
    assert ran.code == 0, ran.stdout
    data = ran.json["data"]
    text = Path(data["html"]).read_text(encoding="utf-8")
    assert Path(data["html"]) == house.folder / "out/report.html"
    read = Reader(text)
    assert read.reaches == []
    assert "script" not in read.seen
    keys = [row["key"] for one in data["categories"] for row in one["models"]]
    assert {HUB, FOLDER, "house:bold"} <= set(keys)
    shown = set(read.texts)
    assert set(keys) <= shown
    assert "<b>bold</b>" in shown
    assert "b" not in read.seen
    assert "<script>alert(1)</script>" in "".join(read.texts)
    assert {row["key"] for row in data["downloads"] if row["rate"]} == {HUB, FOLDER}
    assert data["lock"]["models"] == 2
    assert data["lock"]["stale"], "the rest of the set is not locked"


def test_the_second_report_says_what_has_changed_since(house: House) -> None:
    target = house.folder / "page.html"
    first = house.run("report", "--html", str(target), "--json").json["data"]
    assert first["changes"] == {"since": "", "models": []}
    again = house.run("report", "--html", str(target), "--json").json["data"]
    assert (again["changes"]["since"], again["changes"]["models"]) == (first["made"], [])
    marker = house.folder / "models/huggingface/hub"
    (weights,) = marker.glob("models--Systran--faster-whisper-base/snapshots/*/model.bin")
    weights.resolve().write_bytes(b"short")
    data = house.run("report", "--html", str(target), "--json").json["data"]
    (row,) = data["changes"]["models"]
    assert row["key"] == HUB
    assert row["words"].startswith("present, now corrupt")
    assert data["counts"]["corrupt"] == 1
    assert row["words"] in target.read_text()


def test_damaged_notes_of_earlier_runs_stop_nothing(house: House) -> None:
    out = house.folder / "out"
    for text in ("{", "[]", "\x00", json.dumps({"data": {"outcomes": [{"key": {}}]}})):
        (out / "report_state.json").write_text(text)
        (out / "last_download.json").write_text(text)
        ran = house.run("report", "--json")
        assert (ran.code, ran.json["data"]["downloads"]) == (0, [])
    assert house.run("report").code == 0
    assert house.run("report", "--html", str(house.lock_file / "x")).code == 4
