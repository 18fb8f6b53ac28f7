"""The work under way: what waits for its turn, what runs, and who hears of it."""

import asyncio
import contextlib
import datetime
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.jobs import Job, arguments_of, failure_of, moves_models, state_of
from modelset.core.values import replace
from modelset.server.command import Command
from modelset.server.log import PASSING, Log
from modelset.store.jobs import JobStore

# So many finished jobs are remembered, and so many may wait.
_REMEMBERED = 200
_WAITING = 100
# Jobs that only read or remove.
_OTHERS = 2

Listener = Callable[[Job, Mapping[str, Any]], None]


class Jobs:
    """Every job of this server. All of it runs on one event loop."""

    def __init__(self, store: JobStore, command: Command, transfers: int) -> None:
        self._store, self._command = store, command
        self._turns = {True: asyncio.Semaphore(transfers), False: asyncio.Semaphore(_OTHERS)}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._logs: dict[str, Log] = {}
        self._asked_to_stop: set[str] = set()
        # As they are now, where the disk did not take it.
        self._unsaved: dict[str, Job] = {}
        self.listeners: list[Listener] = []

    def resume(self) -> None:
        """Go on with what an earlier server did not finish."""
        for job in self._store.unfinished():
            self._begin(replace(job, state="queued"))

    def submit(
        self, action: str, options: Mapping[str, Any], idempotency: str = ""
    ) -> tuple[Job, bool]:
        """A job for this work, and whether it is a new one; the same work is never begun twice.

        Raises ModelSetError `job-conflict` for a client's key that stands for other work, and
        `rate-limited` when too much waits already.
        """
        if known := self._store.by_idempotency(idempotency) if idempotency else None:
            if (known.action, dict(known.options)) != (action, dict(options)):
                raise ModelSetError(
                    "job-conflict",
                    "this Idempotency-Key stands for another request",
                    "use a new key for new work",
                )
            return known, False
        unfinished = [job for job in map(self._newest, self._store.unfinished()) if not job.is_over]
        for job in unfinished:
            is_same = (job.action, dict(job.options)) == (action, dict(options))
            if is_same and job.id not in self._asked_to_stop:  # else nobody would do it
                if idempotency:
                    self._store.name(idempotency, job.id)
                return job, False
        if len(unfinished) >= _WAITING:
            raise ModelSetError(
                "rate-limited",
                f"{len(unfinished)} jobs wait already",
                "wait until some are done",
                retry_after_s=30,
            )
        job = Job(secrets.token_hex(8), action, options, "queued", _now())
        self._store.add(job, idempotency)
        self._begin(job)
        return job, True

    def get(self, name: str) -> Job:
        """One job; raises ModelSetError `job-unknown`."""
        job = self._store.get(name)
        if job is None:
            raise ModelSetError("job-unknown", f"there is no job {name}", "see GET /v1/jobs")
        return self._newest(job)

    def all(self, *, state: str = "", limit: int = 100) -> list[Job]:
        """The newest jobs first."""
        jobs = map(self._newest, self._store.all(state=state, limit=limit))
        return [job for job in jobs if state in ("", job.state)]

    def log(self, job: Job) -> Log:
        """What happened in a job."""
        if job.id in self._logs:
            return self._logs[job.id]
        log = Log(self._store.events(job.id))
        log.is_over = job.is_over
        return log

    def stop(self, name: str) -> Job:
        """Ask a job to end; what it has fetched is kept. Raises ModelSetError `job-conflict` for
        one that is over.
        """
        job = self.get(name)
        if job.is_over:
            raise ModelSetError("job-conflict", f"the job {name} is over already", "")
        if name not in self._asked_to_stop:  # once: a second time would leave its command alone
            self._asked_to_stop.add(name)
            self._tasks[name].cancel()
        return job

    async def close(self) -> None:
        """Stop every command; unfinished jobs stay so, for the next server."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._store.close()

    def wake(self) -> None:
        """Let every reader of events look up, because the server is about to end."""
        for log in self._logs.values():
            log.wake()

    def _begin(self, job: Job) -> None:
        self._logs[job.id] = self.log(job)
        self._change(job)
        task = asyncio.get_running_loop().create_task(self._work(job))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._ended(job.id))

    def _ended(self, name: str) -> None:
        """A task is over; one that was stopped may not even have begun."""
        self._tasks.pop(name, None)
        if name in self._asked_to_stop:
            self._asked_to_stop.discard(name)
            if not (job := self.get(name)).is_over:
                self._finish(replace(job, state="stopped"))

    async def _work(self, job: Job) -> None:
        try:
            async with self._turns[moves_models(job.action, job.options)]:
                job = replace(job, state="running", started=job.started or _now())
                self._change(job)
                words = arguments_of(job.action, job.options)
                ended = await self._command(words, lambda event: self._hear(job, event))
        except Exception as error:  # whatever it is, nobody may wait for this job for ever
            said = f"cannot run: {type(error).__name__}: {error}"
            failure = {"code": "unexpected", "message": said, "hint": ""}
            self._finish(replace(job, state="failed", exit_code=1, failure=failure))
            return
        state = state_of(job.action, job.options, ended.exit_code)
        self._finish(
            replace(
                job,
                state=state,
                exit_code=ended.exit_code,
                failure=failure_of(ended.document, ended.words) if state == "failed" else None,
                result=ended.document.get("data"),
            )
        )

    def _hear(self, job: Job, event: Mapping[str, Any]) -> None:
        number = self._logs[job.id].add(event)
        if event["event"] not in PASSING:
            with contextlib.suppress(ModelSetError):
                self._store.add_event(job.id, number, event)
        for listener in self.listeners:
            listener(job, event)

    def _change(self, job: Job) -> None:
        self._unsaved[job.id] = job
        with contextlib.suppress(ModelSetError):  # a full disk keeps no job from its end
            for late in list(self._unsaved.values()):
                self._store.change(late)
                del self._unsaved[late.id]
        self._hear(job, {"event": "job", "state": job.state})

    def _newest(self, job: Job) -> Job:
        return self._unsaved.get(job.id, job)

    def _finish(self, job: Job) -> None:
        self._change(replace(job, ended=_now()))
        log = self._logs.pop(job.id)
        log.end()
        with contextlib.suppress(ModelSetError):
            self._store.forget(_REMEMBERED)


def _now() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()


def job_data(job: Job) -> dict[str, Any]:
    """A job for a client."""
    return {
        "id": job.id,
        "action": job.action,
        "options": dict(job.options),
        "state": job.state,
        "created": job.created,
        "started": job.started or None,
        "ended": job.ended or None,
        "exit_code": job.exit_code,
        "failure": job.failure,
        "result": job.result,
    }
