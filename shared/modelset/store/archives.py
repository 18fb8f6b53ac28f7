"""Puts a verified archive's files into a library's folder, all in one step."""

import os
from collections.abc import Callable
from pathlib import Path

from modelset.core.formats import PICKLE, format_of
from modelset.core.layout import Layout, Unpack
from modelset.store.files import inside, saying, sync_folder, volume_of
from modelset.store.records import record_rows
from modelset.store.roots import Roots
from modelset.store.scratch import scratch


def put_archive(
    archive: Path,
    placement: Unpack,
    layout: Layout,
    roots: Roots,
    *,
    pause: Callable[[], None],
    unpacked: Callable[[int], None],
) -> None:
    """Unpack where no library looks, look at the pickles among the files, and rename.

    What is under the folder's name is replaced. Raises ModelSetError.
    """
    # Slow to load, and few models are archives.
    from modelset.store.pickles import refuse_dangers
    from modelset.store.unpack import unpack

    root = roots[layout.root]
    target = inside(root, placement.path)
    # A rename must not cross volumes; a name with a dot is none that a library asks for.
    is_near = volume_of(roots["downloads"]) == volume_of(root)
    with scratch(roots["downloads"] if is_near else root / ".modelset") as folder:
        new = folder / "new"
        unpack(
            archive,
            new,
            strip=placement.strip,
            record=placement.record,
            pause=pause,
            progress=unpacked,
        )
        for row in record_rows(os.fspath(new / placement.record)):
            if format_of(row.path) == PICKLE:
                refuse_dangers(new / row.path, f"{placement.artifact.name}: {row.path}")
        with saying("place", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                os.replace(target, folder / "old")
            os.replace(new, target)
            sync_folder(target.parent)
