"""Rows 30 to 49 and 54: what happens to a disk, to a process, and to the files of a store."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.faults.answers import MIB, File, bytes_of
from tests.faults.places import SmallDisk, small_disk, without_rights
from tests.faults.project import await_true
from tests.faults.rows.row import PART, Ground, Row, Verdict, delivered, refused
from tests.faults.rows.store import OWN_ROWS
from tests.faults.rows.tools import Ended, Tool
from tests.faults.shim import shim

SMALL, MIDDLE, LARGE = 2 * MIB, 8 * MIB, 24 * MIB
ENOUGH_S = 40.0
YEAR_S = 365 * 24 * 3600
LEFT = (".incomplete", ".part", ".aria2")


# ---- killed ----------------------------------------------------------------------------------


def _killed(tool: Tool, ground: Ground, percent: int) -> Verdict:
    """The server falls silent at a percentage; the bytes up to there are here when it strikes."""
    data = bytes_of("m", LARGE)
    stop = LARGE * percent // 100
    wanted = ground.put("m", data, File(data, stop_at=stop))
    tool.broken_off("m", lambda: wanted.sent >= stop)
    open_then = {request.connection for request in wanted.script.requests}
    wanted.script.change(File(data))
    verdict = delivered(
        tool.fetch("m", ENOUGH_S), wanted, most=LARGE + min(PART * len(open_then), LARGE // 2)
    )
    left = [path.name for path in _files(tool.folder) if path.name.endswith(LEFT)]
    return Verdict(False, "leaves an orphan") if verdict.passed and left else verdict


def _flipped(tool: Tool, ground: Ground) -> Verdict:
    """One bit of what a killed run left turns over."""
    data = bytes_of("m", LARGE)
    stop = LARGE // 2
    wanted = ground.put("m", data, File(data, stop_at=stop))
    tool.broken_off(
        "m",
        lambda: (
            wanted.sent >= stop
            and max((path.stat().st_size for path in _files(tool.folder)), default=0) > MIB
        ),
    )
    kept = max(_files(tool.folder), key=lambda path: path.stat().st_size)
    with kept.open("r+b") as stream:
        stream.seek(100_000)
        byte = stream.read(1)[0]
        stream.seek(100_000)
        stream.write(bytes([byte ^ 4]))
    wanted.script.change(File(data))
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


# ---- a disk that is full, small, or not for us ------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder in which a tool stores; `under` makes curl and aria2c work in it."""

    path: Path
    under: tuple[str, ...] = ()


def _shelf(tool: Tool) -> Shelf:
    place = {"modelset": "models", "hf": "hub"}.get(tool.name)
    if place:
        return Shelf(tool.folder / place)
    path = tool.folder / "small"
    path.mkdir(parents=True)
    (path / "input.txt").symlink_to("../input.txt")
    return Shelf(path, ("sh", "-c", 'cd "$0" && exec "$@"', str(path)))


def _file_on(shelf: Shelf, tool: Tool, name: str) -> Path:
    file = tool.file(name)
    return file.relative_to(shelf.path if file.is_relative_to(shelf.path) else tool.folder)


@dataclass(frozen=True, slots=True)
class Stored:
    """A tool that stores on a small disk of its own."""

    tool: Tool
    shelf: Shelf
    disk: SmallDisk

    def ended(self, ended: Ended, name: str) -> Ended:
        """The same end, with the file as it lies on that disk."""
        file = self.disk.seen / _file_on(self.shelf, self.tool, name)
        error = _error_code(ended.output) if ended.ours and not ended.failure else ended.failure
        return replace(ended, file=file if file.exists() else None, failure=error)


def _stored(tool: Tool, ground: Ground, options: str) -> Stored:
    shelf = _shelf(tool)
    disk = ground.kept.enter_context(small_disk(shelf.path, options))
    assert disk is not None, "no user namespaces"
    if shelf.under:
        (disk.seen / "input.txt").symlink_to(tool.folder / "input.txt")
    tool.under = (*disk.under, *(shelf.under or ("sh", "-c", 'cd "$0" && exec "$@"',
                                                 str(tool.folder))))  # fmt: skip
    return Stored(tool, shelf, disk)


def _error_code(output: str) -> str:
    """The code of a failure that concerns the whole run."""
    with suppress(ValueError, KeyError):
        return str(json.JSONDecoder().raw_decode(output)[0]["data"]["error"]["code"])
    return ""


