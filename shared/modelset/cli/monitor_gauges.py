"""Writes what `modelset monitor` found for node_exporter's textfile collector."""

from collections import Counter
from pathlib import Path
from typing import Any

from modelset import __version__
from modelset.core.errors import ModelSetError
from modelset.core.types import Report
from modelset.store.files import write_atomic


def require_gauges(target: Path) -> None:
    """Raise ModelSetError `usage` unless the gauges can be written and will be read."""
    if target.suffix != ".prom":
        words = f"--textfile {target}: the collector reads files that end in .prom"
        raise ModelSetError("usage", words, "such as --textfile modelset.prom")
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        words = "--textfile needs prometheus_client, which is not installed"
        raise ModelSetError("usage", words, "run `./scripts/bootstrap.sh --server`") from error


def write_gauges(target: Path, data: dict[str, Any], report: Report, now: float) -> None:
    """Replace the file, whole or not at all; the names are those of the service's metrics."""
    own = _Gauges(now, is_well=not report.exit_code)
    rows = Counter((row.model.category, row.tier, row.presence) for row in report.statuses)
    own.table("models", "Models of the set", ("category", "tier", "state"), rows)
    own.one("critical_missing", "Critical models that are not whole", len(data["critical_missing"]))
    sizes = {("models",): report.total_bytes, ("partial",): data["partial"]["bytes"]}
    own.table("store_bytes", "Bytes on disk", ("kind",), sizes)
    free = min(one["free_bytes"] for one in data["volumes"])
    own.one("store_free_bytes", "Bytes that may still be written", free)
    last = data["last_download"]
    if last is not None and last["changed"] is not None:
        words = "When the last download ended"
        own.one("last_download_timestamp_seconds", words, last["changed"])
        words = "Models that the last download did not bring, and that are still not here"
        own.one("last_download_failed", words, len(last["failed"]))
    if data["lock"]["changed"] is not None:
        own.one("lock_timestamp_seconds", "When the lock was changed", data["lock"]["changed"])
    if data["server"] is not None:
        own.one("server_ready", "Whether the server says that it is ready", data["server"]["ready"])
    own.write(target)


def write_broken(target: Path, now: float) -> None:
    """Replace the file with the word that nothing could be looked at."""
    _Gauges(now, is_well=False).write(target)


class _Gauges:
    """Gauges of this project's names, with those of the check itself."""

    def __init__(self, now: float, *, is_well: bool) -> None:
        from prometheus_client import CollectorRegistry  # of the extra, and slow to load

        self._registry = CollectorRegistry()
        self.table("build_info", "The version", ("version",), {(__version__,): 1})
        self.one("last_check_timestamp_seconds", "When the set was looked at", now)
        self.one("last_check_success", "Whether that found everything that counts", is_well)

    def one(self, name: str, words: str, value: float) -> None:
        """A gauge without labels."""
        from prometheus_client import Gauge

        Gauge(f"modelset_{name}", words, registry=self._registry).set(value)

    def table(self, name: str, words: str, labels: tuple[str, ...], rows: Any) -> None:
        """A gauge with labels, one row each."""
        from prometheus_client import Gauge

        gauge = Gauge(f"modelset_{name}", words, labels, registry=self._registry)
        for values, value in rows.items():
            gauge.labels(*values).set(value)

    def write(self, target: Path) -> None:
        """Write all of them in Prometheus' text format."""
        from prometheus_client import generate_latest

        write_atomic(target, generate_latest(self._registry), durable=False)
