"""What rules, dashboards and their owners rely on at /metrics: each name with its labels."""

from __future__ import annotations

from collections.abc import Mapping

METRICS: Mapping[str, set[str]] = {
    "modelset_build_info": {"version"},
    "modelset_models": {"category", "tier", "state"},
    "modelset_critical_missing": set(),
    "modelset_downloads_started_total": {"source"},
    "modelset_downloads_finished_total": {"source", "result", "reason"},
    "modelset_download_bytes_total": {"source"},
    "modelset_download_resumed_bytes_total": set(),
    "modelset_download_duration_seconds_bucket": {"le"},
    "modelset_retries_total": {"reason"},
    "modelset_stalls_total": set(),
    "modelset_integrity_failures_total": {"stage"},
    "modelset_store_bytes": {"kind"},
    "modelset_store_free_bytes": set(),
    "modelset_last_check_timestamp_seconds": set(),
    "modelset_last_check_success": set(),
    "modelset_http_requests_total": {"method", "route", "status"},
    "modelset_http_request_duration_seconds_bucket": {"method", "route", "le"},
    "modelset_jobs": {"state"},
}
