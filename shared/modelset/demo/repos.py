"""The table of what the demo hub serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from modelset.demo.content import (
    COMMON_LFS,
    LFS_SUFFIXES,
    Content,
    RepoFile,
    commit_id,
    tree_ids,
)
from modelset.demo.folders import MODELS, Folders
from modelset.demo.shelf import Shelf

__all__ = ["MODELS", "RENAMED", "Repo", "build_repos"]

_SIZES = "tiny tiny.en base base.en small small.en medium medium.en large-v1 large-v2 large-v3"
_DISTILLED = "large-v2 medium.en small.en large-v3"
_TURBO = "dropbox-dash/faster-whisper-large-v3-turbo"
_V3_FAMILY = (
    "Systran/faster-whisper-large-v3",
    "Systran/faster-distil-whisper-large-v3",
    "distil-whisper/distil-large-v3.5-ct2",
    _TURBO,
)

WHISPER_REPOS = (
    *(f"Systran/faster-whisper-{size}" for size in _SIZES.split()),
    *(f"Systran/faster-distil-whisper-{size}" for size in _DISTILLED.split()),
    "distil-whisper/distil-large-v3.5-ct2",
    _TURBO,
)

# The weights file of each; the others of the folder are the same.
MLX_REPOS = {
    "mlx-community/whisper-tiny": "weights.safetensors",
    "mlx-community/whisper-tiny-mlx": "weights.npz",
    "mlx-community/whisper-tiny.en-mlx": "weights.npz",
    "mlx-community/whisper-base-mlx": "weights.npz",
    "mlx-community/whisper-small-mlx": "weights.npz",
    "mlx-community/whisper-medium-mlx": "weights.npz",
    "mlx-community/whisper-large-v1-mlx": "weights.npz",
    "mlx-community/whisper-large-v2-mlx": "weights.npz",
    "mlx-community/whisper-large-v3-mlx": "weights.npz",
    "mlx-community/whisper-large-v3-turbo": "weights.safetensors",
    "mlx-community/distil-whisper-large-v3": "weights.npz",
}

# Whether one has to accept terms first.
PYANNOTE_REPOS = {
    "pyannote/speaker-diarization-3.1": True,
    "pyannote/segmentation-3.0": True,
    "pyannote/wespeaker-voxceleb-resnet34-LM": False,
    "pyannote/speaker-diarization-community-1": True,
}

# Repositories that have moved: the old name answers with a redirect.
RENAMED = {"mobiuslabsgmbh/faster-whisper-large-v3-turbo": _TURBO}

# Which folder each is made of, and the library it is for.
TEXT_REPOS = {
    "sentence-transformers/all-MiniLM-L6-v2": ("all-MiniLM-L6-v2", "sentence-transformers"),
    "sentence-transformers/all-mpnet-base-v2": ("all-MiniLM-L6-v2", "sentence-transformers"),
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": (
        "distilbert-sst2",
        "transformers",
    ),
}

# The name of the one weights file of each.
GGUF_REPOS = {
    "TheBloke/Mistral-7B-Instruct-v0.2-GGUF": "mistral-7b-instruct-v0.2.Q4_K_M.gguf",
    "bartowski/Mistral-7B-Instruct-v0.3-GGUF": "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf",
    "TheBloke/phi-2-GGUF": "phi-2.Q4_K_M.gguf",
    "TheBloke/Llama-2-7B-Chat-GGUF": "llama-2-7b-chat.Q4_K_M.gguf",
}

VOICES = ("en/en_US/lessac/medium", "ru/ru_RU/irina/medium", "vi/vi_VN/vais1000/medium")

# Commits that are asked for by their ids, which no contents of ours can have.
_COMMITS = {
    "distilbert/distilbert-base-uncased-finetuned-sst-2-english": (
        "714eb0fa89d2f80546fda750413ed43d93601a13"
    ),
}
_SHORTEST = 7
_GGUF = "gguf/tiny-llama.gguf"
_XTTS = "coqui/tts_models--en--ljspeech--vits"


@dataclass(frozen=True, slots=True)
class Repo:
    """One repository at its only commit; `folders` holds git's id of each folder."""

    id: str
    library: str
    files: Mapping[str, RepoFile]
    folders: Mapping[str, str]
    commit: str
    is_gated: bool

    def has(self, revision: str) -> bool:
        """Tell whether a revision is the one that is there; a commit may be cut short."""
        if len(revision) >= _SHORTEST and self.commit.startswith(revision):
            return True
        return revision in ("main", "refs/heads/main")


