"""Runs commands that look after settings and machine, as the program runs every command."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tests.conftest import Project, Ran, run_process

ROWS = {
    "config": "every setting and where it came from, or one of them changed",
    "doctor": "what is wrong on this machine, offline, and what mends it",
    "completion": "what a shell runs to complete commands, options and keys",
}
PROGRAM = f"""
from modelset.cli import main
for name, words in {ROWS!r}.items():
    main.COMMANDS.setdefault(name, (name, (), words))
main.run()
"""


def run_own(
    project: Project, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
) -> Ran:
    """A command of the program, in a child process, on the test's own project."""
    return run_process(
        [sys.executable, "-c", PROGRAM, *arguments],
        env={**project.environ, **(env or {})},
        cwd=project.folder,
        timeout_s=timeout_s,
    )
