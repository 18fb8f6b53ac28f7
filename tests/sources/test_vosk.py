"""Vosk's list: addresses, sums, and the folder that the library finds by its name."""

from __future__ import annotations

import pytest
from tests.contract.samples.vosk import ARCHIVE, LIST, MD5, NAME, SMALL, row, web_of
from tests.fakes.samples import model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Unpack
from modelset.core.types import Artifact
from modelset.sources.vosk import SOURCE


def test_the_list_alone_is_asked() -> None:
    web = web_of(row())
    pin = SOURCE.resolve(SMALL, web)
    assert web.asked == [LIST]
    assert pin.artifacts == (Artifact(f"{NAME}.zip", ARCHIVE, 41_000_000, f"md5:{MD5}"),)
    assert pin.revision == MD5[:12]


def test_the_row_of_the_very_name_is_taken() -> None:
    longer = row(name=f"{NAME}-lgraph", md5="f" * 32)
    shorter = row(name=NAME.removesuffix(".1"), md5="e" * 32)
    pin = SOURCE.resolve(SMALL, web_of(longer, shorter, row()))
    assert pin.artifacts[0].digest == f"md5:{MD5}"


def test_an_address_of_another_host_is_taken_as_the_list_gives_it() -> None:
    elsewhere = "https://mirror.example.org/vosk/small.zip"
    pin = SOURCE.resolve(SMALL, web_of(row(url=elsewhere)))
    assert pin.artifacts[0].url == elsewhere
    assert pin.artifacts[0].name == f"{NAME}.zip"


@pytest.mark.parametrize("changes", [{"md5": ""}, {"md5": None}])
def test_without_a_sum_the_first_download_is_measured_by(changes: dict[str, object]) -> None:
    pin = SOURCE.resolve(SMALL, web_of(row(**changes)))
    assert pin.artifacts[0].digest == "first-use:" + sha256(ARCHIVE)
    assert not pin.is_exact


def test_a_row_without_the_field_of_the_sum_is_the_same() -> None:
    bare = {name: value for name, value in row().items() if name != "md5"}
    assert not SOURCE.resolve(SMALL, web_of(bare)).is_exact


def test_the_archive_becomes_the_folder_of_the_models_name() -> None:
    pin = SOURCE.resolve(SMALL, web_of(row()))
    unpack = Unpack(NAME, pin.artifacts[0], "top", ())
    assert SOURCE.layout(pin) == Layout("vosk", (unpack,), NAME)
    assert SOURCE.trace(pin.ref) == ("vosk", NAME)
    assert unpack.record == f".modelset-{MD5[:16]}.record"


@pytest.mark.parametrize("rows", [(), (row(name="other"),)])
def test_a_name_that_the_list_has_not_got_is_said(rows: tuple[object, ...]) -> None:
    with pytest.raises(ModelSetError, match=f"has no model {NAME}$") as caught:
        SOURCE.resolve(SMALL, web_of(*rows))
    assert caught.value.failure.code == "not-found"
    assert "names that it has" in caught.value.failure.hint


def test_an_odd_row_after_the_right_one_does_not_matter() -> None:
    assert SOURCE.resolve(SMALL, web_of(row(), {"odd": 1})).revision == MD5[:12]


@pytest.mark.parametrize("name", ["../x", "/etc", "a\\b", "", "a/../../b", "C:x"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    (problem,) = SOURCE.check_ref({"name": name})
    assert problem.startswith("ref.name: unsafe file name")


def test_a_name_that_is_no_text_is_refused() -> None:
    assert SOURCE.check_ref({"name": 5}) == ["ref.name: should be a text"]
    assert SOURCE.check_ref({}) == ["ref.name: a text is missing here"]


def test_a_list_that_is_not_there_is_not_found() -> None:
    with pytest.raises(ModelSetError) as caught:
        SOURCE.resolve(model("vosk", {"name": NAME}), FakeWeb())
    assert caught.value.failure.code == "not-found"
