"""The text of the stand-in sentiment package."""

from __future__ import annotations

SUMMARY = "Demonstration stand-in for a sentiment analyser; not the real vaderSentiment"

INIT = '"""Demonstration stand-in for a sentiment analyser; not the real vaderSentiment."""\n'

ANALYSER = '''"""Adds up what the words of a text are worth."""

import math
import re
from pathlib import Path

NEGATIONS = {"not", "no", "never", "nothing", "without", "cannot"}
STRONGER = {"very": 0.3, "really": 0.3, "so": 0.3, "slightly": -0.3, "somewhat": -0.3}


class SentimentIntensityAnalyzer:
    """Judges the feeling of texts by a lexicon."""

    def __init__(self, lexicon_file="vader_lexicon.txt"):
        path = Path(__file__).parent / lexicon_file
        rows = (line.split("\\t") for line in path.read_text(encoding="utf-8").splitlines())
        self.lexicon = {row[0]: float(row[1]) for row in rows if len(row) > 1}

    def polarity_scores(self, text):
        """Return the shares of bad, plain and good words, and one number from -1 to 1."""
        words = re.findall(r"[a-z]+(?:'[a-z]+)?", text.lower())
        worth = [self._worth(words, at) for at in range(len(words))]
        total = sum(worth) + _shouted(text, sum(worth))
        good = sum(value + 1 for value in worth if value > 0)
        bad = sum(1 - value for value in worth if value < 0)
        plain = sum(1 for value in worth if value == 0)
        parts = good + bad + plain or 1
        return {
            "neg": round(bad / parts, 3),
            "neu": round(plain / parts, 3),
            "pos": round(good / parts, 3),
            "compound": round(total / math.sqrt(total * total + 15), 4),
        }

    def _worth(self, words, at):
        value = self.lexicon.get(words[at], 0.0)
        if not value:
            return 0.0
        before = words[max(0, at - 3):at]
        value += math.copysign(sum(STRONGER.get(word, 0.0) for word in before), value)
        negated = any(word in NEGATIONS or word.endswith("n't") for word in before)
        return -0.75 * value if negated else value


def _shouted(text, total):
    loud = 0.3 * min(text.count("!"), 4)
    return math.copysign(loud, total) if total else 0.0
'''
