"""Routes that only read: models, catalog, plan, hardware."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from modelset.core.errors import ModelSetError
from modelset.core.report import model_data
from modelset.core.values import asdict
from modelset.server.access import client_of
from modelset.server.problems import text_of
from modelset.server.service import Service, service_of
from modelset.server.shapes import (
    CatalogList,
    HardwareView,
    Keys,
    ModelList,
    ModelRow,
    Name,
    PlanView,
    Presence,
    Tier,
)

router = APIRouter(prefix="/v1", tags=["models"])
Own = Annotated[Service, Depends(service_of)]
JSON = "application/json"


@router.get("/models", response_model=ModelList, responses={304: {"description": "as it was"}})
async def get_models(
    request: Request,
    service: Own,
    category: Name | None = None,
    state: Presence | None = None,
    tier: Tier | None = None,
) -> Response:
    """Every model of the set by category; with an ETag, for `If-None-Match`."""
    view = await service.snapshot.view()
    text, tag = view.answer(category or "", state or "", tier or "")
    return tagged(request, text, tag)


@router.get("/models/{key:path}", response_model=ModelRow)
async def get_model(key: str, service: Own) -> Response:
    """One model of the set."""
    view = await service.snapshot.view()
    key = view.models.catalog.get(key).key
    for row in view.rows:
        if row["key"] == key:
            return Response(text_of(row), media_type=JSON)
    why = next((row.why for row in view.report.left_out if row.model.key == key), "not wanted")
    raise ModelSetError(
        "unknown-model",
        f"{key} is not in the set: {why}",
        "see /v1/catalog; a download by its key adds it",
    )


@router.get("/catalog", response_model=CatalogList)
async def get_catalog(
    service: Own,
    category: Name | None = None,
    q: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    """Everything that could be on this machine."""
    catalog = (await service.snapshot.view()).models.catalog
    rows = [
        model_data(model)
        for model in catalog.models.values()
        if category in (None, model.category) and (q or "").lower() in model.key.lower()
    ]
    return Response(text_of({"models": rows}), media_type=JSON)


@router.get("/hardware", response_model=HardwareView)
async def get_hardware(service: Own) -> Response:
    """What this machine is, and what it recommends."""
    models = (await service.snapshot.view()).models
    profile = await run_in_threadpool(lambda: models.profile)
    data = {"profile": profile.to_json(), "recommendation": asdict(models.recommendation)}
    return Response(text_of(data), media_type=JSON)


@router.get("/plan", response_model=PlanView)
async def get_plan(
    request: Request,
    service: Own,
    key: Annotated[Keys, Query()] = [],  # noqa: B006
) -> Response:
    """What a download would do; asks the sources only where nothing is locked yet."""
    view = await service.snapshot.view()
    for name in key:
        view.models.catalog.get(name)
    service.access.count_start(client_of(request.scope))
    ended = await service.command.aside(["plan", *key])
    data = ended.document.get("data", {})
    if error := data.get("error"):
        raise ModelSetError(error["code"], error["message"], error["hint"])
    return Response(text_of(data), media_type=JSON)


def tagged(request: Request, text: bytes, tag: str) -> Response:
    """A document with its ETag, or 304 for who has it."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = request.headers.get("if-none-match", "")
    if known == "*" or tag in [word.strip().removeprefix("W/") for word in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type=JSON, headers=headers)
