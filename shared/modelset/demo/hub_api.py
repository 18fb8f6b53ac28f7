"""The Hub's API: what a repository is and what it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, quote, unquote

from modelset.demo.content import RepoFile
from modelset.demo.exchange import Ask, Reply, error_reply, json_reply, redirect
from modelset.demo.gate import missing_repo, refusal, whoami
from modelset.demo.repos import RENAMED, Repo
from modelset.demo.site import Site

_MODEL = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)(?P<rest>/.*)?")
_DATE = "2023-11-14T22:13:20.000Z"


def answer_api(site: Site, ask: Ask, prefix: str) -> Reply:
    """Answer a request under `/api`; `prefix` is what stood before it."""
    if ask.path == "/api/whoami-v2":
        return whoami(ask) or json_reply(_reader())
    asked = _MODEL.fullmatch(ask.path)
    if asked is None:
        return error_reply(404, "Not Found")
    repo_id, rest = asked["id"], asked["rest"] or ""
    if repo_id in RENAMED:
        query = f"?{ask.query_text}" if ask.query_text else ""
        return redirect(307, f"{prefix}/api/models/{RENAMED[repo_id]}{rest}{query}")
    repo = site.repos.get(repo_id)
    if repo is None:
        return missing_repo(ask)
    return _about(site, ask, prefix, repo, rest)


def _about(site: Site, ask: Ask, prefix: str, repo: Repo, rest: str) -> Reply:
    verb, _, tail = rest.strip("/").partition("/")
    if verb == "" and ask.method != "POST":
        return json_reply(_info(repo, ask))
    if verb == "refs":
        return json_reply({"branches": [_branch(repo)], "tags": [], "converts": []})
    if verb == "auth-check":
        return refusal(site, ask, repo) or json_reply({})
    answers: dict[str, Callable[[], Reply]] = {
        "revision": lambda: json_reply(_info(repo, ask)),
        "tree": lambda: _tree(site, ask, prefix, repo, tail),
        "paths-info": lambda: json_reply(_paths_info(repo, ask)),
    }
    if verb not in answers or (verb == "paths-info") != (ask.method == "POST"):
        return error_reply(404, "Not Found")
    return missing_revision(repo, tail.partition("/")[0]) or answers[verb]()


def missing_revision(repo: Repo, revision: str) -> Reply | None:
    """Return the refusal for a revision that the repository has not got, or None."""
    if repo.has(unquote(revision)):
        return None
    return error_reply(404, f"Invalid rev id: {unquote(revision)}", "RevisionNotFound")


def missing_entry(repo: Repo, path: str) -> Reply:
    """Refuse a path that the repository has not got; the commit says which one was looked at."""
    return error_reply(
        404, f"Entry not found: {path}", "EntryNotFound", {"X-Repo-Commit": repo.commit}
    )


def _reader() -> dict[str, object]:
    token = {"displayName": "demo", "role": "read", "createdAt": _DATE}
    auth = {"type": "access_token", "accessToken": token}
    return {"type": "user", "id": "0" * 24, "name": "demo", "orgs": [], "auth": auth}


def _branch(repo: Repo) -> dict[str, str]:
    return {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.commit}


def _info(repo: Repo, ask: Ask) -> dict[str, object]:
    has_sizes = ask.query.get("blobs", "").lower() in ("1", "true")
    return {
        "_id": repo.commit[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.partition("/")[0],
        "sha": repo.commit,
        "lastModified": _DATE,
        "createdAt": _DATE,
        "private": False,
        "gated": "auto" if repo.is_gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "library_name": repo.library,
        "tags": [repo.library, "license:mit"],
        "cardData": {"license": "mit"},
        "usedStorage": sum(file.content.size for file in repo.files.values()),
        "siblings": [_sibling(file, has_sizes) for file in repo.files.values()],
    }


def _sibling(file: RepoFile, has_sizes: bool) -> dict[str, object]:
    if not has_sizes:
        return {"rfilename": file.path}
    found: dict[str, object] = {"rfilename": file.path, "blobId": file.oid}
    found["size"] = file.content.size
    if file.is_lfs:
        pointer = file.content.pointer.size
        found["lfs"] = {
            "sha256": file.content.sha256,
            "size": file.content.size,
            "pointerSize": pointer,
        }
    return found


def _entry(repo: Repo, path: str, is_expanded: bool) -> dict[str, object]:
    found: dict[str, object] = {"path": path}
    if path in repo.folders:
        found |= {"type": "directory", "oid": repo.folders[path], "size": 0}
    else:
        file = repo.files[path]
        found |= {"type": "file", "oid": file.oid, "size": file.content.size}
        if file.is_lfs:
            found["lfs"] = {
                "oid": file.content.sha256,
                "size": file.content.size,
                "pointerSize": file.content.pointer.size,
            }
    if is_expanded:
        found["lastCommit"] = {"id": repo.commit, "title": "Add files", "date": _DATE}
    return found


def _tree(site: Site, ask: Ask, prefix: str, repo: Repo, tail: str) -> Reply:
    folder = unquote(tail.partition("/")[2]).strip("/")
    if folder not in repo.folders:
        return missing_entry(repo, folder)
    query = ask.query
    paths = _listed(repo, folder, query.get("recursive", "").lower() in ("1", "true"))
    start = next((at for at, path in enumerate(paths) if path > query.get("cursor", "")), 0)
    size = min(int(query.get("limit", site.page_size)), site.page_size)
    page = paths[start : start + size]
    is_expanded = query.get("expand", "").lower() in ("1", "true")
    entries = [_entry(repo, path, is_expanded) for path in page]
    if start + size >= len(paths):
        return json_reply(entries)
    # An absolute address, as on the Hub: clients follow it as it stands.
    kept = "&".join(f"{name}={quote(value)}" for name, value in query.items() if name != "cursor")
    address = f"http://{ask.headers['Host']}{prefix}{ask.path}?{kept}&cursor={quote(page[-1])}"
    return json_reply(entries, (("Link", f'<{address}>; rel="next"'),))


def _listed(repo: Repo, folder: str, is_recursive: bool) -> list[str]:
    inside = f"{folder}/" if folder else ""
    paths = [path for path in (*repo.files, *repo.folders) if path and path.startswith(inside)]
    if not is_recursive:
        paths = [path for path in paths if "/" not in path[len(inside) :]]
    return sorted(paths)


def _paths_info(repo: Repo, ask: Ask) -> list[dict[str, object]]:
    if "json" in (ask.headers.get("Content-Type") or ""):
        fields = json.loads(ask.body)
        wanted, expand = fields.get("paths", []), str(fields.get("expand", ""))
    else:
        form = parse_qs(ask.body.decode())
        wanted, expand = form.get("paths", []), form.get("expand", [""])[0]
    is_expanded = expand.lower() in ("1", "true")
    # A path that does not exist is left out, without an error.
    known = [path for path in wanted if path and (path in repo.files or path in repo.folders)]
    return [_entry(repo, path, is_expanded) for path in known]
