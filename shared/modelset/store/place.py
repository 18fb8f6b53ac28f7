"""Gives verified bytes the names that a library looks for; the marker it trusts comes last."""

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from modelset.core.layout import (
    Credential,
    InstallWheel,
    Layout,
    Link,
    PutFile,
    PutText,
    Unpack,
)
from modelset.store.archives import put_archive
from modelset.store.files import copy, inside, move, saying, sync_folder, write_atomic
from modelset.store.roots import Roots
from modelset.store.temporary import beside


def place(
    layout: Layout,
    roots: Roots,
    verified: Mapping[str, Path | bytes],
    *,
    pause: Callable[[], None] = lambda: None,
    unpacked: Callable[[int], None] = lambda count: None,
) -> None:
    """Put every placement of a layout where it belongs, in the layout's order.

    `verified` maps a digest to the file that holds it, or to the bytes themselves; a digest that
    is not there is already in its place. `pause` may raise, and `unpacked` hears of the bytes
    that come out of archives. Raises ModelSetError; a second call finishes what a killed one
    began.
    """
    root = roots[layout.root]
    given: dict[str, Path] = {}  # the name that the file of a digest has got
    for placement in layout.placements:
        if isinstance(placement, Credential):
            continue  # people put it there
        if isinstance(placement, InstallWheel | Unpack):
            source = verified.get(placement.artifact.digest)
            if isinstance(source, Path) and isinstance(placement, Unpack):
                put_archive(source, placement, layout, roots, pause=pause, unpacked=unpacked)
            elif isinstance(source, Path) and isinstance(placement, InstallWheel):
                from modelset.store.wheels import install_wheel  # slow to load

                install_wheel(source, root, placement)
            continue
        target = inside(root, placement.path)
        if isinstance(placement, PutFile):
            digest = placement.artifact.digest
            _file(target, verified.get(digest), given.setdefault(digest, target))
        elif isinstance(placement, Link):
            _link(target, placement)
        else:
            _text(target, placement)
        if layout.guarded:
            _guard(root, target)


def _file(target: Path, source: Path | bytes | None, given: Path) -> None:
    if isinstance(source, bytes):
        write_atomic(target, source)
    elif source is not None and source.exists():
        move(source, target)
    elif source is not None and given != target and given.exists():
        copy(given, target)  # of the same layout: two files with the same bytes


def _guard(root: Path, target: Path) -> None:
    """Take from others the right to change a file and the folders down to it."""
    with saying("protect", target):
        for path in (target, *target.parents):
            mode = path.stat().st_mode
            if mode & (stat.S_IWGRP | stat.S_IWOTH):
                path.chmod(mode & ~(stat.S_IWGRP | stat.S_IWOTH))
            if path == root:
                break


def _link(target: Path, link: Link) -> None:
    with saying("link", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_symlink() and os.readlink(target) == link.target:
            return
        blob = target.parent / link.target
        if not blob.exists() and stat.S_ISREG(_mode(target)):
            return  # the only one: the Hub's client leaves it so where it cannot make links
        name = beside(target)
        try:
            try:
                name.symlink_to(link.target)
            except OSError:
                # Windows without the right to make links: one inode with two names, else a copy.
                try:
                    os.link(blob, name)
                except OSError:
                    shutil.copyfile(blob, name)
            os.replace(name, target)
        finally:
            name.unlink(missing_ok=True)  # a rename between two names of one file leaves both
        sync_folder(target.parent)


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _text(target: Path, placement: PutText) -> None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if target.read_bytes() == placement.text.encode():
            return
    write_atomic(target, placement.text.encode())
