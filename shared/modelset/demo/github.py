"""GitHub's API, as far as commits and trees go."""

from __future__ import annotations

import re
from urllib.parse import unquote

from modelset.demo.exchange import Ask, Reply, json_reply
from modelset.demo.git_repos import GitRepo
from modelset.demo.site import Site

_ASKED = re.compile(r"/repos/(?P<id>[^/]+/[^/]+)/(?P<kind>commits|git/trees)/(?P<revision>.+)")
_API = "https://api.github.com"
_DOCS = "https://docs.github.com/rest"
_DATE = "2023-11-14T22:13:20Z"


def answer(site: Site, ask: Ask) -> Reply:
    """Answer a request under `/github-api`."""
    asked = _ASKED.fullmatch(ask.path)
    repo = site.git.get(asked["id"]) if asked is not None else None
    if asked is None or repo is None:
        return _refused(404, "Not Found")
    revision = unquote(asked["revision"])
    if asked["kind"] == "commits":
        if not repo.has(revision):
            return _refused(422, f"No commit found for SHA: {revision}")
        return json_reply(_commit(repo))
    if not repo.has(revision) and revision != repo.folders[""]:
        return _refused(404, "Not Found")
    # An address by commit is answered with that commit, one by tree with that tree.
    sha = revision if revision == repo.folders[""] else repo.commit
    return json_reply(_tree(repo, sha, is_recursive="recursive" in ask.query))


def _commit(repo: GitRepo) -> dict[str, object]:
    who = {"name": "modelset demo", "email": "demo@localhost", "date": _DATE}
    tree = repo.folders[""]
    about = {
        "author": who,
        "committer": who,
        "message": repo.id,
        "tree": {"sha": tree, "url": f"{_API}/repos/{repo.id}/git/trees/{tree}"},
    }
    return {
        "sha": repo.commit,
        "commit": about,
        "url": f"{_API}/repos/{repo.id}/commits/{repo.commit}",
        "parents": [],
    }


def _tree(repo: GitRepo, sha: str, *, is_recursive: bool) -> dict[str, object]:
    base = f"{_API}/repos/{repo.id}/git"
    entries: list[dict[str, object]] = [
        {
            "path": path,
            "mode": "100644",
            "type": "blob",
            "sha": content.blob_id,
            "size": content.size,
            "url": f"{base}/blobs/{content.blob_id}",
        }
        for path, content in repo.files.items()
    ]
    entries += [
        {"path": path, "mode": "040000", "type": "tree", "sha": own, "url": f"{base}/trees/{own}"}
        for path, own in repo.folders.items()
        if path
    ]
    kept = [entry for entry in entries if is_recursive or "/" not in str(entry["path"])]
    return {
        "sha": sha,
        "url": f"{base}/trees/{sha}",
        "tree": sorted(kept, key=lambda entry: str(entry["path"])),
        "truncated": False,
    }


def _refused(status: int, message: str) -> Reply:
    document = {"message": message, "documentation_url": _DOCS, "status": str(status)}
    return json_reply(document, status=status)
