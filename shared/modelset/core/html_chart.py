"""Bars as inline SVG, with the figures beside them for those who cannot see the bars."""

from collections.abc import Sequence

from modelset.core.values import dataclass

_WIDTH, _ROW, _LEFT, _FULL, _HIGH = 900, 26, 260, 330, 16


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
        parts += [
            f'<text x="0" y="{top + 17}">{row.name}</text>',
            *_rail(row, most, _LEFT, top + 5),
            f'<text x="{_LEFT + _FULL + 10}" y="{top + 17}">{row.words}</text>',
        ]
    return "\n".join([*parts, "</svg>"])


def strip(row: Bar, most: float) -> str:
    """One bar alone, for a cell of a table that says its name and figure; as wide as the cell."""
    opened = f'<svg aria-hidden="true" viewBox="0 0 {_FULL} {_HIGH}" preserveAspectRatio="none">'
    return "".join([opened, *_rail(row, most or 1, 0, 0), "</svg>"])


def _rail(row: Bar, most: float, left: int, top: int) -> list[str]:
    wide = max(_FULL * row.value / most, 2 if row.value else 0)
    kind = "bad" if row.is_bad else "bar"
    return [
        f'<rect class="rail" x="{left}" y="{top}" width="{_FULL}" height="{_HIGH}"/>',
        f'<rect class="{kind}" x="{left}" y="{top}" width="{wide:.1f}" height="{_HIGH}"/>',
    ]
