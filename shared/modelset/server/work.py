"""Routes of jobs: begin, watch, stop."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from modelset.core.select import Wishes
from modelset.server.access import client_of
from modelset.server.jobs import job_data
from modelset.server.log import Log
from modelset.server.models import JSON, Own, tagged
from modelset.server.problems import text_of
from modelset.server.service import Service
from modelset.server.shapes import AnyWork, JobList, JobView, State

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
HEARTBEAT_S = 15.0
# When a client should look again, in seconds.
_LOOK_AGAIN = "2"
_STREAM = "text/event-stream"
_LINES = "application/x-ndjson"
_NUMBER = re.compile("[0-9]{1,18}")

Id = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


@router.post("", status_code=202, response_model=JobView)
async def post_job(
    request: Request,
    service: Own,
    work: Annotated[AnyWork, Body()],
    idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
) -> Response:
    """Begin a job; the same work that is already under way answers with its job."""
    options = work.model_dump(exclude={"action"}, exclude_defaults=True)
    return await start(request, service, work.action, options, idempotency_key or "")


async def start(
    request: Request,
    service: Service,
    action: str,
    options: Mapping[str, Any],
    idempotency: str = "",
) -> Response:
    """Begin a job for a client, and say where it is; raises ModelSetError."""
    service.access.count_start(client_of(request.scope))
    wishes = Wishes(
        keys=tuple(options.get("keys", ())),
        components=tuple(options.get("components", ())),
        category=options.get("category") or "",
    )
    view = await service.snapshot.view()
    view.models.select(wishes)  # a wrong name is refused at once
    job, _ = service.jobs.submit(action, options, idempotency)
    headers = {"Location": f"/v1/jobs/{job.id}", "Retry-After": _LOOK_AGAIN}
    return Response(text_of(job_data(job)), 202, headers, JSON)


@router.get("", response_model=JobList)
async def get_jobs(
    service: Own,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """The newest jobs first, without their results."""
    jobs = [
        job_data(job) | {"result": None} for job in service.jobs.all(state=state or "", limit=limit)
    ]
    return Response(text_of({"jobs": jobs}), media_type=JSON)


@router.get("/{id}", response_model=JobView, responses={304: {"description": "as it was"}})
async def get_job(request: Request, service: Own, id: Id) -> Response:  # noqa: A002
    """One job, with its result once it is over."""
    job = service.jobs.get(id)
    text = text_of(job_data(job))
    response = tagged(request, text, f'"{hashlib.sha256(text).hexdigest()[:32]}"')
    if not job.is_over:
        response.headers["Retry-After"] = _LOOK_AGAIN
    return response


@router.delete("/{id}", status_code=202, response_model=JobView)
async def delete_job(service: Own, id: Id) -> Response:  # noqa: A002
    """Stop a job; the bytes that it has fetched are kept."""
    job = service.jobs.stop(id)
    return Response(text_of(job_data(job)), 202, media_type=JSON)


@router.get(
    "/{id}/events",
    responses={
        200: {"content": {_STREAM: {}, _LINES: {}}, "description": "events as they happen"},
        204: {"description": "the job is over, and all of it has been seen"},
    },
    response_class=StreamingResponse,
)
async def get_events(
    request: Request,
    service: Own,
    id: Id,  # noqa: A002
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """What happens in a job, from its beginning or after `Last-Event-ID`, until it is over."""
    job = service.jobs.get(id)
    log = service.jobs.log(job)
    number = last_event_id or ""
    seen = int(number) if _NUMBER.fullmatch(number) else -1
    if log.is_over and seen >= log.last:
        return Response(status_code=204)  # which tells a browser not to come back
    as_lines = _LINES in request.headers.get("accept", "")
    return StreamingResponse(
        _events(service, log, seen, as_lines=as_lines),
        media_type=_LINES if as_lines else _STREAM,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(service: Service, log: Log, seen: int, *, as_lines: bool) -> AsyncIterator[str]:
    while True:
        is_over = log.is_over
        texts = []
        for entry in log.after(seen):
            seen = entry.number
            texts.append(
                f"{entry.text}\n"
                if as_lines
                else f"id: {entry.number}\nevent: {entry.kind}\ndata: {entry.text}\n\n"
            )
        if texts:
            yield "".join(texts)
        if is_over or service.closing.is_set():
            return
        if not await log.wait(seen, HEARTBEAT_S):
            yield "\n" if as_lines else ": still here\n\n"
