"""Keeps what TOML texts became, as `__pycache__` keeps what programs did: parsing them, and
loading the parser, is a fifth of a check.
"""

import contextlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.reading import parse_toml
from modelset.store.files import is_there, read_text, write_json

Document = Mapping[str, Any]

# A text with a password in an address is parsed every time rather than kept a second time.
_PASSWORD = re.compile(r"://[^/\s]*@")


class Documents:
    """TOML texts and their documents, kept in a file from run to run.

    A document is found by its whole text, so it can never be out of date. A file that cannot be
    read, or not written, costs time and nothing else; without a path nothing is kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[str, Document] = {}
        self._used: dict[str, Document] = {}
        with contextlib.suppress(ModelSetError, ValueError, TypeError, RecursionError):
            rows = json.loads(read_text(path) or "[]") if path else []
            self._kept = {text: document for text, document in rows if isinstance(document, dict)}

    def parse(self, text: str) -> Document:
        """The document of a text, not to be changed; raises as tomllib does, a ValueError."""
        if text not in self._used:
            kept = self._kept.get(text)
            self._used[text] = parse_toml(text) if kept is None else kept
        return self._used[text]

    def keep(self) -> None:
        """Write down what this run used, when an earlier one has not, where a folder is ready."""
        used = {text: row for text, row in self._used.items() if not _PASSWORD.search(text)}
        known = used.keys() <= self._kept.keys()
        if self._path and not known and is_there(self._path.parent):
            with contextlib.suppress(TypeError):  # TOML has dates, JSON has none
                write_json(self._path, list(used.items()))
                self._kept = used
