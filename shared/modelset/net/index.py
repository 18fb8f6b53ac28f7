"""Asks the user's package index, through pip's own resolver report, where a wheel is."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from modelset.core.errors import ModelSetError
from modelset.core.ports import Guard, Wheel
from modelset.core.values import dataclass, field

_TICK_S = 0.1
# `--isolated` still reads the machine-wide configuration; this leaves that aside too. A proxy
# elsewhere cannot reach an index on this machine. The address of the index may hold a password,
# so it comes over stdin and not on a command line that everybody can read.
_BARE_PIP = (
    "import os, runpy, sys; e = os.environ; e['PIP_CONFIG_FILE'] = os.devnull;"
    " e['no_proxy'] = (e.get('no_proxy') or e.get('NO_PROXY', '')) + ',127.0.0.1,localhost';"
    " sys.argv[2:2] = ['--isolated', '--index-url', sys.stdin.read()];"
    " runpy.run_module('pip', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, slots=True)
class PipIndex:
    """pip with the user's own configuration; with `url`, that index alone and no configuration.

    `ca_file` is then the PEM bundle to trust, where it is not empty. `environ` is that of pip, this
    process's own when it is None. pip knows indexes, mirrors,
    credentials and markers, and its `--report` says in JSON what it would install (pip 22.2 or
    later), so that nothing of this is written again here.
    """

    url: str = ""
    ca_file: str = ""
    environ: Mapping[str, str] | None = field(default=None, repr=False)

    def find(self, requirement: str, guard: Guard) -> Wheel:
        """The wheel that pip chooses; raises ModelSetError."""
        pip = (sys.executable, "-c", _BARE_PIP) if self.url else (sys.executable, "-m", "pip")
        command = [
            *(*pip, "install", "--dry-run", "--ignore-installed"),
            *("--no-deps", "--only-binary", ":all:", "--quiet", "--report", "-"),
            *("--retries", "1", "--timeout", "10", "--disable-pip-version-check", "--no-input"),
            *(("--cert", self.ca_file) if self.url and self.ca_file else ()),
            *("--", requirement),
        ]
        output, words = _run(command, self.url, guard, self.environ)
        if output is None:
            raise _failure(requirement, words)
        try:
            return _wheel(json.loads(output)["install"][0])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ModelSetError(
                "index-failed",
                f"pip's report about {requirement} cannot be read: {error}",
                "update pip: python -m pip install --upgrade pip",
            ) from error


def _run(
    command: Sequence[str], told: str, guard: Guard, environ: Mapping[str, str] | None
) -> tuple[str | None, str]:
    """The standard output of a command that is told something, or None and its words when it
    failed.
    """
    import subprocess  # here, because a download must start fast

    given: str | None = told
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            while True:
                guard.check()
                try:
                    output, words = process.communicate(given, timeout=_TICK_S)
                    break
                except subprocess.TimeoutExpired:
                    given = None
        except BaseException:
            process.kill()
            raise
    return (output if process.returncode == 0 else None), words


def _wheel(item: Any) -> Wheel:
    info = item["download_info"]
    parts = urlsplit(info["url"])
    # A user and a password in the address stay with pip; the lock must not hold them.
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    metadata = item["metadata"]
    digest = "sha256:" + info["archive_info"]["hashes"]["sha256"]
    return Wheel(metadata["name"], metadata["version"], url, digest)


def _failure(requirement: str, words: str) -> ModelSetError:
    lines = [line.removeprefix("ERROR: ") for line in words.splitlines() if "ERROR" in line]
    said = lines[-1] if lines else words.strip()[-300:]
    if "No module named pip" in words:
        return ModelSetError(
            "index-failed", "this Python has no pip", f"run: {sys.executable} -m ensurepip"
        )
    unreachable = any(
        sign in words
        for sign in ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "Max retries")
    )
    if unreachable:
        return ModelSetError(
            "network-unreachable",
            f"the package index cannot be reached for {requirement}",
            "check the network, or try the demo: ./scripts/bootstrap.sh --demo",
        )
    return ModelSetError(
        "index-failed",
        f"pip finds no wheel for {requirement}: {said}",
        "check `pip config list` and the requirement in the catalog",
    )