_Contents = Mapping[str, Content]
# What a repository is made of: its library, how its files are found, whether it is gated.
_Recipe = tuple[str, str, Callable[[], _Contents], bool]


def build_repos(folders: Folders | None = None) -> Shelf[Repo]:
    """Return every repository by its id; each is made when it is first asked for."""
    found = folders or Folders()
    recipes = (*_speech(found), *_text(found), *_gguf(found), *_voices(found), *_xtts(found))
    return Shelf({recipe[0]: partial(_repo, *recipe) for recipe in recipes})


def _speech(folders: Folders) -> Iterator[_Recipe]:
    whisper = "whisper-tiny-demo"
    for repo_id in WHISPER_REPOS:
        left_out = set() if repo_id in _V3_FAMILY else {"preprocessor_config.json"}
        if folders.has(whisper):
            yield repo_id, "ctranslate2", partial(_without, folders, whisper, left_out), False
    mlx, weights = "mlx-whisper-demo", set(MLX_REPOS.values())
    for repo_id, kept in MLX_REPOS.items():
        if folders.has(mlx):
            yield repo_id, "mlx", partial(_without, folders, mlx, weights - {kept}), False
    for repo_id, is_gated in PYANNOTE_REPOS.items():
        own = repo_id.partition("/")[2]
        if folders.has(own):
            yield repo_id, "pyannote-audio", partial(folders.files, own), is_gated


def _text(folders: Folders) -> Iterator[_Recipe]:
    for repo_id, (own, library) in TEXT_REPOS.items():
        if folders.has(own):
            yield repo_id, library, partial(folders.files, own), False


def _gguf(folders: Folders) -> Iterator[_Recipe]:
    def files(name: str) -> _Contents:
        return {name: folders.file(_GGUF)}

    for repo_id, name in GGUF_REPOS.items():
        if folders.has(_GGUF):
            yield repo_id, "gguf", partial(files, name), False


def _voices(folders: Folders) -> Iterator[_Recipe]:
    def files() -> _Contents:
        found: dict[str, Content] = {}
        for place in VOICES:
            _, code, name, quality = place.split("/")
            voice = f"{place}/{code}-{name}-{quality}.onnx"
            found[voice] = folders.file("piper/voice.onnx")
            found[f"{voice}.json"] = folders.file("piper/voice.onnx.json")
            card = f"# Model card for {name} ({quality})\n\nA demonstration voice.\n"
            found[f"{place}/MODEL_CARD"] = Content(card.encode())
        return found

    if folders.has("piper/voice.onnx") and folders.has("piper/voice.onnx.json"):
        yield "rhasspy/piper-voices", "piper", files, False


def _xtts(folders: Folders) -> Iterator[_Recipe]:
    def files() -> _Contents:
        own = folders.files(_XTTS)
        weights = own["model_file.pth"]
        names = ("model.pth", "speakers_xtts.pth", "mel_stats.pth")
        return {
            "config.json": own["config.json"],
            "vocab.json": Content(b'{"model":{"type":"BPE","vocab":{"[STOP]":0},"merges":[]}}\n'),
            "hash.md5": Content(f"{weights.md5}\n".encode()),
            **dict.fromkeys(names, weights),
        }

    if folders.has(f"{_XTTS}/config.json") and folders.has(f"{_XTTS}/model_file.pth"):
        yield "tts-hub/XTTS-v2", "coqui", files, False


def _repo(repo_id: str, library: str, make: Callable[[], _Contents], is_gated: bool) -> Repo:
    contents = make()
    # The name goes into the README, so that repositories of the same files differ in commit.
    said = contents["README.md"].body if "README.md" in contents else b"A demonstration model.\n"
    readme = Content(said + f"\nServed as `{repo_id}`.\n".encode())
    named = {".gitattributes": _attributes(contents), **contents, "README.md": readme}
    files = {path: RepoFile(path, named[path]) for path in sorted(named)}
    folders = tree_ids({path: file.oid for path, file in files.items()})
    commit = _COMMITS.get(repo_id) or commit_id(folders[""], repo_id)
    return Repo(repo_id, library, files, folders, commit, is_gated)


def _attributes(contents: _Contents) -> Content:
    # Not a file of the model folders: there, git itself would act on it.
    held = [
        suffix
        for suffix in LFS_SUFFIXES
        if suffix in COMMON_LFS or any(path.endswith(suffix) for path in contents)
    ]
    lines = [f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in held]
    return Content("".join(lines).encode())


def _without(folders: Folders, own: str, left_out: set[str]) -> _Contents:
    files = folders.files(own)
    return {path: content for path, content in files.items() if path not in left_out}
