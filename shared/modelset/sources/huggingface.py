"""Models on the Hugging Face Hub, laid out as its clients' cache.

Protocol and layout: the Hub's HTTP contract as huggingface_hub 2.4 speaks it, and its cache of
`blobs`, `snapshots` and `refs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Link, PutFile, PutText
from modelset.core.refs import (
    is_wanted,
    matches,
    ref_problems,
    refuse_twins,
    require,
    texts,
    value_problems,
)
from modelset.core.types import Artifact, Model, Pin, check_name

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

HUB = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# The Hub's words where accepting the terms (again) would not help.
_DENIED = ("disabled", "rejected", "awaiting")
_FIELDS = {
    "repo": str, "revision": str, "allow": list, "required": list, "refs": list,
    "root": str, "below": str, "mutable": list,
}  # fmt: skip


class HuggingFace:
    """The Hub."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The commit that the revision names now, and every wanted file of it."""
        repo, revision = str(model.ref["repo"]), str(model.ref.get("revision", "main"))
        info = web.get_json(f"{HUB}/api/models/{repo}/revision/{quote(revision, safe='')}")
        commit = info.get("sha") if isinstance(info, dict) else None
        if not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
            raise ModelSetError("bad-response", f"{model.key}: the Hub names no commit of {repo}")
        below = f"/{quote(str(model.ref['below']))}" if "below" in model.ref else ""
        rows = web.get_pages(
            f"{HUB}/api/models/{repo}/tree/{commit}{below}?recursive=true&expand=false"
        )
        try:
            artifacts = tuple(
                _artifact(repo, commit, row)
                for row in rows
                if row["type"] == "file" and is_wanted(row["path"], model.ref)
            )
            names = [row.name for row in artifacts]
            refuse_twins(map(_last, names) if "root" in model.ref else names)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelSetError(
                "bad-response", f"{model.key}: the Hub's file list of {repo} is odd: {error}"
            ) from error
        require(model, artifacts, texts(model.ref, "required"))
        return Pin(model.key, "huggingface", dict(model.ref), commit, artifacts)

    def layout(self, pin: Pin) -> Layout:
        """The Hub cache's own form; `refs` come last, because a library trusts them.

        The folder carries the id that the library asks for, not where the Hub redirects it to.
        The tree listing is written for whole repositories only: with one, the client takes a
        snapshot that lacks any of its files for incomplete. With a `root`, the files lie flat in
        it instead, for libraries that know no cache.
        """
        if "root" in pin.ref:
            flat = tuple(PutFile(_last(row.name), row) for row in pin.artifacts)
            return Layout(str(pin.ref["root"]), flat, flat[0].path)
        folder = _folder(pin.ref)
        snapshot = f"{folder}/snapshots/{pin.revision}"
        rows = [(artifact, f"blobs/{artifact.hex}") for artifact in pin.artifacts]
        changing = {row.digest for row in pin.artifacts if matches(row.name, pin.ref, "mutable")}
        files = tuple(
            PutFile(f"{folder}/{blob}", artifact, is_mutable=artifact.digest in changing)
            for artifact, blob in rows
        )
        links = tuple(
            Link(
                f"{snapshot}/{artifact.name}",
                "../" * (artifact.name.count("/") + 2) + blob,
                artifact,
                artifact.digest in changing,
            )
            for artifact, blob in rows
        )
        tree: tuple[PutText, ...] = ()
        if "allow" not in pin.ref:
            tree = (PutText(f"{folder}/trees/{pin.revision}.json", _tree(pin)),)
        refs = tuple(
            PutText(f"{folder}/refs/{ref}", pin.revision)  # a final newline would break look-ups
            for ref in _refs(pin.ref)
        )
        return Layout("huggingface", files + links + tree + refs, snapshot)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """Any snapshot of the repository, or the first of the files that lie flat."""
        if "root" in ref:
            return str(ref["root"]), _last(texts(ref, "allow")[0])
        return "huggingface", _folder(ref) + "/snapshots/*"

    def check_access(self, model: Model, web: Web) -> None:
        """Ask the Hub whether the token opens a gated model; three different answers."""
        repo = model.ref["repo"]
        page = model.gate or f"{HUB}/{repo}"
        if not web.has_token():
            raise ModelSetError(
                "token-missing",
                f"{model.key}: {repo} is gated and there is no Hugging Face token",
                f"accept the terms at {page}, then `hf auth login` or set HF_TOKEN",
            )
        status, words = web.status_of(f"{HUB}/api/models/{repo}/auth-check")
        if status == 401 and "gated" not in words.lower():
            raise ModelSetError(
                "token-refused",
                f"{model.key}: the Hub does not know this Hugging Face token",
                f"make a new one at {HUB}/settings/tokens, then `hf auth login`",
            )
        if status == 403 and any(sign in words.lower() for sign in _DENIED):
            raise ModelSetError(
                "access-denied",
                f"{model.key}: access to {repo} is denied: {words}",
                f"ask its owners at {page}, or leave the model out",
            )
        if status in (401, 403):
            raise ModelSetError(
                "licence-not-accepted",
                f"{model.key}: the terms of {repo} are not accepted for this token",
                f"accept them at {page}, then run the same command again",
            )

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("huggingface", ref, _FIELDS)
        if not _REPO.fullmatch(str(ref.get("repo", ""))):
            problems.append("ref.repo: should be `owner/name`")
        for name in ("revision", "refs", "below"):
            problems += value_problems(ref, name, check_name)
        if ("root" in ref or "below" in ref) and not texts(ref, "allow"):
            problems.append("ref.allow: the files that lie in `root` are missing here")
        return problems


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _artifact(repo: str, commit: str, row: Mapping[str, Any]) -> Artifact:
    large = row.get("lfs")
    digest = f"sha256:{large['oid']}" if large else f"git-sha1:{row['oid']}"
    path, size = row["path"], (large or row)["size"]
    if not isinstance(path, str) or type(size) is not int:
        raise TypeError(f"path {path!r} of size {size!r}")
    check_name(path)
    return Artifact(path, f"{HUB}/{repo}/resolve/{commit}/{quote(path)}", size, digest)


def _folder(ref: Mapping[str, object]) -> str:
    return "models--" + str(ref["repo"]).replace("/", "--")


def _refs(ref: Mapping[str, object]) -> list[str]:
    """The names that libraries ask for. Another revision leaves `main` to who has no revision."""
    names = [str(ref.get("revision", "main")), *texts(ref, "refs")]
    return [name for name in dict.fromkeys(names) if not _COMMIT.fullmatch(name)]


def _tree(pin: Pin) -> str:
    files = {artifact.name: _tree_row(artifact) for artifact in pin.artifacts}
    return json.dumps({"format_version": 1, "files": files})


def _tree_row(artifact: Artifact) -> dict[str, object]:
    if artifact.digest.startswith("git-sha1:"):
        return {"size": artifact.size, "blob_id": artifact.hex}
    import hashlib  # here, because most checks need no tree and must start fast

    # Git itself holds a pointer of three lines in place of a large file.
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{artifact.hex}\nsize {artifact.size}\n"
    ).encode()
    blob = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer, usedforsecurity=False)
    return {
        "size": artifact.size,
        "blob_id": blob.hexdigest(),
        "lfs_sha256": artifact.hex,
        "lfs_size": artifact.size,
    }


SOURCE: Source = HuggingFace()
