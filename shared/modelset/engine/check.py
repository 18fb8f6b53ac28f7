"""Compares the lock with the disk: one status a model, without a single socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.formats import formats_of
from modelset.core.layout import Layout
from modelset.core.lock import Lock, is_current
from modelset.core.types import Choice, Model, Pin, Status
from modelset.core.values import dataclass, field
from modelset.store.findings import Findings, Inode, Reading
from modelset.store.inspect import Installed, inspect, trace
from modelset.store.journal import bytes_here
from modelset.store.roots import MODEL_ROOTS, Roots

# What a pin of another form than ours leads to.
ODD = (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
# Sources whose files are the user's own.
OWN = ("local", "api")

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source


@dataclass(frozen=True, slots=True)
class Seen:
    """A status, and what the inspection behind it found; neither pin nor layout when unpinned."""

    status: Status
    pin: Pin | None = None
    layout: Layout | None = None
    findings: Findings | None = None


@dataclass(frozen=True, slots=True)
class Inspector:
    """Looks at the disk through the pure half of every source; keys may be in `variables`, those
    of the environment.
    """

    sources: Mapping[str, Source]
    roots: Roots
    variables: Mapping[str, str] = field(default=MappingProxyType({}), repr=False)

    def look(
        self,
        choices: tuple[Choice, ...],
        lock: Lock,
        *,
        deep: bool = False,
        pause: Callable[[], None] = lambda: None,
        reading: Reading | None = None,
    ) -> list[Seen]:
        """One status a choice; with `deep`, every file is read and hashed, as `reading` does it."""
        partials, installed = bytes_here(self.roots["downloads"]), Installed()
        return [
            self.look_at(
                choice,
                pin,
                partials,
                deep=deep,
                pause=pause,
                installed=installed,
                reading=reading,
            )
            if (pin := lock.get(choice.model.key)) is not None and is_current(pin, choice.model)
            else Seen(self._unpinned(choice))
            for choice in choices
        ]

    def look_at(
        self,
        choice: Choice,
        pin: Pin,
        partials: Mapping[str, int],
        *,
        deep: bool = False,
        pause: Callable[[], None] = lambda: None,
        installed: Installed | None = None,
        reading: Reading | None = None,
    ) -> Seen:
        """The status of one pinned model; `partials` maps digests to bytes that wait.

        Raises ModelSetError `lock-invalid` for a pin that says no place.
        """
        layout = self.layout_of(pin, choice.model)
        found = inspect(
            layout,
            self.roots,
            deep=deep,
            pause=pause,
            installed=installed,
            variables=self.variables,
            reading=reading,
        )
        waiting = sum(partials.get(digest, 0) for digest in found.lacking)
        presence = found.presence()
        if presence == "missing" and waiting:
            presence = "partial"
        have = found.bytes_have if presence == "present" else self._kept(pin, found) + waiting
        want = found.bytes_have if presence == "present" else pin.size_bytes
        status = Status(
            choice.model,
            choice.tier,
            presence,
            have,
            want,
            found.unfit,
            revision=pin.revision,
            path=str(self.roots[layout.root] / layout.folder),
            problems=tuple(found.corrupt + found.missing),
            formats=formats_of(choice.model, (artifact.name for artifact in pin.artifacts)),
        )
        return Seen(status, pin, layout, found)

    def layout_of(self, pin: Pin, model: Model) -> Layout:
        """Where the files of a pin belong; a lock may come from anybody, so what the catalog has
        not looked at is looked at. Raises ModelSetError `lock-invalid`.
        """
        try:
            source, root = self.sources[pin.source], pin.ref.get("root")
            if not is_current(pin, model):
                problems = source.check_ref(pin.ref)
                if root is not None and root not in MODEL_ROOTS:
                    problems.append(f"ref.root: unknown, {root!r}")
                if pin.source in OWN and pin.source != model.source:
                    problems.append(f"its source is {pin.source}")
                if problems:
                    raise ValueError(problems[0])
            layout = source.layout(pin)
            self.roots[layout.root]  # a KeyError here, not later
        except ODD as error:
            raise ModelSetError(
                "lock-invalid",
                f"the lock does not say where {pin.key} lies: {error}",
                "restore it from version control, or mend it with `modelset lock`",
            ) from error
        return layout

    def _unpinned(self, choice: Choice) -> Status:
        model = choice.model
        root, pattern = self.sources[model.source].trace(model.ref)
        path = trace(Path(self.roots[root]), pattern)
        if not path:
            return Status(model, choice.tier, "missing", 0, model.size_bytes)
        return Status(
            model,
            choice.tier,
            "unpinned",
            0,
            model.size_bytes,
            "on this disk, but not verified and not in the lock",
            path=path,
        )

    def _kept(self, pin: Pin, found: Findings) -> int:
        """Bytes of the files that are in place and need not come again."""
        sizes = {row.digest: row.size for row in pin.artifacts if row.digest not in found.lacking}
        return sum(sizes.values())


def total_bytes(seen: list[Seen]) -> int:
    """Bytes of all models on the disk, each inode once."""
    inodes: dict[Inode, int] = {}
    for one in seen:
        if one.findings is not None:
            inodes |= one.findings.inodes
    return sum(inodes.values())
