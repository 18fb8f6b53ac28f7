"""Counts what the commands of jobs say while they run, for Prometheus."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.jobs import Job
from modelset.core.values import dataclass
from modelset.model_set import ModelSet
from modelset.server.snapshot import Snapshot

_DURATIONS = (1, 5, 15, 60, 300, 900, 3600, 4 * 3600)
# Codes that say: these bytes are not the ones that the lock names.
_WRONG_BYTES = KINDS["digest-mismatch"].exit_code


@dataclass(slots=True)
class _Moving:
    """A model on its way: how far it is, and what of it has been counted; in bytes."""

    source: str
    have: int
    counted: int = 0


class Moves:
    """Counts what the commands of jobs say while they run."""

    def __init__(self, registry: CollectorRegistry, snapshot: Snapshot) -> None:
        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"modelset_{name}", words, labels, registry=registry)

        self._snapshot = snapshot
        self._models = ModelSet(snapshot.settings)
        self._moving: dict[tuple[str, str], _Moving] = {}
        self._started = counter("downloads_started", "Models begun to be fetched", "source")
        labels = ("source", "result", "reason")
        self._finished = counter("downloads_finished", "Models fetched, or given up", *labels)
        self._bytes = counter("download_bytes", "Bytes that came", "source")
        self._resumed = counter("download_resumed_bytes", "Bytes kept from an earlier try")
        self._retries = counter("retries", "Tries that were repeated", "reason")
        self._stalls = counter("stalls", "Connections that fell silent")
        words = "Files that are not what the lock says"
        self._wrong = counter("integrity_failures", words, "stage")
        self._seconds = Histogram(
            "modelset_download_duration_seconds",
            "Time that it took to bring a model",
            buckets=_DURATIONS,
            registry=registry,
        )
        for stage in ("download", "verify"):  # a count that begins at 1 shows no increase
            self._wrong.labels(stage)

    def hear(self, job: Job, event: Mapping[str, Any]) -> None:
        """Something happened in a job."""
        kind, name = event["event"], (job.id, str(event.get("key")))
        if kind == "job" and job.is_over:
            self._end(job)
        elif kind == "started":
            self._start(name, int(event["bytes_kept"]))
        elif kind == "moved" and name in self._moving:
            self._move(self._moving[name], int(event["bytes"]))
        elif kind == "retrying":
            self._retries.labels(self._reason(event["failure"])).inc()
        elif kind == "ended":
            self._finish(name, event)

    def _start(self, name: tuple[str, str], kept: int) -> _Moving:
        source = self._source(name[1])
        moving = self._moving[name] = _Moving(source, kept)
        self._started.labels(source).inc()
        self._resumed.inc(kept)
        return moving

    def _move(self, moving: _Moving, have: int) -> None:
        came = max(have - moving.have, 0)  # less than before: what was wrong has been thrown away
        self._bytes.labels(moving.source).inc(came)
        moving.have, moving.counted = have, moving.counted + came

    def _finish(self, name: tuple[str, str], event: Mapping[str, Any]) -> None:
        result, moving = str(event["result"]), self._moving.pop(name, None)
        if moving is None:
            if result in ("ready", "skipped"):  # nothing had to be fetched
                return
            moving = self._start(name, 0)
            del self._moving[name]
        reason = self._reason(event["failure"])
        self._finished.labels(moving.source, result, reason).inc()
        self._bytes.labels(moving.source).inc(max(event["bytes_moved"] - moving.counted, 0))
        if result == "downloaded":
            self._seconds.observe(event["seconds"])

    def _end(self, job: Job) -> None:
        """A job is over: what is still under way there has ended with it."""
        if job.action == "verify" and job.result:
            self._wrong.labels("verify").inc(len(job.result.get("files", ())))
        result = "stopped" if job.state == "stopped" else "failed"
        for name in [name for name in self._moving if name[0] == job.id]:
            code = "stopped" if result == "stopped" else (job.failure or {}).get("code", "")
            known = code if code in KINDS else "unexpected"
            self._finished.labels(self._moving.pop(name).source, result, known).inc()

    def _reason(self, failure: Mapping[str, Any] | None) -> str:
        """The code of a failure, counted where a code has a count of its own."""
        if failure is None:
            return ""
        code = failure["code"] if failure["code"] in KINDS else "unexpected"
        self._stalls.inc(code == "stalled")
        self._wrong.labels("download").inc(KINDS[code].exit_code == _WRONG_BYTES)
        return str(code)

    def _source(self, key: str) -> str:
        """From what kind of place a model comes."""
        settings = self._snapshot.settings
        if settings.catalog_text != self._models.settings.catalog_text:
            self._models = ModelSet(settings)
        try:
            return self._models.catalog.get(key).source
        except ModelSetError:
            return "other"
