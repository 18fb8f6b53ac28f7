"""A registry is read line by line as long as it is as we wrote it, and whole when it is not."""

from __future__ import annotations

import contextlib
import json
import random
import zlib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelset.store import registry_rows
from modelset.store.registry import (
    forget,
    problem_of,
    read_registry,
    remember,
    write_anew,
)
from modelset.store.registry_rows import ODD, READABLE, Rows, rows_of

ODD_KEYS = [
    'a:"b": {', "a:b\n},\nc", "a:\\", "a:\\\\\": {}", "a:b,\n", "a:\ud800", "a:\u2028\u00e9", "a: ",
    "a:}}", "no colon", "",
]  # fmt: skip


def entry(number: int) -> dict[str, Any]:
    """An entry that is whole as far as the registry itself looks."""
    sums = [f"{number * 7 + one:064x}" for one in range(3)]
    files = [{"path": f"/m/{one}", "size": 1, "sha256": one, "mtime_ns": 5} for one in sums]
    return {"version": f'{number}": {{\n\u00e9', "hash": sums[0], "files": files, "empty": {}}


def entries(count: int) -> dict[str, dict[str, Any]]:
    keys = [*ODD_KEYS, *(f"llm:{number}" for number in range(count))]
    return {key: entry(number) for number, key in enumerate(keys)}


def whole(data: bytes) -> dict[str, Any]:
    """What a plain reader of JSON finds."""
    with contextlib.suppress(*ODD):
        document = json.loads(data.decode())
        return dict(document["models"]) if document["schema_version"] in READABLE else {}
    return {}


def forged(lines: str) -> bytes:
    """Lines of another form, with a checksum that is right."""
    body = f"{lines}\n}}}}\n".encode()
    return b'{"schema_version": 2, "crc32": "%08x", "models": {\n' % zlib.crc32(body) + body


def put(folder: Path, data: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "registry.json").write_bytes(data)


@pytest.mark.parametrize("count", [0, 50, 500])
def test_what_was_written_is_read_key_by_key_and_all_at_once(tmp_path: Path, count: int) -> None:
    written = entries(count)
    write_anew(tmp_path, written)
    assert whole((tmp_path / "registry.json").read_bytes()) == written, "anybody can read it"
    rows = read_registry(tmp_path)
    assert isinstance(rows, Rows)
    assert (list(rows), len(rows)) == (list(written), len(written))
    for key in reversed(written):
        assert key in rows
        assert rows[key] == written[key]
        assert rows[key] is rows[key]
    assert read_registry(tmp_path) == written
    assert "llm:none" not in rows
    assert rows.get("llm:none") is None
    assert problem_of(tmp_path) == ""


def test_no_entry_at_all_is_nothing(tmp_path: Path) -> None:
    write_anew(tmp_path, {})
    assert isinstance(read_registry(tmp_path), Rows)
    assert read_registry(tmp_path) == {}
    remember(tmp_path, {"a:b": entry(1)})
    assert read_registry(tmp_path) == {"a:b": entry(1)}


def test_other_models_lines_stay_byte_for_byte(tmp_path: Path) -> None:
    write_anew(tmp_path, entries(20))
    path = tmp_path / "registry.json"
    before = path.read_bytes().split(b"\n")[1:]
    remember(tmp_path, {"llm:5": entry(99), "z:new": entry(98)})
    after = path.read_bytes().split(b"\n")[1:]
    changed = [line for line in after if line not in before]
    # The last line of before has a comma now.
    assert [line.partition(b": ")[0] for line in changed] == [b'"llm:5"', b'"llm:19"', b'"z:new"']
    forget(tmp_path, ["z:new"])
    remember(tmp_path, {"llm:5": entry(len(ODD_KEYS) + 5)})
    assert path.read_bytes().split(b"\n")[1:] == before


