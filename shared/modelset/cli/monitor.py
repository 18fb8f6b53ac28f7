"""modelset monitor: the set, the disk and the last download at a glance, for timers and alerts."""

import argparse
import contextlib
import datetime
import json
from pathlib import Path
from typing import Any

from modelset.cli.doctor import draw_findings
from modelset.cli.monitor_gauges import require_gauges, write_broken, write_gauges
from modelset.cli.monitor_server import ask_server, readiness_url
from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say, say_error
from modelset.core.doctor import Finding, Level
from modelset.core.errors import ModelSetError
from modelset.core.report import envelope
from modelset.core.report_data import counts_of, downloads_of
from modelset.core.select import Wishes
from modelset.core.types import Report
from modelset.core.values import asdict
from modelset.core.words import size_text, time_text
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, stale_of
from modelset.model_set import ModelSet
from modelset.store.files import free_bytes, read_text, saying, state_of, volume_of
from modelset.store.journal import bytes_here

# Below this a download of anything but the smallest models ends at a full disk.
_LEAST_FREE = 2 * 10**9


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--server", metavar="URL", help="ask this server too if it is ready")
    parser.add_argument(
        "--textfile", metavar="FILE", help="gauges for node_exporter's textfile collector (.prom)"
    )
    parser.add_argument("--strict", action="store_true", help="optional models count too (exit 3)")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Look, leave the gauges, draw, and return the exit code: the check's, else the server's."""
    url = readiness_url(options.server) if options.server is not None else ""
    target = Path(options.textfile).absolute() if options.textfile else None
    if target:
        require_gauges(target)
    now = datetime.datetime.now(datetime.UTC).timestamp()
    try:
        models = ModelSet(settings_of(options), stop)
        report = models.check(Wishes(), strict=options.strict)
        data = _look(models, report, now)
    except ModelSetError:
        if target:
            write_broken(target, now)
        raise
    data["server"] = ask_server(models, url) if url else None
    if target:
        write_gauges(target, data, report, now)
    findings = _findings(data, report)
    code = report.exit_code or (data["server"] or {}).get("exit_code", 0)
    _draw(screen, findings)
    screen.document(
        envelope("monitor", code, {"findings": [asdict(one) for one in findings], **data})
    )
    return code


def _look(models: ModelSet, report: Report, now: float) -> dict[str, Any]:
    """Everything that is told, without a single socket."""
    own = models.settings
    lock = read_lock(own.lock)
    absent = [row for row in report.statuses if row.presence not in ("present", "skipped")]
    partials = bytes_here(own.roots["downloads"])
    return {
        "counts": counts_of(report.statuses),
        "critical_missing": [row.model.key for row in absent if row.tier == "critical"],
        "optional_missing": [row.model.key for row in absent if row.tier != "critical"],
        "total_bytes": report.total_bytes,
        "bytes_to_come": sum(row.bytes_to_come for row in absent),
        "volumes": _volumes(own.models_root, own.roots["downloads"]),
        "partial": {"files": len(partials), "bytes": sum(partials.values())},
        "last_download": _last_download(own.out / "last_download.json", absent, now),
        "lock": {
            "path": str(own.lock),
            "models": len(lock),
            "changed": _changed(own.lock),
            "age_s": _age(own.lock, now),
            "stale": [one.key for one in stale_of((row.model for row in report.statuses), lock)],
        },
    }


def _volumes(*folders: Path) -> list[dict[str, Any]]:
    """The free space of each volume, by the first of the folders that lies on it."""
    found: dict[int, dict[str, Any]] = {}
    for path in folders:
        with saying("look at", path):
            row = {"path": str(path), "free_bytes": free_bytes(path)}
            found.setdefault(volume_of(path), row)
    return list(found.values())


def _last_download(path: Path, absent: list[Any], now: float) -> dict[str, Any] | None:
    """What failed and is still not here; None when no download has left its result."""
    document: object = None
    with contextlib.suppress(ModelSetError, ValueError, RecursionError):
        document = json.loads(read_text(path) or "null")
    if document is None:
        return None
    keys = {row.model.key for row in absent}
    rows = [row for row in downloads_of(document) if row["key"] in keys and row["failure"]]
    failed = [{"key": row["key"], "failure": row["failure"]} for row in rows]
    return {"changed": _changed(path), "age_s": _age(path, now), "failed": failed}


def _changed(path: Path) -> float | None:
    state = state_of(path)
    return None if state is None else state[2] / 1e9


def _age(path: Path, now: float) -> int | None:
    changed = _changed(path)
    return None if changed is None else max(int(now - changed), 0)


def _findings(data: dict[str, Any], report: Report) -> list[Finding]:
    found = [*_of_models(data, report), *_of_disk(data), *_of_download(data), _of_lock(data)]
    server = data["server"]
    if server:
        level: Level = "ok" if server["ready"] else "bad"
        found.append(Finding("Server", level, server["words"], server["mend"], server["code"]))
    return found


def _of_models(data: dict[str, Any], report: Report) -> list[Finding]:
    present, every = data["counts"]["present"], len(report.statuses)
    words = f"{present} of {every} here, {size_text(data['total_bytes'])}"
    found = [Finding("Models", "note" if data["critical_missing"] else "ok", words)]
    mend = "modelset download"
    if data["critical_missing"]:
        words = f"critical ones are not whole: {', '.join(data['critical_missing'])}"
        found.append(Finding("Models", "bad", words, mend, "model-missing"))
    if data["optional_missing"]:
        # As long as nothing makes the check fail, nobody has to look.
        level: Level = "bad" if report.exit_code and not data["critical_missing"] else "note"
        words = f"optional ones are not whole: {', '.join(data['optional_missing'])}"
        found.append(
            Finding("Models", level, words, mend, "model-missing" if level == "bad" else "")
        )
    return found


def _of_disk(data: dict[str, Any]) -> list[Finding]:
    found = []
    for one in data["volumes"]:
        words = f"{size_text(one['free_bytes'])} free in {one['path']}"
        is_low = one["free_bytes"] < max(_LEAST_FREE, data["bytes_to_come"])
        mend = "free some space: `modelset clean` shows what nothing needs" if is_low else ""
        found.append(Finding("Disk", "warn" if is_low else "ok", words, mend))
    partial = data["partial"]
    if partial["files"]:
        words = f"{partial['files']}, {size_text(partial['bytes'])}"
        found.append(
            Finding("Partial downloads", "note", words, "`modelset download` resumes them")
        )
    return found


def _of_download(data: dict[str, Any]) -> list[Finding]:
    last = data["last_download"]
    if last is None:
        return [Finding("Last download", "note", "none has left its result here")]
    found = [Finding("Last download", "ok", _ago(last["age_s"]))]
    for row in last["failed"]:
        words = f"{row['key']}: {row['failure']}"
        found.append(Finding("Last download", "warn", words, f"modelset download {row['key']}"))
    return found


def _of_lock(data: dict[str, Any]) -> Finding:
    lock = data["lock"]
    if lock["age_s"] is None:
        return Finding("Lock", "note", "nothing is locked yet", "modelset download")
    words = f"{lock['models']} models, changed {_ago(lock['age_s'])}"
    if lock["stale"]:
        return Finding(
            "Lock", "warn", f"{words}; out of date: {', '.join(lock['stale'])}", "modelset lock"
        )
    return Finding("Lock", "ok", words)


def _ago(seconds: int | None) -> str:
    if seconds is None:
        return "at some time"
    days = seconds // 86400
    return f"{days} day{'' if days == 1 else 's'} ago" if days else f"{time_text(seconds)} ago"


def _draw(screen: Screen, findings: list[Finding]) -> None:
    """A row for each; with --quiet, only what somebody has to look at."""
    for one in findings if screen.quiet else ():
        if one.level == "bad":
            say_error(f"{one.topic}: {one.words}", one.mend)
        elif one.level == "warn":
            say(f"warning: {one.topic}: {one.words}")
    screen.title("MONITOR")
    draw_findings(screen, findings, "All is well", "All is well")
