"""What Prometheus reads at /metrics: what jobs have moved, and what the newest look has found."""

import contextlib
import datetime
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as openmetrics
from starlette.concurrency import run_in_threadpool

from modelset import __version__
from modelset.core.errors import ModelSetError
from modelset.core.jobs import UNFINISHED, Job
from modelset.engine.digests import NAME as VERIFYING
from modelset.server.jobs import Jobs
from modelset.server.metrics_jobs import Moves
from modelset.server.snapshot import Snapshot, View
from modelset.settings import Settings
from modelset.store.files import free_bytes
from modelset.store.journal import bytes_here
from modelset.store.registry import read_registry

router = APIRouter(tags=["health"])

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_OPEN_NAME = "application/openmetrics-text"
_METHODS = ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH")
_STATES = ("queued", "running", "succeeded", "failed", "stopped")
_WHOLE = ("present", "skipped")
# As many jobs that are over as the service remembers.
_REMEMBERED = 200


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {_OPEN_NAME: {}}, "description": "in Prometheus' text format"}},
)
async def get_metrics(request: Request) -> Response:
    """Counts of downloads and requests, and gauges of the set, for Prometheus."""
    metrics = cast(Metrics, request.app.state.metrics)
    is_open = _OPEN_NAME in request.headers.get("accept", "").lower()
    text = await metrics.text(is_open=is_open)
    return Response(text, media_type=openmetrics.CONTENT_TYPE_LATEST if is_open else _TEXT)


class Metrics:
    """Every count and gauge of one service. No label ever holds a key, a path or an address."""

    def __init__(self, snapshot: Snapshot, jobs: Jobs) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self._gauges = _Gauges(own)
        self._moves = Moves(own, snapshot)
        self._requests = Counter(
            "modelset_http_requests",
            "Requests, by the template of their route",
            ("method", "route", "status"),
            registry=own,
        )
        self._durations = Histogram(
            "modelset_http_request_duration_seconds",
            "Time until an answer began",
            ("method", "route"),
            registry=own,
        )
        self._snapshot = snapshot
        self._view: View | None = None
        self._looked = 0.0
        self._states: dict[str, str] = {}
        # Models that a verification has found damaged: a quick look reads no bytes.
        self._damaged: set[str] = set()
        for job in reversed(jobs.all(limit=1000)):
            self._note(job)
        jobs.listeners.append(self.hear)

    def hear(self, job: Job, event: Mapping[str, Any]) -> None:
        """Something happened in a job."""
        if event["event"] == "job":
            self._note(job)
        if event.get("key") != VERIFYING:
            self._moves.hear(job, event)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._durations.labels(method, route).observe(seconds)

    async def text(self, *, is_open: bool) -> bytes:
        """Everything as it is now, in Prometheus' own form or in that of OpenMetrics."""
        view = None
        with contextlib.suppress(ModelSetError):  # that nothing can be read is told as well
            view = await self._snapshot.view()
        if view is None or view is not self._view:
            self._view, self._looked = view, datetime.datetime.now(datetime.UTC).timestamp()
        settings = self._snapshot.settings
        store = await run_in_threadpool(_bytes_of, settings, view)
        free = await run_in_threadpool(_free, settings)
        if self._damaged:
            self._damaged -= await run_in_threadpool(_mended, settings.roots["registry"])
        # Nothing else runs between here and the end, so that one answer is of one moment.
        self._gauges.show_jobs(self._states.values())
        self._gauges.show_view(view, self._looked, self._damaged)
        self._gauges.show_disk(store, free)
        form = openmetrics.generate_latest if is_open else generate_latest
        return form(self._registry)

    def _note(self, job: Job) -> None:
        self._states[job.id] = job.state
        if not job.is_over:
            return
        for name in [*self._states][:-_REMEMBERED]:
            if self._states[name] not in UNFINISHED:
                del self._states[name]
        found = job.result or {}
        rows = found.get("models", ()) if job.action == "verify" else ()
        self._damaged -= {row["key"] for row in rows}
        self._damaged |= {row["key"] for row in rows if row["presence"] == "corrupt"}
        outcomes = found.get("outcomes", ())
        self._damaged -= {row["key"] for row in outcomes if row["result"] == "downloaded"}


class _Gauges:
    """What was found, as gauges that are set anew each time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, words: str, *labels: str) -> Gauge:
            return Gauge(f"modelset_{name}", words, labels, registry=registry)

        gauge("build_info", "The version", "version").labels(__version__).set(1)
        self._models = gauge("models", "Models of the set", "category", "tier", "state")
        self._missing = gauge("critical_missing", "Critical models that are not whole")
        self._store = gauge("store_bytes", "Bytes on disk", "kind")
        self._free = gauge("store_free_bytes", "Bytes that may still be written")
        self._looked = gauge("last_check_timestamp_seconds", "When the set was looked at")
        self._is_well = gauge("last_check_success", "Whether that found everything that counts")
        self._jobs = gauge("jobs", "Jobs that are remembered", "state")

    def show_view(self, view: View | None, looked: float, damaged: set[str]) -> None:
        """The set; without a view, that there was none to be had."""
        rows: list[tuple[str, str, str]] = []
        for row in view.rows if view else ():
            is_damaged = row["presence"] == "present" and row["key"] in damaged
            state = "corrupt" if is_damaged else row["presence"]
            rows.append((row["category"], row["tier"], state))
        self._models.clear()
        for labels, number in Tally(rows).items():
            self._models.labels(*labels).set(number)
        missing = sum(tier == "critical" and state not in _WHOLE for _, tier, state in rows)
        if view:
            self._missing.set(missing)
        self._is_well.set(view is not None and view.is_ready and not missing)
        self._looked.set(looked)

    def show_disk(self, store: Mapping[str, int], free: int | None) -> None:
        """What the models take, and how much there is left."""
        for kind, size in store.items():
            self._store.labels(kind).set(size)
        if free is not None:
            self._free.set(free)

    def show_jobs(self, states: Iterable[str]) -> None:
        """How many jobs are in which state."""
        counts = Tally(states)
        for state in _STATES:
            self._jobs.labels(state).set(counts[state])


def _bytes_of(settings: Settings, view: View | None) -> dict[str, int]:
    sizes = {"partial": sum(bytes_here(settings.roots["downloads"]).values())}
    return sizes | ({"models": view.report.total_bytes} if view else {})


def _free(settings: Settings) -> int | None:
    """What is free on the fullest of the volumes that a download writes to."""
    with contextlib.suppress(OSError):
        return min(map(free_bytes, (settings.models_root, settings.roots["downloads"])))
    return None


def _mended(registry: Path) -> set[str]:
    """Models that the registry believes in: a verification that finds damage takes that away."""
    found = set()
    for key, entry in read_registry(registry).items():
        files = entry.get("files") or ()
        if files and all(isinstance(row, dict) and row.get("mtime_ns") for row in files):
            found.add(key)
    return found
