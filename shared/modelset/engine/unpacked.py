"""Takes what somebody has unpacked of an archive: by digests known here, or on trust, if allowed.

Nobody publishes digests of what lies in an archive; its own cannot be computed from that.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from modelset.core.errors import ModelSetError
from modelset.core.formats import PICKLE, format_of
from modelset.core.found import Candidates, File, Taken, Way
from modelset.core.layout import Layout, Unpack
from modelset.core.policy import Policy
from modelset.core.shapes import flaw_of
from modelset.core.types import Artifact, Model, Pin, first_use
from modelset.core.values import dataclass, replace
from modelset.store.adopt import Proven, opened
from modelset.store.elsewhere import shown
from modelset.store.files import inside, volume_of, write_atomic
from modelset.store.roots import Roots
from modelset.store.unpacked import (
    file_at,
    files_in,
    in_the_making,
    is_beside,
    is_folder,
    known_rows,
    write_record,
)

Find = Callable[[Artifact], AbstractContextManager[Proven | None]]
_UNKNOWN = "nobody publishes the digests of its files: --trust-first-use takes it as it is"
_EMPTY = hashlib.sha256().hexdigest()
# The digests of its files are known here, nobody knows them, or it cannot be what was unpacked.
Verdict = Literal["known", "fits", "other"]
# The state of a file that must never be removed for being an original.
_NEVER = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Takeover:
    """What was taken of an archive; when nothing was, `lacks` or `why` tells the reason.

    `trusted` is the folder that was taken as it is.
    """

    taken: tuple[Taken, ...] = ()
    lacks: tuple[str, ...] = ()
    why: str = ""
    trusted: str = ""


def problem_of(path: str, model: Model, archive: Artifact, files: tuple[File, ...]) -> str:
    """Why what lies in a folder cannot be all that was in an archive, in words; else nothing."""
    sizes = {file.name: file.size for file in files}
    flaw = flaw_of(model.library or model.source, sizes, archive.size)
    if flaw:
        return f"{shown(path)} {flaw}"
    if is_beside(path):
        return f"{shown(path)}.zip lies beside the folder: unpacking it may not have ended"
    return ""


def entry_at(registry: Mapping[str, Any], pin: Pin) -> Mapping[str, Any] | None:
    """What the registry says of just this revision of a model, or None."""
    entry = registry.get(pin.key)
    is_same = isinstance(entry, dict) and entry.get("version") == pin.revision
    return entry if is_same else None


class Unpacked:
    """The folders where archives may lie unpacked; `find` finds the bytes of a file anywhere."""

    def __init__(
        self,
        roots: Roots,
        candidates: Candidates,
        policy: Policy,
        pause: Callable[[], None],
        find: Find = lambda artifact: contextlib.nullcontext(None),
        *,
        dry_run: bool = False,
    ) -> None:
        self._roots, self._candidates, self._policy = roots, candidates, policy
        self._pause, self._find, self._dry_run = pause, find, dry_run

    def take(
        self, model: Model, layout: Layout, row: Unpack, entry: Mapping[str, Any] | None
    ) -> Takeover:
        """Take the files of one archive; `entry` is what the registry says of this very pin.

        Raises ModelSetError, also for a folder that would do harm.
        """
        target = inside(self._roots[layout.root], row.path)
        own, found = self._own(layout, row), self._candidates.folders(layout.root, row.path)
        others = [path for path in found if path != own and is_folder(path)]
        known = known_rows(target, row.record, entry, others)
        if known:
            return self._by_digest(layout, row, target, known)
        return self._by_trust(model, layout, row, [own, *others] if is_folder(own) else others)

    def judge(
        self, path: str, model: Model, layout: Layout, row: Unpack, entry: Mapping[str, Any] | None
    ) -> Verdict:
        """What may be made of a folder, without reading any of its files."""
        target = self._roots[layout.root] / row.path
        if known_rows(target, row.record, entry, [path]):
            return "known"
        try:
            problem = problem_of(path, model, row.artifact, files_in(path, self._pause))
        except ModelSetError as error:
            problem = error.failure.message
        return "other" if problem else "fits"

    def _own(self, layout: Layout, row: Unpack) -> str:
        """The folder's place, when no link leads on from there."""
        return os.path.join(os.path.realpath(self._roots[layout.root]), row.path)

    def _by_digest(
        self, layout: Layout, row: Unpack, target: Path, known: tuple[Artifact, ...]
    ) -> Takeover:
        """Each file that was in the archive, from wherever it is; all of them, or none."""
        taken: list[Taken] = []
        lacks: list[str] = []
        sums = {artifact.name: (artifact.hex, artifact.size) for artifact in known}
        with contextlib.suppress(_Dropped), self._making(layout, row) as new:
            for artifact in known:
                with self._proven(target, artifact) as proven:
                    if proven is None and artifact.hex != _EMPTY:
                        lacks.append(artifact.name)
                    elif proven is None and new is not None:
                        write_atomic(new / artifact.name, b"")
                    elif proven is not None and not lacks:
                        taken.append(self._put(proven, layout, row, artifact, new))
            if lacks:
                raise _Dropped
            if new is not None:
                write_record(new, row.record, sums)
        return Takeover(lacks=tuple(lacks)) if lacks else Takeover(tuple(taken))

    def _by_trust(self, model: Model, layout: Layout, row: Unpack, folders: list[str]) -> Takeover:
        """The first folder that may be what was in the archive, when the policy allows that."""
        whys: list[str] = []
        unsafe: ModelSetError | None = None
        for path in folders:
            try:
                files = files_in(path, self._pause)
                why = problem_of(path, model, row.artifact, files)
            except ModelSetError as error:
                if error.failure.code != "archive-unsafe":
                    raise
                unsafe, why = unsafe or error, error.failure.message
            if not why and self._policy.first_use:
                return self._trust(layout, row, path, files)
            if why:
                whys.append(why)
            else:
                whys.insert(0, f"{shown(path)} may be it, but {_UNKNOWN}")
        if unsafe is not None and self._policy.first_use:
            raise unsafe
        return Takeover(why="; ".join(whys[:1]))

    def _trust(self, layout: Layout, row: Unpack, path: str, files: tuple[File, ...]) -> Takeover:
        """What a folder holds counts from now on: it is recorded as unpacking would."""
        taken: list[Taken] = []
        sums: dict[str, tuple[str, int]] = {}
        target = self._roots[layout.root] / row.path
        is_there = path == self._own(layout, row)
        with contextlib.nullcontext(None) if is_there else self._making(layout, row) as new:
            for file in files:
                artifact = Artifact(file.name, "", file.size, first_use(file.name))
                with opened(file, artifact, self._pause) as proven:
                    if proven is None:
                        raise _changed(file)
                    taken.append(self._put(proven, layout, row, artifact, new))
                    sums[file.name] = proven.sha256, file.size
            if not self._dry_run:
                write_record(new or target, row.record, sums)
        if is_there:  # what is in its place is no original of anything
            taken = [replace(one, state=_NEVER) for one in taken]
        return Takeover(tuple(taken), trusted=path)

    @contextlib.contextmanager
    def _making(self, layout: Layout, row: Unpack) -> Iterator[Path | None]:
        if self._dry_run:
            yield None
            return
        with in_the_making(row, layout, self._roots) as new:
            yield new

    @contextlib.contextmanager
    def _proven(self, target: Path, artifact: Artifact) -> Iterator[Proven | None]:
        """The right bytes: those that are in their place already, or the first found elsewhere."""
        own = file_at(target / artifact.name, artifact.name)
        if own is not None:
            with opened(own, artifact, self._pause) as proven:
                if proven is not None:
                    yield proven
                    return
        with self._find(artifact) as proven:
            yield proven

    def _put(
        self, proven: Proven, layout: Layout, row: Unpack, artifact: Artifact, new: Path | None
    ) -> Taken:
        """Look at a file, and give it its name in the new folder, if there is to be one."""
        origin = proven.file.path
        if format_of(artifact.name) == PICKLE:
            self._refuse_pickle(Path(origin), f"{row.artifact.name}: {artifact.name}")
        is_own = origin.startswith(f"{self._roots[layout.root] / row.path}/")
        is_near = volume_of(self._roots[layout.root]) == proven.state[0]
        way: Way = "linked" if is_near else "copied"
        if new is not None:
            is_mutable = any(fnmatchcase(artifact.name, pattern) for pattern in row.mutable)
            way = proven.put(new / artifact.name, copy=is_mutable, guarded=layout.guarded)
        state = _NEVER if is_own else proven.state
        return Taken(artifact.name, artifact.size, way, origin, state)

    def _refuse_pickle(self, path: Path, name: str) -> None:
        from modelset.store.pickles import refuse_dangers  # slow to load, and seldom needed

        if self._policy.pickles == "refuse":
            raise ModelSetError(
                "pickle-refused",
                f"{name} is a pickle, which can run code when it is loaded",
                'choose another form of the model, or set `pickles = "pinned"` in [policy]',
            )
        refuse_dangers(path, name)


class _Dropped(Exception):  # noqa: N818 - it is none
    """Not every file was found, so none is taken."""


def _changed(file: File) -> ModelSetError:
    return ModelSetError(
        "store-read-error",
        f"{shown(file.path)} cannot be read, or changes while it is",
        "end the program that writes to it, or make it readable, then run the command again",
    )
