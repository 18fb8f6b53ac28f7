"""A file's bytes with every digest that the protocols name it by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

# The first three are named in every repository, the others where there are such files.
COMMON_LFS = (".bin", ".npz", ".safetensors")
LFS_SUFFIXES = (*COMMON_LFS, ".gguf", ".onnx", ".pth")


@dataclass(frozen=True)
class Content:
    """The bytes of one file; no slots, because its digests are computed once and kept."""

    body: bytes

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return len(self.body)

    @cached_property
    def sha256(self) -> str:
        """Return the sha256 of the bytes."""
        return hashlib.sha256(self.body).hexdigest()

    @cached_property
    def md5(self) -> str:
        """Return the md5 of the bytes, as some hosts publish it."""
        return hashlib.md5(self.body, usedforsecurity=False).hexdigest()

    @cached_property
    def blob_id(self) -> str:
        """Return the id that git gives these bytes."""
        return git_id("blob", self.body)

    @cached_property
    def pointer(self) -> Content:
        """Return the text that git keeps when the bytes lie in large file storage."""
        text = (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.sha256}\nsize {self.size}\n"
        )
        return Content(text.encode())


@dataclass(frozen=True, slots=True)
class RepoFile:
    """One file of a repository: where it lies, and whether git keeps it or large file storage."""

    path: str
    content: Content

    @property
    def is_lfs(self) -> bool:
        """Tell whether the file lies in large file storage."""
        return self.path.endswith(LFS_SUFFIXES)

    @property
    def oid(self) -> str:
        """Return git's id of what git keeps: the file, or its pointer."""
        return self.content.pointer.blob_id if self.is_lfs else self.content.blob_id

    @property
    def etag(self) -> str:
        """Return the name that a Hub client stores the file by."""
        return self.content.sha256 if self.is_lfs else self.content.blob_id


def git_id(kind: str, body: bytes) -> str:
    """Return the sha1 that git names an object by."""
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def tree_ids(oids: Mapping[str, str]) -> dict[str, str]:
    """Return git's id of every folder, by the ids of the files; the root is the empty path."""
    folders: dict[str, dict[str, str]] = {"": {}}
    for path, own in oids.items():
        parent, _, name = path.rpartition("/")
        folders.setdefault(parent, {})[name] = own
        while parent:
            parent = parent.rpartition("/")[0]
            folders.setdefault(parent, {})
    ids: dict[str, str] = {}
    # Deepest first, for a folder's id goes into that of the folder above it.
    for path in sorted(folders, key=lambda folder: -len(folder)):
        entries = [(name, "100644", oid) for name, oid in folders[path].items()]
        entries += [
            (inner.rpartition("/")[2], "40000", ids[inner])
            for inner in folders
            if inner and inner.rpartition("/")[0] == path
        ]
        ids[path] = git_id("tree", _tree_body(entries))
    return ids


def commit_id(root: str, title: str) -> str:
    """Return the id of a first commit, made at a fixed time."""
    who = "modelset demo <demo@localhost> 1700000000 +0000"
    return git_id("commit", f"tree {root}\nauthor {who}\ncommitter {who}\n\n{title}\n".encode())


def _tree_body(entries: list[tuple[str, str, str]]) -> bytes:
    # Git sorts a folder as if its name ended with a slash.
    entries = sorted(entries, key=lambda entry: entry[0] + "/" * (entry[1] == "40000"))
    return b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(oid) for name, mode, oid in entries)
