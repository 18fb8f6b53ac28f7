"""Gives verified bytes the names that a library looks for; the marker it trusts comes last."""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from modelset.core.errors import ModelSetError
from modelset.core.types import InstallWheel, Layout, Link, PutFile, PutText
from modelset.store.files import is_inside, move, saying, sync_folder, write_atomic
from modelset.store.roots import Roots
from modelset.store.temporary import beside


def place(layout: Layout, roots: Roots, verified: Mapping[str, Path | bytes]) -> None:
    """Put every placement of a layout where it belongs, in the layout's order.

    `verified` maps a digest to the file that holds it, or to the bytes themselves; a digest that
    is not there is already in its place. Raises ModelSetError; a second call finishes what a
    killed one began.
    """
    root = roots[layout.root]
    for placement in layout.placements:
        if isinstance(placement, InstallWheel):
            source = verified.get(placement.artifact.digest)
            if isinstance(source, Path):
                from modelset.store.wheels import install_wheel  # slow to load

                install_wheel(source, root, placement)
            continue
        target = inside(root, placement.path)
        if isinstance(placement, PutFile):
            source = verified.get(placement.artifact.digest)
            if isinstance(source, bytes):
                write_atomic(target, source)
            # Gone when an earlier placement of the same layout has taken it.
            elif source is not None and source.exists():
                move(source, target)
        elif isinstance(placement, Link):
            _link(target, placement)
        else:
            _text(target, placement)


def inside(root: Path, path: str) -> Path:
    """The path below the root; raises ModelSetError where a planted link would lead outside."""
    target = root / path
    if not is_inside(root, target.parent):
        raise ModelSetError(
            "store-not-writable",
            f"{target.parent} leads outside {root}",
            "remove the symbolic link that was put there",
        )
    return target


def _link(target: Path, link: Link) -> None:
    with saying("link", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() and os.readlink(target) == link.target:
            return
        name = beside(target)
        try:
            name.symlink_to(link.target)
        except OSError:
            # Windows without the right to make links: one inode with two names, else a copy.
            blob = target.parent / link.target
            try:
                os.link(blob, name)
            except OSError:
                shutil.copyfile(blob, name)
        os.replace(name, target)
        name.unlink(missing_ok=True)  # a rename between two names of one file leaves both
        sync_folder(target.parent)


def _text(target: Path, placement: PutText) -> None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if target.read_text(encoding="utf-8") == placement.text:
            return
    write_atomic(target, placement.text.encode())
