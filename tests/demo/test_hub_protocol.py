"""What the demo hub answers, byte by byte."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from modelset.demo.content import Content
from modelset.demo.hub import DemoHub
from modelset.demo.repos import build_repos

Fetch = Callable[..., Any]

TINY = "Systran/faster-whisper-tiny"
TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
COMMUNITY = "pyannote/speaker-diarization-community-1"


def _model(hub: DemoHub, fetch: Fetch) -> tuple[str, bytes]:
    """Return the signed address of a model file, and its bytes."""
    answer = fetch(f"{hub.url}/hf/{TINY}/resolve/main/model.bin")
    return answer.headers["Location"], hub.site.repos[TINY].files["model.bin"].content.body


def test_large_file_redirects_to_the_other_origin(hub: DemoHub, fetch: Fetch) -> None:
    answer = fetch(f"{hub.url}/hf/{TINY}/resolve/main/model.bin", "HEAD")
    content = hub.site.repos[TINY].files["model.bin"].content
    assert answer.status == 302
    assert answer.headers["X-Repo-Commit"] == hub.site.repos[TINY].commit
    assert answer.headers["X-Linked-Etag"] == f'"{content.sha256}"'
    assert answer.headers["X-Linked-Size"] == str(content.size)
    assert answer.headers["Location"].startswith(hub.cdn_url + "/")
    assert hub.cdn_url != hub.url
    file = fetch(answer.headers["Location"])
    assert (file.status, file.body) == (200, content.body)
    assert content.sha256 not in file.headers["ETag"]


@pytest.mark.parametrize("prefix", ["/hf", ""])
def test_small_file_redirects_within_the_origin(hub: DemoHub, fetch: Fetch, prefix: str) -> None:
    file = hub.site.repos[TINY].files["config.json"]
    answer = fetch(f"{hub.url}{prefix}/{TINY}/resolve/main/config.json")
    assert answer.status == 307
    assert answer.headers["Location"].startswith(f"{prefix}/api/resolve-cache/models/{TINY}/")
    final = fetch(hub.url + answer.headers["Location"])
    assert (final.status, final.body) == (200, file.content.body)
    assert final.headers["ETag"] == f'"{file.content.blob_id}"'
    head = fetch(hub.url + answer.headers["Location"], "HEAD")
    assert head.body == b""
    assert head.headers["Content-Length"] == str(file.content.size)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-", 10, None),
        ("bytes=-7", -7, None),
        ("bytes=5-9999999", 5, None),
    ],
)
def test_ranges(hub: DemoHub, fetch: Fetch, asked: str, start: int, end: int | None) -> None:
    address, body = _model(hub, fetch)
    part = fetch(address, headers={"Range": asked})
    first = start % len(body)
    assert (part.status, part.body) == (206, body[start:end])
    last = first + len(part.body) - 1
    assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(body)}"
    assert hub.requests[-1].range_header == asked


def test_range_that_cannot_be(hub: DemoHub, fetch: Fetch) -> None:
    address, body = _model(hub, fetch)
    answer = fetch(address, headers={"Range": f"bytes={len(body)}-"})
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(body)}"


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=0-1,4-5", "lines=1-2", "bytes=-"])
def test_range_that_makes_no_sense(hub: DemoHub, fetch: Fetch, asked: str) -> None:
    address, body = _model(hub, fetch)
    answer = fetch(address, headers={"Range": asked})
    assert (answer.status, answer.body) == (200, body)


def test_if_range(hub: DemoHub, fetch: Fetch) -> None:
    address, body = _model(hub, fetch)
    etag = fetch(address, "HEAD").headers["ETag"]
    same = fetch(address, headers={"Range": "bytes=3-", "If-Range": etag})
    other = fetch(address, headers={"Range": "bytes=3-", "If-Range": '"other"'})
    assert (same.status, same.body) == (206, body[3:])
    assert (other.status, other.body) == (200, body)


def test_signature(hub: DemoHub, fetch: Fetch) -> None:
    address, _ = _model(hub, fetch)
    wrong = re.sub(r"sig=.", "sig=z", address)
    later = re.sub(r"expires=\d", "expires=9", address)
    assert fetch(wrong).status == 403
    assert fetch(later).status == 403
    assert fetch(address.partition("?")[0]).status == 403


def test_signature_expires(fetch: Fetch) -> None:
    with DemoHub(link_lifetime=0.3) as hub:
        address, body = _model(hub, fetch)
        assert fetch(address).body == body
        time.sleep(0.4)
        assert fetch(address).status == 403


def test_renamed(hub: DemoHub, fetch: Fetch) -> None:
    api = fetch(f"{hub.url}/hf/api/models/{TURBO}/tree/main?recursive=true")
    file = fetch(f"{hub.url}/hf/{TURBO}/resolve/main/model.bin", "HEAD")
    new = "dropbox-dash/faster-whisper-large-v3-turbo"
    assert (api.status, file.status) == (307, 307)
    assert api.headers["Location"] == f"/hf/api/models/{new}/tree/main?recursive=true"
    assert file.headers["Location"] == f"/hf/{new}/resolve/main/model.bin"


def test_errors(hub: DemoHub, fetch: Fetch) -> None:
    entry = fetch(f"{hub.url}/hf/{TINY}/resolve/main/missing")
    revision = fetch(f"{hub.url}/hf/api/models/{TINY}/revision/refs%2Fpr%2F1")
    repo = fetch(f"{hub.url}/hf/api/models/Systran/missing")
    known = fetch(
        f"{hub.url}/hf/api/models/Systran/missing", headers={"Authorization": "Bearer hf_demo"}
    )
    assert (entry.status, entry.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert entry.headers["X-Repo-Commit"] == hub.site.repos[TINY].commit
    assert (revision.status, revision.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    assert (repo.status, repo.headers["X-Error-Code"]) == (401, "RepoNotFound")
    assert (known.status, known.headers["X-Error-Code"]) == (404, "RepoNotFound")
    assert fetch(f"{hub.url}/hf/api/models/{TINY}/tree/main?limit=x").status == 400


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "GatedRepo"),
        ("hf_unknown", 401, "GatedRepo"),
        ("hf_demo_no_licence", 403, "GatedRepo"),
        ("hf_demo_denied", 403, None),
        ("hf_demo", 302, None),
    ],
)
def test_gate(hub: DemoHub, fetch: Fetch, token: str | None, status: int, code: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{hub.url}/hf/{COMMUNITY}/resolve/main/plda/plda.npz"
    answer = fetch(address, headers=headers)
    check = fetch(f"{hub.url}/hf/api/models/{COMMUNITY}/auth-check", headers=headers)
    assert (answer.status, answer.headers["X-Error-Code"]) == (status, code)
    assert check.status == (200 if status == 302 else status)
    assert fetch(f"{hub.url}/hf/api/models/{COMMUNITY}", headers=headers).status == 200


def test_tree_names_what_git_keeps(hub: DemoHub, fetch: Fetch) -> None:
    sha = hub.site.repos[COMMUNITY].commit
    answer = fetch(f"{hub.url}/hf/api/models/{COMMUNITY}/tree/{sha}?recursive=true")
    entries = {entry["path"]: entry for entry in json.loads(answer.body)}
    large = entries["plda/plda.npz"]
    pointer = (
        "version https://git-lfs.github.com/spec/v1\n"
        f"oid sha256:{large['lfs']['oid']}\nsize {large['size']}\n"
    ).encode()
    expected = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
    assert large["oid"] == expected
    assert large["lfs"]["pointerSize"] == len(pointer)
    assert entries["plda"]["type"] == "directory"
    assert "lfs" not in entries["config.yaml"]
    flat = fetch(f"{hub.url}/hf/api/models/{COMMUNITY}/tree/main/plda?recursive=false")
    inside = [entry["path"] for entry in json.loads(flat.body)]
    assert inside == ["plda/plda.npz", "plda/xvec_transform.npz"]


def test_paths_info_takes_json_and_forms(hub: DemoHub, fetch: Fetch) -> None:
    address = f"{hub.url}/hf/api/models/{TINY}/paths-info/main"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = fetch(address, "POST", form, b"paths=model.bin&paths=config.json&paths=missing")
    sent = json.dumps({"paths": ["config.json"]}).encode()
    as_json = fetch(address, "POST", {"Content-Type": "application/json"}, sent)
    assert [entry["path"] for entry in json.loads(posted.body)] == ["model.bin", "config.json"]
    assert [entry["path"] for entry in json.loads(as_json.body)] == ["config.json"]


def test_connection_is_kept(hub: DemoHub) -> None:
    connection = http.client.HTTPConnection(urlsplit(hub.url).netloc, timeout=5)
    for method, path in (("GET", "/hf/api/models/x/y"), ("HEAD", "/simple/"), ("GET", "/simple/")):
        connection.request(method, path)
        own = connection.sock
        connection.getresponse().read()
        assert connection.sock is own
    connection.close()


def test_commits_come_from_contents() -> None:
    first, second = build_repos(), build_repos()
    commits = [repo.commit for repo in first.values()]
    assert commits == [repo.commit for repo in second.values()]
    assert len(set(commits)) == len(commits)
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in commits)


def test_git_ids() -> None:
    # What `git hash-object` says of these bytes.
    assert Content(b"hello\n").blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.parametrize(
    "path",
    [
        f"/hf/api/models/{TINY}/revision/main",
        f"/api/models/{TINY}",
        f"/hf/api/models/{TINY}/tree/main?recursive=true",
        "/github-api/repos/snakers4/silero-vad/commits/master",
        "/vosk/vosk/models/model-list.json",
        "/raw/nltk/nltk_data/gh-pages/index.xml",
        "/ollama/v2/library/gemma2/manifests/2b",
    ],
)
def test_an_answer_that_is_known_by_its_tag_comes_without_its_body(
    hub: DemoHub, fetch: Fetch, path: str
) -> None:
    whole = fetch(hub.url + path)
    tag = whole.headers["ETag"]
    again = fetch(hub.url + path, headers={"If-None-Match": tag})
    other = fetch(hub.url + path, headers={"If-None-Match": '"other"'})
    assert (whole.status, again.status, other.status) == (200, 304, 200)
    assert (again.headers["ETag"], again.body) == (tag, b"")
    assert (other.headers["ETag"], other.body) == (tag, whole.body)


def test_the_tag_of_an_api_answer_is_weak_and_of_its_contents(hub: DemoHub, fetch: Fetch) -> None:
    one = fetch(f"{hub.url}/hf/api/models/{TINY}")
    two = fetch(f"{hub.url}/hf/api/models/{COMMUNITY}")
    assert one.headers["ETag"].startswith(f'W/"{len(one.body):x}-')
    assert one.headers["ETag"] != two.headers["ETag"]
    several = f'"a", {one.headers["ETag"].removeprefix("W/")}'
    for known in (several, "*"):
        asked = {"If-None-Match": known}
        assert fetch(f"{hub.url}/hf/api/models/{TINY}", headers=asked).status == 304
    missing = fetch(f"{hub.url}/hf/api/models/Systran/missing", headers={"If-None-Match": "*"})
    assert (missing.status, missing.headers.get("ETag")) == (401, None)
