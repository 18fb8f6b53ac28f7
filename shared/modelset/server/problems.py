"""Errors as clients read them: application/problem+json, with the codes of docs/errors.md."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from modelset.core.errors import KINDS, ModelSetError

MEDIA_TYPE = "application/problem+json"
# Where the documentation of every code is, within it.
_PAGE = "errors.md"

# The statuses of codes that are not those of their exit code.
_STATUS_OF = {
    "unknown-model": 404,
    "not-found": 404,
    "job-unknown": 404,
    "model-missing": 409,
    "job-conflict": 409,
    "rate-limited": 429,
    "server-token": 401,
    "origin-refused": 403,
    "config-invalid": 422,
    # These lie here, and no request can be right until they are.
    "catalog-invalid": 500,
    "lock-invalid": 500,
}
# By exit code: what is wrong is in the request, in another host, in the disk, or in here.
_STATUS_BY_EXIT = {1: 500, 2: 400, 4: 500, 5: 502, 6: 403, 7: 507, 8: 502, 9: 409, 12: 504, 13: 403}


def status_of(code: str) -> int:
    """The HTTP status of an error."""
    return _STATUS_OF.get(code) or _STATUS_BY_EXIT.get(KINDS[code].exit_code, 500)


def problem(
    code: str,
    message: str,
    hint: str = "",
    *,
    status: int = 0,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as a response; without a status, the one of its code."""
    status = status or status_of(code)
    body: dict[str, Any] = {
        "type": f"{_PAGE}#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": message,
        "hint": hint,
        "retryable": status in (429, 502, 503, 504),
    }
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def text_of(data: Any) -> bytes:
    """A document as it is sent."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def problem_of(error: ModelSetError) -> Response:
    """A failure as a response."""
    failure = error.failure
    after = error.retry_after_s
    headers = {} if after is None else {"Retry-After": str(max(1, round(after)))}
    return problem(failure.code, failure.message, failure.hint, headers=headers)
