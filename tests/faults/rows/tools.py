"""Four tools with one face: modelset, and the three that people use in its place."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

from tests.faults.project import DOOR, Project, await_true
from tests.faults.rows.row import Ground, Wanted, commit_of

# What every tool is told to wait for a connect, and for a byte, before it gives up (hf has one
# clock for both).
CONNECT_S, CLOCK_S = 1, 2


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: `code` is None when it had to be killed at its time.

    `file` is what lies under the wanted file's name, `failure` modelset's code for it.
    """

    code: int | None
    seconds: float
    file: Path | None
    output: str
    failure: str = ""
    ours: bool = False

    @property
    def said(self) -> str:
        """The tool's own word for its failure, as short as can be."""
        if self.failure:
            return self.failure
        last = [line for line in self.output.splitlines() if line.strip()] or [""]
        found = re.search(r"\b([A-Z]\w*(?:Error|Exception)|errorCode=\d+|curl: \(\d+\))", last[-1])
        return found[1] if found else f"exit {self.code}"


class Running:
    """A command at work, in a process group of its own."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
            start_new_session=True,
        )  # fmt: skip
        self.stdout, self.stderr = "", ""

    @property
    def pid(self) -> int:
        """The process, which leads its group."""
        return self.process.pid

    def send(self, number: int) -> None:
        """Send a signal to the process and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self, seconds: float) -> int | None:
        """The exit code, or None when its time was over and it was killed."""
        if self.process.returncode is not None:
            return self.process.returncode
        late = False
        try:
            left = max(self.began + seconds - time.monotonic(), 0.0)
            self.stdout, self.stderr = self.process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            late = True
            self.send(signal.SIGKILL)
            self.stdout, self.stderr = self.process.communicate()
        return None if late else self.process.returncode


class Tool(Protocol):
    """Something that fetches what the ground serves, into its own folder.

    `token` is a credential for the first address; `options` are added to the command, `under`
    is put before it.
    """

    name: ClassVar[str]
    ground: Ground
    env: dict[str, str]
    options: list[str]
    token: str
    under: Sequence[str]

    @property
    def folder(self) -> Path:
        """Everything it writes lies below."""
        ...

    def start(
        self, name: str, *, deadline: float | None = None, beside: Sequence[str] = ()
    ) -> Running:
        """Start to fetch a repository; modelset takes others `beside` it into the same run."""
        ...

    def file(self, name: str) -> Path:
        """Where the first file of a repository has to be."""
        ...

    def trust(self, pem: Path) -> None:
        """Take the certificates of this authority for good ones."""
        ...

    def complete(self, name: str) -> bool:
        """Whether every file of a repository is there."""
        ...

    def finish(self, name: str, running: Running, seconds: float) -> Ended:
        """Wait for the end; it is killed when over its time."""
        ...

    def fetch(
        self,
        name: str,
        seconds: float,
        *,
        deadline: float | None = None,
        beside: Sequence[str] = (),
    ) -> Ended:
        """Fetch a repository, for so many seconds at most."""
        ...

    def broken_off(
        self, name: str, when: Callable[[], bool], number: int = signal.SIGKILL
    ) -> Ended:
        """Start to fetch a repository, and send a signal as soon as a condition holds."""
        ...


