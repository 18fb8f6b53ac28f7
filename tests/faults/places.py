"""Where a store can lie, and who can use it: a small disk, a user without rights, another host."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path
from urllib.parse import quote

from tests.faults.answers import File, Status
from tests.faults.origin import Origin
from tests.faults.project import DOOR, Project, Ran, Running

SHARED = DOOR.parent
COMMIT = "c0ffee" * 6 + "cafe"
_LARGE = 10_000  # files of the repository from this size on are large ones, with a sha256


def starting(
    project: Project,
    *arguments: str,
    under: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    command: str = "download",
) -> Running:
    """Start a command of modelset, in front of it the words of another (`nsenter ...`)."""
    words = [*under, sys.executable, "-m", "modelset", command, *arguments]
    own = {**project.env, "PYTHONPATH": str(SHARED), **(env or {})}
    running = Running(words, own, project.root)
    project._running.append(running)  # so that the project ends it
    return running


def running(
    project: Project,
    *arguments: str,
    under: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    command: str = "download",
) -> Ran:
    """Run a command of modelset to its end."""
    return starting(project, *arguments, under=under, env=env, command=command).end()


@functools.cache
def without_rights() -> tuple[str, ...] | None:
    """What to put in front of a command so that permission bits count, also for root."""
    if os.name != "posix":
        return None
    if os.geteuid() != 0:
        return ()
    words = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
    return words if _works(*words, "true") else None


@functools.cache
def another_host() -> tuple[str, ...] | None:
    """What to put in front of a command so that it runs as on another machine: it has a name
    and process numbers of its own.
    """
    words = ("unshare", "-Urpf", "--uts", "--mount-proc", "--kill-child")
    rename = ("sh", "-c", 'hostname elsewhere && exec "$0" "$@"')
    return (*words, *rename) if _works(*words, *rename, "true") else None


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A disk of a few megabytes; `under` enters the world in which it is there."""

    path: Path  # where commands that run `under` find it
    seen: Path  # where this process finds it
    under: tuple[str, ...]


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[SmallDisk | None]:
    """A tmpfs over a folder, with `options` such as `size=12m`; None where that is not possible."""
    words = ("unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o "$1" tmpfs "$2" && eval "$3"', "sh")
    folder.mkdir(parents=True, exist_ok=True)
    rest = (options, str(folder))
    if not (_works(*words, *rest, "true") and _works("nsenter", "--version")):
        yield None
        return
    command = [*words, *rest, "echo ready; read end"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            under = ("nsenter", "-t", str(holder.pid), "-U", "-m", "--preserve-credentials", "--")
            yield SmallDisk(folder, Path(f"/proc/{holder.pid}/root{folder}"), under)
        finally:
            holder.kill()


@functools.cache
def _works(*words: str) -> bool:
    if shutil.which(words[0]) is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        )
        return done.returncode == 0
    return False


def repository(
    project: Project, origin: Origin, files: Mapping[str, bytes], *, name: str = "thing"
) -> str:
    """Add a model that is a whole repository of the Hub; returns its key."""
    prefix, repo = "/hub", f"acme/{name}"
    rows = []
    for path, data in files.items():
        row: dict[str, object] = {"type": "file", "path": path, "size": len(data)}
        row["oid"] = sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
        if len(data) >= _LARGE:
            row["lfs"] = {"oid": sha256(data).hexdigest(), "size": len(data)}
        rows.append(row)
        origin.serve(f"{prefix}/{repo}/resolve/{COMMIT}/{quote(path)}", File(data))
    listing(project, origin, rows, name=name)
    return f"hub:{name}"


def listing(
    project: Project, origin: Origin, rows: Sequence[object], *, name: str = "thing"
) -> str:
    """Add a model of the Hub whose list of files is exactly this; returns its key."""
    repo = f"acme/{name}"
    as_json = {"Content-Type": "application/json"}
    origin.serve(
        f"/hub/api/models/{repo}/revision/main",
        Status(200, as_json, json.dumps({"sha": COMMIT, "id": repo})),
    )
    origin.serve(
        f"/hub/api/models/{repo}/tree/{COMMIT}", Status(200, as_json, json.dumps(list(rows)))
    )
    if not any("[mirrors]" in text for text in project._tables):
        project.settings(
            f'[mirrors]\n"https://huggingface.co/" = [{{ url = "{origin.url}/hub/", only = true }}]'
        )
    project.settings(
        f'[[model]]\nkey = "hub:{name}"\ncategory = "hub"\nsource = "huggingface"\n'
        f'tier = "available"\nref = {{ repo = "{repo}" }}'
    )
    return f"hub:{name}"


def snapshot(project: Project, name: str = "thing") -> Path:
    """The folder in which the Hub's clients find a repository."""
    hub = project.models / "huggingface" / "hub"
    return hub / f"models--acme--{name}" / "snapshots" / COMMIT


def wheel(project: Project, origin: Origin, path: Path, *, then: File | None = None) -> str:
    """Add a model that is a wheel; returns its key."""
    data = path.read_bytes()
    name = path.name.partition("-")[0]
    place = f"/{project.root.name}"  # two wheels of one name are never the same bytes
    url = origin.serve(f"{place}/{path.name}", then or File(data))
    document = json.dumps({"checksum_whl": sha256(data).hexdigest()})
    meta = origin.serve(f"{place}/{name}.json", Status(200, {}, document))
    project.settings(
        f'[[model]]\nkey = "package:{name}"\ncategory = "package"\nsource = "wheel"\n'
        f'tier = "available"\nref = {{ url = "{url}", meta = "{meta}" }}'
    )
    return f"package:{name}"
