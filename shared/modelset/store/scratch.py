"""Folders for what an outside library writes while it works; nothing of them is kept."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from modelset.store.files import saying
from modelset.store.owner import is_busy, is_foreign, owner


@contextlib.contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new empty folder below `folder`, removed at the end; what killed processes of this
    machine left there is removed first.
    """
    import shutil

    own = folder / f"scratch.{owner()}.folder"
    with saying("write to", folder):
        for old in folder.glob("scratch.*.folder"):
            if not is_foreign(old) and not is_busy(old):
                shutil.rmtree(old, ignore_errors=True)
        own.mkdir(parents=True)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
