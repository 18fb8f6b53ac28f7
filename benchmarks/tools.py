"""The programs that are compared: the command line of each for one job, from a clean folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.origin import Repo

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent / "shared"
CATEGORY = "bench"
# Hides the SHA instructions of the processor from OpenSSL, which we use, and from the library
# of aria2c.
PLAIN = {
    "OPENSSL_ia32cap": ":~0x20000000",
    "OPENSSL_armcap": "0",
    "NETTLE_FAT_OVERRIDE": "aesni,pclmul",
}


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be fetched, from where, into which folder; `plain` is without the processor's own
    instructions for SHA-256.
    """

    origin: str
    repos: tuple[Repo, ...]
    folder: Path
    ca: Path | None = None
    plain: bool = False

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(repo.size for repo in self.repos)

    @property
    def environ(self) -> dict[str, str]:
        """Every tool's clean environment: no proxy, token, telemetry or update check."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        own = {
            "HOME": str(self.folder / "home"),
            "HF_HOME": str(self.folder / "hf"),
            "HF_ENDPOINT": self.origin,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "MODELSET_CONFIG": str(self.folder / "modelset.toml"),
            "MODELSET_LOCK": str(self.folder / "models.lock.json"),
            "MODELSET_MODELS_ROOT": str(self.folder / "models"),
            "PYTHONPATH": str(SHARED),
            # Made once on a machine, and so outside of the folder that each run begins without:
            # compiled modules, and the profile of the hardware with the catalog as it was read.
            "PYTHONPYCACHEPREFIX": str(self.folder.parent / "bytecode"),
            "MODELSET_OUT": str(self.folder.parent / "out"),
        }
        own |= {"SSL_CERT_FILE": str(self.ca)} if self.ca else {}
        return {**kept, **own, **(PLAIN if self.plain else {})}

    @property
    def urls(self) -> list[tuple[str, Path, str]]:
        """Each file's address, its place for tools that take one, and its sha256."""
        return [
            (repo.url(self.origin, file), self.folder / repo.id / file.path, file.sha256)
            for repo in self.repos
            for file in repo.files
        ]


@dataclass(frozen=True, slots=True)
class Tool:
    """One program as it is used here."""

    name: str
    command: Callable[[Job], list[str]]
    verifies: bool = False
    needs: str = ""

    def missing(self) -> str:
        """Why it cannot be run here, in words; empty when it can."""
        if self.needs and which(self.needs) is None:
            return f"{self.needs} is not installed"
        return ""


def which(program: str) -> str | None:
    """A program, looked for beside the Python that runs this, then in PATH."""
    beside = Path(sys.executable).parent / program
    return str(beside) if beside.exists() else shutil.which(program)


def _modelset(job: Job, options: tuple[str, ...] = ()) -> list[str]:
    (job.folder / "modelset.toml").write_text(tables(job.repos), encoding="utf-8")
    command = [sys.executable, "-m", "modelset", "download", "--category", CATEGORY, "--json"]
    return [*command, *options]


def tables(repos: tuple[Repo, ...]) -> str:
    """The user tables that ask for these repositories."""
    return "\n".join(
        f'[[model]]\nkey = "{CATEGORY}:{repo.id.rpartition("/")[2]}"\ncategory = "{CATEGORY}"\n'
        f'tier = "critical"\nsource = "huggingface"\nref.repo = {json.dumps(repo.id)}\n'
        f"size_bytes = {repo.size}\n"
        for repo in repos
    )


def _hf(job: Job, side_by_side: int = 1) -> list[str]:
    hf = which("hf") or "hf"
    if len(job.repos) == 1:
        return [hf, "download", job.repos[0].id]
    (job.folder / "list").write_text("".join(f"{repo.id}\n" for repo in job.repos))
    xargs = ["xargs", "-a", str(job.folder / "list"), "-n", "1", "-P", str(side_by_side)]
    return [*xargs, hf, "download"]


