"""The routes below /models that older clients know: the same work, in the shapes they expect.

Every answer names the route that has taken its place (RFC 9745, RFC 8288).
"""

import datetime
import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

from modelset.core.jobs import Job
from modelset.core.values import asdict
from modelset.server.access import client_of
from modelset.server.health import get_readyz
from modelset.server.jobs import job_data
from modelset.server.models import JSON, Own
from modelset.server.older_settings import Wanted, change, failure_of, known_text
from modelset.server.problems import text_of
from modelset.server.service import Service
from modelset.server.shapes import KEY, Shape
from modelset.server.work import start

# How long a client that validates is kept waiting for the result itself.
_PATIENCE_S = 30.0
_SINCE = b"@1793491200"
_NEWER = {
    "/models/status": "/v1/models",
    "/models/detect": "/v1/models",
    "/models/recommended": "/v1/hardware",
    "/models/health": "/readyz",
    "/models/configure": "/v1/openapi.json",
}


class Older(Shape):
    """Whether it went well, and what there is to tell."""

    success: bool
    data: dict[str, Any]


class Begun(Shape):
    """Work that goes on by itself, and the job that it is."""

    success: bool
    message: str
    job: dict[str, Any]


class _OlderRoute(APIRoute):
    """A route whose answers, errors too, name the one that has taken its place."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        newer = _NEWER.get(self.path, "/v1/jobs")
        link = f'<{newer}>; rel="successor-version"'.encode()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = ((b"deprecation", _SINCE), (b"link", link))
                message["headers"] = [*message["headers"], *own]
            await send(message)

        await super().handle(scope, receive, sending)


router = APIRouter(prefix="/models", tags=["older"], route_class=_OlderRoute, deprecated=True)


@router.get("/status", response_model=Older)
async def get_status(service: Own) -> Response:
    """Every model of the set; /v1/models has taken its place."""
    view = await service.snapshot.view()
    details = {row["key"]: _detail(row) for row in view.rows}
    by_type: dict[str, list[str]] = {}
    for key, row in details.items():
        by_type.setdefault(row["type"], []).append(key)
    required = [row for row in details.values() if row["required"]]
    data = {
        "total_models": len(details),
        "available_models": sum(row["available"] for row in details.values()),
        "required_models": len(required),
        "missing_required": sum(not row["available"] for row in required),
        "models_by_type": by_type,
        "model_details": details,
    }
    return _answer(data)


@router.get("/detect", response_model=Older)
async def get_detect(request: Request, service: Own) -> Response:
    """Models that other programs have put on this machine."""
    service.access.count_start(client_of(request.scope))  # it reads many folders
    data = await _told(service, ["detect"])
    return _answer({"total_detected": len(data["found"]), **data})


@router.get("/recommended", response_model=Older)
async def get_recommended(service: Own) -> Response:
    """What this machine should run; /v1/hardware has taken its place."""
    view = await service.snapshot.view()
    keys = [row["key"] for row in view.rows if row["tier"] != "available"]
    return _answer({"models": keys, "recommendation": asdict(view.models.recommendation)})


@router.post("/ensure", response_model=Begun)
async def post_ensure(request: Request, service: Own) -> Response:
    """Bring every missing model of the set; POST /v1/jobs has taken its place."""
    return await _begun(request, service, "download", {}, "missing models are being downloaded")


@router.post("/download/{key:path}", response_model=Begun)
async def post_download(
    request: Request, service: Own, key: Annotated[str, Path(pattern=KEY, max_length=200)]
) -> Response:
    """Bring one model; POST /v1/jobs has taken its place."""
    return await _begun(request, service, "download", {"keys": [key]}, f"{key} is being downloaded")


@router.post("/validate", response_model=Older)
async def post_validate(request: Request, service: Own) -> Response:
    """Read every byte, and tell what is wrong; POST /v1/jobs has taken its place."""
    begun = json.loads(bytes((await start(request, service, "verify", {})).body))
    job = await _over(service, begun["id"])
    if not job.is_over:
        words = f"still under way after {_PATIENCE_S:.0f} s: see /v1/jobs/{job.id}"
        return _answer({"job": job_data(job)}, message=words)
    if job.result is None or "models" not in job.result:
        raise failure_of(job.failure or {"code": "unexpected", "message": f"it was {job.state}"})
    rows = job.result["models"]
    results = {
        row["key"]: {
            "valid": row["presence"] in ("present", "skipped"),
            "status": row["presence"],
            "problems": row["problems"],
        }
        for row in rows
    }
    bad = [key for key, row in results.items() if not row["valid"]]
    data = {
        "total_models": len(rows),
        "valid_models": len(rows) - len(bad),
        "invalid_models": bad,
        "results": results,
        "job": job_data(job) | {"result": None},
    }
    return _answer(data)


@router.post("/cleanup", response_model=Begun)
async def post_cleanup(
    request: Request, service: Own, keep_recent: Annotated[int, Query(ge=0, le=1000)] = 3
) -> Response:
    """Remove what nothing needs any more; POST /v1/jobs has taken its place."""
    options = {"yes": True, "keep": keep_recent}
    words = f"what nothing needs is being removed, {keep_recent} earlier revisions stay"
    return await _begun(request, service, "clean", options, words)


@router.post("/configure", response_model=Older)
async def post_configure(
    request: Request, service: Own, wanted: Annotated[Wanted, Body()]
) -> Response:
    """Change settings in modelset.toml; it says which ones no file can hold."""
    service.access.count_start(client_of(request.scope))
    texts = {name: known_text(name, value) for name, value in wanted.items()}
    said = {name: await change(service, name, text) for name, text in texts.items()}
    refused = {name: words for name, words in said.items() if words}
    held = {name: value for name, value in wanted.items() if name not in refused}
    data = {"configured": held, "not_configured": refused}
    words = "; ".join(f"{name}: {words}" for name, words in refused.items())
    return _answer(data, is_well=not refused, message=words or "all of it holds from now on")


@router.get("/health", response_model=Older, responses={503: {"model": Older}})
async def get_health(service: Own) -> Response:
    """Whether every critical model is here; /readyz has taken its place."""
    ready = await get_readyz(service)
    is_ready = ready.status_code == 200
    return _answer(json.loads(bytes(ready.body)), is_well=is_ready, status=ready.status_code)


def _answer(
    data: Mapping[str, Any], *, is_well: bool = True, message: str = "", status: int = 200
) -> Response:
    words = {"message": message} if message else {}
    return Response(text_of({"success": is_well, **words, "data": data}), status, media_type=JSON)


def _detail(row: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, name = row["key"].partition(":")
    return {
        "name": name,
        "type": kind,
        "available": row["presence"] in ("present", "skipped"),
        "required": row["tier"] == "critical",
        "status": row["presence"],
        "size": row["bytes_want"],
        "path": row["path"],
        "description": row["note"],
    }


async def _begun(
    request: Request, service: Service, action: str, options: Mapping[str, Any], words: str
) -> Response:
    response = await start(request, service, action, options)
    data = {"success": True, "message": words, "job": json.loads(bytes(response.body))}
    # Older clients take any status but 200 for a failure.
    headers = {"Location": response.headers["location"]}
    return Response(text_of(data), 200, headers, JSON)


async def _over(service: Service, name: str) -> Job:
    """A job once it is over, or as it is when a client has waited long enough."""
    log = service.jobs.log(service.jobs.get(name))
    end = _now() + datetime.timedelta(seconds=_PATIENCE_S)
    while not log.is_over and not service.closing.is_set() and _now() < end:
        await log.wait(log.last, max((end - _now()).total_seconds(), 0))
    return service.jobs.get(name)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def _told(service: Service, words: list[str]) -> dict[str, Any]:
    """What a command says."""
    ended = await service.command(words)
    data: dict[str, Any] = ended.document.get("data", {})
    if ended.exit_code or not data:
        raise failure_of(data.get("error") or {"code": "unexpected", "message": ended.words})
    return data
