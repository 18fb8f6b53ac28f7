"""What a folder of another program's holds is known by names; what fits a pin by size."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from modelset.core.found import (
    Adoption,
    Candidates,
    File,
    Item,
    Listing,
    Place,
    Taken,
    items_of,
    of_the_right_size,
    packages_of,
    recognise,
)
from modelset.core.types import Artifact, Model, Pin

HEX = "a" * 64
_inodes = iter(range(1, 10_000))


def file(name: str, size: int = 10, inode: int = 0, path: str = "") -> File:
    return File(name, path or f"/place/{name}", size, (1, inode or next(_inodes)))


def listing(*files: File, root: str = "whisper", depth: int = 1) -> Listing:
    return Listing(Place("Some", root, "/place", depth), files)


def artifact(name: str, size: int = 10, digest: str = f"sha256:{HEX}") -> Artifact:
    return Artifact(name, "https://example.org/x", size, digest)


def lock(*artifacts: Artifact, key: str = "test:thing") -> Mapping[str, Pin]:
    return {key: Pin(key, "url", {}, "1", artifacts)}


def test_a_place_falls_into_models_by_the_depth_of_its_paths() -> None:
    files = (file("a/x"), file("a/b/y"), file("c"), file(".hidden/z"), file("a/.lock"))
    assert [(item.name, item.count) for item in items_of(listing(*files))] == [("a", 2), ("c", 1)]
    deep = [item.name for item in items_of(listing(*files, depth=2))]
    assert deep == ["a/b", "a/x", "c"]


def test_shared_blobs_count_with_the_model_that_leads_to_them() -> None:
    shared = file("blobs/ab/abc", 7, inode=99)
    linked = file("models--o--n/snapshots/1/w", 7, inode=99)
    twice = file("models--o--n/blobs/x", 7, inode=99)
    (item,) = items_of(listing(shared, linked, twice, root="huggingface"))
    assert (item.name, item.count, item.size_bytes) == ("models--o--n", 1, 7)


def test_members_say_what_paths_do_not() -> None:
    files = (file("blobs/1", 5), file("blobs/2", 6), file("manifests/h/n/m/t", 1))
    members = {"manifests/h/n/m/t": ("blobs/1", "blobs/gone", "manifests/h/n/m/t"), "empty": ()}
    (item,) = items_of(Listing(Place("Ollama", "ollama", "/place"), files, members))
    assert (item.name, item.size_bytes) == ("manifests/h/n/m/t", 6)


@pytest.mark.parametrize(
    ("root", "name", "trace"),
    [
        ("huggingface", "models--o--n", ("huggingface", "models--o--n/snapshots/*")),
        ("llm", "o/n", ("huggingface", "models--o--n/snapshots/*")),
        ("llm", "o_n_model.Q4.gguf", ("huggingface", "models--o--n/snapshots/*")),
        ("whisper", "base.pt", ("whisper", "base.pt")),
        ("silero", "silero/v4_ru.pt", ("silero", "v4_ru.pt")),
        ("vosk", "vosk-model-small", ("vosk", "vosk-model-small")),
        ("nltk", "sentiment/v.zip", ("nltk", "*/v.zip")),
        ("ollama", "manifests/h/n/m/t", ("ollama", "manifests/h/n/m/t")),
        ("site-packages", "p-1.dist-info", ("site-packages", "p-*.dist-info")),
    ],
)
def test_a_name_tells_the_model(root: str, name: str, trace: tuple[str, str]) -> None:
    item = Item(Place("Some", root, "/place"), name, (file(name),))
    assert recognise(item, {"test:thing": trace}, {}) == ("test:thing",)


@pytest.mark.parametrize(
    ("root", "name", "trace"),
    [
        ("vosk", "models--o--n", ("huggingface", "models--o--m/snapshots/*")),
        ("torch", "vosk-model-small", ("vosk", "vosk-model-small")),
        ("whisper", "base.en.pt", ("whisper", "base.pt")),
        ("llm", "o_other_model.gguf", ("huggingface", "models--o--n/snapshots/*")),
        ("nltk", "a/b/v.zip", ("vosk", "v")),
    ],
)
def test_another_name_tells_nothing(root: str, name: str, trace: tuple[str, str]) -> None:
    item = Item(Place("Some", root, "/place"), name, (file(name),))
    assert recognise(item, {"test:thing": trace}, {}) == ()


def test_without_a_known_name_the_largest_file_tells_by_size_and_name_or_digest() -> None:
    traces = {"test:thing": ("vosk", "elsewhere")}
    pins = lock(artifact("sub/weights.bin", 10), artifact("small", 2))
    for name, size, expected in (
        ("weights.bin", 10, ("test:thing",)),
        (f"sha256-{HEX}", 10, ("test:thing",)),
        (HEX, 10, ("test:thing",)),
        ("weights.bin", 11, ()),
        ("other.bin", 10, ()),
    ):
        item = Item(Place("Some", "llm", "/place"), "x", (file(name, size), file("small", 2)))
        assert recognise(item, traces, pins) == expected
    # A lock may name models that nobody can look for, such as a user's own.
    item = Item(Place("Some", "llm", "/place"), "x", (file("weights.bin"),))
    assert recognise(item, {}, pins) == ()


def test_how_many_files_have_the_right_size() -> None:
    item = Item(Place("Some", "llm", "/place"), "x", (file("a", 1), file("b", 2)))
    assert of_the_right_size(item, [artifact("c", 2), artifact("d", 3)]) == 1


def test_candidates_are_those_of_the_right_size_the_likeliest_first() -> None:
    rows = (file("z/other"), file("y/w.bin"), file(f"blobs/sha256-{HEX}"), file("longer", 11))
    found = Candidates([listing(*rows)]).for_artifact(artifact("deep/w.bin"))
    assert [row.name for row in found] == [f"blobs/sha256-{HEX}", "y/w.bin", "z/other"]
    assert Candidates([]).for_artifact(artifact("w.bin")) == []


def test_a_file_of_many_names_is_read_once_and_under_its_digest() -> None:
    names = [file(f"n{number}", inode=77) for number in range(50)]
    named = file(f"blobs/{HEX}", inode=77)
    (row,) = Candidates([listing(*names, named), listing(*names)]).for_artifact(artifact("w"))
    assert row.inode == (1, 77)


def test_a_pipeline_is_its_package_and_what_describes_it() -> None:
    files = (file("en_x-1.0.dist-info/METADATA"), file("en_x/meta.json"), file("other/y"))
    assert packages_of(files) == {
        "en_x-1.0.dist-info": ("en_x-1.0.dist-info/METADATA", "en_x/meta.json")
    }


def test_bytes_are_told_by_the_way_they_came() -> None:
    model = Model("test:thing", "test", "optional", "url", {})
    taken = (Taken("a", 5, "linked", "/a"), Taken("b", 7, "copied", "/b"))
    adoption = Adoption(model, "optional", "adopted", taken)
    assert (adoption.bytes_by("linked", "cloned"), adoption.bytes_by("copied")) == (5, 7)


def test_folders_of_a_name_are_in_places_of_their_root_or_where_users_say() -> None:
    places = (
        Place("Vosk", "vosk", "/a/vosk", only=("vosk-*",)),
        Place("Whisper", "whisper", "/a/whisper"),
        Place("Named", "", "/b/models/vosk-x"),
        Place("Named", "", "/c", only=("one-file",)),
    )
    candidates = Candidates([Listing(place) for place in places])
    assert candidates.folders("vosk", "vosk-x") == [
        "/a/vosk/vosk-x", "/b/models/vosk-x/vosk-x", "/b/models/vosk-x",
    ]  # fmt: skip
    assert candidates.folders("tts", "x") == ["/b/models/vosk-x/x"]
