"""`.env` texts: what counts, what is refused by the number of its line, what is never said."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelset.core.dotenv import parse_dotenv


def values(text: str) -> dict[str, str]:
    found, problems = parse_dotenv(text, where=".env")
    assert problems == []
    return found


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ("export\tA=b", "b"),
        ("  A = b  ", "b"),
        ("A=", ""),
        ("A=b c", "b c"),
        ("A=b # why", "b"),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A= #b", ""),
        ("A= 'b'", "b"),
        ("A='b # c'", "b # c"),
        ("A='b' # c", "b"),
        ('A="b"', "b"),
        ('A="b \\" c"', 'b " c'),
        ('A="b\\nc\\td\\\\"', "b\nc\td\\"),
        ("A='b\\nc'", "b\\nc"),
        ('A="C:\\models"', "C:\\models"),
        ("A=C:\\new", "C:\\new"),
        ("A=it's", "it's"),
        ("A=b=c==", "b=c=="),
        ("A=b\r", "b"),
        ("A=ключ", "ключ"),
        ('A=""', ""),
    ],
)
def test_a_value_is_what_a_reader_expects(line: str, value: str) -> None:
    assert values(line) == {"A": value}


@pytest.mark.parametrize("text", ["$HOME", "${HOME}", "$(id)", "`id`", '"$HOME"', "'$HOME'"])
def test_nothing_is_looked_up_or_run(text: str) -> None:
    assert values(f"A={text}") == {"A": text.strip("'\"")}


def test_blank_lines_comments_and_a_mark_at_the_beginning_are_nothing() -> None:
    text = "\ufeffA=1\n\n  # B=2\n#C=3\r\n\r\nexport D=4\nA=5\n"

    assert values(text) == {"A": "5", "D": "4"}


def test_a_line_separator_of_another_kind_stays_in_its_value() -> None:
    assert values("A=b\u2028c\x0bd") == {"A": "b\u2028c\x0bd"}


@pytest.mark.parametrize(
    "line",
    [
        "hunter2secret",
        "=hunter2secret",
        "hunter2-secret=1",
        "2hunter2secret=1",
        "A B=hunter2secret",
        "export hunter2secret",
        "A='hunter2secret",
        'A="hunter2secret',
        'A="hunter2secret\\"',
        "A='x'hunter2secret",
        'A="x" hunter2secret',
        "A=hunter2secret\0",
        "A: hunter2secret",
    ],
)
def test_a_line_that_is_none_is_named_by_its_number_alone(line: str) -> None:
    found, problems = parse_dotenv(f"# one\nB=2\n{line}\nC=3", where="x/.env")

    assert len(problems) == 1
    assert problems[0].startswith("x/.env:3: ")
    assert "hunter2" not in problems[0]
    assert found == {"B": "2", "C": "3"}


def test_every_problem_is_said_at_once() -> None:
    _, problems = parse_dotenv("a\nB=1\n'c'\nD='", where=".env")

    assert [row.split(":")[1] for row in problems] == ["1", "3", "4"]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    found, problems = parse_dotenv(text, where="f")

    assert len(found) + len(problems) <= text.count("\n") + 1
    assert all(name.isidentifier() and name.isascii() for name in found)
    assert not any("\0" in value for value in found.values())


_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))


@given(_WORDS.filter(lambda word: "'" not in word))
def test_a_value_in_single_quotes_is_taken_as_it_is(word: str) -> None:
    assert values(f"A='{word}'") == {"A": word}


@given(_WORDS)
def test_a_value_in_double_quotes_may_hold_anything_escaped(word: str) -> None:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')

    assert values(f'A="{escaped}"') == {"A": word}


@pytest.mark.skipif(sys.platform == "win32", reason="asks a shell")
@pytest.mark.parametrize("word", ["b", "a b", "it's", 'say "x"', "a # b", "$HOME", "a\\b", "#"])
def test_a_shell_reads_the_same_from_what_it_would_write(word: str) -> None:
    if "'" in word:
        line = 'export A="{}"'.format(word.replace("\\", "\\\\").replace('"', '\\"'))
    else:
        line = f"export A={shlex.quote(word)}"
    shell = subprocess.run(
        ["sh", "-c", f'{line}\nprintf %s "$A"'],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert values(line)["A"] == shell.stdout == word