@dataclass(slots=True)
class _Command:
    """What the four have in common."""

    ground: Ground
    token: str = ""
    env: dict[str, str] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    under: Sequence[str] = ()  # what to put in front of its command
    name: ClassVar[str] = ""

    @property
    def folder(self) -> Path:
        return self.ground.folder / self.name

    def command(
        self, name: str, files: Sequence[Wanted], deadline: float | None, beside: Sequence[str]
    ) -> Sequence[str]:
        raise NotImplementedError

    def file(self, name: str) -> Path:
        return self.folder / self.ground.wanted[name][0].file

    def trust(self, pem: Path) -> None:
        self.env |= {"SSL_CERT_FILE": str(pem), "CURL_CA_BUNDLE": str(pem)}

    def complete(self, name: str) -> bool:
        place, first = self.file(name), self.ground.wanted[name][0]
        root = place.parents[first.file.count("/")]
        return all((root / each.file).exists() for each in self.ground.wanted[name])

    def start(
        self, name: str, *, deadline: float | None = None, beside: Sequence[str] = ()
    ) -> Running:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *self.under, *self.command(name, self.ground.wanted[name], deadline, beside)
        ]  # fmt: skip
        home = self.ground.folder / "home"
        home.mkdir(exist_ok=True)
        plain = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "LANG": "C.UTF-8"}
        running = Running(command, {**plain, **self.env}, self.folder)
        self.ground.kept.callback(running.end, 0.0)
        return running

    def fetch(
        self,
        name: str,
        seconds: float,
        *,
        deadline: float | None = None,
        beside: Sequence[str] = (),
    ) -> Ended:
        return self.finish(name, self.start(name, deadline=deadline, beside=beside), seconds)

    def broken_off(
        self, name: str, when: Callable[[], bool], number: int = signal.SIGKILL
    ) -> Ended:
        running = self.start(name)
        await_true(f"the moment to stop {self.name}", when)
        running.send(number)
        return self.finish(name, running, 20.0)

    def finish(self, name: str, running: Running, seconds: float) -> Ended:
        code = running.end(seconds)
        took = time.monotonic() - running.began
        file = self.file(name)
        text = running.stdout + running.stderr
        failure = self._failure(name, running.stdout)
        found = file if file.exists() else None
        return Ended(code, took, found, text, failure, isinstance(self, Modelset))

    def _failure(self, name: str, stdout: str) -> str:
        return ""


@dataclass(slots=True)
class Modelset(_Command):
    """Our own downloader: a model at a plain address; a Hub's repository when it has several
    files or a token.
    """

    name: ClassVar[str] = "modelset"
    _project: Project | None = None
    _known: set[str] = field(default_factory=set)

    @property
    def project(self) -> Project:
        """The project it works in."""
        if self._project is None:
            self._project = Project(self.folder)
            if self.ground.warm:
                warm = self.ground.warm
                self._project.env["PYTHONPYCACHEPREFIX"] = warm.env["PYTHONPYCACHEPREFIX"]
                shutil.copy(warm.profile, self._project.profile)
            self._project.settings(
                f"[download]\nconnect_timeout = {CONNECT_S}\nstall_timeout = {CLOCK_S}"
            )
        return self._project

    def command(
        self, name: str, files: Sequence[Wanted], deadline: float | None, beside: Sequence[str]
    ) -> Sequence[str]:
        for each in (name, *beside):
            if each not in self._known:
                self._known.add(each)
                self._add(each, self.ground.wanted[each])
        self.env = {**self.project.env, **self.env}
        if self.token:
            self.env["HF_TOKEN"] = self.token
        late = [] if deadline is None else ["--timeout", f"{deadline:g}"]
        keys = [f"house:{each}" for each in (name, *beside)]
        return [sys.executable, str(DOOR), *keys, "--json", *late, *self.options]

    def _add(self, name: str, files: Sequence[Wanted]) -> None:
        first = files[0]
        hub = self._is_hub(name)
        place = "https://huggingface.co/" if hub else f"https://{name}.example.org/"
        if hub and len(first.urls) == 1:
            self.env["HF_ENDPOINT"] = self.ground.origin.url
        elif hub or len(first.urls) > 1 or _is_plain(first.urls[0]):
            rows = [
                f'{{ url = "{_base(url)}", allow_http = true, only = true, '
                f"credentials = {'true' if url is first.urls[0] else 'false'} }}"
                for url in first.urls
            ]
            self.project.settings(f'[mirrors]\n"{place}" = [{", ".join(rows)}]')
        if hub:
            self.project.settings(
                f'[[model]]\nkey = "house:{name}"\ncategory = "house"\nsource = "huggingface"\n'
                f'tier = "available"\nref = {{ repo = "house/{name}" }}'
            )
        else:
            url = first.urls[0]
            if len(first.urls) > 1 or _is_plain(url):
                url = place + url.removeprefix(_base(url))
            self.project.model(name, url, first.data)

    def _is_hub(self, name: str) -> bool:
        return bool(self.token) or len(self.ground.wanted[name]) > 1

    def file(self, name: str) -> Path:
        if not self._is_hub(name):
            return self.project.path(f"house:{name}")
        hub = self.project.models / "huggingface" / "hub" / f"models--house--{name}"
        return hub / "snapshots" / commit_of(name) / self.ground.wanted[name][0].file

    def _failure(self, name: str, stdout: str) -> str:
        with suppress(ValueError, KeyError):
            for row in json.loads(stdout)["data"]["outcomes"]:
                if row["key"] == f"house:{name}" and row["failure"]:
                    return str(row["failure"]["code"])
        return ""


