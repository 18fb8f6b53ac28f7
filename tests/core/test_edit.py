"""One setting in a TOML text: changed, added, taken out, and not a character besides."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelset.core.edit import Setting, edited, toml_value

EXAMPLE = (Path(__file__).resolve().parents[2] / "modelset.example.toml").read_text("utf-8")


def test_a_value_is_replaced_and_the_comment_after_it_stays() -> None:
    text = "# mine\n[download]\nmax_workers = 3   # at a time\n\n[paths]\nlock = 'a'\n"

    assert edited(text, "download", "max_workers", 7) == text.replace("= 3", "= 7")
    assert edited(text, "paths", "lock", "b") == text.replace("'a'", '"b"')


def test_a_new_setting_goes_after_its_example_or_after_the_last_one() -> None:
    text = "[download]\na = 1\n#b = 2\n# c\n\n[paths]\n#lock = 'x'\n"

    assert edited(text, "download", "b", 5).splitlines()[2:4] == ["#b = 2", "b = 5"]
    assert edited(text, "download", "z", 5).splitlines()[:3] == ["[download]", "a = 1", "z = 5"]
    assert edited(text, "paths", "out", "o").splitlines()[5:7] == ["[paths]", 'out = "o"']


def test_a_section_that_is_missing_is_added_at_the_end() -> None:
    assert edited("", "download", "a", True) == "[download]\na = true\n"
    text = '[[model]]\nkey = "a:b"'
    assert edited(text, "paths", "lock", "x") == f'{text}\n\n[paths]\nlock = "x"\n'


def test_a_setting_is_taken_out_with_its_line() -> None:
    text = "[download]\na = 1 # one\nb = 2\n"

    assert edited(text, "download", "a", None) == "[download]\nb = 2\n"
    assert edited(text, "download", "c", None) == text
    assert edited(text, "paths", "c", None) == text


def test_line_ends_of_windows_stay() -> None:
    text = "[download]\r\na = 1\r\n"

    assert edited(text, "download", "a", 2) == "[download]\r\na = 2\r\n"
    assert edited(text, "download", "b", 2) == "[download]\r\na = 1\r\nb = 2\r\n"


@pytest.mark.parametrize(
    "text",
    [
        'x = """\n[download]\na = 1\n"""\n[download]\na = 1\n',
        "[other]\na = 1\n[download]\na = 1\n",
        "[download.below]\na = 1\n[download]\na = 1\n",
        "[ download ] # here\n 'a' = 1\n",
        "['download']\na=1\n",
        "download.a = 1\nb.a = 1\n",
        "[download]\nb = [\n  [1],\n]\na = 1\n",
        "[download]\nb = '''\na = 1\n'''\na = 1\n",
        "[download]\na = 1",
    ],
)
def test_it_is_found_wherever_toml_lets_it_stand(text: str) -> None:
    old = tomllib.loads(text)
    old["download"]["a"] = 9

    draft = edited(text, "download", "a", 9)

    assert tomllib.loads(draft) == old
    assert len(draft.rstrip("\n")) == len(text.rstrip("\n"))


@pytest.mark.parametrize(
    "text",
    [
        "download = { a = 1 }\n",
        "[download]\na = [\n1,\n]\n",
        '[download]\na = """\nx"""\n',
        "download = 1\n",
        "[[download]]\na = 1\n",
        "[download]\na.b = 1\n",
        "download.b = 1\n[download.c]\n",
    ],
)
def test_what_only_a_person_can_change_is_refused(text: str) -> None:
    tomllib.loads(text)

    with pytest.raises(ValueError, match=r"table|person"):
        edited(text, "download", "a", 9)


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        edited("[download\n", "download", "a", 1)


_VALUES = (
    st.text(st.characters(codec="utf-8"))
    | st.integers(-(2**60), 2**60)
    | st.booleans()
    | st.floats(allow_nan=False)
)


@given(_VALUES)
def test_a_value_is_read_back_as_it_was(value: Setting) -> None:
    back = tomllib.loads(f"a = {toml_value(value)}")["a"]

    assert (type(back), back) == (type(value), value)


@given(st.sampled_from(["max_workers", "limit_rate", "timeout", "unknown"]), _VALUES)
def test_the_example_keeps_every_line_but_one(name: str, value: Setting) -> None:
    draft = edited(EXAMPLE, "download", name, value)

    wanted = tomllib.loads(EXAMPLE)
    wanted["download"][name] = value
    assert tomllib.loads(draft) == wanted
    gone = [line for line in EXAMPLE.splitlines() if line not in draft.splitlines()]
    assert len(gone) <= 1
    assert edited(draft, "download", name, value) == draft


_PARTS = st.sampled_from(
    [
        *("[download]\n", "[paths]\n", "[[model]]\n", "[download.c]\n", "\n", "'''\n", "]\n"),
        *("a = 1\n", "b = 2\n", "# a = 3\n", "a = '''\n", "x = [\n", "a = [1]\n", '"a"=5\n'),
        "download.a = 4\n",
    ]
)


@given(st.lists(_PARTS).map("".join), st.sampled_from([7, "x", None]))
def test_any_text_is_changed_rightly_or_not_at_all(text: str, value: Setting | None) -> None:
    try:
        draft = edited(text, "download", "a", value)
    except ValueError:
        return
    wanted = tomllib.loads(text)
    if value is not None:
        wanted.setdefault("download", {})["a"] = value
    elif "a" in wanted.get("download", {}):
        del wanted["download"]["a"]
    assert tomllib.loads(draft) == wanted
