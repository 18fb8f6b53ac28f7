"""Looks into other programs' folders: names and sizes only, bounded, and no link leads out."""

import contextlib
import json
import os
import stat
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from modelset.core.found import BOUNDS, Bounds, File, Listing, Place, packages_of
from modelset.store.adopt import plain_text
from modelset.store.roots import Roots

# Folders below each other; no program makes more.
_DEEPEST = 24
_VOSK = ("vosk-model*",)
_HUB = ("models--*", "blobs")


def known_places(
    environ: Mapping[str, str], home: str, here: tuple[Path, ...], roots: Roots
) -> tuple[Place, ...]:
    """The folders that are there, each once; `here` are the folders with a legacy `models`."""
    seen: set[tuple[str, tuple[str, ...]]] = set()
    places = []
    for title, root, path, depth, only in _rows(environ, home, here):
        real = os.path.realpath(path)
        if not path or (real, only) in seen or not os.path.isdir(real):
            continue
        seen.add((real, only))
        is_ours = _is_ours(real, roots)
        places.append(Place(title, root, real, depth, only, is_ours, title == "Legacy"))
    return tuple(places)


def user_home(environ: Mapping[str, str]) -> str:
    """The user's own folder."""
    return environ.get("HOME") or os.path.expanduser("~")


def project_folders(project: Path) -> tuple[Path, ...]:
    """Where the folder `models` of older set-ups may lie."""
    return tuple(dict.fromkeys((project, Path.cwd())))


def look(
    place: Place,
    roots: Roots,
    *,
    bounds: Bounds = BOUNDS,
    is_late: Callable[[], bool] = lambda: False,
) -> Listing:
    """Names and sizes of the regular files in a place; `is_late` cuts it short.

    Folders that are links, and roots of ours inside it, are left alone; a link to a file counts
    as that file when it lies in the place too.
    """
    walk = _Walk(place, roots, bounds, is_late)
    files = tuple(walk.files())
    members: Mapping[str, tuple[str, ...]] | None = None
    if place.root == "ollama":
        members = _manifests(files)
    elif place.root == "site-packages":
        members = packages_of(files)
    return Listing(place, files, members, tuple(walk.notes))


class _Walk:
    """One look at a place, breadth first, so that a huge folder hides nothing above it."""

    def __init__(
        self, place: Place, roots: Roots, bounds: Bounds, is_late: Callable[[], bool]
    ) -> None:
        self._place, self._bounds, self._is_late = place, bounds, is_late
        self._own = _real(roots)
        self._only = _pipelines(place.path) if place.root == "site-packages" else place.only
        self._count = 0
        self.notes: list[str] = []

    def files(self) -> Iterator[File]:
        """Every file."""
        folders = [("", 0)]
        for folder, depth in folders:  # which grows while it is walked
            if self._is_cut():
                return
            try:
                with os.scandir(os.path.join(self._place.path, folder)) as entries:
                    for number, entry in enumerate(entries):
                        self._count += 1
                        if number >= self._bounds.in_folder:
                            self._note(folder, f"more than {number} entries; the rest is left out")
                            break
                        if number % 256 == 255 and self._is_cut():
                            return
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        if not folder and not self._is_wanted(entry.name):
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            if depth < _DEEPEST and entry.path not in self._own:
                                folders.append((name, depth + 1))
                        elif file := self._file(name, entry):
                            yield file
            except OSError as error:
                self._note(folder, f"cannot be read: {error.strerror}")

    def _is_wanted(self, name: str) -> bool:
        if self._place.root == "site-packages" and not self._only:
            return False
        return not self._only or any(fnmatchcase(name, pattern) for pattern in self._only)

    def _is_cut(self) -> bool:
        if self._count < self._bounds.in_all and not self._is_late():
            return False
        self._note("", f"only the first {self._count} entries were looked at")
        return True

    def _note(self, folder: str, words: str) -> None:
        where = shown(os.path.join(self._place.path, folder).rstrip("/"))
        self.notes.append(f"{where}: {words}")

    def _file(self, name: str, entry: os.DirEntry[str]) -> File | None:
        try:
            path = entry.path
            if entry.is_symlink():
                path = os.path.realpath(path, strict=True)
                if not _is_below(self._place.path, path):
                    return None
            status = os.lstat(path)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        plain = name if name.isprintable() else shown(name)
        return File(plain, path, status.st_size, (status.st_dev, status.st_ino))


