"""Reads the pages of the documentation: code, tables, links and anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^([ ]*)```(\w*)[ ]*\n(.*?)^\1```[ ]*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code and its language, without the indent it stands at."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One page; `name` is its path from the root of the project."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return [
            Block(language, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
            for indent, language, text in _FENCE.findall(self.text)
        ]

    @cached_property
    def prose(self) -> str:
        return _FENCE.sub("", self.text)

    @cached_property
    def spans(self) -> list[str]:
        """What stands between single backticks."""
        return _SPAN.findall(self.prose)

    @cached_property
    def links(self) -> list[str]:
        return _LINK.findall(_SPAN.sub("", self.prose))

    @cached_property
    def anchors(self) -> set[str]:
        """The names that headings get, as GitHub makes them."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
        return {heading.strip().replace(" ", "-") for heading in kept}

    @cached_property
    def tables(self) -> list[list[dict[str, str]]]:
        """Each table as rows by column, cells without the blanks around them."""
        found = []
        for lines in re.findall(r"(?:^\|.*\|[ ]*\n)+", self.prose, re.MULTILINE):
            rows = [_cells(line) for line in lines.splitlines()]
            found.append([dict(zip(rows[0], row, strict=True)) for row in rows[2:]])
        return found

    def table(self, *columns: str) -> list[dict[str, str]]:
        """The one table whose columns begin with these."""
        (rows,) = [
            rows for rows in self.tables if rows and tuple(rows[0])[: len(columns)] == columns
        ]
        return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def code(cell: str) -> list[str]:
    """The code in a cell of a table."""
    return _SPAN.findall(cell)


README = Page("README.md")
GUIDE = Page("docs/MODEL_MANAGEMENT.md")
ERRORS = Page("docs/errors.md")
ADDING_A_SOURCE = Page("docs/adding-a-source.md")
PAGES = [
    README,
    Page("CHANGELOG.md"),
    *(Page(path.relative_to(ROOT).as_posix()) for path in sorted((ROOT / "docs").rglob("*.md"))),
]
