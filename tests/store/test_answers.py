"""What hosts answered is kept in few files, whichever processes write; the oldest go first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import SHARED

from modelset.store.answers import Answers

HEAD = {"etag": '"one"', "link": "<x>"}
KIND = "application/json"


def url_of(number: int) -> str:
    return f"https://example.org/{number}"


def keep(answers: Answers, number: int, body: bytes = b"body", *, at: int = 0) -> Path:
    """Keep an answer, as if at some second; returns its file."""
    folder = answers._folder
    before = set(folder.iterdir()) if folder.exists() else set()
    answers.keep(url_of(number), KIND, HEAD, body, private=False)
    (path,) = set(folder.iterdir()) - before
    os.utime(path, (at, at))
    return path


def known(answers: Answers, numbers: range) -> list[int]:
    return [number for number in numbers
            if answers.recall(url_of(number), KIND, private=False) is not None]  # fmt: skip


def test_what_is_kept_comes_back_word_for_word(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a")
    body = bytes(range(256)) + b"\n\n"
    answers.keep(url_of(1), KIND, HEAD, body, private=True)
    assert answers.recall(url_of(1), KIND, private=True) == (HEAD, body)
    assert answers.recall(url_of(1), KIND, private=False) is None
    assert answers.recall(url_of(1), "text/plain", private=True) is None
    assert answers.recall(url_of(2), KIND, private=True) is None
    answers.keep(url_of(1), KIND, {"etag": '"two"'}, b"", private=True)
    assert answers.recall(url_of(1), KIND, private=True) == ({"etag": '"two"'}, b"")


def test_of_too_many_the_one_that_nobody_asked_for_longest_goes(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a", most=3)
    for number in range(3):
        keep(answers, number, at=1000 + number)
    assert answers.recall(url_of(0), KIND, private=False) is not None  # which makes it young
    answers.keep(url_of(3), KIND, HEAD, b"body", private=False)
    assert known(answers, range(4)) == [0, 2, 3]


def test_all_together_are_bounded_and_so_is_each(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a", most_bytes=4000, largest=1500)
    for number in range(2):
        keep(answers, number, b"x" * 1500, at=1000 + number)
    answers.keep(url_of(2), KIND, HEAD, b"x" * 1500, private=False)
    answers.keep(url_of(3), KIND, HEAD, b"x" * 1501, private=False)
    answers.keep(url_of(4), KIND, {"etag": "x" * 20_000}, b"", private=False)
    assert known(answers, range(5)) == [1, 2]
    assert sum(path.stat().st_size for path in (tmp_path / "a").iterdir()) <= 4000


def test_files_of_others_stay(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a", most=1)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    for number in range(3):
        answers.keep(url_of(number), KIND, HEAD, b"body", private=False)
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="gives a file to somebody")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "a")
    path = keep(answers, 1)
    os.chown(path, 4321, 4321)
    assert known(answers, range(2)) == []


def test_where_nothing_can_be_hidden_what_is_private_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(tmp_path / "a")
    monkeypatch.setattr("modelset.store.answers.os.name", "nt")
    answers.keep(url_of(1), KIND, HEAD, b"body", private=True)
    assert not (tmp_path / "a").exists()


WRITE = """
import sys
from pathlib import Path
from modelset.store.answers import Answers
answers = Answers(Path(sys.argv[1]), most=5)
own = sys.argv[2]
for turn in range(60):
    body = (own * 5000).encode()
    answers.keep(f"https://example.org/{turn % 8}", "x", {"etag": own}, body, private=True)
    found = answers.recall(f"https://example.org/{turn % 8}", "x", private=True)
    if found is not None:
        headers, data = found
        assert data == (headers["etag"] * 5000).encode()
"""


def test_several_processes_write_and_every_answer_is_whole(tmp_path: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path / "a"), letter],
            env=os.environ | {"PYTHONPATH": str(SHARED), "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=subprocess.PIPE,
        )
        for letter in "abc"
    ]
    for process in running:
        _, words = process.communicate(timeout=60)
        assert process.returncode == 0, words.decode()
    files = list((tmp_path / "a").iterdir())
    assert 1 <= len(files) <= 8
    assert all(path.suffix == ".answer" for path in files)
