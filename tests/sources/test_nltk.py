"""NLTK's index, and the folders in which its library looks for zipped packages."""

from __future__ import annotations

import pytest
from tests.contract.samples.nltk import ARCHIVE, BOMB, INDEX, LEXICON, ROW, index_of, row, web_of
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile
from modelset.core.types import Artifact
from modelset.sources.nltk import SOURCE

SHA256, MD5 = "sha256:" + ROW["sha256_checksum"], "md5:" + ROW["checksum"]


def test_the_index_alone_is_asked() -> None:
    web = web_of(row())
    pin = SOURCE.resolve(LEXICON, web)
    assert web.asked == [INDEX]
    name = "sentiment/thing_lexicon.zip"
    assert pin.artifacts == (Artifact(name, ARCHIVE, 90486, SHA256),)
    assert pin.revision == ROW["sha256_checksum"][:12]


@pytest.mark.parametrize(
    ("changes", "digest"),
    [
        ({}, SHA256),
        ({"checksum": None}, SHA256),
        ({"sha256_checksum": None}, MD5),
        ({"sha256_checksum": ""}, MD5),
    ],
)
def test_the_better_of_two_sums_is_taken(changes: dict[str, str | None], digest: str) -> None:
    assert SOURCE.resolve(LEXICON, web_of(row(**changes))).artifacts[0].digest == digest


def test_without_any_sum_the_index_is_odd() -> None:
    with pytest.raises(ModelSetError) as caught:
        SOURCE.resolve(LEXICON, web_of(row(checksum=None, sha256_checksum=None)))
    assert caught.value.failure.code == "bad-response"


def test_the_archive_stays_zipped_in_the_folder_of_its_kind() -> None:
    pin = SOURCE.resolve(LEXICON, web_of(row(subdir="corpora", unzip="1")))
    path = "corpora/thing_lexicon.zip"
    put = PutFile(path, pin.artifacts[0])
    assert SOURCE.layout(pin) == Layout("nltk", (put,), path, guarded=True)
    assert SOURCE.trace(pin.ref) == ("nltk", "*/thing_lexicon.zip")


def test_the_very_package_is_taken_wherever_it_stands() -> None:
    other = row(id="thing_lexicon_2", checksum="f" * 32, sha256_checksum=None)
    pin = SOURCE.resolve(LEXICON, web_of(other, row()))
    assert pin.artifacts[0].digest == SHA256


def test_a_package_that_the_index_has_not_got_is_said() -> None:
    with pytest.raises(ModelSetError, match=r"has no package thing_lexicon$") as caught:
        SOURCE.resolve(LEXICON, web_of(row(id="other")))
    assert caught.value.failure.code == "not-found"
    assert INDEX in caught.value.failure.hint


def test_an_index_that_declares_how_it_is_encoded_is_read() -> None:
    text = index_of(row()).replace('version="1.0"', 'version="1.0" encoding="ISO-8859-1"')
    assert SOURCE.resolve(LEXICON, FakeWeb(texts={INDEX: text})).artifacts[0].digest == SHA256


def test_an_index_that_would_grow_without_bound_is_stopped() -> None:
    with pytest.raises(ModelSetError, match="is odd") as caught:
        SOURCE.resolve(LEXICON, FakeWeb(texts={INDEX: BOMB}))
    assert caught.value.failure.code == "bad-response"


def test_an_entity_of_another_file_brings_nothing_of_it() -> None:
    text = index_of(row(subdir="SUB")).replace("SUB", "&e;")
    text = text.replace(
        "<nltk_data>", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><nltk_data>'
    )
    with pytest.raises(ModelSetError) as caught:
        SOURCE.resolve(LEXICON, FakeWeb(texts={INDEX: text}))
    assert caught.value.failure.code == "bad-response"


@pytest.mark.parametrize("package", ["../x", "/etc", "a\\b", "", "C:x"])
def test_a_package_that_is_no_name_is_refused(package: str) -> None:
    (problem,) = SOURCE.check_ref({"package": package})
    assert problem.startswith("ref.package: unsafe file name")
