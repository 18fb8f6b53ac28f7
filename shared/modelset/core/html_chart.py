"""Bars as inline SVG, with the figures beside them for those who cannot see the bars."""

from collections.abc import Sequence

from modelset.core.values import dataclass

_WIDTH, _ROW, _LEFT, _FULL = 900, 26, 260, 330


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: its name as escaped HTML, its length, and its figure in words."""

    name: str
    value: float
    words: str
    is_bad: bool = False


def bars(rows: Sequence[Bar], title: str) -> str:
    """A chart of bars from the left, the longest as wide as there is room."""
    most = max((row.value for row in rows), default=0) or 1
    height = _ROW * max(len(rows), 1)
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" aria-label="{title}">',
        f"<title>{title}</title>",
    ]
    for number, row in enumerate(rows):
        top = number * _ROW
        wide = max(_FULL * row.value / most, 2 if row.value else 0)
        kind = "bad" if row.is_bad else "bar"
        parts += [
            f'<text x="0" y="{top + 17}">{row.name}</text>',
            f'<rect class="rail" x="{_LEFT}" y="{top + 5}" width="{_FULL}" height="16"/>',
            f'<rect class="{kind}" x="{_LEFT}" y="{top + 5}" width="{wide:.1f}" height="16"/>',
            f'<text x="{_LEFT + _FULL + 10}" y="{top + 17}">{row.words}</text>',
        ]
    return "\n".join([*parts, "</svg>"])
