"""The application: its routes, the gate before them, and what happens at its start and end."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from modelset import __version__
from modelset.core.errors import ModelSetError
from modelset.server import health, metrics, models, older, page, session, work
from modelset.server.access import Access
from modelset.server.command import Command
from modelset.server.gate import SAFE_HEADERS, Counted, Gate
from modelset.server.jobs import Jobs
from modelset.server.problems import MEDIA_TYPE, problem, problem_of
from modelset.server.service import Service
from modelset.server.shapes import Problem
from modelset.server.snapshot import Snapshot
from modelset.settings import Settings
from modelset.store.jobs import JobStore

_ROUTERS = (
    *(health.router, models.router, work.router, session.router, page.router),
    *(metrics.router, older.router),
)


def make_app(load: Callable[[], Settings], settings: Settings) -> FastAPI:
    """The application; `load` reads the settings again when their file has changed.

    Raises ModelSetError when the jobs cannot be opened, such as `server-running`.
    """
    serving = settings.serving
    access = Access(serving)
    command = Command(settings.environ)
    store = JobStore(settings.models_root / "service")

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        jobs = Jobs(store, command, serving.transfers)
        snapshot = Snapshot(load)
        service = Service(snapshot, jobs, command, access, asyncio.Event())
        app.state.service = service
        app.state.metrics = metrics.Metrics(snapshot, jobs)
        jobs.listeners.append(lambda job, event: _expire(snapshot, event))
        jobs.resume()
        if serving.download_on_start:
            with contextlib.suppress(ModelSetError):  # so much waits that it is among it
                jobs.submit("download", {})
        checks = asyncio.create_task(_check_updates(jobs, serving.update_check_s))
        yield
        service.closing.set()
        checks.cancel()
        await jobs.close()

    return with_routes(access, lifespan)


def with_routes(
    access: Access,
    lifespan: Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """The application without what its routes work with: enough to describe it."""
    app = FastAPI(
        title="modelset",
        version=__version__,
        description="The model set of this machine: what is here, and what brings the rest.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={
            "default": {"description": "an error", "content": {MEDIA_TYPE: {}}, "model": Problem}
        },
    )
    for router in _ROUTERS:
        app.include_router(router)
    _answer_errors(app)
    app.add_middleware(Counted)
    app.add_middleware(Gate, access=access)  # the outermost: what is refused costs nothing
    app.openapi = lambda: description(app)  # type: ignore[method-assign]
    return app


def description(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, in which every error is a problem."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
        )
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                errors = operation["responses"]["default"]["content"]
                errors.pop("application/json", None)
                errors[MEDIA_TYPE] = {"schema": {"$ref": "#/components/schemas/Problem"}}
        for name in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(name, None)
        schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        # Reads on loopback, and all of a server that has no token, need none.
        schema["security"] = [{}, {"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema


async def _check_updates(jobs: Jobs, every_s: int) -> None:
    while every_s:
        await asyncio.sleep(every_s)
        with contextlib.suppress(ModelSetError):  # too much waits: the next time, then
            jobs.submit("update", {"check": True})


def _expire(snapshot: Snapshot, event: Mapping[str, Any]) -> None:
    if event["event"] in ("ended", "job"):
        snapshot.expire()


def _allowed(app: FastAPI, path: str) -> dict[str, str]:
    """The methods of a path, which may be those of several routes."""
    for template, operations in description(app)["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            methods = {method.upper() for method in operations}
            return {"Allow": ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))}
    return {}


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(ModelSetError)
    async def on_failure(request: Request, error: ModelSetError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def on_wrong_request(request: Request, error: RequestValidationError) -> Response:
        lines = [
            f"{'.'.join(str(part) for part in row['loc'])}: {row['msg']}" for row in error.errors()
        ]
        return problem("usage", "; ".join(lines[:10]), "see /v1/openapi.json", status=422)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        code = "not-found" if error.status_code == 404 else "usage"
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers |= _allowed(app, request.url.path)
        return problem(code, error.detail, status=error.status_code, headers=headers)

    @app.exception_handler(Exception)
    async def on_anything(request: Request, error: Exception) -> Response:
        response = problem("unexpected", type(error).__name__, "see the log of the server")
        response.raw_headers.extend(SAFE_HEADERS)  # this comes from beyond the gate
        return response
