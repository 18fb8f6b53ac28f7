"""docs/errors.md lists exactly the codes that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import modelset
from modelset.core.errors import KINDS

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"\|\s*`([a-z-]+)`\s*\|\s*(\d+)\s*\|\s*(\S.*?)\s*\|\s*(\S.*?)\s*\|")


def rows() -> list[tuple[str, int, str, str]]:
    lines = (ROOT / "docs" / "errors.md").read_text("utf-8").splitlines()
    found = [ROW.fullmatch(line.strip()) for line in lines]
    return [(row[1], int(row[2]), row[3], row[4]) for row in found if row]


def test_every_code_is_documented_with_its_exit_code_and_no_other() -> None:
    assert {code: number for code, number, _, _ in rows()} == {
        code: kind.exit_code for code, kind in KINDS.items()
    }


def test_no_code_is_documented_twice_and_each_says_what_to_do() -> None:
    codes = [code for code, *_ in rows()]
    assert len(codes) == len(set(codes)) == len(KINDS)
    assert all(len(meaning) > 5 and len(advice) > 5 for _, _, meaning, advice in rows())


def test_every_code_in_the_sources_is_one_that_is_known() -> None:
    """A misspelt code would be a KeyError at the worst moment."""
    used = set()
    for path in Path(modelset.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelSetError":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    used.add(first.value)
    assert len(used) > 20
    assert used <= set(KINDS)
