"""The table of what the demo hub serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelset.demo.content import Content, RepoFile, commit_id, tree_ids

MODELS = Path(__file__).parent / "models"

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

# Not a file of the model folders: there, git itself would act on it.
_ATTRIBUTES = Content(
    b"*.bin filter=lfs diff=lfs merge=lfs -text\n"
    b"*.npz filter=lfs diff=lfs merge=lfs -text\n"
    b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
)


@dataclass(frozen=True, slots=True)
class Repo:
    """One repository at its only commit; `folders` holds git's id of each folder."""

    id: str
    library: str
    files: Mapping[str, RepoFile]
    folders: Mapping[str, str]
    commit: str
    is_gated: bool


def build_repos() -> dict[str, Repo]:
    """Read the model folders and return every repository by its id."""
    return {repo.id: repo for repo in _all_repos()}


def _all_repos() -> Iterator[Repo]:
    whisper = _folder("whisper-tiny-demo")
    for repo_id in WHISPER_REPOS:
        left_out = set() if repo_id in _V3_FAMILY else {"preprocessor_config.json"}
        yield _repo(repo_id, "ctranslate2", _without(whisper, left_out))
    mlx = _folder("mlx-whisper-demo")
    weights = set(MLX_REPOS.values())
    for repo_id, kept in MLX_REPOS.items():
        yield _repo(repo_id, "mlx", _without(mlx, weights - {kept}))
    for repo_id, is_gated in PYANNOTE_REPOS.items():
        files = _folder(repo_id.partition("/")[2])
        yield _repo(repo_id, "pyannote-audio", files, is_gated)


def _repo(
    repo_id: str, library: str, contents: Mapping[str, Content], is_gated: bool = False
) -> Repo:
    # The name goes into the README, so that repositories of the same files differ in commit.
    readme = contents["README.md"].body + f"\nServed as `{repo_id}`.\n".encode()
    named = {".gitattributes": _ATTRIBUTES, **contents, "README.md": Content(readme)}
    files = {path: RepoFile(path, named[path]) for path in sorted(named)}
    folders = tree_ids(files)
    return Repo(repo_id, library, files, folders, commit_id(folders[""], repo_id), is_gated)


def _folder(name: str) -> dict[str, Content]:
    root = MODELS / name
    return {
        path.relative_to(root).as_posix(): Content(path.read_bytes())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _without(contents: Mapping[str, Content], left_out: set[str]) -> dict[str, Content]:
    return {path: content for path, content in contents.items() if path not in left_out}
