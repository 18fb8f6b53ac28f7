"""modelset doctor: what is wrong on this machine, offline, and the command that mends it."""

import argparse
from collections.abc import Iterator

from modelset.cli import doctor_looks as looks
from modelset.cli import doctor_records as records
from modelset.cli.options import settings_of
from modelset.cli.screen import Mark, Screen, say_error
from modelset.core.doctor import Finding, Level, exit_code
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.values import asdict
from modelset.engine.guard import RunGuard, Stop
from modelset.model_set import ModelSet

_MARKS: dict[Level, Mark] = {"ok": "ok", "note": "none", "warn": "warn", "bad": "bad"}
_LOOKS = (
    looks.disks,
    looks.network,
    looks.token,
    looks.libraries,
    records.catalog,
    records.lock,
    records.registry,
    records.leftovers,
    records.elsewhere,
)
# For the sizes of folders that belong to others, which may hold millions of files.
_SIZES_S = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Look at everything, draw, and return the exit code."""
    findings = list(_findings(options, stop))
    code = exit_code(findings)
    if screen.quiet:
        for one in findings:
            if one.level == "bad":
                say_error(f"{one.topic}: {one.words}", one.mend)
    _draw(screen, findings)
    data = {"findings": [asdict(one) for one in findings]}
    screen.document(envelope("doctor", code, data))
    return code


def _findings(options: argparse.Namespace, stop: Stop) -> Iterator[Finding]:
    yield from looks.python()
    try:
        models = ModelSet(settings_of(options), stop)
    except ModelSetError as error:
        # Nothing else can be told without them.
        yield from _failed("Settings", error)
        return
    yield Finding("Settings", "ok", f"{models.settings.config.name} and the environment")
    guard = RunGuard(stop, _SIZES_S)
    for look in _LOOKS:
        # Not one deadline for all: only sizes take long, and they come last.
        try:
            yield from look(models, lambda: guard.remaining() > 0 and not stop.code)
        except ModelSetError as error:
            yield from _failed(look.__name__.capitalize(), error)


def _failed(topic: str, error: ModelSetError) -> Iterator[Finding]:
    failure = error.failure
    for line in failure.message.splitlines():
        yield Finding(topic, "bad", line, failure.hint, failure.code)


def _draw(screen: Screen, findings: list[Finding]) -> None:
    screen.title("DOCTOR")
    draw_findings(screen, findings, "Nothing is wrong", "Nothing stops a download")


def draw_findings(screen: Screen, findings: list[Finding], fine: str, passable: str) -> None:
    """A row for each with what mends it, and what it comes to when nothing is bad."""
    for one in findings:
        screen.row(_MARKS[one.level], f"{one.topic}: {one.words}")
        if one.mend:
            screen.line(f"      {one.mend}")
    screen.line()
    bad = sum(one.level == "bad" for one in findings)
    warned = sum(one.level == "warn" for one in findings)
    if bad:
        screen.row("bad", f"{bad} to mend, {warned} to look at")
    else:
        screen.row("ok", f"{passable}; {warned} to look at" if warned else fine)
