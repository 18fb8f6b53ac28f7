"""Draws on the terminal: data on stdout, words on stderr, plain where a stream cannot show more."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

WIDTH = 70
Mark = Literal["ok", "bad", "warn", "none"]

_MARKS: Mapping[Mark, tuple[str, str, str]] = {
    "ok": ("✓", "+", "32"),
    "bad": ("✗", "x", "31"),
    "warn": ("!", "!", "33"),
    "none": (" ", " ", ""),
}


class Screen:
    """One command's output. With `as_json`, one document on stdout and nothing else there; with
    `events`, what happens is said as documents on stderr.
    """

    def __init__(self, *, as_json: bool, quiet: bool, color: bool, events: bool = False) -> None:
        self.as_json, self.quiet, self.events = as_json, quiet, events
        self._color = color and not as_json and sys.stdout.isatty()
        self._fancy = can_show(sys.stdout, "✓·")

    def title(self, words: str) -> None:
        """A headline between two rules."""
        self.line("=" * WIDTH)
        self.line(f"  {words}")
        self.line("=" * WIDTH)

    def line(self, text: str = "") -> None:
        """A line for people; silent with --quiet or --json."""
        if not self.quiet and not self.as_json:
            sys.stdout.write(self._plain(text) + "\n")
            sys.stdout.flush()  # words on stderr keep their place between these lines

    def row(self, mark: Mark, name: str, words: str = "", indent: int = 2) -> None:
        """A model: a mark, its name, and what is to be said of it."""
        fancy, simple, code = _MARKS[mark]
        sign = fancy if self._fancy else simple
        if self._color and code:
            sign = f"\x1b[{code}m{sign}\x1b[0m"
        gap = f"{name:<40} " if words and name else name
        self.line(f"{' ' * indent}{sign} {gap}{words}".rstrip())

    def table(self, columns: list[str], rows: list[list[str]]) -> None:
        """A table, as wide as the terminal allows."""
        if self.quiet or self.as_json:
            return
        from rich import box  # here, because check has to start fast and draws no table
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        wide = None if sys.stdout.isatty() else 120
        console = Console(no_color=not self._color, highlight=False, width=wide)
        table = Table(box=box.SIMPLE if self._fancy else box.ASCII, pad_edge=False)
        for column in columns:
            right = column in ("size", "need", "free")
            table.add_column(column, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(self._plain(cell)) for cell in row))  # no markup, whatever it says
        console.print(table)

    def document(self, data: Mapping[str, Any]) -> None:
        """The one document of a command, with --json."""
        if self.as_json:
            # Indented for people only: it takes several times as long.
            indent = 1 if sys.stdout.isatty() else None
            sys.stdout.write(json.dumps(data, indent=indent, ensure_ascii=not self._fancy) + "\n")
            sys.stdout.flush()  # here, where a reader that has gone is noticed

    def _plain(self, text: str) -> str:
        return text if self._fancy else text.encode("ascii", "replace").decode()


def say(words: str) -> None:
    """Words on stderr, whatever its encoding."""
    encoding = sys.stderr.encoding or "ascii"
    sys.stderr.write(words.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stderr.flush()


def say_error(message: str, hint: str) -> None:
    """An error, and the command that mends it."""
    for line in message.splitlines():
        say(f"error: {line}")
    if hint:
        say(f"hint: {hint}")


def can_show(stream: TextIO, text: str) -> bool:
    """Whether a stream's encoding holds a text."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
