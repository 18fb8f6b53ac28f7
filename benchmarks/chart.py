"""Horizontal bar charts as SVG, readable on light and dark pages."""

from collections.abc import Sequence
from html import escape

WIDTH, ROW, TOP, LABEL = 760, 26, 34, 250
BAR_WIDTH = WIDTH - LABEL - 90

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .bar { fill: #8c959f; }
  .own { fill: #1a7f37; }
  .mark { stroke: #cf222e; stroke-dasharray: 4 3; }
  .word { fill: #cf222e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .bar { fill: #6e7681; }
    .own { fill: #3fb950; }
    .mark { stroke: #ff7b72; }
    .word { fill: #ff7b72; }
  }
"""


def bars(
    title: str, unit: str, rows: Sequence[tuple[str, float]], mark: tuple[str, float] | None = None
) -> str:
    """One bar for each row, longest value to full width; `mark` is a line at a value.

    Rows that begin with our own name are coloured.
    """
    largest = max([value for _, value in rows] + [mark[1] if mark else 0.0]) or 1.0
    height = TOP + ROW * len(rows) + (ROW if mark else 8)
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    about = f'role="img" aria-label="{escape(title)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {about}>',
        f"<style>{_STYLE}</style>",
        _text(8, 20, title, 'class="title"'),
    ]
    for place, (name, value) in enumerate(rows):
        y = TOP + ROW * place
        width = max(1.0, value / largest * BAR_WIDTH)
        kind = "own" if name.startswith("modelset") else "bar"
        lines += [
            _text(LABEL - 8, y + 15, name, 'text-anchor="end"'),
            f'<rect class="{kind}" x="{LABEL}" y="{y + 2}" width="{width:.1f}" height="18"/>',
            _text(LABEL + width + 6, y + 15, f"{number(value)} {unit}"),
        ]
    if mark:
        x = LABEL + mark[1] / largest * BAR_WIDTH
        bottom = TOP + ROW * len(rows)
        anchor = "end" if x > WIDTH / 2 else "start"
        lines += [
            f'<line class="mark" x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}"/>',
            _text(
                x,
                bottom + 15,
                f"{mark[0]}: {number(mark[1])} {unit}",
                f'class="word" text-anchor="{anchor}"',
            ),
        ]
    return "\n".join([*lines, "</svg>", ""])


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{escape(words)}</text>'


def number(value: float) -> str:
    """A figure with about three digits."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
