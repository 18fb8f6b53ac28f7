"""How figures, needs and mistakes are said to people."""

from collections.abc import Iterable, Mapping
from typing import Final

# What a machine or its user can have, and how its absence is said to people.
NEED_WORDS: Final[Mapping[str, str]] = {
    "apple-silicon": "needs Apple Silicon",
    "cuda": "needs an NVIDIA GPU",
    "rocm": "needs an AMD GPU",
    "hf-token": "no Hugging Face token",
}


def size_text(size: int) -> str:
    """A size in bytes as people read it, in decimal units as disks and hubs use them."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB" if value < 99.5 else f"{value:.0f} GB"


def time_text(seconds: float) -> str:
    """A duration as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def suggestion(word: str, known: Iterable[str]) -> str:
    """What was probably meant, as the end of a sentence; empty when nothing is near."""
    return "".join(f"; did you mean `{name}`?" for name in close_to(word, known, 1))


def close_to(word: str, known: Iterable[str], number: int) -> list[str]:
    """The known words that are most like a word, best first."""
    from difflib import get_close_matches  # here, because only a mistake needs it

    return get_close_matches(word, known, n=number)
