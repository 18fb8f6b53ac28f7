"""Every way to fail: its code, exit code, and whether another try can help."""

from typing import Literal

from modelset.core.types import Failure
from modelset.core.values import dataclass

RetryClass = Literal["again", "next", "never"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One error code.

    `retry` says what helps: the same address `again`, the `next` mirror, or `never`.
    """

    code: str
    exit_code: int
    retry: RetryClass = "never"


_KINDS = (
    Kind("unexpected", 1),
    Kind("usage", 2),
    Kind("config-invalid", 2),
    Kind("catalog-invalid", 2),
    Kind("unknown-model", 2),
    Kind("lock-invalid", 2),
    Kind("store-not-writable", 4),
    Kind("store-read-error", 4),
    Kind("partial-taken", 4),
    Kind("server-running", 4),
    Kind("server-address", 4),
    Kind("job-unknown", 4),
    Kind("job-conflict", 4),
    Kind("not-found", 4, "next"),
    Kind("model-missing", 4),
    Kind("python-managed", 4),
    Kind("xet-unavailable", 4, "next"),
    Kind("network-unreachable", 5, "again"),
    Kind("connect-timeout", 5, "again"),
    Kind("stalled", 5, "again"),
    Kind("connection-lost", 5, "again"),
    Kind("body-truncated", 5, "again"),
    Kind("server-error", 5, "again"),
    Kind("rate-limited", 5, "again"),
    Kind("tls-failed", 5, "next"),
    Kind("proxy-refused", 5, "never"),
    Kind("html-page", 5, "next"),
    Kind("bad-response", 5, "next"),
    Kind("index-failed", 5),
    Kind("token-missing", 6),
    Kind("server-token", 6),
    Kind("credential-missing", 6),
    Kind("token-refused", 6, "next"),
    Kind("licence-not-accepted", 6),
    Kind("access-denied", 6, "next"),
    Kind("disk-full", 7),
    Kind("digest-mismatch", 8, "next"),
    Kind("size-mismatch", 8, "next"),
    Kind("object-changed", 8, "next"),
    Kind("wheel-invalid", 8),
    Kind("archive-invalid", 8),
    Kind("local-changed", 8),
    Kind("lock-stale", 9),
    Kind("deadline", 12),
    Kind("address-refused", 13, "next"),
    Kind("server-exposed", 13),
    Kind("origin-refused", 13),
    Kind("archive-unsafe", 13),
    Kind("pickle-refused", 13),
    Kind("digest-unknown", 13),
    Kind("stopped", 130),
    Kind("terminated", 143),
)
KINDS = {kind.code: kind for kind in _KINDS}


class ModelSetError(Exception):
    """The one exception that leaves a module: a failure, and after how long to try again.

    `retry_after_s` is what a server asked for, in seconds, or None.
    """

    def __init__(
        self, code: str, message: str, hint: str = "", *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = KINDS[code]
        self.failure = Failure(code, message, hint)
        self.retry_after_s = retry_after_s


def exit_code_of(failure: Failure) -> int:
    """The exit code that belongs to a failure."""
    return KINDS[failure.code].exit_code