def _rows(
    environ: Mapping[str, str], home: str, here: tuple[Path, ...]
) -> Iterator[tuple[str, str, str, int, tuple[str, ...]]]:
    """Title, root, folder, depth and pattern of every place, there or not."""
    cache = environ.get("XDG_CACHE_HOME") or f"{home}/.cache"
    data = environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    hub = environ.get("HF_HOME")
    for path in (
        *(environ.get(name, "") for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")),
        *([f"{hub}/hub"] if hub else []),
        *(f"{folder}/huggingface/hub" for folder in dict.fromkeys((cache, f"{home}/.cache"))),
    ):
        yield "Hugging Face Hub", "huggingface", path, 1, _HUB
    yield "openai-whisper", "whisper", f"{cache}/whisper", 1, ("*.pt",)
    torch = environ.get("TORCH_HOME")
    for path in ([f"{torch}/hub"] if torch else []) + [f"{cache}/torch/hub"]:
        yield "torch.hub", "torch", path, 1, ()
    for path in (environ.get("VOSK_MODEL_PATH", ""), f"{home}/.cache/vosk", "/usr/share/vosk"):
        yield "Vosk", "vosk", path, 1, _VOSK
    coqui = environ.get("TTS_HOME")
    mac = f"{home}/Library/Application Support"
    for path in ([f"{coqui}/tts"] if coqui else []) + [f"{data}/tts", f"{mac}/tts"]:
        yield "Coqui TTS", "tts", path, 1, ("*--*",)
    for path in _nltk(environ, home):
        yield "NLTK", "nltk", path, 2, ()
    for path in (
        environ.get("OLLAMA_MODELS", ""),
        f"{home}/.ollama/models",
        "/usr/share/ollama/.ollama/models",
    ):
        yield "Ollama", "ollama", path, 1, ("manifests", "blobs")
    for path in (f"{cache}/llama.cpp", f"{home}/Library/Caches/llama.cpp"):
        yield "llama.cpp", "llm", path, 1, ("*.gguf",)
    for path in (f"{home}/.lmstudio/models", f"{home}/.cache/lm-studio/models"):
        yield "LM Studio", "llm", path, 2, ()
    for name in ("purelib", "platlib"):
        yield "spaCy packages", "site-packages", sysconfig.get_path(name), 1, ()
    yield "Legacy", "whisper", f"{home}/.cache/irene/whisper", 1, ("*.pt",)
    yield "Legacy", "silero", f"{home}/.cache/irene/models", 2, ("silero*",)
    for folder in here:
        yield "Legacy", "vosk", f"{folder}/models", 1, ("vosk-*",)
        yield "Legacy", "silero", f"{folder}/models", 2, ("silero*",)
        yield "Legacy", "whisper", f"{folder}/models/whisper", 1, ("*.pt",)


def _nltk(environ: Mapping[str, str], home: str) -> Iterator[str]:
    yield from environ.get("NLTK_DATA", "").split(os.pathsep)
    yield f"{home}/nltk_data"
    yield from (f"{sys.prefix}/{name}nltk_data" for name in ("", "share/", "lib/"))
    for folder in ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib"):
        yield f"{folder}/nltk_data"


def _manifests(files: tuple[File, ...]) -> dict[str, tuple[str, ...]]:
    """The blobs of each of Ollama's manifests, by the manifest's path."""
    found = {}
    for file in files:
        if file.name.startswith("manifests/"):
            blobs: tuple[str, ...] = ()
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
                document = json.loads(plain_text(file.path))
                rows = [document["config"], *document["layers"]]
                blobs = tuple(f"blobs/{str(row['digest']).replace(':', '-')}" for row in rows)
            found[file.name] = (*blobs, file.name)
    return found


def _pipelines(folder: str) -> tuple[str, ...]:
    """The folders of the distributions that call themselves pipelines of spaCy."""
    found: list[str] = []
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            # Most packages have more than a few letters before their first underscore.
            if name.endswith(".dist-info") and "_" in name.partition("-")[0]:
                with contextlib.suppress(OSError, ValueError):
                    if "[spacy_models]" in plain_text(f"{folder}/{name}/entry_points.txt"):
                        found += [name, name.partition("-")[0]]
    return tuple(found)


def _real(roots: Roots) -> set[str]:
    return {os.path.realpath(path) for name, path in roots.items() if name != "local"}


def _is_ours(path: str, roots: Roots) -> bool:
    return any(_is_below(one, path) for one in _real(roots))


def _is_below(folder: str, path: str) -> bool:
    """Whether a real path is a real folder or lies in it."""
    try:
        return os.path.commonpath([folder, path]) == folder
    except ValueError:  # two drives
        return False


def shown(name: str) -> str:
    """A name without what a terminal would act on, or what no document can hold."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def named_place(path: str, roots: Roots) -> Place | None:
    """A folder or a file that the user named, or None when there is none."""
    real = os.path.realpath(os.path.expanduser(path))
    if os.path.isdir(real):
        return Place("Named", "", real, is_own=_is_ours(real, roots))
    folder, name = os.path.split(real)
    if not os.path.isfile(real):
        return None
    return Place("Named", "", folder, only=(escape(name),), is_own=_is_ours(folder, roots))
