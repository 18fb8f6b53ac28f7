"""Models on the Hugging Face Hub, laid out as its clients' cache.

Protocol and layout: the Hub's HTTP contract as huggingface_hub 2.4 speaks it, and its cache of
`blobs`, `snapshots` and `refs`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, Layout, Link, Model, Pin, PutFile, PutText, check_name

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

HUB = "https://huggingface.co"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
# The Hub's words where accepting the terms (again) would not help.
_DENIED = ("disabled", "rejected", "awaiting")
_FIELDS = {"repo": str, "revision": str, "allow": list, "required": list, "refs": list}


class HuggingFace:
    """The Hub."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The commit that the revision names now, and every wanted file of it."""
        repo, revision = str(model.ref["repo"]), str(model.ref.get("revision", "main"))
        info = web.get_json(f"{HUB}/api/models/{repo}/revision/{quote(revision, safe='')}")
        commit = info.get("sha") if isinstance(info, dict) else None
        if not (isinstance(commit, str) and _COMMIT.fullmatch(commit)):
            raise ModelSetError("bad-response", f"{model.key}: the Hub names no commit of {repo}")
        rows = web.get_pages(f"{HUB}/api/models/{repo}/tree/{commit}?recursive=true&expand=false")
        try:
            artifacts = tuple(
                _artifact(repo, commit, row)
                for row in rows
                if row["type"] == "file" and _is_wanted(row["path"], model.ref)
            )
            _refuse_twins(artifacts)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelSetError(
                "bad-response", f"{model.key}: the Hub's file list of {repo} is odd: {error}"
            ) from error
        _require(model, artifacts)
        return Pin(model.key, "huggingface", dict(model.ref), commit, artifacts)

    def layout(self, pin: Pin) -> Layout:
        """The Hub cache's own form; `refs` come last, because a library trusts them.

        The folder carries the id that the library asks for, not where the Hub redirects it to.
        The tree listing is written for whole repositories only: with one, the client takes a
        snapshot that lacks any of its files for incomplete.
        """
        folder = _folder(pin.ref)
        snapshot = f"{folder}/snapshots/{pin.revision}"
        rows = [(artifact, f"blobs/{artifact.hex}") for artifact in pin.artifacts]
        files = tuple(PutFile(f"{folder}/{blob}", artifact) for artifact, blob in rows)
        links = tuple(
            Link(
                f"{snapshot}/{artifact.name}",
                "../" * (artifact.name.count("/") + 2) + blob,
                artifact,
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
        """Any snapshot of the repository."""
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
        problems = [
            f"ref.{name}: not a field of huggingface" for name in ref if name not in _FIELDS
        ]
        problems += [
            f"ref.{name}: should be a {'text' if kind is str else 'list of texts'}"
            for name, kind in _FIELDS.items()
            if name in ref and not _is_kind(ref[name], kind)
        ]
        if not _REPO.fullmatch(str(ref.get("repo", ""))):
            problems.append("ref.repo: should be `owner/name`")
        problems += [
            f"ref.{name}: {words}"
            for name in ("revision", "refs")
            if name in ref and _is_kind(ref[name], _FIELDS[name])
            for words in _unsafe(ref[name])
        ]
        return problems


def _is_kind(value: object, kind: type) -> bool:
    if not isinstance(value, kind):
        return False
    return not isinstance(value, list) or all(isinstance(item, str) for item in value)


def _unsafe(value: object) -> list[str]:
    """Problems of names that become file names in the cache's `refs`."""
    problems = []
    for name in value if isinstance(value, list) else [value]:
        try:
            check_name(str(name))
        except ValueError as error:
            problems.append(str(error))
    return problems


def _patterns(ref: Mapping[str, object], name: str) -> list[str]:
    value = ref.get(name, [])
    assert isinstance(value, list), "check_ref has seen it"
    return [str(item) for item in value]


def _is_wanted(path: str, ref: Mapping[str, object]) -> bool:
    return "allow" not in ref or any(
        fnmatchcase(path, pattern) for pattern in _patterns(ref, "allow")
    )


def _require(model: Model, artifacts: tuple[Artifact, ...]) -> None:
    lacking = [
        pattern
        for pattern in _patterns(model.ref, "required")
        if not any(fnmatchcase(artifact.name, pattern) for artifact in artifacts)
    ]
    if lacking or not artifacts:
        raise ModelSetError(
            "not-found",
            f"{model.key}: {model.ref['repo']} lacks {', '.join(lacking) or 'every wanted file'}",
            "check `allow`, `required` and `revision` of the model in the catalog",
        )


def _refuse_twins(artifacts: tuple[Artifact, ...]) -> None:
    if len({artifact.name for artifact in artifacts}) < len(artifacts):
        raise ValueError("a file is listed twice")


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
    revision = str(ref.get("revision", "main"))
    names = ["main", revision, *_patterns(ref, "refs")]
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
