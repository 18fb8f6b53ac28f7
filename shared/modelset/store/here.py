"""What sources want to know of this machine: its keys, packages, and the user's own models."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.layout import Credential, Layout
from modelset.core.types import Artifact
from modelset.core.values import dataclass, field
from modelset.store.files import read_text, saying
from modelset.store.inspect import Installed, inspect
from modelset.store.records import sha256_of
from modelset.store.roots import Roots


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Folders of this machine, and the variables of the environment."""

    roots: Roots
    variables: Mapping[str, str] = field(repr=False)

    def has_credential(self, layout: Layout) -> bool:
        """Whether the key that a layout wants is here."""
        return inspect(layout, self.roots, variables=self.variables).presence() == "present"

    def secret(self, layout: Layout) -> str:
        """The key itself, empty when there is none or when it is a file that a library reads."""
        for row in layout.placements:
            if isinstance(row, Credential) and not row.is_file:
                told = self.variables.get(row.variable, "")
                with contextlib.suppress(ModelSetError):
                    return (told or read_text(self.roots[layout.root] / row.path) or "").strip()
        return ""

    def installed(self, distribution: str) -> str:
        """The version of an installed distribution, or nothing."""
        found = Installed().versions(os.fspath(self.roots["site-packages"]), distribution)
        return found[0].removesuffix(".dist-info").rpartition("-")[2] if found else ""

    def local_files(self, path: str, pause: Callable[[], None]) -> tuple[Artifact, ...]:
        """Every file of a folder, or that one file, with its sha256.

        Raises ModelSetError `not-found`, and for a name that a lock cannot hold.
        """
        place = Path(path)
        with saying("read", place):
            files = [(place.name, place)] if place.is_file() else sorted(_below(place))
            if not files:
                raise ModelSetError(
                    "not-found",
                    f"there is no file at {place}",
                    "check `ref.path` of the model in modelset.toml",
                )
            try:
                return tuple(_artifact(name, file, pause) for name, file in files)
            except ValueError as error:
                raise ModelSetError("not-found", f"{place}: {error}", "rename that file") from error


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(folder):
        # A repository's history is no part of a model.
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            file = Path(parent, name)
            if not file.exists() or file.is_file():  # a pipe would be waited for
                yield file.relative_to(folder).as_posix(), file


def _artifact(name: str, file: Path, pause: Callable[[], None]) -> Artifact:
    digest = sha256_of(file, pause)
    return Artifact(name, file.as_uri(), file.stat().st_size, f"sha256:{digest}")
