"""modelset test: loads models in their real libraries, without a network, and times them."""

import argparse
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modelset.cli.check import settings_of_check
from modelset.cli.env import exports
from modelset.cli.options import add_selection, wishes_of
from modelset.cli.screen import Screen, say, say_error
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.select import Wishes
from modelset.core.types import Report, Status
from modelset.core.values import asdict
from modelset.core.words import size_text, time_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet
from modelset.settings import Settings, process_environ
from modelset.store.files import write_atomic, write_json
from modelset.trial.run import try_model
from modelset.trial.values import Subject, Trial, api_words

_TIMEOUT_S = 60.0
_FAILED = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    add_selection(parser)
    parser.add_argument("--all", action="store_true", help="every model that is on this disk")
    parser.add_argument(
        "--timeout",
        dest="trial_s",
        type=_seconds,
        default=_TIMEOUT_S,
        metavar="SECONDS",
        help="each model's limit (60)",
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Try, draw, and return the exit code."""
    settings = settings_of_check(options)
    models = ModelSet(settings, stop)
    report = _look(models, options)
    log = _new_log(settings.out / "last_test.log")
    trials = list(_try_all(report, settings, options, stop, log))
    absent = {row.model.key for row in report.statuses if _is_absent(row)}
    if options.keys:
        trials += [Trial(row.model.key, "skipped", row.why) for row in report.left_out]
        absent |= {row.model.key for row in report.left_out}
    named = {models.catalog.get(key).key for key in options.keys}
    has_failed = any(trial.result == "failed" for trial in trials)
    code = _FAILED if has_failed or named & absent else 0
    _draw(screen, trials, settings, log)
    document = envelope("test", code, _data(trials, log))
    screen.document(document)
    write_json(settings.out / "last_test.json", document)
    return code


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


def _look(models: ModelSet, options: argparse.Namespace) -> Report:
    """What is on the disk of the models that are asked for."""
    wishes = wishes_of(options)
    if not options.all:
        return models.check(wishes)
    if wishes != Wishes():
        raise ModelSetError(
            "usage", "--all stands for every model on this disk", "name models, or say --all"
        )
    present = models.present_keys()
    keys = tuple(key for key in models.catalog.models if key in present)
    return models.check(Wishes(keys=keys)) if keys else Report()


def _new_log(path: Path) -> Path | None:
    """An empty log; none where nothing can be written, because a test needs none."""
    try:
        write_atomic(path, b"", durable=False)
    except ModelSetError:
        return None
    return path


def _try_all(
    report: Report, settings: Settings, options: argparse.Namespace, stop: Stop, log: Path | None
) -> Iterator[Trial]:
    environ = _environ(settings)
    roots = {name: str(path) for name, path in settings.roots.items()}
    for status in report.statuses:
        key = status.model.key
        if status.model.source == "api" or status.presence != "present":
            yield Trial(key, "skipped", _untried(status))
            continue
        if not options.quiet and not options.json:
            say(f"testing {key} ...")
        yield try_model(_subject(status, roots), environ, options.trial_s, stop, log=log)


def _environ(settings: Settings) -> dict[str, str]:
    """That of this process and what `modelset env` says; the models' own packages come first."""
    environ, own = process_environ(), exports(settings)
    paths = [row["PYTHONPATH"] for row in (own, environ) if row.get("PYTHONPATH")]
    return environ | own | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def _is_absent(status: Status) -> bool:
    return status.presence != "present" and status.model.source != "api"


def _untried(status: Status) -> str:
    if status.model.source == "api":
        return api_words(status.model.key)
    if status.presence == "skipped":
        return status.detail or "not for this machine"
    return f"{status.presence}: modelset download {status.model.key}"


def _subject(status: Status, roots: dict[str, str]) -> Subject:
    model = status.model
    return Subject(
        model.key, model.name, model.library, model.source, dict(model.ref), status.path, roots
    )


def _draw(screen: Screen, trials: Sequence[Trial], settings: Settings, log: Path | None) -> None:
    failed = [trial for trial in trials if trial.result == "failed"]
    for trial in failed:
        if screen.quiet:
            say_error(f"{trial.key}: {trial.detail}", "")
    screen.title("MODEL TEST")
    screen.line(f"  Cache directory: {settings.models_root}")
    screen.table(
        ["model", "result", "load", "job", "memory", "library", "what happened"],
        [list(_cells(trial)) for trial in trials],
    )
    count = Counter(trial.result for trial in trials)
    words = ", ".join(f"{count[name]} {name}" for name in ("passed", "failed", "skipped"))
    mark: Any = "bad" if failed else "ok" if count["passed"] else "warn"
    screen.row(mark, f"Models: {len(trials)} ({words})")
    if ways := sorted({trial.isolation for trial in trials if trial.isolation}):
        screen.line(f"  Network kept away by: {', '.join(ways)}")
    if failed and log is not None:
        screen.line(f"  hint: what the libraries said is in {log}")


def _cells(trial: Trial) -> tuple[str, ...]:
    if not trial.load_s:
        return (trial.key, trial.result, "-", "-", "-", trial.used or "-", trial.detail)
    times = _time(trial.load_s), _time(trial.job_s) if trial.job_s else "-"
    memory = size_text(trial.peak_bytes)
    return (trial.key, trial.result, *times, memory, trial.used, trial.detail)


def _time(seconds: float) -> str:
    return time_text(seconds) if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _data(trials: Sequence[Trial], log: Path | None) -> dict[str, Any]:
    count = Counter(trial.result for trial in trials)
    return {
        "trials": [asdict(trial) for trial in trials],
        **{name: count[name] for name in ("passed", "failed", "skipped")},
        "log": "" if log is None else str(log),
    }
