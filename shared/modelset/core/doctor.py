"""What the facts of a machine mean to this project, and the command that mends what is wrong."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from modelset.core.errors import KINDS
from modelset.core.mirrors import Mirror, is_loopback
from modelset.core.values import dataclass
from modelset.core.versions import fits
from modelset.core.words import size_text

Level = Literal["ok", "note", "warn", "bad"]

# Below this a download of anything but the smallest models ends at a full disk.
_LEAST_FREE = 2 * 10**9
# Every connection, every model and the libraries below hold some.
_LEAST_FILES = 512
# A clock so wrong that certificates look expired or not yet valid, and the year of this program.
_SKEW_S = 60.0
_YEARS = range(2026, 2080)
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*([^;#\s][^;#]*)?")
# Built for one device each; a mixture installs cleanly, and fails when it is imported.
_BUILT = ("torch", "torchaudio", "torchvision")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` is the command or the step that helps."""

    topic: str
    level: Level
    words: str
    mend: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Volume:
    """What a folder's volume can do; `skew_s` is how far its clock is behind this machine's.

    What could not be tried is None. `lies_in` is the nearest folder that is there already.
    """

    lies_in: str
    device: int
    free_bytes: int
    is_writable: bool
    symlinks: bool | None = None
    hard_links: bool | None = None
    locks: bool | None = None
    is_case_sensitive: bool | None = None
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Requirement:
    """A library that is asked for; with `if_here` its absence is no fault."""

    name: str
    wanted: str
    if_here: bool = False


def exit_code(findings: Iterable[Finding]) -> int:
    """0 unless something is wrong: then the code that the faults share, otherwise 4."""
    bad = (one for one in findings if one.level == "bad")
    codes = {KINDS[one.code].exit_code if one.code else 4 for one in bad}
    return 0 if not codes else codes.pop() if len(codes) == 1 else 4


def judge_volume(names: str, volume: Volume, needed: int) -> list[Finding]:
    """What a volume that holds these roots means; `needed` bytes are still to come there."""
    where = f"{names} in {volume.lies_in}"
    if not volume.is_writable:
        mend = "give this user the right to write there, or set MODELSET_MODELS_ROOT to another"
        return [
            Finding("Disk", "bad", f"cannot write {where}", mend, "store-not-writable"),
        ]
    free = f"{size_text(volume.free_bytes)} free for {where}"
    mend = "free some space, or `modelset config set paths.models_root FOLDER`"
    if needed > volume.free_bytes:
        words = f"{free}, and {size_text(needed)} are still to come"
        found = [Finding("Disk", "bad", words, mend, "disk-full")]
    elif volume.free_bytes < _LEAST_FREE:
        found = [Finding("Disk", "warn", free, mend)]
    else:
        found = [Finding("Disk", "ok", free)]
    lacking = [
        Finding("Disk", level, f"{words}: {volume.lies_in}", mend)
        for is_fine, level, words, mend in _abilities(volume)
        if is_fine is False
    ]
    return found + lacking


def _abilities(volume: Volume) -> tuple[tuple[bool | None, Level, str, str], ...]:
    other = "`modelset config set paths.models_root FOLDER` with one on another disk"
    return (
        (
            volume.symlinks,
            "note",
            "no symbolic links: files of the Hub are copied, and take their room twice",
            "on Windows, switch Developer Mode on",
        ),
        (volume.hard_links, "note", "no hard links: models that are taken in are copied", ""),
        (
            volume.locks,
            "warn",
            "no file locks: two downloads at once may fetch a file twice",
            other,
        ),
        (
            volume.is_case_sensitive,
            "note",
            "upper and lower case are one here, as on most Windows and macOS disks",
            "",
        ),
        (
            abs(volume.skew_s) <= _SKEW_S,
            "warn",
            f"files get a time that is {abs(volume.skew_s):.0f} s off this machine's clock",
            "set the clock of the file server, or of this machine",
        ),
    )


def judge_clock(year: int) -> Finding:
    """Whether the year can be true: certificates are valid for a time."""
    if year in _YEARS:
        return Finding("Clock", "ok", f"the year is {year}")
    mend = "set the clock: `sudo timedatectl set-ntp true`"
    return Finding("Clock", "bad", f"the year is {year}, so certificates fail", mend, "tls-failed")


def judge_open_files(limit: int | None) -> Finding:
    """Whether enough files may be open at once; None where there is no such limit."""
    if limit is None or limit >= _LEAST_FILES:
        words = "no limit" if limit is None else f"{limit} at a time"
        return Finding("Open files", "ok", words)
    words = f"only {limit} at a time"
    return Finding("Open files", "warn", words, f"ulimit -n {2 * _LEAST_FILES}")


def requirements_of(lines: Iterable[str]) -> list[Requirement]:
    """The libraries that lines in the form of requirements.txt ask for.

    One for some machines only, with a marker, is looked at where it is here.
    """
    found = []
    for line in lines:
        named = _REQUIREMENT.match(line.strip())
        if named:
            found.append(Requirement(named[1], (named[2] or "").strip(), ";" in line))
    return found


def judge_libraries(
    wanted: Iterable[Requirement],
    versions: Mapping[str, str],
    *,
    topic: str,
    missing: Level,
    mend: str,
) -> list[Finding]:
    """Of each library that is missing or does not fit, a finding; one for all that are well."""
    found, well = [], []
    for row in wanted:
        version = versions.get(row.name, "")
        if version and fits(version, row.wanted):
            well.append(f"{row.name} {version}")
        elif version:
            words = f"{row.name} {version} does not fit {row.wanted}"
            found.append(Finding(topic, "warn", words, mend))
        elif not row.if_here:
            found.append(Finding(topic, missing, f"{row.name} is missing", mend))
    if well:
        found.insert(0, Finding(topic, "ok", ", ".join(well)))
    return found


def judge_torch(versions: Mapping[str, str], *, has_cuda: bool) -> list[Finding]:
    """Whether torch and what stands beside it are built for one device, and for this one."""
    built = {name: versions[name] for name in _BUILT if versions.get(name)}
    torch = built.get("torch", "")
    if not torch:
        return []
    own = torch.partition("+")[2]
    mend = "install them together, from where torch came from"
    # One without a mark comes from the public index, where it is of the usual kind.
    others = [
        Finding("Libraries", "warn", f"torch {torch} beside {name} {version}", mend)
        for name, version in built.items()
        if version.partition("+")[2] != own
    ]
    if has_cuda and own == "cpu":
        words = f"torch {torch} is built for the CPU, and this machine has an NVIDIA GPU"
        others.append(
            Finding("Libraries", "warn", words, "install torch without PyTorch's CPU index")
        )
    return others


def judge_mirrors(
    mirrors: Mapping[str, tuple[Mirror, ...]], show: Mapping[str, str]
) -> list[Finding]:
    """What of the mirrors can never work, or is unwise; `show` has addresses without passwords."""
    found: list[Finding] = []
    for prefix, chosen in mirrors.items():
        for mirror in chosen:
            words = f"{show.get(prefix, prefix)} from {show.get(mirror.url, '')}"
            is_plain = mirror.url.startswith("http://") and not is_loopback(mirror.url)
            if is_plain and not mirror.allow_http:
                mend = "use https, or mark it with `allow_http = true`"
                found.append(Finding("Mirrors", "bad", words, mend, "address-refused"))
            elif is_plain and mirror.credentials:
                mend = "use https, or take `credentials = true` away"
                found.append(Finding("Mirrors", "warn", f"{words}: a token over http", mend))
            else:
                found.append(Finding("Mirrors", "ok", words))
    return found
