"""A look at somebody else's folder: bounded, blind to what leads out, and it never waits."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from modelset.core.found import Bounds, Listing, Place, items_of
from modelset.store.adopt import plain_text
from modelset.store.elsewhere import (
    known_places,
    look,
    named_place,
    project_folders,
    user_home,
)
from modelset.store.roots import roots_below


def names(listing: Listing) -> set[str]:
    return {file.name for file in listing.files}


def put(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "place"
    folder.mkdir()
    return Place("Some", "", str(folder))


def test_regular_files_are_listed_with_size_and_inode(place: Place) -> None:
    path = put(Path(place.path) / "a" / "b" / "c.bin", b"12345")
    (file,) = look(place, {}).files
    stat = path.stat()
    assert (file.name, file.path, file.size) == ("a/b/c.bin", str(path), 5)
    assert file.inode == (stat.st_dev, stat.st_ino)


def test_links_out_loops_pipes_and_sockets_are_passed_over(place: Place, tmp_path: Path) -> None:
    folder = Path(place.path)
    put(tmp_path / "outside" / "secret")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "file-out").symlink_to(tmp_path / "outside" / "secret")
    (folder / "loop").symlink_to(folder)
    (folder / "self").symlink_to("self")
    (folder / "dead").symlink_to("nothing")
    os.mkfifo(folder / "pipe")
    put(folder / "real")
    (folder / "inner").symlink_to("real")
    (folder / "to-pipe").symlink_to("pipe")
    listing = look(place, {})
    # A link inside the place is another name of the file that it leads to.
    assert names(listing) == {"real", "inner"}
    assert {file.path for file in listing.files} == {str(folder / "real")}
    assert listing.notes == ()


def test_a_neighbour_whose_name_begins_alike_is_outside(place: Place) -> None:
    put(Path(f"{place.path}-other") / "x")
    (Path(place.path) / "link").symlink_to(f"../{Path(place.path).name}-other/x")
    assert look(place, {}).files == ()


def test_folders_that_cannot_be_read_are_noted(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(Path(place.path) / "closed" / "x")
    put(Path(place.path) / "open" / "y")
    real = os.scandir

    def scandir(path: str) -> object:  # whoever runs the tests may read everything
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("modelset.store.elsewhere.os.scandir", scandir)
    listing = look(place, {})
    assert names(listing) == {"open/y"}
    (note,) = listing.notes
    assert note.endswith("closed: cannot be read: Permission denied")


def test_a_huge_folder_is_cut_off_and_hides_nothing_beside_it(place: Place) -> None:
    for number in range(300):
        put(Path(place.path) / "a-crowd" / str(number))
    put(Path(place.path) / "b" / "w.bin")
    listing = look(place, {}, bounds=Bounds(in_folder=100, in_all=10_000))
    assert len(listing.files) == 101
    assert "b/w.bin" in names(listing)
    assert "more than 100 entries" in listing.notes[0]
    listing = look(place, {}, bounds=Bounds(in_folder=10_000, in_all=200))
    assert len(listing.files) < 300
    assert "entries were looked at" in listing.notes[-1]


def test_it_ends_when_it_is_late_and_lets_a_stop_through(place: Place) -> None:
    for number in range(600):
        put(Path(place.path) / str(number))
    answers = iter([False, True, True, True])
    listing = look(place, {}, is_late=lambda: next(answers))
    assert 200 < len(listing.files) < 300
    assert listing.notes

    def stopped() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(place, {}, is_late=stopped)


def test_deep_folders_end_somewhere(place: Place) -> None:
    folder = Path(place.path)
    for number in range(60):
        folder = folder / f"d{number}"
    put(folder / "deep")
    put(Path(place.path) / "d0" / "shallow")
    assert names(look(place, {})) == {"d0/shallow"}


def test_only_what_a_place_is_about_is_looked_at(place: Place) -> None:
    put(Path(place.path) / "models--a--b" / "x")
    put(Path(place.path) / "datasets--a--b" / "x")
    only = Place("Hub", "huggingface", place.path, only=("models--*",))
    assert names(look(only, {})) == {"models--a--b/x"}


def test_our_own_roots_inside_are_left_alone(place: Place) -> None:
    put(Path(place.path) / "models" / "whisper" / "tiny.pt")
    put(Path(place.path) / "models" / "downloads" / "x.part")
    put(Path(place.path) / "mine.pt")
    roots = roots_below(Path(place.path) / "models", {"local": Path("/")})
    assert names(look(place, roots)) == {"mine.pt"}


def test_names_are_made_fit_for_a_terminal_and_a_document(place: Place) -> None:
    raw = os.fsencode(place.path) + b"/\xff\x1b[31m\n.pt"
    os.close(os.open(raw, os.O_CREAT | os.O_WRONLY))
    (file,) = look(place, {}).files
    assert file.name == "??[31m?.pt"
    assert os.fsencode(file.path) == raw


def test_ollamas_manifests_say_which_blobs_make_a_model(place: Place) -> None:
    ollama, folder = Place("Ollama", "ollama", place.path), Path(place.path)
    put(folder / "blobs" / "sha256-aa", b"12345")
    put(folder / "blobs" / "sha256-bb", b"1234567")
    manifest = {"config": {"digest": "sha256:aa"}, "layers": [{"digest": "sha256:bb"}]}
    put(folder / "manifests/h/n/m/t", json.dumps(manifest).encode())
    for name, text in {
        "list": b"[]",
        "number": b"5",
        "deep": b"[" * 100_000,
        "odd": b'{"config": {"digest": 5}, "layers": []}',
        "binary": b"\xff\xfe",
        "above": b'{"config": {"digest": "../../x"}, "layers": []}',
    }.items():
        put(folder / "manifests" / "h" / "n" / "odd" / name, text)
    sizes = {item.name: item.count for item in items_of(look(ollama, {}))}
    assert sizes.pop("manifests/h/n/m/t") == 3
    assert set(sizes.values()) == {1}
    assert len(sizes) == 6


def test_only_pipelines_of_spacy_are_looked_at_among_packages(place: Place) -> None:
    site, folder = Place("spaCy", "site-packages", place.path), Path(place.path)
    for name, points in (("en_core_x", "[spacy_models]\n"), ("some_thing", "[console_scripts]\n")):
        put(folder / f"{name}-1.0.dist-info" / "entry_points.txt", points.encode())
        put(folder / name / "w.bin")
    os.mkfifo(put(folder / "a_b-1.dist-info" / "x").with_name("entry_points.txt"))
    (item,) = items_of(look(site, {}))
    assert (item.name, item.count) == ("en_core_x-1.0.dist-info", 2)
    (folder / "en_core_x-1.0.dist-info" / "entry_points.txt").unlink()
    assert look(site, {}).files == ()


# ---- which places there are --------------------------------------------------------------------

HOMES = {
    ".cache/huggingface/hub": "huggingface",
    ".cache/whisper": "whisper",
    ".cache/torch/hub": "torch",
    ".cache/vosk": "vosk",
    ".local/share/tts": "tts",
    "nltk_data": "nltk",
    ".ollama/models": "ollama",
    ".cache/llama.cpp": "llm",
    ".lmstudio/models": "llm",
    ".cache/lm-studio/models": "llm",
    ".cache/irene/whisper": "whisper",
    ".cache/irene/models": "silero",
}


def test_every_cache_of_a_home_is_known(tmp_path: Path) -> None:
    for folder in HOMES:
        (tmp_path / folder).mkdir(parents=True)
    places = known_places({}, str(tmp_path), (), {})
    found = {place.path: place.root for place in places if place.path.startswith(str(tmp_path))}
    assert found == {str(tmp_path / folder): root for folder, root in HOMES.items()}
    assert {place.root for place in places if place.is_legacy} == {"whisper", "silero"}


def test_variables_lead_to_more_and_no_place_counts_twice(tmp_path: Path) -> None:
    own = {
        "HF_HOME": tmp_path / "hf",
        "HF_HUB_CACHE": tmp_path / "hf" / "hub",
        "TORCH_HOME": tmp_path / "torch",
        "VOSK_MODEL_PATH": tmp_path / "vosk",
        "TTS_HOME": tmp_path / "coqui",
        "OLLAMA_MODELS": tmp_path / "ollama",
        "XDG_CACHE_HOME": tmp_path / "cache",
        "XDG_DATA_HOME": tmp_path / "data",
    }
    folders = ("hf/hub", "torch/hub", "vosk", "coqui/tts", "ollama", "cache/whisper", "data/tts")
    for name in (*folders, "nltk1", "nltk2"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cache" / "huggingface").symlink_to("../hf")
    environ = {name: str(path) for name, path in own.items()}
    environ["NLTK_DATA"] = f"{tmp_path}/nltk1{os.pathsep}{tmp_path}/nltk2"
    places = known_places(environ, str(tmp_path / "home"), (), {})
    mine = [place.path for place in places if place.path.startswith(str(tmp_path))]
    assert sorted(mine) == sorted(str(tmp_path / name) for name in (*folders, "nltk1", "nltk2"))


def test_what_lies_in_our_roots_is_said_to_be_ours(tmp_path: Path) -> None:
    (tmp_path / ".cache" / "huggingface" / "hub").mkdir(parents=True)
    (tmp_path / ".cache" / "vosk").mkdir()
    roots = roots_below(tmp_path / "m", {"huggingface": tmp_path / ".cache/huggingface/hub"})
    own = {place.root: place.is_own for place in known_places({}, str(tmp_path), (), roots)}
    assert own["huggingface"]
    assert not own["vosk"]


def test_the_old_folder_of_a_project_is_a_place(tmp_path: Path) -> None:
    put(tmp_path / "models" / "vosk-model-ru" / "am")
    put(tmp_path / "models" / "whisper" / "base.pt")
    put(tmp_path / "models" / "silero" / "v3.pt")
    put(tmp_path / "models" / "unrelated.pt")
    places = known_places({}, str(tmp_path / "home"), (tmp_path,), {})
    found = {name for place in places if place.is_legacy for name in names(look(place, {}))}
    assert found == {"vosk-model-ru/am", "base.pt", "silero/v3.pt"}


def test_a_user_names_a_folder_or_a_file(tmp_path: Path) -> None:
    odd = put(tmp_path / "a[1].zip")
    put(tmp_path / "a1.zip")
    folder, file = named_place(str(tmp_path), {}), named_place(str(odd), {})
    assert folder is not None
    assert names(look(folder, {})) == {"a[1].zip", "a1.zip"}
    assert file is not None
    assert names(look(file, {})) == {"a[1].zip"}
    assert named_place(str(tmp_path / "nothing"), {}) is None
    ours = named_place(str(odd), {"whisper": tmp_path, "local": Path("/")})
    assert ours is not None
    assert ours.is_own
    assert not file.is_own


def test_texts_are_read_only_from_plain_files_and_not_without_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(put(tmp_path / "text", b"words"))
    assert plain_text(str(tmp_path / "text")) == "words"
    for name in ("pipe", "link", "nothing", "."):
        with pytest.raises(OSError, match=r".+"):
            plain_text(str(tmp_path / name))
    put(tmp_path / "long", b"x" * 3_000_000)
    assert len(plain_text(str(tmp_path / "long"))) == 1_000_000
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(20):
        with pytest.raises(OSError, match=r".+"):
            plain_text(str(tmp_path / "pipe"))
    after = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert after == before


def test_home_and_project_are_where_they_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_home({"HOME": "/somewhere"}) == "/somewhere"
    assert user_home({}) == str(Path("~").expanduser())
    monkeypatch.chdir(tmp_path)
    assert project_folders(tmp_path) == (tmp_path,)
    assert project_folders(Path("/p")) == (Path("/p"), tmp_path)
