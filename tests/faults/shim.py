"""Puts `shim.c` between a program and its C library, and makes rules for it."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")

# Every call that changes what is on a disk.
CHANGES = "create,write,fsync,truncate,allocate,rename,unlink,rmdir,mkdir,symlink,link"


@functools.cache
def library() -> Path | None:
    """The compiled shim, or None where there is no compiler or no way to load it."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    folder = tempfile.mkdtemp(prefix="modelset-shim-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Path(folder) / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl", "-pthread"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return made if done.returncode == 0 else None


def shim(
    calls: str = "",
    path: str = "*",
    *,
    do: str | int = "",
    at: int = 1,
    times: int | None = None,
    log: Path | None = None,
    swap: tuple[str, Path] | None = None,
    jump_s: int = 0,
    jump_after_ms: int = 0,
) -> dict[str, str]:
    """The environment that loads the shim with one rule; `shim.c` says what each part means.

    Without `do` calls are only counted and logged.
    """
    made = library()
    assert made is not None, "ask library() first, and skip"
    rule = {
        "LD_PRELOAD": str(made),
        "SHIM_CALLS": calls,
        "SHIM_PATH": path,
        "SHIM_DO": str(do),
        "SHIM_FROM": str(at if do else 0),
        "SHIM_TIMES": "" if times is None else str(times),
        "SHIM_LOG": str(log or ""),
        "SHIM_SWAP": f"{swap[0]}:{swap[1]}" if swap else "",
        "SHIM_JUMP": str(jump_s),
        "SHIM_JUMP_AFTER_MS": str(jump_after_ms),
    }
    return {name: text for name, text in rule.items() if text}
