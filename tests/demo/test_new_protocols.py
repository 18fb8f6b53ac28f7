"""GitHub, Vosk, Silero, whisper checkpoints and NLTK's index, as their hosts answer."""

from __future__ import annotations

import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from modelset.demo.files import VOSK_NAMES, WHISPER_NAMES
from modelset.demo.folders import MODELS
from modelset.demo.hub import DemoHub

Fetch = Callable[..., Any]

COQUI = "/github/coqui-ai/TTS/releases/download/v0.6.1_models"
VAD = "snakers4/silero-vad"
HUB_TREE = MODELS / "silero-vad-hub"


def git_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def unpacked(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def on_disk(folder: str) -> dict[str, bytes]:
    root = MODELS / folder
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.parametrize("name", sorted(path.name for path in (MODELS / "coqui").iterdir()))
def test_release_archive(hub: DemoHub, fetch: Fetch, name: str) -> None:
    answer = fetch(f"{hub.url}{COQUI}/{name}.zip")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(hub.cdn_url + "/objects/")
    held = unpacked(fetch(answer.headers["Location"]).body)
    assert held == {f"{name}/{path}": body for path, body in on_disk(f"coqui/{name}").items()}
    part = fetch(answer.headers["Location"], headers={"Range": "bytes=2-5"})
    assert (part.status, len(part.body)) == (206, 4)


def test_archives_are_the_same_in_every_hub(hub: DemoHub) -> None:
    with DemoHub() as other:
        archives = [address for address in hub.site.files if address.endswith(".zip")]
        assert len(archives) > len(VOSK_NAMES)
        for address in archives:
            assert hub.site.files[address].sha256 == other.site.files[address].sha256


def test_commit_and_tree(hub: DemoHub, fetch: Fetch) -> None:
    api = f"{hub.url}/github-api/repos/{VAD}"
    commit = json.loads(fetch(f"{api}/commits/master").body)
    sha = commit["sha"]
    assert json.loads(fetch(f"{api}/commits/{sha}").body) == commit
    tree = json.loads(fetch(f"{api}/git/trees/{sha}?recursive=1").body)
    assert (tree["sha"], tree["truncated"]) == (sha, False)
    blobs = {entry["path"]: entry for entry in tree["tree"] if entry["type"] == "blob"}
    files = on_disk("silero-vad-hub")
    assert set(blobs) == set(files)
    for path, entry in blobs.items():
        assert (entry["mode"], entry["size"]) == ("100644", len(files[path]))
        raw = fetch(f"{hub.url}/raw/{VAD}/{sha}/{path}")
        assert (raw.status, raw.body) == (200, files[path])
        assert entry["sha"] == git_id(raw.body)
    folders = {entry["path"] for entry in tree["tree"] if entry["type"] == "tree"}
    assert folders == {"src", "src/silero_vad", "src/silero_vad/data"}
    flat = json.loads(fetch(f"{api}/git/trees/{commit['commit']['tree']['sha']}").body)
    assert flat["sha"] == commit["commit"]["tree"]["sha"]
    assert all("/" not in entry["path"] for entry in flat["tree"])


def test_tree_id_is_what_git_makes_of_its_entries(hub: DemoHub, fetch: Fetch) -> None:
    api = f"{hub.url}/github-api/repos/{VAD}"
    root = json.loads(fetch(f"{api}/commits/master").body)["commit"]["tree"]["sha"]
    entries = json.loads(fetch(f"{api}/git/trees/master").body)["tree"]
    entries.sort(key=lambda entry: entry["path"] + "/" * (entry["type"] == "tree"))
    body = b"".join(
        f"{entry['mode'].lstrip('0')} {entry['path']}\0".encode() + bytes.fromhex(entry["sha"])
        for entry in entries
    )
    assert hashlib.sha1(b"tree %d\0" % len(body) + body).hexdigest() == root


def test_raw_files_by_branch_and_in_part(hub: DemoHub, fetch: Fetch) -> None:
    address = f"{hub.url}/raw/{VAD}/master/hubconf.py"
    body = (HUB_TREE / "hubconf.py").read_bytes()
    whole = fetch(address)
    assert whole.body == body
    asked = {"Range": "bytes=4-", "If-Range": whole.headers["ETag"]}
    assert (fetch(address, headers=asked).status, fetch(address, headers=asked).body) == (
        206,
        body[4:],
    )
    assert fetch(f"{hub.url}/raw/{VAD}/refs%2Fheads%2Fmaster/hubconf.py").body == body


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"repos/{VAD}/commits/v9", 422, "No commit found for SHA: v9"),
        (f"repos/{VAD}/git/trees/{'0' * 40}", 404, "Not Found"),
        ("repos/nobody/nothing/commits/master", 404, "Not Found"),
        ("rate", 404, "Not Found"),
    ],
)
def test_github_api_errors(
    hub: DemoHub, fetch: Fetch, path: str, status: int, message: str
) -> None:
    answer = fetch(f"{hub.url}/github-api/{path}")
    assert answer.status == status
    assert json.loads(answer.body)["message"] == message
    assert json.loads(answer.body)["status"] == str(status)


