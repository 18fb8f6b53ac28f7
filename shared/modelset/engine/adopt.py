"""Takes what models lack from other programs' folders, by digest; no byte comes from a network."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.formats import PICKLE, format_of
from modelset.core.found import BOUNDS, Adoption, Bounds, Candidates, Ended, Listing, Place, Taken
from modelset.core.layout import InstallWheel, Layout, PutFile, Unpack
from modelset.core.lock import Lock, is_current
from modelset.core.policy import Policy, refuse_by_policy
from modelset.core.types import Artifact, Choice, Pin
from modelset.core.values import dataclass, replace
from modelset.engine.check import Inspector, Seen
from modelset.engine.guard import RunGuard, Stop
from modelset.engine.lock import turn
from modelset.engine.unpacked import Takeover, Unpacked, entry_at
from modelset.store.adopt import Proven, opened, remove_originals
from modelset.store.elsewhere import look
from modelset.store.files import hasher_for, inside, saying, volume_of, write_atomic
from modelset.store.history import note_placed
from modelset.store.inspect import inspect
from modelset.store.place import place
from modelset.store.registry import entry_of, is_remembered, read_registry, remember
from modelset.store.roots import Roots
from modelset.store.scratch import scratch

# All places together are looked at for no longer than this, unless the user named the folder.
LOOK_S = 20.0
# A folder that the user named is looked at to its end.
WHOLE = Bounds(in_folder=5_000_000, in_all=5_000_000)

_Way = PutFile | InstallWheel | Unpack


@dataclass(frozen=True, slots=True)
class Manner:
    """How to adopt; with `move` the originals go once their model is whole here."""

    policy: Policy
    stop: Stop
    now: Callable[[], str]
    dry_run: bool = False
    move: bool = False


def survey(
    places: Iterable[Place],
    roots: Roots,
    stop: Stop,
    *,
    bounds: Bounds = BOUNDS,
    seconds: float = LOOK_S,
) -> list[Listing]:
    """What lies in places of other programs, as far as the time goes; raises when stopped."""
    forever, timed = RunGuard(stop), RunGuard(stop, seconds)

    def is_late() -> bool:
        forever.check()
        return timed.remaining() == 0

    return [look(one, roots, bounds=bounds, is_late=is_late) for one in places]


class Adopt:
    """One run over a selection; `run` it once."""

    def __init__(self, inspector: Inspector, candidates: Candidates, manner: Manner) -> None:
        self._inspector, self._candidates, self._manner = inspector, candidates, manner
        self._roots = inspector.roots
        self._known = read_registry(self._roots["registry"])
        self._entries: dict[str, dict[str, Any]] = {}
        self._placed: list[Pin] = []
        self._wrong: set[tuple[tuple[int, int], str]] = set()
        self._pause = RunGuard(manner.stop).check
        means = manner.policy, self._pause, self._found
        self._unpacked = Unpacked(self._roots, candidates, *means, dry_run=manner.dry_run)

    def run(self, choices: Iterable[Choice], lock: Lock) -> list[Adoption]:
        """Do it, one model after the other; raises ModelSetError when stopped."""
        try:
            return [self._one(choice, lock.get(choice.model.key)) for choice in choices]
        finally:
            if self._entries:
                with turn(self._roots["registry"]):
                    note_placed(self._roots["registry"], self._placed)
                    remember(self._roots["registry"], self._entries)

    def _one(self, choice: Choice, pin: Pin | None) -> Adoption:
        self._pause()
        model = choice.model

        def ended(result: Ended, detail: str = "", **more: Any) -> Adoption:
            return Adoption(model, choice.tier, result, detail=detail, **more)

        if model.source in ("api", "local"):
            return ended("skipped", "a key" if model.source == "api" else "registered where it is")
        if pin is None or not is_current(pin, model):
            return ended("unpinned", "nothing says which bytes it is made of")
        try:
            seen = self._inspector.look_at(choice, pin, {})
            if seen.status.presence == "present":
                return ended("ready", "installed" if model.source == "wheel" else "already here")
            refuse_by_policy(model, pin, self._manner.policy)
            return self._take(choice, self._sure(choice, seen))
        except ModelSetError as error:
            if error.failure.code in ("stopped", "terminated"):
                raise
            return ended("failed", failure=error.failure)

    def _sure(self, choice: Choice, seen: Seen) -> Seen:
        """As seen, but each file that is here already has been read, unless it was before."""
        assert seen.pin is not None
        assert seen.layout is not None
        entry = self._known.get(choice.model.key)
        if seen.status.presence == "missing" or is_remembered(entry, seen.layout, self._roots):
            return seen
        return self._inspector.look_at(choice, seen.pin, {}, deep=True, pause=self._pause)

    def _take(self, choice: Choice, seen: Seen) -> Adoption:
        """Each file that is found goes into its place; what a library trusts comes last."""
        assert seen.pin is not None
        assert seen.layout is not None
        assert seen.findings is not None
        taken: list[Taken] = []
        lacks: list[str] = []
        sha256: dict[str, str] = {}
        folder = Takeover()
        for artifact, part in _in_turn(seen.pin, seen.layout, seen.findings.lacking):
            is_marker = any(isinstance(row, PutFile) and row.is_marker for row in part.placements)
            with self._found(artifact) as proven:
                if proven is None and artifact.size:
                    folder = self._take_over(choice, seen.pin, part)
                    taken += folder.taken
                    lacks += () if folder.taken else folder.lacks or (artifact.name,)
                elif not (lacks and is_marker):
                    taken.append(self._put(artifact, part, proven))
                    sha256[artifact.digest] = proven.sha256 if proven is not None else ""
        rows, names, trusted = tuple(taken), tuple(dict.fromkeys(lacks)), bool(folder.trusted)
        adoption = Adoption(
            choice.model, choice.tier, "adopted", rows, names, folder.why, trusted=trusted
        )
        if lacks:
            return replace(adoption, result="partly" if taken else "nothing")
        if not self._manner.dry_run:
            self._finish(choice, seen.pin, seen.layout, sha256)
            if self._manner.move and (folder.taken or _puts_files(seen.layout)):
                gone = remove_originals(taken, folder.trusted)
                adoption = replace(adoption, detail=f"{gone} of {len(taken)} originals removed")
        return adoption

    def _take_over(self, choice: Choice, pin: Pin, part: Layout) -> Takeover:
        """What lies unpacked somewhere, where an archive itself is nowhere."""
        (row,) = part.placements if len(part.placements) == 1 else (None,)
        if not isinstance(row, Unpack):
            return Takeover()
        return self._unpacked.take(choice.model, part, row, entry_at(self._known, pin))

    def _finish(self, choice: Choice, pin: Pin, layout: Layout, sha256: Mapping[str, str]) -> None:
        """Links, lists and refs; then it has to be whole, and is remembered."""
        place(layout, self._roots, {})
        left = inspect(layout, self._roots)
        if left.presence() != "present":
            raise ModelSetError(
                "store-read-error",
                f"{pin.key} is not whole after it was placed: {(left.missing + left.corrupt)[0]}",
                "check whether another program changes these files, then run the command again",
            )
        self._placed.append(pin)
        with saying("read", self._roots[layout.root] / layout.folder):
            self._entries[pin.key] = entry_of(
                choice.model, pin, layout, self._roots, sha256=sha256, date_added=self._manner.now()
            )

    @contextlib.contextmanager
    def _found(self, artifact: Artifact) -> Iterator[Proven | None]:
        """The first candidate whose bytes are right; none for an empty file, which needs none."""
        for file in self._candidates.for_artifact(artifact) if artifact.size else ():
            if (file.inode, artifact.digest) in self._wrong:
                continue
            with opened(file, artifact, self._pause) as proven:
                if proven is not None:
                    yield proven
                    return
            self._wrong.add((file.inode, artifact.digest))
        yield None

    def _put(self, artifact: Artifact, part: Layout, proven: Proven | None) -> Taken:
        root = self._roots[part.root]
        if proven is None:
            self._put_empty(artifact, part, root)
            return Taken(artifact.name, 0, "linked", "")
        origin = proven.file.path
        taken = Taken(artifact.name, artifact.size, "linked", origin, proven.state)
        if self._manner.dry_run:
            is_near = volume_of(root) == proven.state[0]
            return taken if is_near else replace(taken, way="copied")
        if format_of(artifact.name) == PICKLE:
            from modelset.store.pickles import refuse_dangers  # slow to load, and seldom needed

            refuse_dangers(Path(origin), artifact.name)
        for row in part.placements:
            if isinstance(row, PutFile):
                target = inside(root, row.path)
                way = proven.put(target, copy=row.is_mutable, guarded=part.guarded)
                taken = replace(taken, way=way)
            else:
                with scratch(self._roots["downloads"]) as folder:
                    archive = folder / "archive"
                    taken = replace(taken, way=proven.put(archive))
                    one = replace(part, placements=(row,))
                    place(one, self._roots, {artifact.digest: archive}, pause=self._pause)
        return taken

    def _put_empty(self, artifact: Artifact, part: Layout, root: Path) -> None:
        if hasher_for(artifact).hexdigest() != artifact.hex:
            raise ModelSetError(
                "digest-mismatch",
                f"{artifact.name} is pinned as an empty file with a digest that none has",
                "delete the model from the lock and lock it again",
            )
        for row in part.placements if not self._manner.dry_run else ():
            if isinstance(row, PutFile):
                write_atomic(inside(root, row.path), b"")


def _puts_files(layout: Layout) -> bool:
    return any(isinstance(row, PutFile) for row in layout.placements)


def _in_turn(pin: Pin, layout: Layout, lacking: set[str]) -> list[tuple[Artifact, Layout]]:
    """What is lacking and where its bytes go, markers last."""
    rows: dict[str, list[_Way]] = {}
    for row in layout.placements:
        if isinstance(row, _Way) and row.artifact.digest in lacking:
            rows.setdefault(row.artifact.digest, []).append(row)
    wanted = {artifact.digest: artifact for artifact in pin.artifacts if artifact.digest in rows}
    markers = {
        digest
        for digest, found in rows.items()
        if any(isinstance(row, PutFile) and row.is_marker for row in found)
    }
    return [
        (wanted[digest], replace(layout, placements=tuple(rows[digest])))
        for digest in sorted(wanted, key=lambda digest: digest in markers)
    ]
