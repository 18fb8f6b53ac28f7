"""The Hub's files: resolve addresses, and where they lead."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from modelset.demo.content import RepoFile
from modelset.demo.exchange import Ask, Reply, error_reply, redirect
from modelset.demo.gate import missing_repo, refusal
from modelset.demo.hub_api import missing_entry, missing_revision
from modelset.demo.ranges import file_reply
from modelset.demo.repos import RENAMED, Repo
from modelset.demo.site import Site

_RESOLVE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_CACHED = re.compile(
    r"/api/resolve-cache/models/(?P<id>[^/]+/[^/]+)/(?P<revision>[^/]+)/(?P<path>.+)"
)


def answer_file(site: Site, ask: Ask, prefix: str) -> Reply | None:
    """Answer a request for a file, or None when the path is not of that kind."""
    cached = _CACHED.fullmatch(ask.path)
    asked = cached or _RESOLVE.fullmatch(ask.path)
    if asked is None or ask.method == "POST":
        return None
    repo_id = asked["id"]
    if repo_id in RENAMED:
        return redirect(307, prefix + ask.path.replace(repo_id, RENAMED[repo_id], 1))
    repo = site.repos.get(repo_id)
    if repo is None:
        return missing_repo(ask)
    path = unquote(asked["path"])
    refused = refusal(site, ask, repo) or missing_revision(repo, asked["revision"])
    if refused is not None:
        return refused
    if path not in repo.files:
        return missing_entry(repo, path)
    if cached is None:
        return _resolved(site, prefix, repo, repo.files[path])
    return _small(ask, repo, repo.files[path])


def _small(ask: Ask, repo: Repo, file: RepoFile) -> Reply:
    if file.is_lfs:
        return error_reply(404, "Not Found")
    return file_reply(ask, file.content, file.etag, _describing(repo, file))


def _describing(repo: Repo, file: RepoFile) -> tuple[tuple[str, str], ...]:
    name = file.path.rpartition("/")[2]
    return (
        ("X-Repo-Commit", repo.commit),
        ("Content-Disposition", f'inline; filename="{name}"'),
        ("Content-Type", "text/plain; charset=utf-8"),
    )


def _resolved(site: Site, prefix: str, repo: Repo, file: RepoFile) -> Reply:
    headers = (
        ("X-Repo-Commit", repo.commit),
        ("X-Linked-Etag", f'"{file.etag}"'),
        ("X-Linked-Size", str(file.content.size)),
        ("Accept-Ranges", "bytes"),
    )
    if file.is_lfs:
        return redirect(302, site.signed_address(file.content, file.path), headers)
    own_path = f"/api/resolve-cache/models/{repo.id}/{repo.commit}/{quote(file.path)}"
    return redirect(307, prefix + own_path, (*headers, ("ETag", f'"{file.etag}"')))