@pytest.mark.parametrize("deed", ["flip", "cut", "drop a line", "double a line", "append"])
def test_a_damaged_text_is_what_a_plain_reader_makes_of_it(tmp_path: Path, deed: str) -> None:
    write_anew(tmp_path, entries(20))
    good = (tmp_path / "registry.json").read_bytes()
    chance = random.Random(deed)
    believed = 0
    for _ in range(300):
        data, place = bytearray(good), chance.randrange(len(good))
        lines = good.split(b"\n")
        number = chance.randrange(1, len(lines))
        if deed == "flip":
            data[place] ^= 1 << chance.randrange(8)
        elif deed == "cut":
            del data[place:]
        elif deed == "append":
            data += chance.choice([b" ", b"}", b"\n}}\n", b"x", b"\0"])
        else:
            kept = lines[number : number + 1] * (2 if deed == "double a line" else 0)
            data = bytearray(b"\n".join(lines[:number] + kept + lines[number + 1 :]))
        put(tmp_path, bytes(data))
        found = read_registry(tmp_path)
        assert found == whole(bytes(data))
        believed += bool(found)
    assert believed < 300


def test_a_line_that_somebody_edited_is_read_with_all_others(tmp_path: Path) -> None:
    write_anew(tmp_path, entries(3))
    path = tmp_path / "registry.json"
    path.write_text(
        path.read_text().replace('"llm:1"', '"llm:one"').replace('"version": ', '"version" :  ')
    )
    found = read_registry(tmp_path)
    assert not isinstance(found, Rows)
    assert set(found) == {*ODD_KEYS, "llm:0", "llm:one", "llm:2"}
    remember(tmp_path, {"a:b": entry(1)})
    assert isinstance(read_registry(tmp_path), Rows)


WRONG = [
    "", "{", '{"x": 1', '{"x": 1}, "c:d": {}', "[" * 100_000, "{} {}", '{"x": NaN\t', "'x'",
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("count", [3, 300])
def test_a_broken_line_with_the_right_checksum_is_believed_in_nothing(
    tmp_path: Path, wrong: str, count: int
) -> None:
    good = ",\n".join(f'"llm:{number}": {json.dumps(entry(number))}' for number in range(count))
    put(tmp_path, forged(f'{good},\n"a:b": {wrong}'))
    found = read_registry(tmp_path)
    assert found["a:b"] == {}
    assert all(found[f"llm:{number}"] == entry(number) for number in range(count))
    assert set(found) == {"a:b", *(f"llm:{number}" for number in range(count))}
    assert bool(problem_of(tmp_path)) == (wrong != WRONG[3])


@pytest.mark.parametrize(
    "lines", ["5: {}", "{}", '"a:b"', "\n", '"a:b": {},', '"a:b": {},\n\n"c:d": {}', "x", "\u00e9"]
)
def test_lines_that_are_none_are_left_to_a_plain_reader(tmp_path: Path, lines: str) -> None:
    put(tmp_path, forged(lines))
    found = read_registry(tmp_path)
    assert {key: found[key] for key in found} in (whole(forged(lines)), {"a:b": {}})


@pytest.mark.parametrize("head", [b'"schema_version": 3, "crc32"', b'"schema_version": 2, "crc"'])
def test_a_text_of_another_version_is_not_read_by_lines(tmp_path: Path, head: bytes) -> None:
    write_anew(tmp_path, {"a:b": entry(1)})
    data = (tmp_path / "registry.json").read_bytes()
    put(tmp_path, data.replace(b'"schema_version": 2, "crc32"', head))
    found = read_registry(tmp_path)
    assert not isinstance(found, Rows)
    assert found == ({} if b"3" in head else {"a:b": entry(1)})


def test_the_checksum_is_part_of_the_schema_and_may_be_missing(tmp_path: Path) -> None:
    write_anew(tmp_path, {})
    schema = json.loads((tmp_path / "schema.json").read_text())
    document = json.loads((tmp_path / "registry.json").read_text())
    jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"crc32": "short"}, schema)
    del document["crc32"]
    jsonschema.validate(document, schema)
    assert rows_of(json.dumps(document).encode()) == {}


def test_one_entry_is_made_for_one_question_and_all_at_once_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    one = registry_rows._entry

    def counting(text: str, end: int) -> Any:
        made.append(end)
        return one(text, end)

    monkeypatch.setattr(registry_rows, "_entry", counting)
    write_anew(tmp_path, entries(5000))
    rows = read_registry(tmp_path)
    assert (len(rows), "llm:7" in rows, made) == (5000 + len(ODD_KEYS), True, [])
    assert rows["llm:4999"] == rows["llm:4999"]
    assert len(made) == 1
    remember(tmp_path, {"a:b": entry(1)})
    assert len(made) == 1, "and none to write another one"
    assert dict(rows) == entries(5000)
    assert len(made) < 200
