"""What every source says of a `ref`: names and kinds of fields, addresses, and single values."""

from __future__ import annotations

import pytest

from modelset.core.refs import check_url, is_kind, ref_problems, texts, value_problems
from modelset.core.types import check_name

FIELDS = {"name": str, "size": int, "allow": list, "extra": dict}


def problems(**ref: object) -> list[str]:
    return ref_problems("house", ref, FIELDS)


def test_a_right_ref_has_no_problem() -> None:
    assert problems() == []
    assert problems(name="", size=0, allow=[], extra={}) == []
    assert problems(name="x", size=10**30, allow=["a", "b"], extra={"a": "b"}) == []


@pytest.mark.parametrize("value", [5, None, ["x"], True, {}, b"x"])
def test_a_text_is_a_text(value: object) -> None:
    assert problems(name=value) == ["ref.name: should be a text"]


@pytest.mark.parametrize("value", ["5", -1, 1.5, True, False, None, [1]])
def test_a_number_is_whole_and_not_below_zero(value: object) -> None:
    assert problems(size=value) == ["ref.size: should be a whole number"]


@pytest.mark.parametrize("value", ["x", [1], ["x", None], ("x",), {"x": "y"}, [["x"]]])
def test_a_list_holds_texts(value: object) -> None:
    assert problems(allow=value) == ["ref.allow: should be a list of texts"]


@pytest.mark.parametrize("value", ["x", ["x"], {"a": 1}, {"a": ["b"]}, {"a": None}])
def test_a_table_holds_texts(value: object) -> None:
    assert problems(extra=value) == ["ref.extra: should be a table of texts"]


def test_every_problem_is_named_and_missing_fields_last() -> None:
    found = ref_problems("house", {"nmae": "x", "size": "1"}, FIELDS, ("name", "size", "allow"))
    assert found == [
        "ref.nmae: not a field of house",
        "ref.size: should be a whole number",
        "ref.name: a text is missing here",
        "ref.allow: a list of texts is missing here",
    ]


def test_what_a_check_says_of_a_text_or_of_each_in_a_list_is_told() -> None:
    ref: dict[str, object] = {"one": "../x", "many": ["a", "/b", "c/../d"], "other": 5}
    assert list(value_problems(ref, "one", check_name)) == ["ref.one: unsafe file name: '../x'"]
    assert list(value_problems(ref, "many", check_name)) == [
        "ref.many: unsafe file name: '/b'",
        "ref.many: unsafe file name: 'c/../d'",
    ]
    assert list(value_problems(ref, "other", check_name)) == []  # its kind is told already
    assert list(value_problems(ref, "none", check_name)) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/",
        "https://example.org:8443/a%20b?c=d#e",
        "http://127.0.0.1:9000/x",
        "https://[::1]/x",
        "https://example.org/a@b",
    ],
)
def test_an_address_names_a_host(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "/x", "//example.org/x", "file:///etc/passwd", "ftp://example.org/x", "https://",
        "https:///x", "https:example.org", "javascript://example.org/x", "https//example.org/x",
        "https://user@example.org/", "https://user:pw@example.org/", "https://:pw@example.org",
    ],
)  # fmt: skip
def test_what_is_no_address_or_holds_a_password_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"should be an https address|a user and a password"):
        check_url(url)


@pytest.mark.parametrize("url", ["https://[x/a", "https://example.org:x/"])
def test_an_address_that_nothing_can_read_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="should be an https address"):
        check_url(url)


def test_a_refused_address_is_not_repeated_with_its_password() -> None:
    with pytest.raises(ValueError) as caught:
        check_url("https://user:s3cret@example.org/")
    assert "s3cret" not in str(caught.value)


def test_texts_of_a_field_are_a_list_whatever_is_there() -> None:
    assert texts({"a": ["x", "y"]}, "a") == ["x", "y"]
    assert texts({"a": "x"}, "a") == texts({}, "a") == []


def test_true_is_no_number_and_a_text_no_list() -> None:
    assert not is_kind(True, int)
    assert not is_kind("x", list)
    assert is_kind(0, int)
