"""Bounds of a run's rate, as people write them: `20M`, `off`, or by the hour of the day."""

import re

from modelset.core.values import dataclass

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]i?)?(?:B(?:/s)?)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_ROW = re.compile(r"(\d{1,2}):(\d{2}),(\S+)")
_DAY = 24 * 60
# Below this a connection could not even be kept alive.
_LEAST = 1000


@dataclass(frozen=True, slots=True)
class Timetable:
    """Bytes a second from each minute of the day on, in their order; 0 stands for no bound."""

    rows: tuple[tuple[int, float], ...] = ((0, 0.0),)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a bound at any time of the day."""
        return any(rate for _, rate in self.rows)

    def rate_at(self, minute: int) -> float:
        """The bound at a minute of the day; before the first row, the last of yesterday holds."""
        passed = [rate for start, rate in self.rows if start <= minute]
        return passed[-1] if passed else self.rows[-1][1]


def parse_timetable(text: str) -> Timetable:
    """The bounds that a text means: one rate, or rows of `HH:MM,RATE`; ValueError in words."""
    if not text.strip():
        raise ValueError("empty")
    if "," not in text:
        return Timetable(((0, _rate(text)),))
    rows = {}
    for word in text.split():
        found = _ROW.fullmatch(word)
        minute = int(found[1]) * 60 + int(found[2]) if found else _DAY
        if found is None or minute >= _DAY or int(found[2]) > 59:
            raise ValueError(f"{word} is not HH:MM,RATE")
        rows[minute] = _rate(found[3])
    return Timetable(tuple(sorted(rows.items())))


def _rate(text: str) -> float:
    if text.strip().lower() in ("off", "0"):
        return 0.0
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text} is not a rate such as 500K, 20M or off")
    rate = float(found[1]) * _UNITS[(found[2] or "").lower()]
    if rate < _LEAST:
        raise ValueError(f"{text} is less than 1K")
    return rate
