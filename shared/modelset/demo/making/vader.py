"""A sentiment lexicon in VADER's form, and the stand-in package that reads one."""

from __future__ import annotations

import math
from pathlib import Path

from modelset.demo.making import vader_source
from modelset.demo.making.sentiment_words import FEELINGS
from modelset.demo.making.wheel_file import WheelSpec, wheel_bytes

VERSION = "3.3.2.post0"


def build_lexicon(folder: Path) -> None:
    """Write the lexicon by itself, as NLTK packs it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vader_lexicon.txt").write_bytes(lexicon_text().encode())


def build_vader_wheel(folder: Path) -> None:
    """Write the wheel into a folder."""
    spec = vader_wheel()
    (folder / spec.filename).write_bytes(wheel_bytes(spec))


def lexicon_text() -> str:
    """Return one line a word: the word, the mean, the deviation and the ten judgements.

    There is no line end after the last line, for NLTK reads one as a word.
    """
    return "\n".join(_line(word, mean) for word, mean in sorted(FEELINGS.items()))


def vader_wheel() -> WheelSpec:
    """Return the contents of the wheel."""
    package = "vaderSentiment"
    return WheelSpec(
        name=package,
        version=VERSION,
        summary=vader_source.SUMMARY,
        licence="MIT",
        files={
            f"{package}/__init__.py": vader_source.INIT.encode(),
            f"{package}/vaderSentiment.py": vader_source.ANALYSER.encode(),
            f"{package}/vader_lexicon.txt": lexicon_text().encode(),
        },
    )


def _line(word: str, mean: float) -> str:
    low, higher = divmod(round(mean * 10), 10)
    judgements = [low + 1] * higher + [low] * (10 - higher)
    deviation = math.sqrt(sum((judgement - mean) ** 2 for judgement in judgements) / 10)
    return f"{word}\t{mean}\t{deviation:.5f}\t{judgements}"