def _aria2(job: Job, options: tuple[str, ...] = (), *, checksum: bool = False) -> list[str]:
    lines = []
    for url, place, sha256 in job.urls:
        lines += [url, f"  dir={place.parent}", f"  out={place.name}"]
        lines += [f"  checksum=sha-256={sha256}"] if checksum else []
    (job.folder / "list").write_text("\n".join(lines) + "\n")
    # Without `none` it writes every file twice where the system cannot allocate ahead.
    fixed = ["--no-conf", "--file-allocation=none", "--console-log-level=warn"]
    fixed += ["--summary-interval=0", f"--input-file={job.folder / 'list'}"]
    fixed += [f"--ca-certificate={job.ca}"] if job.ca else []
    return ["aria2c", *fixed, *options]


def _curl(job: Job, options: tuple[str, ...] = (), *, digest: str = "") -> list[str]:
    (url, place, sha256) = job.urls[0]
    curl = ["curl", "-q", "-sS", "-f", "--create-dirs", *options, "-o", str(place), url]
    if not digest:
        return curl
    script = (
        f'want=$1 place=$2; shift 2; "$@" && [ "$({digest} "$place" | cut -c 1-64)" = "$want" ]'
    )
    return ["sh", "-c", script, "sh", sha256, str(place), *curl]


def _sequential(job: Job) -> list[str]:
    script = [sys.executable, str(HERE / "rivals" / "sequential.py"), job.origin]
    return [*script, str(job.folder), *(repo.id for repo in job.repos)]


def _bare(job: Job) -> list[str]:
    (url, place, _) = job.urls[0]
    return [sys.executable, "-I", "-S", str(HERE / "rivals" / "bare.py"), url, str(place)]


def _pooch(job: Job, python: str) -> list[str]:
    (url, place, sha256) = job.urls[0]
    return [python, str(HERE / "rivals" / "with_pooch.py"), url, sha256, str(place)]


# Without -s16 and -k1M it would open five connections, and one for each 20 MiB.
_MANY = ("-x16", "-s16", "-k1M")


def modelset(*options: str) -> Tool:
    """This project, with further options."""
    return Tool("modelset", partial(_modelset, options=options), verifies=True)


def aria2(*options: str, name: str = "aria2c -x16", checksum: bool = False) -> Tool:
    """aria2c, with sixteen connections unless told otherwise."""
    command = partial(_aria2, options=options or _MANY, checksum=checksum)
    return Tool(name, command, verifies=checksum, needs="aria2c")


def curl(*options: str, name: str = "curl", digest: str = "") -> Tool:
    """curl, for one file; `digest` is what prints its sha256 afterwards."""
    command = partial(_curl, options=options, digest=digest)
    return Tool(name, command, verifies=bool(digest), needs="curl")


def hf(side_by_side: int = 1, name: str = "hf download") -> Tool:
    """The Hub's own command, as it comes: eight files at a time."""
    return Tool(name, partial(_hf, side_by_side=side_by_side), needs="hf")


BARE = Tool("socket to file, no more", _bare)
SEQUENTIAL = Tool("sequential script", _sequential)
MODELSET = modelset()
HF = hf()
ARIA2 = aria2()
ARIA2_CHECKSUM = aria2(name="aria2c -x16 --checksum", checksum=True)
CURL = curl()
CURL_SHA256SUM = curl(name="curl, then sha256sum", digest="sha256sum")
CURL_OPENSSL = curl(name="curl, then openssl", digest="openssl dgst -sha256 -r")


def pooch(folder: Path) -> Tool:
    """pooch, from an environment of its own when this Python has none; it may be out of reach."""
    python = sys.executable
    if subprocess.run([python, "-c", "import pooch"], capture_output=True).returncode != 0:
        place = folder / "pooch"
        python = str(place / "bin" / "python")
        steps = (
            [sys.executable, "-m", "venv", str(place)],
            [python, "-m", "pip", "install", "--quiet", "--retries", "1", "pooch"],
        )
        if not all(_succeeds(step) for step in steps):
            python = "pooch"  # a name that is not installed says so in the tables
    return Tool("pooch", partial(_pooch, python=python), verifies=True, needs=python)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def knows(option: str) -> bool:
    """Whether this version of modelset has an option."""
    command = [sys.executable, "-m", "modelset", "download", "--help"]
    environ = {**os.environ, "PYTHONPATH": str(SHARED)}
    shown = subprocess.run(command, env=environ, capture_output=True, text=True)
    return option in shown.stdout
