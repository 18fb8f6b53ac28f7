"""What vouches for a file that no pin names: its own name, a list beside it, or the catalog."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from modelset.core.types import Model
from modelset.core.values import dataclass

Word = Literal["ok", "corrupt", "unknown"]

_BLOB = re.compile(r"models--[^/]+/blobs/([0-9a-f]{64}|[0-9a-f]{40})")
_SNAPSHOT = re.compile(r"(models--[^/]+)/snapshots/([0-9a-f]{40})/(.+)")
_BY_NAME = {
    "ollama": re.compile(r"blobs/sha256-([0-9a-f]{64})"),
    "torch": re.compile(r"checkpoints/[^/]+-([0-9a-f]{8,64})\.[A-Za-z0-9]+"),
}
# The lists of a Hub cache, by repository and commit: digest of each file by its name.
Trees = Mapping[tuple[str, str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Foreign:
    """A file that no pin names; `promise` is `algorithm:hex`, of which a checkpoint's name holds
    only the start, and empty where nothing vouches.
    """

    path: str
    size: int
    promise: str = ""
    word: Word = "unknown"
    actual: str = ""


def promise_of(root: str, name: str, trees: Trees, digests: Mapping[str, str]) -> str:
    """What a file of a root is promised to be, by its name there; empty when nobody says.

    `digests` are those that the catalog states, by root and name.
    """
    if root == "huggingface":
        if found := _BLOB.fullmatch(name):
            kind = "sha256" if len(found[1]) == 64 else "git-sha1"
            return f"{kind}:{found[1]}"
        if found := _SNAPSHOT.fullmatch(name):
            return trees.get((found[1], found[2]), {}).get(found[3], "")
    elif root in _BY_NAME and (found := _BY_NAME[root].fullmatch(name)):
        return f"sha256:{found[1]}"
    return digests.get(f"{root}/{name}", "")


def tree_of(text: str) -> dict[str, str]:
    """The digests by name that a Hub cache's own list states; nothing when it is no such list."""
    found = {}
    try:
        for name, row in json.loads(text)["files"].items():
            sha256, blob = row.get("lfs_sha256"), row.get("blob_id")
            if isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256):
                found[name] = f"sha256:{sha256}"
            elif isinstance(blob, str) and re.fullmatch(r"[0-9a-f]{40}", blob):
                found[name] = f"git-sha1:{blob}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return found


def stated_digests(models: Iterable[Model]) -> dict[str, str]:
    """The digests of single files that the catalog states, by root and name."""
    return {
        f"{model.ref.get('root')}/{model.ref.get('path')}": str(model.ref["digest"])
        for model in models
        if model.source == "url" and "digest" in model.ref and "unpack" not in model.ref
    }


def judge(promise: str, actual: str) -> Word:
    """What a file's digest says of a promise; one that cannot be read is not right."""
    algorithm, _, digest = promise.partition(":")
    if not digest:
        return "unknown"
    is_whole = algorithm != "sha256" or len(digest) == 64
    return "ok" if actual == digest or (not is_whole and actual.startswith(digest)) else "corrupt"