def test_vosk_list_describes_its_archives(hub: DemoHub, fetch: Fetch) -> None:
    rows = json.loads(fetch(f"{hub.url}/vosk/vosk/models/model-list.json").body)
    assert [row["name"] for row in rows] == list(VOSK_NAMES)
    assert len({row["md5"] for row in rows}) == len(rows)
    for row in rows:
        assert row["url"] == f"https://alphacephei.com/vosk/models/{row['name']}.zip"
        archive = fetch(row["url"].replace("https://alphacephei.com", f"{hub.url}/vosk"))
        assert (archive.status, len(archive.body)) == (200, row["size"])
        assert hashlib.md5(archive.body).hexdigest() == row["md5"]
        held = unpacked(archive.body)
        assert held == {f"{row['name']}/{path}": body for path, body in on_disk("vosk").items()}
        assert row["obsolete"] == "false"
    told = {row["name"]: (row["lang"], row["type"], row["version"]) for row in rows}
    assert told["vosk-model-small-en-us-0.15"] == ("en-us", "small", "0.15")
    assert told["vosk-model-ru-0.42"] == ("ru", "big", "0.42")
    assert told["vosk-model-en-us-0.22-lgraph"] == ("en-us", "big-lgraph", "0.22-lgraph")


@pytest.mark.parametrize("voice", ["ru/v3_1_ru", "ru/v4_ru", "ru/v5_5_ru", "en/v3_en", "fr/v3_fr"])
def test_silero_voice(hub: DemoHub, fetch: Fetch, voice: str) -> None:
    body = (MODELS / "silero-tts" / "v4_ru.pt").read_bytes()
    address = f"{hub.url}/silero/models/tts/{voice}.pt"
    assert fetch(address).body == body
    head = fetch(address, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(body))


def test_checkpoints_lie_where_the_tables_say(hub: DemoHub, fetch: Fetch) -> None:
    tables = tomllib.loads(hub.tables)["model"]
    assert [table["key"] for table in tables] == [
        f"openai-whisper:{name}" for name in WHISPER_NAMES
    ]
    for table in tables:
        url = table["ref"]["url"]
        host = "https://openaipublic.azureedge.net"
        body = fetch(url.replace(host, f"{hub.url}/whisper")).body
        digest = hashlib.sha256(body).hexdigest()
        assert url == f"{host}/main/whisper/models/{digest}/{table['ref']['path']}"
        assert table["ref"]["digest"] == f"sha256:{digest}"
        assert table["size_bytes"] == table["ref"]["size"] == len(body)
    other = "0" * 64
    assert fetch(f"{hub.url}/whisper/main/whisper/models/{other}/tiny.pt").status == 404


def test_nltk_index(hub: DemoHub, fetch: Fetch) -> None:
    page = fetch(f"{hub.url}/raw/nltk/nltk_data/gh-pages/index.xml")
    (package,) = ElementTree.fromstring(page.body).iter("package")
    assert (package.get("id"), package.get("subdir"), package.get("unzip")) == (
        "vader_lexicon",
        "sentiment",
        "0",
    )
    url = str(package.get("url"))
    body = fetch(url.replace("https://raw.githubusercontent.com", f"{hub.url}/raw")).body
    assert package.get("size") == str(len(body))
    held = unpacked(body)
    assert package.get("unzipped_size") == str(sum(map(len, held.values())))
    assert package.get("checksum") == hashlib.md5(body).hexdigest()
    assert package.get("sha256_checksum") == hashlib.sha256(body).hexdigest()
    assert list(held) == ["vader_lexicon/vader_lexicon.txt"]


@pytest.mark.parametrize(
    "path",
    [
        f"{COQUI}/none.zip",
        f"{COQUI}/../../../etc/passwd",
        "/vosk/vosk/models/none.zip",
        "/vosk/..%2f..%2fhub.py",
        "/silero/models/tts/ru/../ru/v4_ru.pt",
        "/whisper/tiny.pt",
        f"/raw/{VAD}/master/../hubconf.py",
        f"/raw/{VAD}/master/%2e%2e/%2e%2e/hub.py",
        f"/raw/{VAD}/hubconf.py",
        f"/raw/{VAD}/",
        "/raw/nltk/nltk_data/gh-pages/packages/other.zip",
        "/raw/x",
    ],
)
def test_what_is_not_there(hub: DemoHub, fetch: Fetch, path: str) -> None:
    assert fetch(hub.url + path).status == 404


@pytest.mark.parametrize(
    "part", ["github", "github-api", "raw", "vosk", "silero", "whisper", "ollama", "openai/v1"]
)
def test_nothing_but_reading(hub: DemoHub, fetch: Fetch, part: str) -> None:
    assert fetch(f"{hub.url}/{part}/x", "POST", body=b"{}").status == 405
