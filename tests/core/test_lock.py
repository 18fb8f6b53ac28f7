"""The lock as text: the same pins give the same bytes, and anything odd is one error in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.lock import (
    EMPTY,
    dump_lock,
    is_current,
    is_same,
    learned,
    licences_of,
    parse_lock,
    pin_before,
)
from modelset.core.types import Artifact, Model, Pin, first_use

FILE = Artifact("a.bin", "https://example.org/a.bin", 5, "md5:" + "0" * 32)
PIN = Pin("a:b", "url", {"url": "https://example.org/a.bin", "size": 5}, "r1", (FILE,))
OTHER = replace(PIN, key="a:a", revision="r2")
MODEL = Model("a:b", "x", "optional", "url", {"url": "https://example.org/a.bin", "size": 5})


def test_pins_come_back_as_they_were() -> None:
    assert parse_lock(dump_lock([PIN, OTHER]), where="x") == {"a:a": OTHER, "a:b": PIN}


def test_the_order_of_pins_changes_nothing() -> None:
    text = dump_lock([PIN, OTHER])
    assert text == dump_lock([OTHER, PIN])
    assert text.endswith("}\n")
    assert list(json.loads(text)["models"]) == ["a:a", "a:b"]


def test_no_pins_are_a_lock_too() -> None:
    assert parse_lock(dump_lock([]), where="x") == dict(EMPTY) == {}


def document(**changes: object) -> str:
    entry = {
        "source": "url",
        "ref": {},
        "revision": "1",
        "files": [
            {"name": "a", "url": "https://example.org/a", "size": 1, "digest": "md5:" + "0" * 32}
        ],
    }
    return json.dumps({"schema_version": 1, "models": {"a:b": entry | changes}})


def row(**changes: object) -> list[object]:
    good = {"name": "a", "url": "https://e.org/a", "size": 1, "digest": "md5:" + "0" * 32}
    return [good | changes]


BROKEN = {
    "empty": "",
    "cut": document()[:40],
    "a list": "[]",
    "a number": "5",
    "no version": "{}",
    "no models": '{"schema_version": 1}',
    "models are a list": '{"schema_version": 1, "models": []}',
    "a model is a text": '{"schema_version": 1, "models": {"a:b": "x"}}',
    "too deep": "[" * 100_000,
    "no files": document(files=None),
    "a file is a text": document(files=["x"]),
    "an evil name": document(files=row(name="../x")),
    "a name that is no text": document(files=row(name=5)),
    "an address that is no text": document(files=row(url=5)),
    "a wrong digest": document(files=row(digest="x")),
    "a negative size": document(files=row(size=-1)),
    "a size as text": document(files=row(size="1")),
    "a size that is a fraction": document(files=row(size=1.5)),
    "a ref that is a number": document(ref=5),
    "a ref that is a list": document(ref=[]),
    "a source that is a list": document(source=[]),
    "a revision that is a number": document(revision=5),
    "a revision that leads elsewhere": document(revision="../../x"),
    "a revision that is nothing": document(revision=""),
    "a digest of a first use": document(files=row(digest=first_use("https://e.org/a"))),
    "a manifest that is a number": document(manifest=5),
    "a manifest that is a list": document(manifest=["x"]),
    "a licence that is a number": document(licence=5),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_lock_that_cannot_be_read_is_said_with_its_place_and_the_way_out(name: str) -> None:
    with pytest.raises(ModelSetError) as caught:
        parse_lock(BROKEN[name], where="/project/models.lock.json")
    failure = caught.value.failure
    assert failure.code == "lock-invalid"
    assert "/project/models.lock.json" in failure.message
    assert "version control" in failure.hint


def test_a_newer_lock_asks_for_a_newer_program() -> None:
    with pytest.raises(ModelSetError, match="schema version 2") as caught:
        parse_lock('{"schema_version": 2, "models": {}}', where="x")
    assert caught.value.failure.hint == "update modelset"


# ---- lines ---------------------------------------------------------------------------------

OTHER_FILE = replace(FILE, name="b.bin", url="https://example.org/b.bin")


def test_a_file_is_one_line_and_so_is_every_other_field() -> None:
    text = dump_lock([replace(PIN, artifacts=(FILE, OTHER_FILE), manifest="{\n}")], {"a:b": "MIT"})
    lines = text.splitlines()
    rows = [line for line in lines if '"digest"' in line]
    assert rows[0].startswith(
        '    {"name": "a.bin", "url": "https://example.org/a.bin", "size": 5,'
    )
    assert rows[0].endswith(f'"digest": "{FILE.digest}"}},')
    assert len(rows) == 2
    assert '   "licence": "MIT",' in lines
    assert '   "revision": "r1",' in lines
    assert json.loads(text)["models"]["a:b"]["files"][1]["name"] == "b.bin"


def test_a_changed_file_changes_its_line_and_no_other() -> None:
    pin = replace(PIN, artifacts=(FILE, OTHER_FILE))
    changed = replace(pin, artifacts=(FILE, replace(OTHER_FILE, size=6)))
    pairs = zip(
        dump_lock([pin, OTHER]).splitlines(), dump_lock([changed, OTHER]).splitlines(), strict=True
    )
    assert [old.strip()[:17] for old, new in pairs if old != new] == ['{"name": "b.bin",']


def test_the_order_of_a_table_changes_nothing() -> None:
    turned = replace(PIN, ref=dict(reversed(PIN.ref.items())))
    assert dump_lock([turned]) == dump_lock([PIN])
    assert parse_lock(dump_lock([turned]), where="x") == {"a:b": PIN}


def test_the_form_that_earlier_versions_wrote_is_read() -> None:
    entry = {
        "source": PIN.source,
        "ref": dict(PIN.ref),
        "revision": PIN.revision,
        "files": [{"name": "a.bin", "url": FILE.url, "size": 5, "digest": FILE.digest}],
    }
    text = json.dumps({"schema_version": 1, "models": {"a:b": entry}}, indent=1) + "\n"
    assert parse_lock(text, where="x") == {"a:b": PIN}
    assert licences_of(text) == {}


def test_a_pin_without_files_is_kept_too() -> None:
    key = replace(PIN, artifacts=(), ref={}, source="api")
    assert parse_lock(dump_lock([key]), where="x") == {"a:b": key}


def test_licences_are_read_as_they_were_written() -> None:
    text = dump_lock([PIN, OTHER], {"a:b": "CC-BY-4.0 \u201cfree\u201d", "a:a": "", "c:c": "MIT"})
    assert licences_of(text) == {"a:b": "CC-BY-4.0 \u201cfree\u201d"}
    assert "licence" not in json.loads(text)["models"]["a:a"]


# ---- merges --------------------------------------------------------------------------------


def conflict(style: str) -> str:
    ours, theirs = dump_lock([PIN]), dump_lock([replace(PIN, revision="r9")])
    base = f"||||||| 1234567\n{dump_lock([])}" if style == "diff3" else ""
    return f"<<<<<<< HEAD\n{ours}{base}=======\n{theirs}>>>>>>> branch\n"


@pytest.mark.parametrize("style", ["merge", "diff3"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_lock_with_the_markers_of_a_merge_is_told_as_such(style: str, end: str) -> None:
    with pytest.raises(ModelSetError, match="conflict markers of a merge") as caught:
        parse_lock(conflict(style).replace("\n", end), where="models.lock.json")
    failure = caught.value.failure
    assert failure.code == "lock-invalid"
    assert "git checkout --ours models.lock.json" in failure.hint
    assert "modelset lock" in failure.hint


def test_a_broken_lock_whose_text_only_speaks_of_markers_is_no_merge() -> None:
    with pytest.raises(ModelSetError, match="cannot be read"):
        parse_lock('{"a": "<<<<<<< HEAD"', where="x")


# ---- pins side by side ---------------------------------------------------------------------


def test_pins_are_the_same_by_their_bytes_and_not_by_where_these_come_from() -> None:
    moved = replace(PIN, artifacts=(replace(FILE, url="https://e.org/a"),), ref={}, source="wheel")
    assert is_same(PIN, moved)
    for other in (
        replace(PIN, revision="r2"),
        replace(PIN, manifest="{}"),
        replace(PIN, artifacts=()),
        replace(PIN, artifacts=(replace(FILE, name="b"),)),
        replace(PIN, artifacts=(replace(FILE, digest="md5:" + "1" * 32),)),
    ):
        assert not is_same(PIN, other)


R2, R3 = replace(PIN, revision="r2"), replace(PIN, revision="r3")


def test_the_way_back_leads_to_the_newest_that_is_another_one() -> None:
    assert pin_before(MODEL, PIN, (R2, R3)) == R2
    assert pin_before(MODEL, R2, (R2, R3)) == R3
    assert pin_before(MODEL, None, (R2, R3)) == R2
    assert pin_before(MODEL, PIN, (R2, R3), "r3") == R3


def test_the_way_back_passes_pins_of_another_table() -> None:
    foreign = replace(R2, ref={"url": "https://example.org/b.bin"})
    assert pin_before(MODEL, PIN, (foreign, R3)) == R3
    with pytest.raises(ModelSetError, match="another `source` or `ref`"):
        pin_before(MODEL, PIN, (foreign,))
    with pytest.raises(ModelSetError, match="never pinned at r2"):
        pin_before(MODEL, PIN, (foreign,), "r2")


@pytest.mark.parametrize(
    ("history", "revision", "words"),
    [
        ((), "", "no other pin"),
        ((PIN,), "", "no other pin"),
        ((R2, R3), "r", "may be any of r2, r3"),
        ((R2, R3), "x", "never pinned at x"),
        ((R2, R3), "r1", "never pinned at r1"),
    ],
)
def test_there_is_no_other_way_back(history: tuple[Pin, ...], revision: str, words: str) -> None:
    with pytest.raises(ModelSetError, match=words) as caught:
        pin_before(MODEL, PIN, history, revision)
    assert caught.value.failure.code == "usage"
    assert caught.value.failure.hint


def test_a_pin_is_current_while_the_catalog_wants_the_same() -> None:
    assert is_current(PIN, MODEL)
    assert not is_current(None, MODEL)
    assert not is_current(PIN, replace(MODEL, source="wheel"))
    assert not is_current(PIN, replace(MODEL, ref={"url": "https://example.org/b.bin"}))
    # What people read about a model may change without the files changing.
    assert is_current(PIN, replace(MODEL, licence="MIT", size_bytes=9, tier="critical"))


# ---- manifests -----------------------------------------------------------------------------

MANIFESTS = [
    "{}",
    '{\n  "a": 1\n}\n',
    '{"a":\t1}\r\n\r\n',
    " \n",
    '{"ö": "\\ud800 \u2028 \U0001f600"}',
    "x" * 100_000,
]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_comes_back_word_for_word(manifest: str) -> None:
    pin = replace(PIN, manifest=manifest)
    text = dump_lock([pin])
    assert parse_lock(text, where="x") == {"a:b": pin}
    # Whatever writes the file may end its lines in another way.
    assert parse_lock(text.replace("\n", "\r\n"), where="x") == {"a:b": pin}


def test_a_pin_without_a_manifest_says_nothing_of_one() -> None:
    assert "manifest" not in dump_lock([PIN])


# ---- first use -----------------------------------------------------------------------------

URL = "https://example.org/voice.pt"
UNKNOWN = Artifact("voice.pt", URL, 5, first_use(URL))
FRESH = Pin("tts:v", "url", {"url": URL}, UNKNOWN.hex[:12], (UNKNOWN,))
TOLD = {UNKNOWN.digest: "ab" * 32}


def test_what_the_first_download_told_takes_the_place_of_the_address() -> None:
    pin = learned(FRESH, TOLD)
    assert pin.is_exact
    assert pin.artifacts == (replace(UNKNOWN, digest="sha256:" + "ab" * 32),)
    assert pin.revision == ("ab" * 32)[:12]
    assert parse_lock(dump_lock([pin]), where="x") == {"tts:v": pin}


def test_a_revision_that_is_something_else_stays() -> None:
    assert learned(replace(FRESH, revision="v4"), TOLD).revision == "v4"


def test_a_digest_that_is_known_already_is_not_learned_again() -> None:
    pin = replace(FRESH, artifacts=(FILE, UNKNOWN), revision="r")
    found = learned(pin, {**TOLD, FILE.digest: "cd" * 32})
    assert found.artifacts[0] == FILE
    assert found.artifacts[1].digest == "sha256:" + "ab" * 32
    assert learned(PIN, {}) == PIN


def test_what_was_not_told_cannot_be_learned() -> None:
    with pytest.raises(KeyError):
        learned(FRESH, {})


def test_a_pin_that_is_not_exact_is_refused_by_the_lock() -> None:
    with pytest.raises(ModelSetError, match="a digest is missing") as caught:
        parse_lock(dump_lock([FRESH]), where="models.lock.json")
    assert caught.value.failure.code == "lock-invalid"


@pytest.mark.parametrize("digest", ["first-use:", "first-use:" + "A" * 64, "first-use:" + "0" * 63])
def test_what_stands_for_a_digest_has_a_form_of_its_own(digest: str) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        Artifact("a", URL, 1, digest)


def test_two_addresses_stand_for_two_digests() -> None:
    assert first_use(URL) != first_use(URL + "?x")
    assert first_use(URL) == first_use(URL)
