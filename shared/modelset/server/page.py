"""The page at `/`: the set, its jobs, the disk and the machine, drawn here for people.

Its script only sends wishes, moves bars, and fetches what has changed: all can be read without it.
"""

import datetime
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.concurrency import run_in_threadpool

from modelset.core.errors import ModelSetError
from modelset.core.html_chart import Bar, strip
from modelset.core.html_report import safe
from modelset.core.jobs import Job
from modelset.core.report_data import downloads_of
from modelset.core.words import size_text, time_text
from modelset.model_set import ModelSet
from modelset.server.log import Log
from modelset.server.models import Own, tagged
from modelset.server.problems import status_of
from modelset.server.session import post_session
from modelset.server.shapes import Credentials
from modelset.server.snapshot import View
from modelset.store.files import free_bytes, read_text

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).resolve().parent
_KINDS = {
    "app.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# So many jobs and downloads are shown.
_JOBS = 20
_SPEEDS = 12
# How many keys of a job, and problems of a model, are named.
_NAMED = 3
# What makes a model of an update newer than the lock.
_NEWER = ("moved", "new", "unlocked")


@router.get("/")
async def get_page(request: Request, service: Own) -> Response:
    """The page; for a stranger, only the form that asks for the token."""
    if not service.access.may_read(request.scope):
        return _drawn("sign-in.html", 401, said="")
    try:
        view = await service.snapshot.view()
        machine = await run_in_threadpool(_machine, view.models)
    except ModelSetError as error:
        return _drawn("trouble.html", status_of(error.failure.code), failure=error.failure)
    jobs = service.jobs.all(limit=_JOBS)
    under_way = [_under_way(job, service.jobs.log(job)) for job in jobs if not job.is_over]
    return _drawn(
        "page.html",
        200,
        **machine,
        **_set_of(view, {key for job in under_way for key in job["moving"]}),
        under_way=under_way,
        over=[_job(job) for job in jobs if job.is_over],
        speeds=_speeds(jobs),
        mark=" ".join(f"{job.id}:{job.state}" for job in jobs),
        is_known=service.access.is_known(request.scope),
    )


@router.post("/")
async def post_page(request: Request, service: Own) -> Response:
    """Open a session from the form of a stranger, whose browser may run no script."""
    form = dict(parse_qsl((await request.body()).decode(errors="replace")))
    credentials = Credentials.model_construct(token=form.get("token", ""))
    try:
        response = await post_session(request, service, credentials)
    except ModelSetError as error:
        return _drawn("sign-in.html", status_of(error.failure.code), said=error.failure.message)
    response.status_code = 303
    response.headers["Location"] = "./"
    return response


@router.get("/static/{name}")
async def get_static(request: Request, name: str) -> Response:
    """A file of the page."""
    if name not in _KINDS:
        raise ModelSetError("not-found", "there is no such file", "")
    response = tagged(request, *_static(name))
    if response.status_code == 200:
        response.headers["Content-Type"] = _KINDS[name]
    return response


@lru_cache
def _static(name: str) -> tuple[bytes, str]:
    text = (read_text(_FOLDER / "static" / name) or "").encode()
    return text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def _clean(value: object) -> Markup:
    """Every text is escaped, and rid of what turns the direction of the text after it."""
    return value if isinstance(value, Markup) else Markup(safe(value))  # noqa: S704


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        finalize=_clean,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.filters.update(size=size_text, took=time_text, moment=_moment)
    return found


_TEMPLATES = _environment()


def _drawn(template: str, status: int, **values: Any) -> Response:
    text = _TEMPLATES.get_template(template).render(**values)
    return Response(text, status, {"Cache-Control": "no-store"}, "text/html")


def _machine(models: ModelSet) -> dict[str, Any]:
    """What has to be asked of the disk, so not on the event loop."""
    free = free_bytes(models.settings.models_root)
    return {"profile": models.profile, "advice": models.recommendation, "free": free}


def _set_of(view: View, moving: Set[str]) -> dict[str, Any]:
    rows = [_model(row) | {"is_moving": row["key"] in moving} for row in view.rows]
    most = max((one["bytes"] for one in view.categories), default=0)
    categories = [
        {
            **one,
            "rows": [row for row in rows if row["category"] == one["name"]],
            "bar": Markup(strip(Bar("", one["bytes"], ""), most)),  # noqa: S704 - numbers alone
        }
        for one in view.categories
    ]
    critical = [row for row in rows if row["tier"] == "critical"]
    return {
        "categories": categories,
        "count": len(rows),
        "present": sum(row["presence"] == "present" for row in rows),
        "to_come": sum(max(row["bytes_want"] - row["bytes_have"], 0) for row in rows),
        "critical": len(critical),
        "lacking": [row["key"] for row in critical if row["presence"] != "present"],
        "is_ready": view.is_ready,
        "total": view.report.total_bytes,
        "left_out": view.report.left_out,
        "tag": view.answer()[1],
    }


def _model(row: Mapping[str, Any]) -> dict[str, Any]:
    """A model, with what its button does and what there is to say of it."""
    is_here = row["presence"] == "present"
    notes = [row["note"], row["detail"]]
    if row["presence"] == "corrupt":
        notes += row["problems"][:_NAMED]
    can_come = row["source"] != "api" and row["presence"] != "skipped"
    return {
        **row,
        "notes": [note for note in notes if note],
        "percent": 100 * row["bytes_have"] // max(row["bytes_want"], 1),
        "work": "verify" if is_here else "download" if can_come else "",
    }


def _job(job: Job) -> dict[str, Any]:
    keys = [str(key) for key in job.options.get("keys", ())]
    what = ", ".join(keys[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if keys[_NAMED:] else "")
    action = "Check for updates" if job.options.get("check") else job.action.capitalize()
    return {
        "id": job.id,
        "action": action,
        "what": what or ("what nothing needs" if job.action == "clean" else "the whole set"),
        "state": job.state,
        "created": job.created,
        "seconds": max(job.ended - job.started, 0) if job.started and job.ended else 0,
        "failure": job.failure,
        "said": _said(job),
    }


def _said(job: Job) -> str:
    """What a job has found or done, in a few words."""
    result = job.result or {}
    counts = Counter(str(row["result"]) for row in result.get("outcomes", ()))
    words = [f"{count} {name}" for name, count in counts.items()]
    if "updates" in result:
        newer = [row["key"] for row in result["updates"] if row["change"] in _NEWER]
        words.append(f"newer: {', '.join(newer)}" if newer else "nothing is newer")
    if "bytes_read" in result:
        words.append(f"{size_text(result['bytes_read'])} read, {len(result['files'])} files bad")
    if job.action == "clean" and not job.options.get("yes"):
        words.append("only looked at")
    return "; ".join(words)


def _under_way(job: Job, log: Log) -> dict[str, Any]:
    """A job with how far each of its models is, as its events say."""
    rows: dict[str, dict[str, Any]] = {}
    ended = 0
    for entry in log.after(-1):
        data = json.loads(entry.text)
        if entry.kind == "started":
            rows[data["key"]] = {"have": data["bytes_kept"], "total": data["bytes_total"]}
        elif entry.kind == "moved" and data["key"] in rows:
            rows[data["key"]]["have"] = data["bytes"]
        elif entry.kind == "ended":
            rows.pop(data["key"], None)
            ended += 1
    return {**_job(job), "moving": rows, "ended": ended, "seen": log.last}


def _speeds(jobs: Iterable[Job]) -> Sequence[dict[str, Any]]:
    """The last downloads that moved something, the newest first."""
    found = [
        {**row, "at": job.ended}
        for job in jobs
        for row in downloads_of({"data": job.result})
        if row["rate"]
    ][:_SPEEDS]
    most = max((row["rate"] for row in found), default=0)
    return [
        {**row, "bar": Markup(strip(Bar("", row["rate"], "", row["result"] == "failed"), most))}  # noqa: S704
        for row in found
    ]
