"""The Hub's details: pages, patterns, the cache's own form, and its three gates."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Project, config_for, run_process
from tests.contract.samples.huggingface import hub_web_of, large, rows, small
from tests.fakes.samples import COMMIT, model, sha1, sha256
from tests.fakes.web import FakeWeb, hub_web

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Link, PutFile, PutText
from modelset.core.types import Model, Pin
from modelset.demo.hub import DemoHub
from modelset.sources.huggingface import SOURCE

TURBO = "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
COMMUNITY = "pyannote/speaker-diarization-community-1"


def resolve(ref: dict[str, object], listing: list[object] | None = None) -> Pin:
    listing = rows() if listing is None else listing
    return SOURCE.resolve(model("huggingface", ref), hub_web_of({"sha": COMMIT}, listing))


def layout(ref: dict[str, object]) -> Layout:
    return SOURCE.layout(resolve(ref))


def texts(found: Layout) -> dict[str, str]:
    return {row.path: row.text for row in found.placements if isinstance(row, PutText)}


def test_a_file_in_git_has_gits_digest_and_a_large_one_its_sha256() -> None:
    found = {row.name: row for row in resolve({"repo": "acme/thing"}).artifacts}
    assert found.keys() == {"config.json", "README.md", "model.bin", "sub/deep/weights.bin"}
    assert found["config.json"].digest == "git-sha1:" + sha1(repr("config.json"))
    assert found["model.bin"].digest == "sha256:" + sha256("model.bin")
    assert (found["config.json"].size, found["model.bin"].size) == (9, 1_000_000)
    assert found["sub/deep/weights.bin"].url == (
        f"https://huggingface.co/acme/thing/resolve/{COMMIT}/sub/deep/weights.bin"
    )


def test_an_odd_name_is_quoted_in_the_address_alone() -> None:
    pin = resolve({"repo": "acme/thing"}, [small("a b#c?d%2f.txt")])
    assert pin.artifacts[0].name == "a b#c?d%2f.txt"
    assert pin.artifacts[0].url.endswith("/a%20b%23c%3Fd%252f.txt")


def test_allow_keeps_what_matches_a_pattern() -> None:
    pin = resolve({"repo": "acme/thing", "allow": ["*.json", "sub/*"]})
    assert [row.name for row in pin.artifacts] == ["config.json", "sub/deep/weights.bin"]


def test_required_files_that_are_missing_are_named() -> None:
    ref = {"repo": "acme/thing", "required": ["config.json", "vocabulary.*", "tokenizer.json"]}
    with pytest.raises(ModelSetError) as caught:
        resolve(ref)
    assert caught.value.failure.code == "not-found"
    assert "vocabulary.*, tokenizer.json" in caught.value.failure.message
    assert "config.json" not in caught.value.failure.message


@pytest.mark.parametrize("listing", [[], rows()])
def test_a_repository_without_a_wanted_file_is_not_found(listing: list[object]) -> None:
    with pytest.raises(ModelSetError, match="lacks every wanted file") as caught:
        resolve({"repo": "acme/thing", "allow": ["*.onnx"]}, listing)
    assert caught.value.failure.code == "not-found"


def test_the_revision_of_the_table_is_asked_for() -> None:
    web = FakeWeb()
    with pytest.raises(ModelSetError):
        SOURCE.resolve(model("huggingface", {"repo": "a/b", "revision": "refs/pr/1"}), web)
    assert web.asked == ["https://huggingface.co/api/models/a/b/revision/refs%2Fpr%2F1"]


def test_blobs_carry_their_digest_and_links_climb_as_far_as_their_folder_is_deep() -> None:
    placements = layout({"repo": "acme/thing"}).placements
    blobs = {row.path for row in placements if isinstance(row, PutFile)}
    weights = sha256("sub/deep/weights.bin")
    assert f"models--acme--thing/blobs/{weights}" in blobs
    assert f"models--acme--thing/blobs/{sha1(repr('config.json'))}" in blobs
    links = {
        row.path.partition(f"{COMMIT}/")[2]: row.target
        for row in placements
        if isinstance(row, Link)
    }
    assert links["sub/deep/weights.bin"] == f"../../../../blobs/{weights}"
    assert links["config.json"] == f"../../blobs/{sha1(repr('config.json'))}"


def test_refs_have_no_final_newline_and_short_names_are_listed_after_main() -> None:
    found = texts(layout({"repo": "acme/thing", "allow": ["*"], "refs": ["v1", "main"]}))
    assert found == {
        "models--acme--thing/refs/main": COMMIT,
        "models--acme--thing/refs/v1": COMMIT,
    }


REFS = "models--acme--thing/refs/"


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        ({}, {"main"}),
        ({"refs": ["v1"]}, {"main", "v1"}),
        ({"revision": "main"}, {"main"}),
        ({"revision": "v2"}, {"v2"}),
        ({"revision": "refs/pr/1", "refs": ["v1"]}, {"refs/pr/1", "v1"}),
        ({"revision": "714eb0f"}, {"714eb0f"}),
        ({"revision": COMMIT}, set()),
        ({"revision": COMMIT, "refs": ["main", "714eb0f"]}, {"main", "714eb0f"}),
    ],
)
def test_a_revision_leaves_main_to_those_who_have_none(
    ref: dict[str, object], names: set[str]
) -> None:
    artifact = resolve({"repo": "acme/thing"}).artifacts[0]
    ref = {"repo": "acme/thing", "allow": ["*"]} | ref
    found = texts(SOURCE.layout(Pin("test:thing", "huggingface", ref, COMMIT, (artifact,))))
    assert set(found) == {REFS + name for name in names}
    assert set(found.values()) <= {COMMIT}


def test_a_named_revision_is_asked_for_and_pinned_as_its_commit() -> None:
    ref = {"repo": "acme/thing", "allow": ["*"], "revision": "v2"}
    web = hub_web_of({"sha": COMMIT}, rows())
    web.json = {"https://huggingface.co/api/models/acme/thing/revision/v2": {"sha": COMMIT}}
    pin = SOURCE.resolve(model("huggingface", ref), web)
    assert pin.revision == COMMIT
    assert SOURCE.layout(pin).folder == f"models--acme--thing/snapshots/{COMMIT}"


# ---- flat, in a root of another library ----------------------------------------------------

VOICE = "en/en_US/lessac/medium/en_US-lessac-medium.onnx"
FLAT = {
    "repo": "rhasspy/piper-voices",
    "root": "piper",
    "below": "en/en_US/lessac/medium",
    "allow": [VOICE, f"{VOICE}.json"],
    "required": [VOICE, f"{VOICE}.json"],
}


def flat_web(*listing: object) -> FakeWeb:
    api = "https://huggingface.co/api/models/rhasspy/piper-voices"
    tree = f"{api}/tree/{COMMIT}/en/en_US/lessac/medium?recursive=true&expand=false"
    return FakeWeb(json={f"{api}/revision/main": {"sha": COMMIT}}, pages={tree: list(listing)})


def test_files_of_a_sub_folder_lie_flat_in_their_root() -> None:
    web = flat_web(large(VOICE), small(f"{VOICE}.json"), small("en/en_US/lessac/medium/CARD"))
    pin = SOURCE.resolve(model("huggingface", FLAT), web)
    assert [question.partition("piper-voices")[2] for question in web.asked] == [
        "/revision/main",
        f"/tree/{COMMIT}/en/en_US/lessac/medium?recursive=true&expand=false",
    ]
    weights, config = pin.artifacts
    assert weights.url == f"https://huggingface.co/rhasspy/piper-voices/resolve/{COMMIT}/{VOICE}"
    assert SOURCE.layout(pin) == Layout(
        "piper",
        (
            PutFile("en_US-lessac-medium.onnx", weights),
            PutFile("en_US-lessac-medium.onnx.json", config),
        ),
        "en_US-lessac-medium.onnx",
    )
    assert SOURCE.trace(pin.ref) == ("piper", "en_US-lessac-medium.onnx")


def test_a_flat_model_that_lacks_a_file_is_not_found() -> None:
    with pytest.raises(ModelSetError, match=r"lacks .*\.onnx\.json") as caught:
        SOURCE.resolve(model("huggingface", FLAT), flat_web(large(VOICE)))
    assert caught.value.failure.code == "not-found"


@pytest.mark.parametrize("name", ["root", "below"])
def test_what_lies_flat_has_to_say_which_files(name: str) -> None:
    ref = {"repo": "a/b", name: FLAT[name]}
    assert SOURCE.check_ref(ref) == ["ref.allow: the files that lie in `root` are missing here"]


@pytest.mark.parametrize("below", ["../x", "/en", "en//x", "en\\x", ""])
def test_a_sub_folder_that_leads_elsewhere_is_refused(below: str) -> None:
    (problem,) = SOURCE.check_ref({**FLAT, "below": below})
    assert problem.startswith("ref.below: unsafe file name")


def test_a_sub_folder_is_quoted_in_the_address() -> None:
    ref = {**FLAT, "below": "a b/c?d"}
    web = FakeWeb(
        json={
            "https://huggingface.co/api/models/rhasspy/piper-voices/revision/main": {"sha": COMMIT}
        }
    )
    with pytest.raises(ModelSetError):
        SOURCE.resolve(model("huggingface", ref), web)
    assert web.asked[-1].endswith(f"/tree/{COMMIT}/a%20b/c%3Fd?recursive=true&expand=false")


def test_the_tree_listing_is_for_whole_repositories_only() -> None:
    tree = f"models--acme--thing/trees/{COMMIT}.json"
    assert tree in texts(layout({"repo": "acme/thing"}))
    assert tree not in texts(layout({"repo": "acme/thing", "allow": ["*"]}))


def test_the_tree_listing_names_gits_pointer_of_a_large_file() -> None:
    found = texts(layout({"repo": "acme/thing"}))
    files = json.loads(found[f"models--acme--thing/trees/{COMMIT}.json"])["files"]
    oid = sha256("model.bin")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 1000000\n"
    body = f"blob {len(pointer)}\0{pointer}".encode()
    assert files["model.bin"] == {
        "size": 1_000_000,
        "blob_id": hashlib.sha1(body, usedforsecurity=False).hexdigest(),
        "lfs_sha256": oid,
        "lfs_size": 1_000_000,
    }
    assert files["config.json"] == {"size": 9, "blob_id": sha1(repr("config.json"))}


def test_two_files_of_the_same_bytes_are_one_blob_in_the_sum() -> None:
    twins = [large("a.bin"), large("b.bin", oid=sha256("a.bin"))]
    assert resolve({"repo": "acme/thing"}, [*twins]).size_bytes == 1_000_000


# ---- against the demo hub ------------------------------------------------------------------


def hub_model(repo: str, **changes: object) -> Model:
    found = model("huggingface", {"repo": repo, **changes})
    return replace(found, gate=f"https://huggingface.co/{repo}")


@pytest.fixture
def configured(project: Project, hub: DemoHub) -> Path:
    project.config.write_text(config_for(hub))
    return project.config


def test_a_listing_of_many_pages_is_whole(project: Project) -> None:
    with DemoHub(page_size=2) as paged:
        project.config.write_text(config_for(paged))
        with hub_web(project.config) as web:
            pin = SOURCE.resolve(hub_model(COMMUNITY), web)
        repo = paged.site.repos[COMMUNITY]
        assert {row.name for row in pin.artifacts} == set(repo.files)
        asked = [seen for seen in paged.requests if "/tree/" in seen.path]
        assert len(asked) == -(-len({*repo.files, *repo.folders} - {""}) // 2)
    assert pin.revision == repo.commit


def test_a_renamed_repository_lies_under_the_name_that_was_asked_for(
    configured: Path, hub: DemoHub
) -> None:
    with hub_web(configured) as web:
        pin = SOURCE.resolve(hub_model(TURBO), web)
    assert pin.revision == hub.site.repos["dropbox-dash/faster-whisper-large-v3-turbo"].commit
    found = SOURCE.layout(pin)
    folder = "models--mobiuslabsgmbh--faster-whisper-large-v3-turbo/"
    assert all(getattr(row, "path", "").startswith(folder) for row in found.placements)
    assert SOURCE.trace(pin.ref) == ("huggingface", folder + "snapshots/*")


@pytest.mark.parametrize("repo", ["Systran/faster-whisper-tiny", COMMUNITY, TURBO])
def test_the_real_client_writes_the_same_files_as_the_layout_says(
    configured: Path, hub: DemoHub, project: Project, repo: str
) -> None:
    with hub_web(configured, token="hf_demo") as web:
        pin = SOURCE.resolve(hub_model(repo), web)
    program = "import sys; from huggingface_hub import snapshot_download as s; s(sys.argv[1])"
    extra = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": "hf_demo",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    ran = run_process(
        [sys.executable, "-c", program, repo], env={**project.environ, **extra}, timeout_s=60
    )
    assert ran.code == 0, ran.stderr
    cache = project.models_root / "huggingface" / "hub"
    found = SOURCE.layout(pin)
    for row in found.placements:
        path = cache / row.path  # type: ignore[union-attr]
        if isinstance(row, PutFile):
            assert path.stat().st_size == row.artifact.size
        elif isinstance(row, Link):
            assert os.readlink(path) == row.target
        elif isinstance(row, PutText) and "/trees/" in row.path:
            assert json.loads(path.read_text()) == json.loads(row.text)
        elif isinstance(row, PutText):
            assert path.read_text() == row.text
    said = {row.path for row in found.placements}  # type: ignore[union-attr]
    folder = cache / str(found.folder).partition("/")[0]
    there = {
        path.relative_to(cache).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert there == said


GATES = {
    "": ("token-missing", "hf auth login"),
    "hf_unknown": ("token-refused", "settings/tokens"),
    "hf_demo_no_licence": ("licence-not-accepted", "accept them at https://huggingface.co/"),
    "hf_demo_denied": ("access-denied", "ask its owners"),
}


@pytest.mark.parametrize("token", GATES)
def test_each_reason_at_the_gate_has_its_own_code_and_says_what_to_do(
    configured: Path, hub: DemoHub, token: str
) -> None:
    code, words = GATES[token]
    with hub_web(configured, token=token) as web, pytest.raises(ModelSetError) as caught:
        SOURCE.check_access(hub_model(COMMUNITY), web)
    failure = caught.value.failure
    assert failure.code == code
    assert words in failure.hint
    assert COMMUNITY in failure.message + failure.hint or code == "token-refused"
    assert "hf_" not in failure.message
    assert not [seen for seen in hub.requests if "/resolve/" in seen.path]


def test_the_four_messages_at_the_gate_differ(configured: Path) -> None:
    said = set()
    for token in GATES:
        with hub_web(configured, token=token) as web, pytest.raises(ModelSetError) as caught:
            SOURCE.check_access(hub_model(COMMUNITY), web)
        said.add((caught.value.failure.message, caught.value.failure.hint))
    assert len(said) == len(GATES)


def test_a_token_that_may_read_opens_the_gate(configured: Path, hub: DemoHub) -> None:
    with hub_web(configured, token="hf_demo") as web:
        SOURCE.check_access(hub_model(COMMUNITY), web)
    (seen,) = hub.requests
    assert seen.path.endswith("/auth-check")
    assert seen.had_authorization
