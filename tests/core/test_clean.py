"""What goes and what stays, decided over plain values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelset.core.clean import (
    DAY_S,
    Item,
    Known,
    Name,
    Repo,
    Revision,
    Rules,
    Tally,
    decide,
    revisions_to_go,
)
from modelset.core.values import replace

NOW = 1_000_000_000.0
ALL = Rules()
REPO = "/hub/models--acme--tiny"
OLD, NEW = "a" * 40, "b" * 40


def name(path: str, size: int = 10, inode: int = 0, links: int = 1, used: float = 0.0) -> Name:
    return Name(path, size, (1, inode or hash(path)), links, used)


def revision(commit: str, *blobs: str, used: float = 0.0) -> Revision:
    folder = f"{REPO}/snapshots/{commit}"
    entries = tuple((f"{folder}/{blob}", f"{REPO}/blobs/{blob}") for blob in blobs)
    names = tuple(name(entry[0], used=used) for entry in entries)
    return Revision(folder, entries, names, (folder,))


def repo(*revisions: Revision, **refs: str) -> Repo:
    blobs = sorted({target for one in revisions for target in one.uses})
    named = {f"{REPO}/refs/{ref}": commit for ref, commit in refs.items()}
    return Repo(REPO, {path: name(path) for path in named}, named, revisions, (*map(name, blobs),))


def known(*revisions: Revision, **changes: Any) -> Known:
    """These revisions were put there by a pin of ours."""
    paths = [path for one in revisions for path in (one.folder, *sum(one.entries, ()))]
    return replace(Known(frozenset(), dict.fromkeys(paths, "whisper:tiny")), **changes)


def titles(repo: Repo, known: Known, rules: Rules = ALL) -> list[str]:
    return [item.title for item in revisions_to_go(repo, known, rules, NOW)]


GONE = [f"models--acme--tiny@{OLD[:12]}"]
ONE = revision(OLD, "x", "y")
TWO = revision(NEW, "y", "z")
BOTH = repo(ONE, TWO, main=NEW)


def test_an_earlier_revision_that_no_ref_names_goes_and_keeps_what_the_other_uses() -> None:
    (item,) = revisions_to_go(BOTH, known(ONE, TWO), Rules(), NOW)
    assert [item.title] == GONE
    assert (item.kind, item.key) == ("revision", "whisper:tiny")
    pool = {blob.path: blob for blob in BOTH.blobs}
    (step,) = decide([item], pool, set(TWO.uses)).steps
    assert [blob.path for blob in step.blobs] == [f"{REPO}/blobs/x"]
    assert step.size == 10 * len(item.names) + 10


@pytest.mark.parametrize(
    "why",
    [
        known(ONE, TWO, held=frozenset([ONE.folder])),
        known(TWO),  # nobody of ours has put it there
        known(revision(OLD, "x"), TWO),  # somebody else has added `y` to it
    ],
)
def test_a_revision_stays_that_is_held_or_not_ours(why: Known) -> None:
    assert titles(BOTH, why) == []


@pytest.mark.parametrize("ref", ["main", "v1"])
def test_any_ref_keeps_its_revision_whoever_wrote_it(ref: str) -> None:
    named = repo(ONE, TWO, **{ref: OLD})
    assert titles(named, known(ONE, TWO), Rules(foreign=True)) == [f"models--acme--tiny@{NEW[:12]}"]


def test_a_foreign_revision_goes_only_when_asked_for_and_not_on_its_first_day() -> None:
    assert titles(BOTH, known(TWO), Rules(foreign=True)) == GONE
    young = repo(revision(OLD, "x", used=NOW - DAY_S / 2), TWO, main=NEW)
    assert titles(young, known(TWO), Rules(foreign=True)) == []


def test_a_repository_that_nobody_understands_keeps_everything() -> None:
    odd = replace(BOTH, is_sound=False)
    assert titles(odd, known(ONE, TWO), Rules(foreign=True)) == []


def test_only_the_named_models_and_only_what_is_old_enough_go() -> None:
    ours = known(ONE, TWO)
    assert titles(BOTH, ours, Rules(keys=frozenset(["whisper:base"]))) == []
    assert titles(BOTH, ours, Rules(keys=frozenset(["whisper:tiny"]))) == GONE
    used = repo(revision(OLD, "x", used=NOW - 5 * DAY_S), TWO, main=NEW)
    assert titles(used, ours, Rules(unused_s=6 * DAY_S)) == []
    assert titles(used, ours, Rules(unused_s=4 * DAY_S)) == GONE


def test_a_clock_that_is_ahead_keeps_nothing_for_ever() -> None:
    ahead = repo(revision(OLD, "x", used=NOW + DAY_S), TWO, main=NEW)
    assert titles(ahead, known(ONE, TWO)) == GONE


def test_the_use_of_a_shared_blob_is_not_the_use_of_an_old_revision() -> None:
    blobs = (name(f"{REPO}/blobs/x", used=NOW - 9 * DAY_S), name(f"{REPO}/blobs/y", used=NOW))
    (item,) = revisions_to_go(replace(BOTH, blobs=blobs), known(ONE, TWO), Rules(), NOW)
    assert item.used == NOW - 9 * DAY_S


def test_an_orphan_takes_its_own_ref_along_first_but_not_somebody_elses() -> None:
    alone = repo(ONE, main=OLD)
    main = f"{REPO}/refs/main"
    orphan = known(ONE, orphans=frozenset(["whisper:tiny"]), own_refs=frozenset([main]))
    (item,) = revisions_to_go(alone, orphan, Rules(), NOW)
    assert item.kind == "orphan"
    assert item.names[0].path == main
    assert titles(repo(ONE, main=OLD, v1=OLD), orphan) == []
    assert titles(alone, replace(orphan, held=frozenset([main]))) == []


def item(kind: Any, title: str, *uses: str, used: float = 0.0, size: int = 0) -> Item:
    return Item(kind, title, "", (name(f"/{title}", size),), uses=uses, used=used)


def test_a_blob_goes_with_the_last_that_names_it_and_counts_once() -> None:
    pool = {"/blob": name("/blob", 100)}
    steps = decide([item("revision", "a", "/blob"), item("revision", "b", "/blob")], pool, set())
    assert [(step.item.title, step.size, len(step.blobs)) for step in steps.steps] == [
        ("a", 0, 0),
        ("b", 100, 1),
    ]


def test_what_somebody_else_names_frees_nothing() -> None:
    tally = Tally()
    assert tally.lose([name("/a", 7, inode=5, links=3)]) == 0
    assert tally.lose([name("/a", 7, inode=5, links=3), name("/b", 7, inode=5, links=3)]) == 0
    assert tally.lose([name("/c", 7, inode=5, links=3)]) == 7


def test_what_is_held_stays_whole_and_so_does_what_it_leads_to() -> None:
    pool = {"/x": name("/x"), "/y": name("/y")}
    items = [item("orphan", "a", "/x"), item("orphan", "b", "/y", "/a")]
    # `b` is held; it leads to `a`, which therefore stays too.
    assert decide(items, pool, {"/b"}).steps == ()


def test_of_what_nobody_names_only_what_is_ours_goes() -> None:
    pool = {"/ours": name("/ours", 5), "/theirs": name("/theirs", 5)}
    cleaning = decide(
        [], pool, set(), lambda one: item("blob", "ours") if one.path == "/ours" else None
    )
    assert [step.item.title for step in cleaning.steps] == ["ours"]


def test_a_bound_of_size_takes_the_longest_unused_and_no_more_than_it_asks_for() -> None:
    items = [
        item("revision", "new", used=3, size=10),
        item("orphan", "old", used=1, size=10),
        item("revision", "middle", used=2, size=10),
        item("scratch", "rubbish", used=9, size=1),
    ]

    def kept(bound: int) -> list[str]:
        cleaning = decide(items, {}, set(), max_size=bound, total=100)
        assert cleaning.fits == (100 - cleaning.size <= bound)
        return [step.item.title for step in cleaning.steps]

    assert kept(99) == ["rubbish"]
    assert kept(98) == ["rubbish", "old"]
    assert kept(79) == ["rubbish", "old", "middle"]
    assert kept(10) == ["rubbish", "old", "middle", "new"]
    assert not decide(items, {}, set(), max_size=10, total=100).fits


PATHS = [f"/{letter}" for letter in "abcdefgh"]
ITEMS = st.lists(
    st.builds(
        lambda kind, own, uses, used: Item(
            kind, own, "", (name(own, 1),), uses=(*uses,), used=used
        ),
        st.sampled_from(["revision", "orphan", "scratch"]),
        st.sampled_from(PATHS),
        st.lists(st.sampled_from([*PATHS, *(f"/blob{path[1:]}" for path in PATHS)]), max_size=4),
        st.floats(0, 10),
    ),
    max_size=8,
    unique_by=lambda one: one.title,
)


@given(
    ITEMS,
    st.sets(st.sampled_from([*PATHS, *(f"/blob{path[1:]}" for path in PATHS)])),
    st.none() | st.integers(0, 40),
)
def test_nothing_that_is_held_or_that_something_which_stays_leads_to_ever_goes(
    items: list[Item], held: set[str], bound: int | None
) -> None:
    pool = {path: name(path, 3) for path in (f"/blob{path[1:]}" for path in PATHS)}
    total = len(items) + 3 * len(pool)
    cleaning = decide(
        items,
        pool,
        held,
        lambda one: Item("blob", one.path, "", (one,)),
        max_size=bound,
        total=total,
    )
    gone = [one.path for step in cleaning.steps for one in (*step.item.names, *step.blobs)]
    chosen = {step.item.title for step in cleaning.steps}
    assert len(gone) == len(set(gone))
    assert not held & set(gone)
    for one in items:
        if one.title not in chosen:
            assert not set(one.uses) & set(gone)
    assert cleaning.size == sum(3 if path.startswith("/blob") else 1 for path in gone)
    # A file goes after everything that leads to it.
    place = {path: number for number, path in enumerate(gone)}
    for one in items:
        for use in one.uses:
            if one.title in chosen and use in place and use in pool:
                assert place[one.title] < place[use]
