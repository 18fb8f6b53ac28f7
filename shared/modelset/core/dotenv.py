"""Reads `.env` texts: one `KEY=VALUE` a line, and nothing in them is looked up or run."""

import re

_ROW = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)", re.DOTALL)
_LITERAL = re.compile(r"'([^']*)'")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r'\\([nrt"\\$`])')
_MEANT = {"n": "\n", "r": "\r", "t": "\t"}
# What may follow a value in quotes.
_REST = re.compile(r"[ \t]*(?:#.*)?", re.DOTALL)
# A `#` within a word belongs to it.
_COMMENT = re.compile(r"[ \t]+#.*", re.DOTALL)


def parse_dotenv(text: str, *, where: str) -> tuple[dict[str, str], list[str]]:
    """The variables of a text, and every problem with the number of its line.

    The last of two lines with one name counts, as in a shell. A problem repeats nothing of its
    line, because any part of that may be a secret.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        row = line.strip(" \t\r")
        if not row or row.startswith("#"):
            continue
        try:
            name, value = _variable(row)
        except ValueError as error:
            problems.append(f"{where}:{number}: {error}")
        else:
            found[name] = value
    return found, problems


def _variable(row: str) -> tuple[str, str]:
    if "\0" in row:
        raise ValueError("holds a character that no variable can")
    found = _ROW.fullmatch(row)
    if found is None:
        raise ValueError("is not KEY=VALUE")
    return found[1], _value(found[2])


def _value(raw: str) -> str:
    text = raw.lstrip(" \t")
    if text[:1] not in ("'", '"'):
        return _COMMENT.sub("", raw).strip(" \t")
    is_literal = text[0] == "'"
    quoted = (_LITERAL if is_literal else _QUOTED).match(text)
    if quoted is None:
        raise ValueError("a quote is not closed; a value ends on its line")
    if not _REST.fullmatch(text, quoted.end()):
        raise ValueError("something follows the closing quote")
    if is_literal:
        return quoted[1]
    return _ESCAPE.sub(lambda hit: _MEANT.get(hit[1], hit[1]), quoted[1])
