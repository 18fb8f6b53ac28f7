"""Rows of the store that are modelset's own: its steps, its check, its journals and archives."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import psutil
from tests.fakes.wheels import make_wheel, record_line
from tests.faults.answers import MIB, File, bytes_of, silence
from tests.faults.places import (
    another_host,
    listing,
    repository,
    running,
    small_disk,
    snapshot,
    starting,
    wheel,
    without_rights,
)
from tests.faults.project import Project, Ran, await_true
from tests.faults.rows.row import Ground, Row, Verdict
from tests.faults.rows.tools import Modelset, Tool
from tests.faults.shim import shim
from tests.faults.steps import (
    KINDS,
    NAMES,
    SYNCS,
    WHEEL,
    mended,
    short_files,
    start_again,
    strike,
)

DATA = bytes_of("m", 2 * MIB)
LARGE = bytes_of("large", 9 * MIB)
STRIDE = 5
OK = Verdict(True, "ok")


def _project(tool: Tool) -> Project:
    return cast(Modelset, tool).project


def _more(ground: Ground, name: object) -> Project:
    """One more project, for scenarios that need several."""
    made = Project(ground.folder / f"project-{name}")
    ground.kept.callback(made.close)
    if ground.warm:
        made.env["PYTHONPYCACHEPREFIX"] = ground.warm.env["PYTHONPYCACHEPREFIX"]
        shutil.copy(ground.warm.profile, made.profile)
    return made


def _add(project: Project, ground: Ground, name: str = "m", data: bytes = DATA) -> str:
    return project.model(name, ground.origin.serve(f"/{name}", File(data)), data)


def _all(facts: Iterable[tuple[object, str]], words: str = "ok") -> Verdict:
    """Passed when every fact is true; else the words of the first that is not."""
    for fact, otherwise in facts:
        if not fact:
            return Verdict(False, otherwise)
    return Verdict(True, words)


def _failed(ran: Ran, key: str, code: str, exit_code: int) -> Verdict:
    """The run ended with this failure, as an outcome or as the error of the whole run."""
    data = ran.document["data"]
    failure = data["error"] if "error" in data else ran.failure(key)
    said = f"exit {ran.code} {failure['code']}: {failure['message']}"
    facts = [(ran.code == exit_code and failure["code"] == code, said)]
    facts.append((bool(failure["hint"]), f"{code} without a hint"))
    return _all(facts, f"{code}, exit {exit_code}")


# ---- killed, cut off ------------------------------------------------------------------------


def _steps(tool: Tool, ground: Ground) -> Verdict:
    """Every few steps; of a wheel, those in the folder of partial files (row 47 has the others)."""
    struck = 0
    for kind in KINDS:
        path, stride = ("models/downloads/*", 1) if kind is WHEEL else ("*", STRIDE)
        for at in range(1, 40, stride):
            project = _more(ground, f"{kind.name}-{at}")
            key = kind.add(project, ground.origin)
            more = strike(project, key, at, "kill", NAMES, path)
            if words := mended(project, key, kind):
                return Verdict(False, f"{kind.name}, step {at}: {words}")
            struck += more
            if not more:
                break
    return _all([(struck >= 8, f"only {struck} kills")], f"ok, {struck} kills")


def _power(tool: Tool, ground: Ground) -> Verdict:
    struck = 0
    for kind in KINDS:
        for at in range(2, 40, STRIDE):
            project = _more(ground, f"{kind.name}-{at}")
            key = kind.add(project, ground.origin)
            more = strike(project, key, at, "cut", SYNCS)
            if short_files(project, kind):
                return Verdict(False, f"{kind.name}, step {at}: short file under its name")
            start_again(project)
            if words := mended(project, key, kind):
                return Verdict(False, f"{kind.name}, step {at}: {words}")
            struck += more
            if not more:
                break
    return _all([(struck >= 8, f"only {struck} cuts")], f"ok, {struck} cuts")


def _child(tool: Tool, ground: Ground) -> Verdict:
    """The child that asks the package index is killed, as by the system when memory is short."""
    project = _more(ground, 0)
    ground.origin.serve("/simple/tiny-model/", silence)
    project.settings(f'[download]\nindex_url = "{ground.origin.url}/simple/"')
    project.settings(
        '[[model]]\nkey = "package:tiny"\ncategory = "package"\nsource = "wheel"\n'
        'tier = "available"\nref = { requirement = "tiny-model==1.0" }'
    )
    key = _add(project, ground)
    running_ = starting(project, "package:tiny", key, "--json")
    await_true("pip at work", lambda: bool(ground.origin.asked("/simple/tiny-model/")))
    for child in psutil.Process(running_.process.pid).children(recursive=True):
        child.kill()
    ran = running_.end()
    result = ran.outcomes[key]["result"]
    return _all([
        (result == "downloaded" and project.path(key).read_bytes() == DATA, f"other: {result}"),
        (ran.failure("package:tiny")["code"] == "index-failed", "another code"),
        (ran.code == 5, f"exit {ran.code}"),
    ], "index-failed for that model; the other is downloaded")  # fmt: skip


# ---- a full disk, one with errors, one that is not ours -----------------------------------


def _denied(
    tool: Tool, ground: Ground, calls: str, path: str, number: int, steps: tuple[int, ...]
) -> Verdict:
    """Calls fail as on a full disk from a step on: exit 7, and afterwards all is well."""
    for at in steps:
        project = _more(ground, at)
        key = _add(project, ground, data=LARGE)
        rule = shim(calls, f"{project.models}/{path}", do=number, at=at)
        ran = running(project, key, "--json", env=rule)
        if ran.code != 0:  # what is only remembered may be lost without a word
            verdict = _failed(ran, key, "disk-full", 7)
            if not verdict.passed:
                return Verdict(False, f"step {at}: {verdict.words}")
        again = running(project, key, "--json")
        if again.code != 0 or project.path(key).read_bytes() != LARGE:
            return Verdict(False, f"step {at}: not mended: {again.stdout[:300]}")
        project.assert_clean(m=LARGE)
    return Verdict(True, "disk-full, exit 7; then ok")


def _no_inodes(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    disk = ground.kept.enter_context(small_disk(project.models, "size=80m,nr_inodes=4"))
    assert disk is not None, "no user namespaces"
    key = _add(project, ground)
    return _failed(running(project, key, "--json", under=disk.under), key, "disk-full", 7)


def _presence(ran: Ran) -> dict[str, str]:
    return {row["key"]: row["presence"] for row in ran.document["data"]["models"]}


def _bad_sector(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    bad, good = _add(project, ground, "bad"), _add(project, ground, "good", LARGE)
    assert running(project, bad, good).code == 0
    rule = shim("read", str(project.path(bad)), do=errno.EIO)
    ran = running(project, bad, good, "--deep", "--json", command="check", env=rule)
    return _all([
        (ran.code == 8, f"exit {ran.code}"),
        (_presence(ran) == {bad: "corrupt", good: "present"}, f"{_presence(ran)}"),
        ("unreadable" in ran.stdout, "does not say why"),
        (running(project, bad, good).code == 0, "not mended"),
    ], "corrupt (unreadable), the other present")  # fmt: skip


def _bad_partial(tool: Tool, ground: Ground) -> Verdict:
    """What a killed run left cannot be read any more."""
    project = _project(tool)
    url = ground.origin.serve("/m", File(LARGE), first=(File(LARGE, stop_at=6 * MIB),))
    key = project.model("m", url, LARGE)
    killed = starting(project, key)
    await_true("five megabytes", lambda: ground.origin.sent("/m") >= 5 * MIB)
    killed.kill()
    rule = shim("read", "*.part", do=errno.EIO)
    ran = running(project, key, "--json", env=rule)
    if ran.code == 0:  # it may as well fetch them again
        return _all([(project.path(key).read_bytes() == LARGE, "wrong bytes")])
    verdict = _failed(ran, key, "store-read-error", 4)
    if verdict.passed and running(project, key).code != 0:
        return Verdict(False, "not mended")
    return verdict


def _only_to_look(tool: Tool, ground: Ground) -> Verdict:
    """A store that is there, and that this user may only read."""
    rights = without_rights()
    assert rights is not None, "root cannot give up its rights"
    project = _project(tool)
    key, other = _add(project, ground), _add(project, ground, "other", LARGE)
    assert running(project, key).code == 0
    folders = [path for path in (project.models, *project.models.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
        ground.kept.callback(folder.chmod, 0o755)
    check = running(project, key, "--deep", "--json", command="check", under=rights)
    again = running(project, key, "--json", under=rights)
    verdict = _failed(
        running(project, other, "--json", under=rights), other, "store-not-writable", 4
    )
    return _all([
        (check.code == 0 and _presence(check) == {key: "present"}, f"check: exit {check.code}"),
        (again.code == 0, f"download of what is there: exit {again.code}"),
        (verdict.passed, verdict.words),
    ], "check works; store-not-writable, exit 4")  # fmt: skip


def _umask(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    key = _add(project, ground)
    under = ("sh", "-c", 'umask 077 && exec "$0" "$@"')
    ran = running(project, key, under=under)
    check = running(project, key, "--deep", command="check", under=under)
    mode = project.path(key).stat().st_mode & 0o777
    return _all([(ran.code == 0, "fails"), (check.code == 0, "check fails"),
                 (mode == 0o600, f"mode {mode:o}")])  # fmt: skip


# ---- two hosts, and owners that are gone -------------------------------------------------------


def _elsewhere() -> tuple[str, ...]:
    host = another_host()
    assert host is not None, "no user namespaces"
    return host


def _two_hosts(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    url = ground.origin.serve("/m", File(LARGE, piece=MIB // 2, pause_s=0.05))
    key = project.model("m", url, LARGE)
    both = [starting(project, key), starting(project, key, under=_elsewhere())]
    codes = [each.end().code for each in both]
    right = project.path(key).is_file() and project.path(key).read_bytes() == LARGE
    verdict = _all([(codes == [0, 0], f"exits {codes}"), (right, "wrong file")])
    if verdict.passed:
        project.assert_clean(m=LARGE)
    return verdict


def _gone_host(tool: Tool, ground: Ground) -> Verdict:
    """A process in another container was killed; minutes later its bytes are taken over."""
    project, data = _project(tool), bytes_of("large", 24 * MIB)
    stop = 20 * MIB
    url = ground.origin.serve("/m", File(data, stop_at=stop))
    key = project.model("m", url, data)
    killed = starting(project, key, under=_elsewhere())
    await_true("twenty megabytes", lambda: ground.origin.sent("/m") >= stop)
    time.sleep(0.2)
    killed.kill()
    before, old = ground.origin.sent("/m"), time.time() - 300
    for path in project.downloads.iterdir():
        os.utime(path, (old, old))
    ground.origin.serve("/m", File(data))
    ran = running(project, key, "--json")
    again = ground.origin.sent("/m") - before - (len(data) - stop)
    verdict = _all([
        (ran.code == 0, f"exit {ran.code}"),
        (again <= 12 * MIB, f"{again // MIB} of {stop // MIB} MiB again"),
    ])  # fmt: skip
    if verdict.passed:
        project.assert_clean(m=data)
    return verdict


def _clock_set(tool: Tool, ground: Ground) -> Verdict:
    """Between the start of two processes the machine's clock is set: the first one still lives."""
    project = _project(tool)
    url = ground.origin.serve("/m", File(LARGE, piece=MIB // 2, pause_s=0.08))
    key = project.model("m", url, LARGE)
    first = starting(project, key)
    await_true("a megabyte", lambda: ground.origin.sent("/m") >= MIB)
    stat = project.root / "home" / "stat"
    lines = Path("/proc/stat").read_text("ascii").splitlines(keepends=True)
    stat.write_text("".join(
        f"btime {int(line.split()[1]) + 86400}\n" if line.startswith("btime") else line
        for line in lines
    ))  # fmt: skip
    second = running(project, key, env=shim(swap=("/proc/stat", stat), jump_s=86400))
    codes = [first.end().code, second.code]
    sent = ground.origin.sent("/m")
    return _all([
        (codes == [0, 0], f"exits {codes}"),
        (project.path(key).read_bytes() == LARGE, "wrong file"),
        # Halves that idle lanes took over may come twice.
        (sent <= len(LARGE) * 1.25, "the living owner was taken for dead"),
    ])  # fmt: skip


# ---- names and archives that bite ---------------------------------------------------------------


def _odd_names(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    files = {
        "caf\u00e9.json": b"composed", "cafe\u0301.json": b"decomposed", "a [1]*?.txt": b"glob",
        "x" * 250 + ".json": b"long", "Aux.json": b"upper", "aux.json": b"lower", "-rf": b"dash",
    }  # fmt: skip
    key = repository(project, ground.origin, files)
    ran = running(project, key, "--json")
    check = running(project, key, "--deep", command="check")
    wrong = [
        name for name, data in files.items()
        if not (snapshot(project) / name).is_file()
        or (snapshot(project) / name).read_bytes() != data
    ]  # fmt: skip
    return _all([(ran.code == 0, ran.stdout[-400:]), (not wrong, f"{wrong}"),
                 (check.code == 0, "check fails")])  # fmt: skip


def _outside(ground: Ground, project: Project) -> list[Path]:
    """What has got out of the folders that are a model's place."""
    places = (project.models, project.root / "site-packages")
    return [
        path
        for path in ground.folder.rglob("*evil*")
        if not any(path.is_relative_to(place) for place in places)
    ]


def _tricks(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    tricks = ["../../evil.bin", f"{ground.folder}/evil.bin", "a/../../../../evil.bin",
              "..\\evil.bin", "C:/evil.bin", "evil\x00.bin", "a//evil.bin", "a/./evil.bin",
              ".."]  # fmt: skip
    keys = []
    for number, name in enumerate(tricks):
        row = {"type": "file", "path": name, "size": 2, "oid": "0" * 40}
        keys.append(listing(project, ground.origin, [row], name=f"trick{number}"))
    literal = repository(project, ground.origin, {"%2e%2e/evil.bin": b"{}"}, name="literal")
    ran = running(project, *keys, literal, "--json")
    codes = {tricks[n]: ran.failure(key)["code"] for n, key in enumerate(keys)}
    accepted = [name for name, code in codes.items() if code != "bad-response"]
    outside = [path for path in _outside(ground, project) if "compiled" not in path.parts]
    whole = (snapshot(project, "literal") / "%2e%2e" / "evil.bin").is_file()
    return _all([(not accepted, f"{accepted}"), (not outside, f"{outside}"),
                 (whole, "an odd but honest name is lost")], "bad-response for each")  # fmt: skip


def _wheels(tool: Tool, ground: Ground, made: Callable[[Path], list[Path]]) -> Verdict:
    """Each of these wheels is refused, and nothing of it is found anywhere outside."""
    project = _project(tool)
    folder = ground.folder / "wheels"
    folder.mkdir()
    keys = [wheel(project, ground.origin, path) for path in made(folder)]
    ran = running(project, *keys, "--json")
    codes = {key: ran.failure(key)["code"] for key in keys}
    site = project.root / "site-packages"
    left = [path.name for path in site.rglob("*") if path.name == "RECORD"]
    outside = [path for path in _outside(ground, project) if folder not in path.parents]
    return _all([
        (set(codes.values()) == {"wheel-invalid"}, f"{codes}"), (ran.code == 8, f"exit {ran.code}"),
        (not outside, f"{outside}"), (not left, "a package is left installed"),
    ], "wheel-invalid, exit 8")  # fmt: skip


def _slips(folder: Path) -> list[Path]:
    return [
        make_wheel(folder, "1.0", {name: b"evil"}, name=f"slip{number}")
        for number, name in enumerate([
            "../evil.txt", "slip1/../../evil.txt", f"{folder}/evil.txt",
            "slip3-1.0.data/data/../../../../evil.txt",
        ])
    ]  # fmt: skip


def _liars(folder: Path) -> list[Path]:
    return [
        make_wheel(folder, "1.0", name="liar0", record=record_line("../../evil.txt", b"evil")),
        make_wheel(folder, "1.0", name="liar1", record=""),
        make_wheel(folder, "1.0", name="liar2", record=record_line("liar2/__init__.py", b"evil")),
    ]


def _bombs(folder: Path) -> list[Path]:
    bombs = [make_wheel(folder, "1.0", {"bomb0/zeros.bin": bytes(40 * MIB)}, name="bomb0")]
    quoted = make_wheel(folder, "1.0", {"bomb1/zeros.bin": bytes(4 * MIB)}, name="bomb1")
    # The directory of the archive says that the zeros are few.
    data = quoted.read_bytes()
    size = (4 * MIB).to_bytes(4, "little")
    quoted.write_bytes(data.replace(size, (1000).to_bytes(4, "little")))
    return [*bombs, quoted]


def _archive_link(tool: Tool, ground: Ground) -> Verdict:
    """An entry that says it is a link, and one that asks for another user's rights."""
    project, precious = _project(tool), ground.folder / "precious.txt"
    precious.write_text("precious")
    folder = ground.folder / "wheels"
    folder.mkdir()
    plain = make_wheel(folder, "1.0", {"links/link": str(precious).encode(), "links/run": b"#!"},
                       name="links")  # fmt: skip
    with zipfile.ZipFile(plain) as old:
        bodies = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(plain, "w") as new:
        for name, body in bodies.items():
            info = zipfile.ZipInfo(name)
            kind = {"links/link": 0o120777, "links/run": 0o106777}.get(name, 0o100644)
            info.external_attr = kind << 16
            new.writestr(info, body)
    ran = running(project, wheel(project, ground.origin, plain), "--json")
    site = project.root / "site-packages" / "links"
    return _all([
        (ran.code in (0, 8), f"exit {ran.code}"),
        (not (site / "link").is_symlink(), "a link came out of an archive"),
        (not (site / "run").exists() or not (site / "run").stat().st_mode & 0o6000, "setuid"),
    ], "plain files, without special rights")  # fmt: skip


def _half_way(tool: Tool, ground: Ground) -> Verdict:
    struck = 0
    for at in (1, 2, 3, 5):
        project = _more(ground, at)
        key = WHEEL.add(project, ground.origin)
        struck += strike(project, key, at, "tear", "write", "site-packages/*")
        check = running(project, key, command="check")
        if check.code == 0:
            return Verdict(False, f"write {at}: half a model is called whole")
        if words := mended(project, key, WHEEL):
            return Verdict(False, f"write {at}: {words}")
    return _all([(struck == 4, f"only {struck} kills")])


def _planted_folders(tool: Tool, ground: Ground) -> Verdict:
    """Links to folders and files of the user's lie where a model's own belong."""
    project, away = _project(tool), ground.folder / "away"
    away.mkdir()
    precious = away / "weights.bin"
    precious.write_text("precious")
    hub = repository(project, ground.origin, {"config.json": b"{}"})
    snapshot(project).parents[2].mkdir(parents=True)
    snapshot(project).parents[1].symlink_to(away)
    site = project.root / "site-packages"
    folder = ground.folder / "wheels"
    folder.mkdir()
    (site / "inner").mkdir(parents=True)
    (site / "outer").symlink_to(away)
    (site / "inner" / "weights.bin").symlink_to(precious)
    outer, inner = (
        wheel(project, ground.origin,
              make_wheel(folder, "1.0", {f"{name}/weights.bin": b"x" * 99}, name=name))
        for name in ("outer", "inner")
    )  # fmt: skip
    ran = running(project, hub, outer, inner, "--json")
    return _all([
        (precious.read_text() == "precious", "writes through the link"),
        ([path.name for path in away.iterdir()] == ["weights.bin"], "writes outside"),
        (ran.failure(hub)["code"] == "store-not-writable", "the Hub's cache"),
        (ran.failure(outer)["code"] == "store-not-writable", "site-packages"),
        (ran.outcomes[inner]["result"] == "downloaded", "a link is not replaced"),
    ], "refused or replaced, nothing outside")  # fmt: skip


# ---- damage ----------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    """Turn one bit over, as a disk does: without a new time of change."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _flipped(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    bad, good = _add(project, ground, "bad"), _add(project, ground, "good", LARGE)
    hub = repository(project, ground.origin, {"model.bin": LARGE})
    package = WHEEL.add(project, ground.origin)
    keys = (bad, good, hub, package)
    assert running(project, *keys).code == 0
    _flip(project.path(bad))
    _flip((snapshot(project) / "model.bin").resolve())
    _flip(next(iter(WHEEL.places(project))))
    deep = running(project, *keys, "--deep", "--json", command="check")
    found = {key for key, presence in _presence(deep).items() if presence == "corrupt"}
    mend = running(project, *keys, "--json")
    again = running(project, *keys, "--deep", command="check")
    return _all([
        (deep.code == 8 and found == {bad, hub, package}, f"finds {sorted(found)}"),
        (mend.code == 0 and mend.outcomes[good]["result"] == "ready", "not mended"),
        (again.code == 0 and project.path(bad).read_bytes() == DATA, "not mended"),
    ], "found, and mended by the next download")  # fmt: skip


def _damaged_papers(tool: Tool, ground: Ground) -> Verdict:
    """The registry, a journal, the machine's profile and the parsed settings are garbage, or of a
    newer version."""
    for number, text in enumerate(["", "{half", '{"schema_version": 99, "models": {"x": 5}}']):
        project = _more(ground, number)
        first = File(LARGE, stop_at=6 * MIB)
        place = f"/papers{number}"
        url = ground.origin.serve(place, File(LARGE), first=(first,))
        key, done = project.model("m", url, LARGE), _add(project, ground, "done")
        assert running(project, done).code == 0
        killed = starting(project, key)
        await_true("bytes", lambda place=place: ground.origin.sent(place) >= 5 * MIB)  # type: ignore[misc]
        killed.kill()
        papers = [project.models / "registry" / "registry.json", project.profile]
        papers += project.downloads.glob("*.json")
        papers += project.profile.parent.glob(".*.json")
        for paper in papers:
            paper.write_text(text)
        ran = running(project, key, done, "--json")
        check = running(project, key, done, "--deep", command="check")
        if ran.code != 0 or check.code != 0:
            return Verdict(False, f"{text[:12]!r}: exit {ran.code}, check {check.code}")
        project.assert_clean(m=LARGE, done=DATA)
        with suppress(ValueError):
            json.loads(project.profile.read_text())
    return OK


def _damaged_lock(tool: Tool, ground: Ground) -> Verdict:
    project = _project(tool)
    key = _add(project, ground)
    assert running(project, key).code == 0
    lock = project.root / "models.lock.json"
    for text, word in (("{half", "delete"), ('{"schema_version": 99}', "update modelset")):
        lock.write_text(text)
        for command in ("download", "check"):
            ran = running(project, key, "--json", command=command)
            error = ran.document["data"]["error"]
            if ran.code != 2 or error["code"] != "lock-invalid" or word not in error["hint"]:
                return Verdict(False, f"{command}: exit {ran.code} {error}")
        if lock.read_text() != text:
            return Verdict(False, "overwrites a lock that it cannot read")
    return Verdict(True, "lock-invalid, exit 2; the lock stays as it is")


OURS = "this is a step of modelset's own"
NO_STORE = "they keep no store of several models"
NO_CHECK = "they have no check that works offline"
NO_UNPACK = "they unpack nothing"
THEIR_NAME = "the user of curl and aria2c chooses the name"
UNSEEN = "the shim does not see writes of programs that use stdio"
WHOLE = "A file has its final name only when all of its bytes are durable and verified."
FULL = "A full disk is exit 7; what is there stays as it was, and the next run resumes."
SAFE = "Two processes on one store end with the right file, on one host or on two."
OUTSIDE = "Nothing is written outside the store, through no link either."
ARCHIVES = "An archive that would leave its folder, or is out of proportion, is refused."
CC, NAMESPACES, RIGHTS = ("cc",), ("unshare",), ("setpriv",)


def _own(
    number: int, name: str, fault: str, guarantee: str, run: Callable[[Tool, Ground], Verdict],
    why_not: str, needs: tuple[str, ...] = (),
) -> Row:  # fmt: skip
    return Row(number, name, fault, guarantee, run, rivals=False, why_not=why_not, needs=needs)


OWN_ROWS: tuple[Row, ...] = (
    _own(30, "kill-at-steps", "kill -9 before a rename, a link or a removal",
         "Killed at any instant, the next run ends well and nothing is left over.", _steps, OURS,
         CC),
    _own(32, "power-cut", "power is cut: what was not synced is lost", WHOLE, _power, OURS, CC),
    _own(33, "child-killed", "a child process is killed when memory is short",
         "One model fails with its code; the others finish.", _child, "they start no children"),
    _own(34, "full-at-journal", "no space for the journal", FULL,
         partial(_denied, calls="write,create", path="downloads/*.[jt]*", number=errno.ENOSPC,
                 steps=(1, 2, 3, 4)), OURS, CC),
    _own(34, "full-at-registry", "no space for the registry", FULL,
         partial(_denied, calls="write,create", path="registry/*", number=errno.ENOSPC,
                 steps=(1, 3)), OURS, CC),
    _own(35, "quota", "the quota is used up (EDQUOT)", "A quota is exit 7, as a full disk.",
         partial(_denied, calls="write", path="downloads/*", number=errno.EDQUOT, steps=(1, 20)),
         UNSEEN, CC),
    _own(35, "no-inodes", "the disk has no inodes left", "It is exit 7, as a full disk.",
         _no_inodes, "who stores one file needs one inode", (*NAMESPACES, "nsenter")),
    _own(36, "read-error", "EIO when check --deep reads a file",
         "It is reported for that file; the others are checked.", _bad_sector, NO_CHECK, CC),
    _own(36, "read-error-at-resume", "EIO when a partial file is read again",
         "It is said in words, or the bytes are fetched again.", _bad_partial, UNSEEN, CC),
    _own(37, "check-without-rights", "a whole store that may only be read",
         "check works; download says what to do, exit 4.", _only_to_look, NO_CHECK, RIGHTS),
    _own(37, "umask", "umask 077", "Files are as private as the user asks for.", _umask, NO_CHECK),
    _own(38, "two-hosts", "two hosts fetch the same model into one store", SAFE, _two_hosts,
         NO_STORE, NAMESPACES),
    _own(40, "gone-host", "a process in another container was killed in the middle",
         "A claim ends with its owner; its bytes are taken over.", _gone_host, NO_STORE,
         NAMESPACES),
    _own(42, "odd-names", "names composed and decomposed, with patterns, of 255 bytes",
         "Every name that this file system takes is placed.", _odd_names, THEIR_NAME),
    _own(43, "tree-tricks", "a repository lists ../, absolute names, drives, NUL",
         "A name that could lead out of its folder is refused.", _tricks, THEIR_NAME),
    _own(43, "record-tricks", "a wheel's RECORD lists what is not in it", ARCHIVES,
         partial(_wheels, made=_liars), NO_UNPACK),
    _own(44, "planted-folders", "links to the user's folders lie where a model's belong", OUTSIDE,
         _planted_folders, NO_STORE),
    _own(45, "zip-slip", "entries of an archive lead outside", ARCHIVES,
         partial(_wheels, made=_slips), NO_UNPACK),
    _own(45, "archive-link", "an archive holds a link and a setuid program", ARCHIVES,
         _archive_link, NO_UNPACK),
    _own(46, "bomb", "40 MiB in 40 kB, and an archive that lies about its size", ARCHIVES,
         partial(_wheels, made=_bombs), NO_UNPACK),
    _own(47, "unpacking-killed", "kill -9 while a wheel is unpacked",
         "Half a model is never called whole; the next run completes it.", _half_way, NO_UNPACK,
         CC),
    _own(48, "stored-flipped", "one bit of stored files turns over",
         "check --deep finds it, the next download mends it.", _flipped, NO_CHECK),
    _own(49, "papers-damaged", "registry, journal and profile are garbage or newer",
         "What only remembers is made anew.", _damaged_papers, OURS),
    _own(49, "lock-damaged", "the lock is garbage or newer",
         "It is said, exit 2; the lock is not overwritten.", _damaged_lock, OURS),
    _own(54, "clock-set", "the clock is set while another process downloads", SAFE, _clock_set,
         NO_STORE, CC),
)  # fmt: skip
