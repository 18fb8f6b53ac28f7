"""Kinds of models, and runs of them that end at a chosen step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.wheels import make_wheel
from tests.faults.answers import File, bytes_of
from tests.faults.origin import Origin
from tests.faults.places import COMMIT, repository, running, snapshot, wheel
from tests.faults.project import Project
from tests.faults.shim import shim

DATA = bytes_of("steps", 150_000)
FILES = {"config.json": b"{}", "sub/model.bin": DATA}
# Between two of these nothing changes but the contents of one file that nobody reads yet.
NAMES = "rename,unlink,symlink,link"
# Between two of these nothing becomes durable.
SYNCS = "fsync,rename,symlink,link"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model: how to add one, and where which bytes must lie in the end."""

    name: str
    add: Callable[[Project, Origin], str]
    places: Callable[[Project], dict[Path, bytes]]

    def is_whole(self, project: Project) -> bool:
        """Whether every byte is where a library looks."""
        return all(
            path.is_file() and path.read_bytes() == data
            for path, data in self.places(project).items()
        )


def _add_file(project: Project, origin: Origin) -> str:
    return project.model("m", origin.serve("/m", File(DATA)), DATA)


def _add_wheel(project: Project, origin: Origin) -> str:
    made = make_wheel(project.root / "home", "1.0", {"tiny_model/weights.bin": DATA})
    return wheel(project, origin, made)


ONE_FILE = Kind("one-file", _add_file, lambda project: {project.path("house:m"): DATA})
REPOSITORY = Kind(
    "repository",
    lambda project, origin: repository(project, origin, FILES),
    lambda project: (
        {snapshot(project) / name: data for name, data in FILES.items()}
        | {snapshot(project).parents[1] / "refs" / "main": COMMIT.encode()}
    ),
)
WHEEL = Kind(
    "wheel",
    _add_wheel,
    lambda project: {project.root / "site-packages" / "tiny_model" / "weights.bin": DATA},
)
KINDS = (ONE_FILE, REPOSITORY, WHEEL)


def strike(project: Project, key: str, at: int, do: str, calls: str, path: str = "*") -> bool:
    """Run until a step, where `do` happens; returns whether there was such a step."""
    rule = shim(calls, f"{project.root}/{path}", do=do, at=at)
    code = running(project, key, env=rule).code
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def start_again(project: Project) -> None:
    """Make the machine one that has started again, some minutes later."""
    boot = project.root / "home" / "boot_id"
    boot.write_text("11111111-2222-3333-4444-555555555555\n")
    before = time.time() - 300
    for path in project.root.rglob("*"):
        if path.name.startswith(".") or path.parent == project.downloads:
            os.utime(path, (before, before))
    project.env |= shim(swap=("/proc/sys/kernel/random/boot_id", boot))


def short_files(project: Project, kind: Kind) -> list[Path]:
    """The files that have their names, and not their bytes."""
    return [
        path
        for path, data in kind.places(project).items()
        if path.exists() and path.read_bytes() != data
    ]


def mended(project: Project, key: str, kind: Kind) -> str:
    """What is wrong after the next run, or nothing: every byte is there, and nothing else is."""
    ran = running(project, key, "--json")
    if ran.code != 0:
        return f"exit {ran.code}: {ran.stdout[-600:]}{ran.stderr[-300:]}"
    if not kind.is_whole(project):
        return "wrong bytes"
    left = [path for path in project.root.rglob("*") if path.name.endswith((".tmp", ".copy"))]
    if project.downloads.exists():
        left += project.downloads.iterdir()
    return f"left over: {left[0].name}" if left else ""
