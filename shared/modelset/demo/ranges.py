"""Part of a file, for those who ask for part of it."""

from __future__ import annotations

import re

from modelset.demo.content import Content
from modelset.demo.exchange import Ask, Headers, Reply

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def file_reply(ask: Ask, content: Content, etag: str, headers: Headers = ()) -> Reply:
    """Answer with a file, or with the range that was asked for.

    A range is ignored when its condition does not hold (`If-Range`), when it has several
    parts, and when it makes no sense.
    """
    quoted = f'"{etag}"'
    known = (("ETag", quoted), ("Accept-Ranges", "bytes"), *_typed(headers))
    if ask.headers.get("If-None-Match") == quoted:
        return Reply(304, known)
    span = _span(ask, content.size, quoted)
    if span is None:
        return Reply(200, known, memoryview(content.body))
    start, end = span
    if start >= end:
        return Reply(416, (*known, ("Content-Range", f"bytes */{content.size}")))
    described = ("Content-Range", f"bytes {start}-{end - 1}/{content.size}")
    return Reply(206, (*known, described), memoryview(content.body)[start:end])


def _typed(headers: Headers) -> Headers:
    if any(name == "Content-Type" for name, _ in headers):
        return headers
    return (("Content-Type", "application/octet-stream"), *headers)


def _span(ask: Ask, size: int, etag: str) -> tuple[int, int] | None:
    """Return the half-open span asked for; an empty one cannot be satisfied."""
    asked = _ONE_RANGE.fullmatch((ask.headers.get("Range") or "").strip())
    if asked is None or ask.headers.get("If-Range", etag) != etag:
        return None
    first, last = asked.groups()
    if not first:
        return (max(0, size - int(last)), size) if last else None
    start, end = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    return (start, end) if start < size else (size, size)
