"""Repositories on GitHub, laid out as `torch.hub` looks for them."""

from __future__ import annotations

import pytest
from tests.contract.samples.torchhub import (
    API,
    BRANCH,
    PART,
    SAMPLES,
    TREE,
    WHOLE,
    blob,
    github_web_of,
    rows,
    tree_of,
    web_of,
)
from tests.fakes.samples import COMMIT, model, sha1
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import PutFile
from modelset.sources.torchhub import SOURCE

RAW = f"https://raw.githubusercontent.com/acme/thing/{COMMIT}/"


def test_the_commit_and_its_whole_tree_are_asked_for_and_nothing_else() -> None:
    web = SAMPLES["whole"].web()
    pin = SOURCE.resolve(WHOLE, web)
    assert web.asked == [f"{API}/commits/main", TREE]
    assert pin.revision == COMMIT


def test_a_revision_with_slashes_is_one_part_of_the_address() -> None:
    web = SAMPLES["branch"].web()
    assert SOURCE.resolve(BRANCH, web).revision == COMMIT
    assert web.asked[0] == f"{API}/commits/release%2Fv2.0"


def test_files_have_gits_digest_and_come_raw_by_the_commit() -> None:
    found = {row.name: row for row in SOURCE.resolve(WHOLE, SAMPLES["whole"].web()).artifacts}
    # Neither folders nor other repositories that are linked in.
    assert set(found) == {
        "README.md",
        "hubconf.py",
        "src/thing/model.py",
        "src/thing/data/weights.jit",
    }
    weights = found["src/thing/data/weights.jit"]
    assert weights.url == RAW + "src/thing/data/weights.jit"
    assert weights.digest == "git-sha1:" + sha1(repr("src/thing/data/weights.jit"))
    assert weights.size == 9


def test_an_odd_name_is_quoted_in_the_address_alone() -> None:
    pin = SOURCE.resolve(WHOLE, web_of(blob("src/a b#c?d%2f.py")))
    assert pin.artifacts[-1].name == "src/a b#c?d%2f.py"
    assert pin.artifacts[-1].url == RAW + "src/a%20b%23c%3Fd%252f.py"


def test_allow_keeps_what_matches_a_pattern() -> None:
    pin = SOURCE.resolve(PART, SAMPLES["part"].web())
    assert [row.name for row in pin.artifacts] == [
        "hubconf.py",
        "src/thing/model.py",
        "src/thing/data/weights.jit",
    ]


@pytest.mark.parametrize(
    ("repo", "revision", "folder"),
    [
        ("snakers4/silero-vad", "master", "snakers4_silero-vad_master"),
        ("snakers4/silero-vad", "v5.1", "snakers4_silero-vad_v5.1"),
        ("acme/thing", "release/v2.0/x", "acme_thing_release_v2.0_x"),
        ("acme/a_b.c", COMMIT, f"acme_a_b.c_{COMMIT}"),
        ("acme/.github", "main", "acme_.github_main"),
    ],
)
def test_the_folder_is_named_as_the_library_names_it(repo: str, revision: str, folder: str) -> None:
    ref = {"repo": repo, "revision": revision}
    assert SOURCE.check_ref(ref) == []
    assert SOURCE.trace(ref) == ("torch", folder)


def test_the_file_that_the_library_reads_first_comes_last() -> None:
    pin = SOURCE.resolve(WHOLE, SAMPLES["whole"].web())
    found = SOURCE.layout(pin)
    assert (found.root, found.folder) == ("torch", "acme_thing_main")
    paths = [row.path for row in found.placements if isinstance(row, PutFile)]
    assert paths == [
        "acme_thing_main/README.md",
        "acme_thing_main/src/thing/model.py",
        "acme_thing_main/src/thing/data/weights.jit",
        "acme_thing_main/hubconf.py",
    ]
    markers = [row.is_marker for row in found.placements if isinstance(row, PutFile)]
    assert markers == [False, False, False, True]


def test_a_file_of_that_name_in_a_sub_folder_is_no_marker() -> None:
    found = SOURCE.layout(SOURCE.resolve(WHOLE, web_of(blob("old/hubconf.py"))))
    last = found.placements[-1]
    assert isinstance(last, PutFile)
    assert (last.path, last.is_marker) == ("acme_thing_main/hubconf.py", True)
    assert not any(row.is_marker for row in found.placements[:-1] if isinstance(row, PutFile))


@pytest.mark.parametrize(
    ("ref", "lacking"),
    [
        ({"allow": ["src/*"]}, "hubconf.py"),
        ({"allow": ["*.md"], "required": ["src/*.jit", "*.md"]}, r"hubconf.py, src/\*.jit"),
        ({"required": ["*.onnx"]}, r"\*.onnx"),
    ],
)
def test_what_a_repository_lacks_is_named(ref: dict[str, object], lacking: str) -> None:
    wish = model("torchhub", {"repo": "acme/thing", "revision": "main", **ref})
    with pytest.raises(ModelSetError, match=f"acme/thing lacks {lacking}$") as caught:
        SOURCE.resolve(wish, SAMPLES["whole"].web())
    assert caught.value.failure.code == "not-found"
    assert "`allow`" in caught.value.failure.hint


def test_a_symbolic_link_among_the_wanted_files_is_refused() -> None:
    link = blob("src/link.py", mode="120000")
    with pytest.raises(ModelSetError, match=r"src/link\.py is a symbolic link"):
        SOURCE.resolve(WHOLE, web_of(link))


def test_a_symbolic_link_that_nobody_wants_does_not_matter() -> None:
    tree = tree_of([*rows(), blob("docs/link.md", mode="120000")])
    pin = SOURCE.resolve(PART, github_web_of({"sha": COMMIT}, tree))
    assert len(pin.artifacts) == 3


def test_a_tree_that_is_cut_short_is_refused() -> None:
    web = github_web_of({"sha": COMMIT}, tree_of(rows(), truncated=True))
    with pytest.raises(ModelSetError, match="it is too long") as caught:
        SOURCE.resolve(WHOLE, web)
    assert caught.value.failure.code == "bad-response"


def test_a_repository_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ModelSetError) as caught:
        SOURCE.resolve(WHOLE, FakeWeb())
    assert caught.value.failure.code == "not-found"


@pytest.mark.parametrize("repo", ["acme", "acme/", "/thing", "a/b/c", "../x", "acme/..", "a b/c"])
def test_a_repository_is_an_owner_and_a_name(repo: str) -> None:
    assert SOURCE.check_ref({"repo": repo, "revision": "main"}) == [
        "ref.repo: should be `owner/name`"
    ]


@pytest.mark.parametrize("revision", ["../x", "/etc", "a//b", "a\\b", ""])
def test_a_revision_that_is_no_name_is_refused(revision: str) -> None:
    (problem,) = SOURCE.check_ref({"repo": "acme/thing", "revision": revision})
    assert problem.startswith("ref.revision: unsafe file name")