@dataclass(slots=True)
class Hf(_Command):
    """`hf download` of a repository into its cache; it asks the ground's Hub."""

    name: ClassVar[str] = "hf"

    def command(
        self, name: str, files: Sequence[Wanted], deadline: float | None, beside: Sequence[str]
    ) -> Sequence[str]:
        self.env |= {
            "HF_ENDPOINT": self.ground.origin.url,
            "HF_HOME": str(self.folder / "home"),
            "HF_HUB_CACHE": str(self.folder / "hub"),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(CLOCK_S),
            "HF_HUB_ETAG_TIMEOUT": str(CLOCK_S),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_XET": "1",
        }
        if self.token:
            self.env["HF_TOKEN"] = self.token
        return [program("hf") or "hf", "download", f"house/{name}", *self.options]

    def file(self, name: str) -> Path:
        snapshot = self.folder / "hub" / f"models--house--{name}" / "snapshots" / commit_of(name)
        return snapshot / self.ground.wanted[name][0].file


@dataclass(slots=True)
class Curl(_Command):
    """`curl -C -` as a careful user writes it; it knows no digest and no second address."""

    name: ClassVar[str] = "curl"

    def command(
        self, name: str, files: Sequence[Wanted], deadline: float | None, beside: Sequence[str]
    ) -> Sequence[str]:
        late = [] if deadline is None else ["--max-time", f"{deadline:g}"]
        bearer = ["-H", f"Authorization: Bearer {self.token}"] if self.token else []
        places = [word for each in files for word in ("-o", each.file, each.urls[0])]
        return [
            "curl", "-q", "-C", "-", "--fail", "--fail-early", "-sS", "-L", "--max-redirs", "10",
            "--connect-timeout", str(CONNECT_S), "--speed-limit", "1024", "--speed-time",
            str(CLOCK_S), "--retry", "3", "--retry-all-errors",
            "--retry-max-time", f"{deadline or 60:g}", "--create-dirs", *late, *bearer,
            *self.options, *places,
        ]  # fmt: skip


@dataclass(slots=True)
class Aria2c(_Command):
    """`aria2c -x16 --checksum`, with every address there is."""

    name: ClassVar[str] = "aria2c"

    def trust(self, pem: Path) -> None:
        self.options.append(f"--ca-certificate={pem}")

    def command(
        self, name: str, files: Sequence[Wanted], deadline: float | None, beside: Sequence[str]
    ) -> Sequence[str]:
        listing = self.folder / "input.txt"
        rows = [
            "\t".join(each.urls) + f"\n  out={each.file}\n  checksum=sha-256={each.digest}\n"
            for each in files
        ]
        listing.write_text("".join(rows))
        bearer = [f"--header=Authorization: Bearer {self.token}"] if self.token else []
        return [
            "aria2c", "--no-conf=true", "-x16", "-s16", "-k1M", "-c", f"-i{listing.name}",
            f"--connect-timeout={CONNECT_S}", f"--timeout={CLOCK_S}", "--max-tries=4",
            "--retry-wait=1", "--lowest-speed-limit=1K", "--file-allocation=none",
            "--auto-file-renaming=false", "--allow-overwrite=false", "--summary-interval=0",
            "--console-log-level=warn", "--show-console-readout=false", "--enable-color=false",
            *bearer, *self.options,
        ]  # fmt: skip


TOOLS: Mapping[str, Callable[[Ground], Tool]] = {
    "modelset": Modelset, "hf": Hf, "curl": Curl, "aria2c": Aria2c,
}  # fmt: skip


@cache
def lacking(needs: tuple[str, ...]) -> str:
    """Why a row cannot be run on this machine, or nothing."""
    missing = [need for need in needs if program(need) is None]
    if missing:
        return f"{', '.join(missing)} is not on this machine"
    if "unshare" in needs:
        done = subprocess.run(["unshare", "-rnm", "true"], capture_output=True, timeout=10)
        if done.returncode != 0:
            return "this machine does not permit a namespace of one's own"
    return ""


def program(name: str) -> str | None:
    """A program on this machine; `hf` lies beside the interpreter."""
    beside = os.path.dirname(sys.executable)
    return shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", "")]))


def _is_plain(url: str) -> bool:
    """Whether an address is asked for with leave only: http, and not on this machine."""
    return url.startswith("http://") and not url.startswith("http://127.0.0.1:")


def _base(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"