def _full_at_plan(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", bytes_of("m", LARGE))
    stored = _stored(tool, ground, "size=12m")
    verdict = refused(stored.ended(tool.fetch("m", ENOUGH_S), "m"), "disk-full")
    if verdict.passed and wanted.sent > MIB:
        return Verdict(False, f"fetches {wanted.sent // MIB} MiB first")
    return verdict


def _full_midway(tool: Tool, ground: Ground) -> Verdict:
    """Something else takes the space that was there when the download began; modelset itself
    begins only where 64 MiB stay free.
    """
    data = bytes_of("m", LARGE)
    wanted = ground.put("m", data, File(data, stop_at=LARGE // 2))
    stored = _stored(tool, ground, "size=100m")
    running = tool.start("m")
    await_true("half of it", lambda: wanted.sent >= LARGE // 2)
    ballast = stored.disk.seen / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as stream:
        while True:
            stream.write(bytes(MIB))
    wanted.script.change(File(data))  # for the tries that follow the silence
    ended = stored.ended(tool.finish("m", running, ENOUGH_S), "m")
    verdict = delivered(ended, wanted)
    if verdict.passed:  # it had taken the space before it began
        return verdict
    verdict = refused(ended, "disk-full")
    ballast.unlink()
    if not verdict.passed:
        return verdict
    before = wanted.sent
    again = delivered(
        stored.ended(tool.fetch("m", ENOUGH_S), "m"), wanted, most=before + LARGE // 2 + PART
    )
    return verdict if again.passed else Verdict(False, f"with space again: {again.words}")


def _too_large(tool: Tool, ground: Ground) -> Verdict:
    """A file system that takes no file of more than 4 MiB."""
    ground.put("m", bytes_of("m", MIDDLE))
    tool.under = ("prlimit", f"--fsize={4 * MIB}")
    return refused(tool.fetch("m", ENOUGH_S), "disk-full")


def _read_only(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", bytes_of("m", SMALL))
    shelf = _shelf(tool)
    shelf.path.mkdir(parents=True, exist_ok=True)
    shelf.path.chmod(0o555)
    ground.kept.callback(shelf.path.chmod, 0o755)
    rights = without_rights()
    assert rights is not None, "root cannot give up its rights"
    tool.under = (*rights, *shelf.under)
    return refused(tool.fetch("m", ENOUGH_S), "store-not-writable")


# ---- several at once, and what they rely on -----------------------------------------------------


def _two(tool: Tool, ground: Ground, *, lie: bool = False) -> Verdict:
    data = bytes_of("m", MIDDLE)
    wanted = ground.put("m", data, File(data, piece=MIB // 2, pause_s=0.05))
    if lie:
        tool.env |= shim("flock", do="lie")
    both = [tool.start("m"), tool.start("m")]
    for number, running in enumerate(both):
        verdict = delivered(tool.finish("m", running, ENOUGH_S), wanted)
        if not verdict.passed:
            return Verdict(False, f"{('first', 'second')[number]}: {verdict.words}")
    return Verdict(True, f"ok, {wanted.sent / MIDDLE:.1f} x its bytes")


def _clock(tool: Tool, ground: Ground, by_s: int) -> Verdict:
    data = bytes_of("m", MIDDLE)
    wanted = ground.put("m", data, File(data, piece=MIB // 4, pause_s=0.06))
    tool.env |= shim(jump_s=by_s, jump_after_ms=900)
    return delivered(tool.fetch("m", ENOUGH_S), wanted, most=MIDDLE + MIB)


# ---- names and links -------------------------------------------------------------------------


def _no_links(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", bytes_of("m", SMALL))
    ground.put("m", b"{}", file="config.json")
    tool.env |= shim("symlink", do=errno.EPERM)
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _names(tool: Tool, ground: Ground) -> Verdict:
    names = ["n" * 251 + ".bin", "Weights.bin", "weights.bin", "aux.json"]
    several = [ground.put("m", bytes_of(name, 10_000), file=name) for name in names]
    ended = tool.fetch("m", ENOUGH_S)
    for wanted in several:
        file = tool.file("m").with_name(wanted.file)
        found = replace(ended, file=file if file.exists() else None)
        verdict = delivered(found, wanted)
        if not verdict.passed:
            return Verdict(False, f"{wanted.file[:12]}: {verdict.words}")
    return Verdict(True, "ok")


def _planted(tool: Tool, ground: Ground) -> Verdict:
    """Where the file belongs, somebody has put a link to a file of the user's."""
    wanted = ground.put("m", bytes_of("m", SMALL))
    precious = ground.folder / "precious.txt"
    precious.write_text("precious")
    place = tool.file("m")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(precious)
    ended = tool.fetch("m", ENOUGH_S)
    if precious.read_text(errors="replace") != "precious":
        return Verdict(False, "writes through the link")
    return delivered(ended, wanted)


def _planted_partial(tool: Tool, ground: Ground) -> Verdict:
    """The partial file of a killed run has become a link to a file of the user's."""
    data = bytes_of("m", LARGE)
    wanted = ground.put("m", data, File(data, stop_at=LARGE // 2))
    tool.broken_off("m", lambda: wanted.sent >= LARGE // 2)
    precious = ground.folder / "precious.bin"
    precious.write_bytes(b"precious")
    found = max(_files(tool.folder), key=lambda path: path.stat().st_size)
    found.unlink()
    found.symlink_to(precious)
    wanted.script.change(File(data))
    ended = tool.fetch("m", ENOUGH_S)
    if precious.read_bytes() != b"precious":
        return Verdict(False, "writes through the link")
    if ended.file is not None and ended.file.resolve() == precious:
        return Verdict(False, "a link under the file's name")
    if ended.ours and ended.failure == "store-not-writable":
        return Verdict(True, "store-not-writable, exit 4")
    return delivered(ended, wanted)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a tool that are no links."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "compiled" not in path.parts:
            yield path


NAMESPACES = ("unshare", "nsenter")
RESUMES = "After a kill at most 8 MiB for each connection come again, and nothing is left over."
FULL = "A full disk is exit 7; what is there stays as it was, and the next run resumes."
SAFE = "Nothing depends on a file lock: two processes on one store end with the right file."
TIMERS = "Timers are monotonic: a clock that is set changes nothing."
OUTSIDE = "Nothing is written outside the store, through no link either."
NO_LINKS = "it makes no links"

ROWS: tuple[Row, ...] = (
    Row(30, "kill-at-1", "kill -9 at 1 %", RESUMES, partial(_killed, percent=1)),
    Row(30, "kill-at-50", "kill -9 at 50 %", RESUMES, partial(_killed, percent=50)),
    Row(30, "kill-at-99", "kill -9 at 99 %", RESUMES, partial(_killed, percent=99)),
    Row(34, "full-at-plan", "a disk of 12 MB for a file of 24 MiB",
        "A disk that cannot take the plan is refused before the first byte.", _full_at_plan,
        needs=NAMESPACES),
    Row(34, "full-midway", "the disk fills up in the middle", FULL, _full_midway,
        needs=NAMESPACES),
    Row(35, "file-too-large", "a file system that takes no file of that size (EFBIG)",
        "A file that the file system refuses is exit 7.", _too_large, needs=("prlimit",)),
    Row(37, "read-only-store", "a store without the right to write",
        "It says so and how to go on; exit 4.", _read_only, needs=("setpriv",)),
    Row(38, "lying-lock", "two processes, and flock that succeeds without locking", SAFE,
        partial(_two, lie=True), needs=("cc",)),
    Row(39, "two-processes", "two processes fetch the same file at once", SAFE, _two),
    Row(41, "no-links", "symbolic links are refused (EPERM)",
        "Without links the Hub's cache is made of hard links or copies.", _no_links,
        not_for=("curl", "aria2c"), why_not=NO_LINKS, needs=("cc",)),
    Row(42, "names", "a name of 255 bytes, names that differ in case, a reserved name",
        "Every name that this file system takes is placed.", _names),
    Row(44, "planted-link", "a link to a file of the user's lies under the file's name", OUTSIDE,
        _planted),
    Row(44, "planted-partial", "the partial file has become a link to a file of the user's",
        OUTSIDE, _planted_partial),
    Row(48, "partial-flipped", "one bit of the partial file turns over",
        "All bytes count for the digest, those of earlier runs too.", _flipped),
    Row(54, "clock-ahead", "the clock jumps ahead a year in the middle", TIMERS,
        partial(_clock, by_s=YEAR_S), needs=("cc",)),
    Row(54, "clock-back", "the clock jumps back a year in the middle", TIMERS,
        partial(_clock, by_s=-YEAR_S), needs=("cc",)),
    *OWN_ROWS,
)  # fmt: skip
