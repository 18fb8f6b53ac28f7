"""One fault as a row: what happens to a tool on it, on ground of its own, and how it did."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.answers import MIB, File, Json
from tests.faults.origin import Answer, Exchange, Origin, Request
from tests.faults.origin import origin as running_origin
from tests.faults.project import Project

from modelset.core.errors import KINDS

if TYPE_CHECKING:
    from tests.faults.rows.tools import Ended, Tool

# What a connection that ends may cost: one part.
PART = 8 * MIB


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a tool did on a fault: whether as it should, and what happened in a few words."""

    passed: bool
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    """A fault of the matrix; several rows may share a number.

    `guarantee` is what modelset promises here. Without `rivals` nothing of theirs can be compared,
    and with `not_for` not of those tools, for the reason that `why_not` gives. `needs` names the
    programs without which it cannot be run.
    """

    number: int
    name: str
    fault: str
    guarantee: str
    run: Callable[[Tool, Ground], Verdict]
    rivals: bool = True
    not_for: tuple[str, ...] = ()
    why_not: str = ""
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class Script:
    """What the server answers to the GETs of one file: the first ones as listed, then the last.

    A Hub's client asks with HEAD before; that is answered as the Hub does, which is not counted:
    with `elsewhere`, it sends the client to another address.
    """

    wanted_size: int
    digest: str
    commit: str
    then: Answer
    first: list[Answer]
    elsewhere: Callable[[], str] | None = None
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, exchange: Exchange) -> None:
        """Answer."""
        if exchange.request.method == "HEAD":
            self._describe(exchange)
            return
        with self._lock:
            self.requests.append(exchange.request)
            answer = self.first.pop(0) if self.first else self.then
        answer(exchange)

    def _describe(self, exchange: Exchange) -> None:
        told = {
            "ETag": f'"{self.digest}"', "X-Linked-Etag": f'"{self.digest}"',
            "X-Linked-Size": str(self.wanted_size), "X-Repo-Commit": self.commit,
        }  # fmt: skip
        if self.elsewhere:
            exchange.head(302, {"Location": self.elsewhere(), "Content-Length": "0", **told})
        else:
            exchange.head(200, {"Content-Length": str(self.wanted_size), **told})

    def change(self, then: Answer, *first: Answer) -> None:
        """Answer otherwise from now on."""
        with self._lock:
            self.then, self.first = then, list(first)

    @property
    def sent(self) -> int:
        """How many bytes of bodies went out."""
        with self._lock:
            return sum(request.sent for request in self.requests)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of a repository, with the addresses it can be had from, in order."""

    name: str
    file: str
    data: bytes = field(repr=False)
    urls: tuple[str, ...]
    scripts: tuple[Script, ...]

    @property
    def digest(self) -> str:
        """The sha256 of the right bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def script(self) -> Script:
        """What the first address answers."""
        return self.scripts[0]

    @property
    def sent(self) -> int:
        """How many bytes of bodies went out, over all addresses."""
        return sum(script.sent for script in self.scripts)


@dataclass(slots=True)
class Ground:
    """A folder and a server for one tool on one fault.

    `warm` is a project that has run before: its compiled modules and profile save time.
    """

    folder: Path
    origin: Origin
    warm: Project | None = None
    wanted: dict[str, list[Wanted]] = field(default_factory=dict)
    kept: ExitStack = field(default_factory=ExitStack)

    def another(self) -> Origin:
        """Return one more server; it is another origin, because its port is another."""
        return self.kept.enter_context(running_origin())

    def put(
        self,
        name: str,
        data: bytes,
        then: Answer | None = None,
        *,
        first: Sequence[Answer] = (),
        file: str = "",
        mirrors: Sequence[Answer] = (),
        url: str = "",
    ) -> Wanted:
        """Serve a file of the repository `house/<name>`, honestly without an answer.

        Each of `mirrors` is a further address, on a server of its own. `url` (scheme, host and
        port) replaces the first address, and is where the Hub sends its clients; nothing is
        scripted there.
        """
        file = file or f"{name}.bin"
        commit = commit_of(name)
        path = f"/house/{name}/resolve/{commit}/{file}"
        answers = [(self.origin, then or File(data), first)]
        answers += [(self.another(), answer, ()) for answer in mirrors]
        urls, scripts = [], []
        digest = hashlib.sha256(data).hexdigest()
        for server, answer, before in answers:
            scripts.append(Script(len(data), digest, commit, answer, list(before)))
            urls.append(server.serve(path, scripts[-1]))
        if url:
            urls[0] = url + path
            scripts[0].elsewhere = lambda: urls[0]
        wanted = Wanted(name, file, data, tuple(urls), tuple(scripts))
        self.wanted.setdefault(name, []).append(wanted)
        self._serve_hub(name, commit)
        return wanted

    def _serve_hub(self, name: str, commit: str) -> None:
        """The few answers of the Hub that its clients need beside the file itself."""
        rows = [
            {
                "type": "file", "path": each.file, "size": len(each.data),
                "oid": hashlib.sha1(each.data).hexdigest(),
                "lfs": {"oid": each.digest, "size": len(each.data), "pointerSize": 134},
            }
            for each in self.wanted[name]
        ]  # fmt: skip
        files = [{"rfilename": each.file} for each in self.wanted[name]]
        info = {"id": f"house/{name}", "sha": commit, "private": False, "siblings": files}
        api = f"/api/models/house/{name}"
        for path in (api, f"{api}/revision/main", f"{api}/revision/{commit}"):
            self.origin.serve(path, Json(info))
        for revision in ("main", commit):
            self.origin.serve(f"{api}/tree/{revision}", Json(rows))


