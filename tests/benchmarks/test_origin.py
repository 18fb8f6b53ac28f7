import hashlib
import json
import shutil
from pathlib import Path

import pytest
from benchmarks.origin import Origin, Repo, find_wrong


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "www")


@pytest.fixture
def repo(origin: Origin) -> Repo:
    return origin.add("bench/one", {"config.json": 10, "sub/model.bin": 3000})


def place(origin: Origin, repo: Repo, path: str) -> Path:
    return origin.folder / repo.id / "resolve" / repo.commit / path


def test_a_repository_answers_as_the_hub_does(origin: Origin, repo: Repo) -> None:
    api = origin.folder / "api" / "models" / "bench" / "one"

    assert json.loads((api / "revision" / "main").read_text())["sha"] == repo.commit
    rows = json.loads((api / "tree" / repo.commit).read_text())
    assert [row["path"] for row in rows] == ["config.json", "sub/model.bin"]
    for row in rows:
        body = place(origin, repo, row["path"]).read_bytes()
        assert len(body) == row["size"] == row["lfs"]["size"]
        assert hashlib.sha256(body).hexdigest() == row["lfs"]["oid"]


def test_no_two_files_share_size_and_time_of_which_a_server_makes_its_etag(origin: Origin) -> None:
    repo = origin.add("bench/same", {f"{at}.bin": 64 for at in range(20)})

    stats = [place(origin, repo, file.path).stat() for file in repo.files]
    assert len({(stat.st_size, stat.st_mtime) for stat in stats}) == 20
    assert len({file.sha256 for file in repo.files}) == 20


def test_what_arrived_under_its_own_path_is_not_wrong(
    origin: Origin, repo: Repo, tmp_path: Path
) -> None:
    snapshot = tmp_path / "cache" / "snapshots" / "main"
    shutil.copytree(place(origin, repo, "."), snapshot)
    # As in the Hub's cache: the file itself lies elsewhere, under another name.
    (snapshot / "sub" / "model.bin").rename(tmp_path / "cache" / "blob")
    (snapshot / "sub" / "model.bin").symlink_to(tmp_path / "cache" / "blob")

    assert find_wrong((repo,), tmp_path / "cache") == []


def test_missing_changed_and_misplaced_files_are_found(
    origin: Origin, repo: Repo, tmp_path: Path
) -> None:
    got = tmp_path / "got"
    shutil.copytree(place(origin, repo, "."), got)
    (got / "config.json").write_bytes(b"x" * 10)
    (got / "sub" / "model.bin").rename(got / "model.bin")

    assert find_wrong((repo,), got) == ["bench/one/config.json", "bench/one/sub/model.bin"]
    assert len(find_wrong((repo,), tmp_path / "empty")) == 2
