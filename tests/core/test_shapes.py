"""What an unpacked model lacks is told by its names and sizes, as far as they can tell."""

from __future__ import annotations

import pytest

from modelset.core.shapes import is_cut, lacking_for

SMALL = ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/HCLr.fst", "graph/Gr.fst")
STATIC = (*SMALL[:3], "graph/HCLG.fst", "graph/words.txt")
OLD = ("final.mdl", "mfcc.conf", "HCLG.fst")
SPEAKER = ("final.ext.raw", "mfcc.conf", "mean.vec", "transform.mat")


@pytest.mark.parametrize("names", [SMALL, STATIC, OLD, SPEAKER, (*SMALL, "README")])
def test_every_kind_of_model_is_whole_as_it_is(names: tuple[str, ...]) -> None:
    assert lacking_for("vosk", names) == ()


@pytest.mark.parametrize(
    ("names", "lacks"),
    [
        (SMALL[1:], ("am/final.mdl",)),
        (SMALL[:-1], ("graph/Gr.fst",)),
        (SMALL[:3], ("graph/HCLG.fst",)),
        (OLD[1:], ("final.mdl",)),
        (SPEAKER[:-1], ("transform.mat",)),
        ((), ("final.mdl", "mfcc.conf", "HCLG.fst")),
    ],
)
def test_what_lacks_is_of_the_nearest_kind(names: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    assert lacking_for("vosk", names) == lacks


def test_nothing_is_known_of_other_libraries() -> None:
    assert lacking_for("piper", ()) == ()


@pytest.mark.parametrize(
    ("archive", "size", "count", "cut"),
    [
        (41_205_931, 69_000_000, 15, False),  # as Vosk packs a small model
        (41_205_931, 41_205_000, 15, False),  # packed without being made smaller
        (41_205_931, 38_000_000, 15, True),
        (1_000, 10, 1, False),  # next to nothing: all of it may be the archive's own words
        (41_205_931, 0, 0, True),
    ],
)
def test_less_than_went_into_the_archive_is_seen(
    archive: int, size: int, count: int, cut: bool
) -> None:
    assert is_cut(archive, size, count) is cut
