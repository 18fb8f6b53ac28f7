"""Repositories as GitHub holds them: no large file storage, one branch, one commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from modelset.demo.content import Content, commit_id, tree_ids
from modelset.demo.folders import Folders
from modelset.demo.shelf import Shelf

# The folder that each is made of.
_FOLDERS = {"snakers4/silero-vad": "silero-vad-hub"}


@dataclass(frozen=True, slots=True)
class GitRepo:
    """One repository at its only commit; `folders` holds git's id of each folder."""

    id: str
    branch: str
    files: Mapping[str, Content]
    folders: Mapping[str, str]
    commit: str

    def has(self, revision: str) -> bool:
        """Tell whether a branch or a commit is the one that is there."""
        return revision in (self.branch, f"refs/heads/{self.branch}", self.commit)


def build_git_repos(folders: Folders) -> Shelf[GitRepo]:
    """Return every repository by its name; each is made when it is first asked for."""
    return Shelf(
        {
            name: partial(_repo, folders, name, own)
            for name, own in _FOLDERS.items()
            if folders.has(own)
        }
    )


def _repo(folders: Folders, name: str, own: str) -> GitRepo:
    files = folders.files(own)
    ids = tree_ids({path: content.blob_id for path, content in files.items()})
    return GitRepo(name, "master", files, ids, commit_id(ids[""], name))
