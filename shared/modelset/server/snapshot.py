"""What is on the disk, looked at once for all who ask."""

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool

from modelset.core.errors import ModelSetError
from modelset.core.report import group_by_category, report_data
from modelset.core.select import Wishes
from modelset.core.types import Report
from modelset.core.values import dataclass
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet
from modelset.server.problems import text_of
from modelset.settings import Settings
from modelset.store.files import state_of

# A look costs about a tenth of a second; nobody sees a change sooner than that.
_AGE_S = 2.0
# A look that is older than this is not shown any more.
_WAIT_S = 5.0
# Answers that are kept ready; nobody has so many filters.
_FILTERS = 64


@dataclass(frozen=True, slots=True)
class View:
    """One look: the models it was made with, the report, and the rows of the answer."""

    models: ModelSet
    report: Report
    rows: tuple[dict[str, Any], ...]
    categories: tuple[dict[str, Any], ...]
    texts: dict[object, tuple[bytes, str]]

    @property
    def is_ready(self) -> bool:
        """Whether every critical model is here."""
        return self.report.exit_code == 0

    def answer(self, category: str = "", state: str = "", tier: str = "") -> tuple[bytes, str]:
        """The document of /v1/models and its ETag; made once for each filter."""
        asked = (category, state, tier)
        if asked not in self.texts:
            rows = [
                row
                for row in self.rows
                if category in ("", row["category"])
                and state in ("", row["presence"])
                and tier in ("", row["tier"])
            ]
            text = text_of(
                {
                    "ready": self.is_ready,
                    "total_bytes": self.report.total_bytes,
                    "categories": self.categories,
                    "models": rows,
                    "left_out": [
                        {"key": row.model.key, "why": row.why} for row in self.report.left_out
                    ],
                }
            )
            found = text, f'"{hashlib.sha256(text).hexdigest()[:32]}"'
            if len(self.texts) >= _FILTERS:
                return found
            self.texts[asked] = found
        return self.texts[asked]


class Snapshot:
    """The newest look; a new one is made when something may have changed."""

    def __init__(self, load: Callable[[], Settings]) -> None:
        self._load = load
        self._turn = asyncio.Lock()
        self._view: View | None = None
        self._seen: object = None
        self._at = 0.0
        self._changes = 0
        self._next: asyncio.Task[None] | None = None
        self.settings = load()

    async def view(self) -> View:
        """What is there; raises ModelSetError for a catalog or a lock that cannot be read."""
        if self._view is None or self._is_past():
            async with self._turn:
                if self._view is None or self._is_past():
                    await self._look()
        elif self._age() > _AGE_S and (self._next is None or self._next.done()):
            # Who asks in this moment gets the last look, and does not wait for the next one.
            self._next = asyncio.create_task(self._look_again())
        assert self._view is not None
        return self._view

    def expire(self) -> None:
        """Look again when somebody asks: a job has changed something."""
        self._changes += 1

    def _is_past(self) -> bool:
        known = (self._changes, self._marks())
        return self._age() > _WAIT_S or self._seen != known

    def _age(self) -> float:
        return asyncio.get_running_loop().time() - self._at

    async def _look_again(self) -> None:
        async with self._turn:
            if self._age() > _AGE_S:
                with contextlib.suppress(ModelSetError):  # said to who asks when it is too old
                    await self._look()

    def _marks(self) -> object:
        own = self.settings
        places = (own.config, own.lock, own.roots["registry"] / "registry.json")
        return [state_of(place) for place in places]

    async def _look(self) -> None:
        self.settings = await run_in_threadpool(self._load)
        seen = (self._changes, self._marks())  # what changes during the look may not be in it
        self._view = await run_in_threadpool(_view, ModelSet(self.settings, Stop()))
        self._seen, self._at = seen, asyncio.get_running_loop().time()


def _view(models: ModelSet) -> View:
    report = models.check(Wishes())
    rows = []
    for status, row in zip(report.statuses, report_data(report)["models"], strict=True):
        model = status.model
        rows.append(row | {"source": model.source, "licence": model.licence, "note": model.note})
    grouped = group_by_category(
        [status.model for status in report.statuses], models.catalog.categories
    )
    categories = tuple(
        {
            "name": category.name,
            "title": category.title,
            "models": len(indexes),
            "present": sum(rows[index]["presence"] == "present" for index in indexes),
            "bytes": sum(rows[index]["bytes_have"] for index in indexes),
        }
        for category, indexes in grouped
    )
    return View(models, report, tuple(rows), categories, {})