def commit_of(name: str) -> str:
    """The commit that a repository is at."""
    return hashlib.sha1(name.encode()).hexdigest()


@contextmanager
def ground(folder: Path, warm: Project | None = None) -> Iterator[Ground]:
    """Return ground of one's own below a folder; its servers end afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    with running_origin() as origin:
        made = Ground(folder, origin, warm)
        with made.kept:
            yield made


def is_right(path: Path | None, data: bytes) -> bool:
    """Whether a file is there with these bytes."""
    return path is not None and path.is_file() and path.read_bytes() == data


def delivered(ended: Ended, wanted: Wanted, *, most: int | None = None) -> Verdict:
    """The tool had to deliver, and with `most` without more than so many bytes sent."""
    if ended.code is None:
        return Verdict(False, "hangs")
    right = is_right(ended.file, wanted.data)
    if ended.code != 0:
        return Verdict(False, f"fails ({ended.said})" + (", file is right" if right else ""))
    if not right:
        return Verdict(False, "wrong file accepted" if ended.file else "says ok, no file")
    if most is not None and wanted.sent > most:
        return Verdict(False, f"whole file again: {wanted.sent / len(wanted.data):.1f} x its bytes")
    return Verdict(True, "ok")


def refused(ended: Ended, *codes: str, within_s: float | None = None) -> Verdict:
    """The tool had to fail, in time; modelset with one of these codes, and with its exit code.

    Nothing may lie under the file's name for modelset; a rival that says that it failed is
    forgiven for what it leaves there.
    """
    if ended.code is None:
        return Verdict(False, "hangs")
    if ended.code == 0:
        return Verdict(False, "wrong file accepted" if ended.file else "says ok, no file")
    if within_s is not None and ended.seconds > within_s:
        return Verdict(False, f"fails only after {ended.seconds:.0f} s")
    if not ended.ours:
        return Verdict(True, f"fails ({ended.said})")
    if ended.file is not None:
        return Verdict(False, "a file lies under the final name")
    if ended.failure not in codes or ended.code != KINDS[ended.failure].exit_code:
        return Verdict(False, f"exit {ended.code} {ended.failure}, not {' or '.join(codes)}")
    return Verdict(True, f"{ended.failure}, exit {ended.code}")


def right_or_refused(ended: Ended, wanted: Wanted) -> Verdict:
    """The tool may deliver or fail, but neither hang nor take wrong bytes for right ones."""
    if ended.code == 0:
        return delivered(ended, wanted)
    if ended.code is None:
        return Verdict(False, "hangs")
    if ended.ours and ended.file is not None:
        return Verdict(False, "a file lies under the final name")
    return Verdict(True, f"fails ({ended.said})")


def traces(tool: Tool, ended: Ended, secret: str) -> list[str]:
    """Where a secret shows: the output, or any file that the tool has written."""
    found = ["the output"] if secret in ended.output else []
    needle = secret.encode()
    files = [path for path in tool.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return found + [
        path.relative_to(tool.folder).as_posix() for path in files if needle in path.read_bytes()
    ]
