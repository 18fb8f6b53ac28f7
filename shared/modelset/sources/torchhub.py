"""Repositories on GitHub that `torch.hub` loads, at one commit, file by file.

GitHub's archives of a commit are not the same bytes each time and have no published digest; each
file has git's own. Where the library looks: torch 2.13, `torch/hub.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile
from modelset.core.refs import (
    is_wanted,
    ref_problems,
    refuse_twins,
    require,
    texts,
    value_problems,
)
from modelset.core.types import Artifact, Model, Pin, check_name

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

API = "https://api.github.com"
RAW = "https://raw.githubusercontent.com"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/(?!\.{1,2}\Z)[A-Za-z0-9_.][\w.-]*")
_FIELDS = {"repo": str, "revision": str, "allow": list, "required": list, "entry": str}
# What `torch.hub` reads first; without it the folder is no model.
_MARKER = "hubconf.py"


class TorchHub:
    """GitHub, as `torch.hub` sees it."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The commit that the revision names now, and every wanted file of it."""
        repo, revision = str(model.ref["repo"]), str(model.ref["revision"])
        info = web.get_json(f"{API}/repos/{repo}/commits/{quote(revision, safe='')}")
        commit = info.get("sha") if isinstance(info, dict) else None
        if not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
            raise ModelSetError("bad-response", f"{model.key}: GitHub names no commit of {repo}")
        tree = web.get_json(f"{API}/repos/{repo}/git/trees/{commit}?recursive=1")
        try:
            if tree["truncated"]:
                raise ValueError("it is too long")
            artifacts = tuple(
                _artifact(repo, commit, row)
                for row in tree["tree"]
                if row["type"] == "blob" and is_wanted(row["path"], model.ref)
            )
            refuse_twins(row.name for row in artifacts)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelSetError(
                "bad-response", f"{model.key}: GitHub's file list of {repo} is odd: {error}"
            ) from error
        require(model, artifacts, [_MARKER, *texts(model.ref, "required")])
        return Pin(model.key, "torchhub", dict(model.ref), commit, artifacts)

    def layout(self, pin: Pin) -> Layout:
        """The folder that the library names after owner, repository and revision."""
        folder = _folder(pin.ref)
        rows = sorted(pin.artifacts, key=lambda artifact: artifact.name == _MARKER)
        files = tuple(
            PutFile(f"{folder}/{artifact.name}", artifact, artifact.name == _MARKER)
            for artifact in rows
        )
        return Layout("torch", files, folder)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The folder itself."""
        return "torch", _folder(ref)

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: the repositories are public."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("torchhub", ref, _FIELDS, ("repo", "revision"))
        if not _REPO.fullmatch(str(ref.get("repo", ""))):
            problems.append("ref.repo: should be `owner/name`")
        return [*problems, *value_problems(ref, "revision", check_name)]


def _folder(ref: Mapping[str, object]) -> str:
    owner, _, name = str(ref["repo"]).partition("/")
    return f"{owner}_{name}_{str(ref['revision']).replace('/', '_')}"


def _artifact(repo: str, commit: str, row: Mapping[str, Any]) -> Artifact:
    path = check_name(row["path"])
    if row["mode"] == "120000":
        raise ValueError(f"{path} is a symbolic link")
    return Artifact(
        path, f"{RAW}/{repo}/{commit}/{quote(path)}", row["size"], f"git-sha1:{row['sha']}"
    )


SOURCE: Source = TorchHub()
