"""Whether the service lives, and whether programs may start: for probes, so always open."""

from fastapi import APIRouter
from fastapi.responses import Response

from modelset.server.models import JSON, Own
from modelset.server.problems import text_of
from modelset.server.shapes import Health, Progress

router = APIRouter(tags=["health"])


@router.get("/livez", response_model=Health)
async def get_livez() -> Response:
    """Whether this process answers."""
    return Response(text_of({"status": "ok"}), media_type=JSON)


@router.get("/readyz", response_model=Progress, responses={503: {"model": Progress}})
@router.get("/healthz", response_model=Progress, responses={503: {"model": Progress}})
async def get_readyz(service: Own) -> Response:
    """Whether every critical model is here; until then 503 and how far it is."""
    view = await service.snapshot.view()
    critical = [row for row in view.rows if row["tier"] == "critical"]
    jobs = [job for job in service.jobs.all(limit=20) if not job.is_over]
    data = {
        "status": "ok" if view.is_ready else "not ready",
        "missing": [row["key"] for row in critical if row["presence"] != "present"],
        "bytes_have": sum(row["bytes_have"] for row in critical),
        "bytes_want": sum(row["bytes_want"] for row in critical),
        "jobs": [job.id for job in jobs],
    }
    headers = {} if view.is_ready else {"Retry-After": "5"}
    return Response(text_of(data), 200 if view.is_ready else 503, headers, JSON)
