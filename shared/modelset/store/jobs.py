"""The jobs of the service and what happened in them, in one SQLite file below the models root.

The file is held exclusively, so that one server works on a models root; the system lets go of it
when its process ends, however it ends.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.jobs import UNFINISHED, Job
from modelset.core.values import fields
from modelset.store.files import saying

_VERSION = 2
_KEYS = f"""
create table key (
    name text primary key, job text not null references job (id) on delete cascade
) without rowid;
pragma user_version = {_VERSION};
"""
_SCHEMA = f"""
create table job (
    id text primary key, action text not null, options text not null, state text not null,
    created real not null, started real not null, ended real not null,
    exit_code integer, failure text, result text, number integer not null
);
create index job_number on job (number);
create table event (
    job text not null references job (id) on delete cascade,
    number integer not null, data text not null, primary key (job, number)
) without rowid;
{_KEYS}
"""
# What versions of this file lack.
_LACKING = {
    0: _SCHEMA,
    1: _KEYS + "insert into key select idempotency, id from job where idempotency is not null;",
}
_PRAGMAS = (
    "locking_mode = exclusive",
    "journal_mode = wal",
    # All that was said is there after a kill; only a power cut may cost the last of it. To wait for
    # the disk at every event would hold up whoever else is to be answered.
    "synchronous = normal",
    "foreign_keys = on",
)
_DOCUMENTS = ("options", "failure", "result")
_COLUMNS = [field.name for field in fields(Job)]


class JobStore:
    """All jobs that are still remembered.

    Raises ModelSetError `server-running` when another server holds the file, `store-not-writable`
    when it cannot be written, and `store-read-error` for one that a newer version wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jobs.sqlite"
        with saying("write to", folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._open()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ModelSetError(
                    "server-running",
                    f"another server works on the models below {folder.parent}",
                    "use that one, or give this one a models root of its own",
                ) from error
            raise ModelSetError(
                "store-not-writable", f"{self.path}: {error}", "check its rights and free space"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ModelSetError(
                "store-read-error", f"{self.path}: {error}", "remove it; only old jobs are lost"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def add(self, job: Job, idempotency: str = "") -> None:
        """A new job, behind all others, with the key that a client gave it, if any."""
        row = _row(job)
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        last = "(select coalesce(max(number), 0) + 1 from job)"
        self._do("begin", ())
        try:
            self._do(f"insert into job ({names}, number) values ({marks}, {last})", row)
            if idempotency:
                self.name(idempotency, job.id)
            self._do("commit", ())
        except ModelSetError:
            if self._base.in_transaction:
                self._base.rollback()
            raise

    def name(self, idempotency: str, job: str) -> None:
        """A client's key stands for this job as long as that is remembered."""
        self._do("insert into key values (?, ?)", (idempotency, job))

    def change(self, job: Job) -> None:
        """A job as it is now."""
        row = _row(job)
        words = ", ".join(f"{name} = :{name}" for name in row)
        self._do(f"update job set {words} where id = :id", row)

    def get(self, name: str) -> Job | None:
        """One job."""
        return next(self._jobs("where id = ?", name), None)

    def by_idempotency(self, key: str) -> Job | None:
        """The job that a client got under this key of its own."""
        return next(self._jobs("where id = (select job from key where name = ?)", key), None)

    def all(self, *, state: str = "", limit: int = 100) -> list[Job]:
        """The newest jobs first."""
        where, more = ("where state = ?", (state,)) if state else ("", ())
        return list(self._jobs(f"{where} order by number desc limit ?", *more, limit))

    def unfinished(self) -> list[Job]:
        """What is to be done, in the order in which it was asked for."""
        marks = ", ".join("?" for _ in UNFINISHED)
        return list(self._jobs(f"where state in ({marks}) order by number", *UNFINISHED))

    def forget(self, keep: int) -> None:
        """Let only the newest of the jobs that are over be remembered."""
        marks = ", ".join("?" for _ in UNFINISHED)
        self._do(
            f"delete from job where state not in ({marks}) and number <= "
            "(select coalesce(max(number), 0) - ? from job)",
            (*UNFINISHED, keep),
        )

    def add_event(self, job: str, number: int, data: Mapping[str, Any]) -> None:
        """Something that happened in a job."""
        self._do("insert into event values (?, ?, ?)", (job, number, json.dumps(data)))

    def events(self, job: str) -> list[tuple[int, dict[str, Any]]]:
        """What happened in a job, with the number of each event, in order."""
        rows = self._base.execute(
            "select number, data from event where job = ? order by number", (job,)
        )
        return [(number, json.loads(data)) for number, data in rows]

    def _open(self) -> None:
        self._base = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            for words in _PRAGMAS:
                self._base.execute(f"pragma {words}")
            self._base.execute("begin exclusive")  # where another server is noticed
            self._base.execute("commit")
            (version,) = self._base.execute("pragma user_version").fetchone()
            if version > _VERSION:
                raise sqlite3.DatabaseError("a newer version of modelset wrote it")
            if version in _LACKING:
                self._base.executescript(f"begin; {_LACKING[version]} commit;")
        except BaseException:
            self._base.close()
            raise

    def _jobs(self, words: str, *values: Any) -> Iterator[Job]:
        for row in self._base.execute(f"select {', '.join(_COLUMNS)} from job {words}", values):
            known = dict(zip(_COLUMNS, row, strict=True))
            for name in _DOCUMENTS:
                known[name] = None if known[name] is None else json.loads(known[name])
            yield Job(**known)

    def _do(self, words: str, values: Any) -> None:
        try:
            self._base.execute(words, values)
        except sqlite3.DatabaseError as error:
            raise ModelSetError(
                "store-not-writable", f"{self.path}: {error}", "check its rights and free space"
            ) from error


def _row(job: Job) -> dict[str, Any]:
    row = {name: getattr(job, name) for name in _COLUMNS}
    for name in _DOCUMENTS:
        row[name] = None if row[name] is None else json.dumps(row[name])
    return row
