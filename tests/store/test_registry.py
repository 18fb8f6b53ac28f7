"""The registry remembers, never decides: its form is a schema, its loss stops nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.fakes.wheels import make_wheel, placement_of
from tests.store.test_archives import make_zip, unpack_of
from tests.store.test_place import BODY, CONFIG, LAYOUT, OTHER, WEIGHTS, downloaded

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout
from modelset.core.types import Artifact, Model, Pin
from modelset.store.place import place
from modelset.store.registry import (
    entry_of,
    holds,
    is_remembered,
    problem_of,
    read_registry,
    remember,
    write_anew,
)
from modelset.store.registry_fields import hash_of, quantization_of, stated_fields
from modelset.store.roots import Roots
from modelset.store.wheels import install_wheel

MODEL = Model("whisper:tiny", "whisper", "optional", "huggingface", {}, licence="MIT")
PIN = Pin("whisper:tiny", "huggingface", {}, "c", (WEIGHTS, CONFIG))
NOW = "2026-01-02T03:04:05+00:00"


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return {"huggingface": tmp_path / "hub", "site-packages": tmp_path / "site"}


@pytest.fixture
def entry(tmp_path: Path, roots: Roots) -> dict[str, Any]:
    place(LAYOUT, roots, downloaded(tmp_path))
    return entry_of(MODEL, PIN, LAYOUT, roots, sha256={}, date_added=NOW)


def document(folder: Path) -> Any:
    return json.loads((folder / "registry.json").read_text())


def validate(folder: Path) -> None:
    schema = json.loads((folder / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.FormatChecker()
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document(folder))


def test_what_is_remembered_fits_the_schema_that_lies_beside_it(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    folder = tmp_path / "registry"
    remember(folder, {"whisper:tiny": entry})
    validate(folder)
    assert read_registry(folder) == {"whisper:tiny": entry}


def test_the_schema_refuses_what_is_not_an_entry(tmp_path: Path, entry: dict[str, Any]) -> None:
    folder = tmp_path / "registry"
    for key, broken in (
        ("no-family", entry),
        ("a:b", {name: value for name, value in entry.items() if name != "files"}),
        ("a:b", entry | {"size": -1}),
        ("a:b", entry | {"more": 1}),
        ("a:b", entry | {"files": [{**entry["files"][0], "sha256": "short"}]}),
    ):
        (folder / "registry.json").unlink(missing_ok=True)
        remember(folder, {key: broken})
        with pytest.raises(jsonschema.ValidationError):
            validate(folder)


def test_an_entry_names_every_file_with_its_sum_and_time(
    entry: dict[str, Any], roots: Roots
) -> None:
    assert entry["size"] == len(BODY) + len(OTHER)
    assert (entry["name"], entry["type"], entry["version"]) == ("tiny", "whisper", "c")
    assert entry["path"] == str(roots["huggingface"] / "repo/snapshots/c")
    assert entry["date_added"] == NOW
    sums = {Path(row["path"]).name: row["sha256"] for row in entry["files"]}
    assert sums == {WEIGHTS.hex: WEIGHTS.hex, CONFIG.hex: CONFIG.hex}
    for row in entry["files"]:
        assert row["mtime_ns"] == Path(row["path"]).stat().st_mtime_ns


def test_a_file_without_a_known_sum_is_read_and_a_known_one_is_believed(
    tmp_path: Path, roots: Roots
) -> None:
    digest = hashlib.sha1(b"blob 7\0" + BODY, usedforsecurity=False).hexdigest()
    row = type(WEIGHTS)("w", "https://example.org/", 7, f"git-sha1:{digest}")
    layout = Layout("huggingface", (type(LAYOUT.placements[0])("w", row),), "w")  # type: ignore[call-arg]
    path = roots["huggingface"] / "w"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    (read,) = entry_of(MODEL, PIN, layout, roots, sha256={}, date_added=NOW)["files"]
    assert read["sha256"] == hashlib.sha256(BODY).hexdigest()
    known = {row.digest: "f" * 64}
    (told,) = entry_of(MODEL, PIN, layout, roots, sha256=known, date_added=NOW)["files"]
    assert told["sha256"] == "f" * 64


def test_the_files_of_a_wheel_are_those_of_its_record(tmp_path: Path, roots: Roots) -> None:
    wheel = make_wheel(tmp_path, "1.0", {"tiny_model/weights.bin": BODY})
    row = placement_of(wheel)
    install_wheel(wheel, roots["site-packages"], row)
    layout = Layout("site-packages", (row,), "tiny_model-1.0.dist-info")
    entry = entry_of(MODEL, PIN, layout, roots, sha256={}, date_added=NOW)
    sums = {Path(one["path"]).name: one["sha256"] for one in entry["files"]}
    assert sums["weights.bin"] == hashlib.sha256(BODY).hexdigest()
    assert {"RECORD", "METADATA", "WHEEL", "INSTALLER", "__init__.py"} <= set(sums)
    assert is_remembered(entry, layout, roots)
    folder = tmp_path / "registry"
    remember(folder, {"a:b": entry})
    validate(folder)


def test_an_unchanged_model_is_remembered_and_a_touched_one_is_not(
    entry: dict[str, Any], roots: Roots
) -> None:
    assert is_remembered(entry, LAYOUT, roots)
    assert not is_remembered(None, LAYOUT, roots)
    assert not is_remembered(entry | {"files": entry["files"][:1]}, LAYOUT, roots)
    path = Path(entry["files"][0]["path"])
    body = path.read_bytes()
    path.write_bytes(bytes(reversed(body)))
    assert not is_remembered(entry, LAYOUT, roots)
    path.unlink()
    assert not is_remembered(entry, LAYOUT, roots)


def test_entries_are_added_beside_the_others_and_replace_their_own(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    folder = tmp_path / "registry"
    remember(folder, {"a:b": entry})
    remember(folder, {"c:d": entry})
    remember(folder, {"a:b": entry | {"version": "2"}})
    assert list(read_registry(folder)) == ["a:b", "c:d"]
    assert read_registry(folder)["a:b"]["version"] == "2"
    assert sorted(path.name for path in folder.iterdir()) == ["registry.json", "schema.json"]


BROKEN = [
    "",
    "{",
    "[]",
    "null",
    '"x"',
    '{"schema_version": 3, "models": {"a:b": {}}}',
    "\xff",
    '{"schema_version": 1}',
    '{"schema_version": 1, "models": 5}',
    '{"schema_version": 1, "models": ["a"]}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_damaged_or_newer_registry_stops_nothing_and_is_made_anew(
    tmp_path: Path, entry: dict[str, Any], text: str
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "registry.json").write_bytes(text.encode("latin-1"))
    assert read_registry(folder) == {}
    assert problem_of(folder)
    remember(folder, {"a:b": entry})
    assert read_registry(folder) == {"a:b": entry}
    assert problem_of(folder) == ""
    validate(folder)


@pytest.mark.parametrize(
    "odd", [5, "x", [], {}, {"files": 5}, {"files": [5]}, {"files": [{}]}, {"files": [{"path": 5}]}]
)
def test_an_entry_of_another_form_is_not_believed(
    tmp_path: Path, roots: Roots, odd: object, entry: dict[str, Any]
) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    text = json.dumps({"schema_version": 1, "models": {"whisper:tiny": odd}})
    (folder / "registry.json").write_text(text)
    assert not is_remembered(read_registry(folder).get("whisper:tiny"), LAYOUT, roots)


def test_a_registry_that_cannot_be_written_is_said(tmp_path: Path, entry: dict[str, Any]) -> None:
    (tmp_path / "registry").write_text("a file")
    assert read_registry(tmp_path / "registry") == {}
    with pytest.raises(ModelSetError) as caught:
        remember(tmp_path / "registry", {"a:b": entry})
    assert caught.value.failure.code == "store-not-writable"


# ---- archives and keys ---------------------------------------------------------------------


def test_the_files_out_of_an_archive_are_remembered_but_for_those_that_change(
    tmp_path: Path,
) -> None:
    roots = {"tts": tmp_path / "tts", "downloads": tmp_path / "downloads"}
    path = make_zip(tmp_path, {"top/config.json": OTHER, "top/sub/weights.bin": BODY})
    unpack = unpack_of(path, mutable=("config.json",))
    layout = Layout("tts", (unpack,), unpack.path)
    place(layout, roots, {unpack.artifact.digest: path})
    entry = entry_of(MODEL, PIN, layout, roots, sha256={}, date_added=NOW)
    folder = roots["tts"] / unpack.path
    sums = {
        Path(row["path"]).relative_to(folder).as_posix(): row["sha256"] for row in entry["files"]
    }
    assert set(sums) == {unpack.record, "sub/weights.bin"}
    assert sums["sub/weights.bin"] == hashlib.sha256(BODY).hexdigest()
    assert entry["path"] == str(folder)
    registry = tmp_path / "registry"
    remember(registry, {"tts:a": entry})
    validate(registry)

    (folder / "config.json").write_bytes(b"written by the library")
    assert is_remembered(entry, layout, roots)
    (folder / "sub/weights.bin").write_bytes(bytes(reversed(BODY)))
    assert not is_remembered(entry, layout, roots)


def test_another_archive_is_not_remembered_by_the_files_of_the_first(tmp_path: Path) -> None:
    roots = {"tts": tmp_path / "tts", "downloads": tmp_path / "downloads"}
    first = make_zip(tmp_path, {"top/weights.bin": BODY}, "one.zip")
    second = make_zip(tmp_path, {"top/weights.bin": BODY, "top/more": b"x"}, "two.zip")
    layouts = [Layout("tts", (unpack_of(path),), "house") for path in (first, second)]
    place(layouts[0], roots, {unpack_of(first).artifact.digest: first})
    entry = entry_of(MODEL, PIN, layouts[0], roots, sha256={}, date_added=NOW)
    assert is_remembered(entry, layouts[0], roots)
    assert not is_remembered(entry, layouts[1], roots)


def test_a_key_is_remembered_without_a_word_of_it(tmp_path: Path) -> None:
    roots = {"credentials": tmp_path / "credentials"}
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/house").write_text("s3cret")
    layout = Layout("credentials", (Credential("HOUSE_KEY", "house"),), "house")
    pin = Pin("api:house", "api", {}, "key", ())
    entry = entry_of(MODEL, pin, layout, roots, sha256={}, date_added=NOW)
    assert (entry["files"], entry["size"], entry["version"]) == ([], 0, "key")
    registry = tmp_path / "registry"
    remember(registry, {"api:house": entry})
    validate(registry)
    assert "s3cret" not in (registry / "registry.json").read_text()
    assert hashlib.sha256(b"s3cret").hexdigest() not in (registry / "registry.json").read_text()


# ---- the fields that people ask for --------------------------------------------------------


def pin_of(*names: str, **ref: object) -> Pin:
    files = tuple(Artifact(name, "https://example.org/f", 1, "md5:" + "0" * 32) for name in names)
    return Pin("llm:a", "huggingface", ref, "c", files)


@pytest.mark.parametrize(
    ("pin", "said"),
    [
        (pin_of("mistral-7b-instruct-v0.2.Q4_K_M.gguf"), "Q4_K_M"),
        (pin_of("a-iq2_xxs.gguf"), "IQ2_XXS"),
        (pin_of("a.gguf", repo="mlx-community/whisper-tiny-4bit"), "4bit"),
        (pin_of("model.bin", repo="acme/whisper-int8_float16"), "int8_float16"),
        (pin_of("a.Q4_0.gguf", "b.Q8_0.gguf"), "Q4_0, Q8_0"),
        (pin_of("model.bin", repo="Systran/faster-whisper-base"), None),
        (pin_of("a.bin", url="https://q4_0.example.org/f16/plain.zip"), None),
        (pin_of("FAQ4_Kids.txt", "seq2seq.bin"), None),
    ],
)
def test_a_quantization_is_what_a_name_states_and_nothing_else(pin: Pin, said: str | None) -> None:
    assert quantization_of(Model("llm:a", "llm", "available", "huggingface", {}), pin) == said


def test_the_catalog_says_what_a_model_needs(tmp_path: Path, entry: dict[str, Any]) -> None:
    model = Model(
        "llm:mistral-7b", "llm", "available", "huggingface", {}, library="llama-cpp", gate="g",
        needs=("cuda", "hf-token", "vad:silero"), memory="16 GB", speed="slow", note="n",
    )  # fmt: skip
    fields = stated_fields(model, pin_of("a.gguf"))
    assert (fields["id"], fields["format"]) == ("llm:mistral-7b", ["gguf"])
    assert fields["parameters"] == {"count": "7B", "speed": "slow", "library": "llama-cpp"}
    assert fields["hardware"] == {"memory": "16 GB", "needs": ["cuda"]}
    assert fields["metadata"]["needs_models"] == ["vad:silero"]
    remember(tmp_path / "registry", {model.key: entry | fields})
    validate(tmp_path / "registry")
    plain = stated_fields(MODEL, PIN)
    assert (plain["parameters"], plain["hardware"], plain["quantization"]) == ({}, {}, None)


def test_the_hash_is_of_the_bytes_and_not_of_their_places(entry: dict[str, Any]) -> None:
    lines = "".join(f"{one}\n" for one in sorted((WEIGHTS.hex, CONFIG.hex)))
    assert entry["hash"] == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    moved = [row | {"path": f"/elsewhere/{row['sha256']}"} for row in reversed(entry["files"])]
    assert hash_of(moved) == entry["hash"]
    assert hash_of([*moved[:1], moved[1] | {"sha256": "0" * 64}]) != entry["hash"]
    assert hash_of([]) is None


def test_a_registry_of_the_first_version_is_read_and_carried_on(
    tmp_path: Path, entry: dict[str, Any], roots: Roots
) -> None:
    later = ("id", "format", "quantization", "hash", "parameters", "hardware", "metadata")
    old = {name: value for name, value in entry.items() if name not in later}
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "schema.json").write_text("{}")
    text = json.dumps({"schema_version": 1, "models": {"whisper:tiny": old}})
    (folder / "registry.json").write_text(text)
    assert problem_of(folder) == ""
    assert is_remembered(read_registry(folder)["whisper:tiny"], LAYOUT, roots)
    remember(folder, {"a:b": entry})
    validate(folder)
    carried = read_registry(folder)["whisper:tiny"]
    assert (carried["id"], carried["hash"]) == ("whisper:tiny", entry["hash"])


def test_an_entry_holds_as_long_as_every_byte_is_the_same(
    tmp_path: Path, entry: dict[str, Any]
) -> None:
    assert holds(entry)
    for odd in ({}, {"files": []}, {"files": [{"path": 5}]}, {"files": None}):
        assert not holds(odd)
    path = Path(entry["files"][0]["path"])
    path.write_bytes(bytes(reversed(path.read_bytes())))
    assert not holds(entry)
    write_anew(tmp_path / "registry", {})
    assert read_registry(tmp_path / "registry") == {}
    validate(tmp_path / "registry")
