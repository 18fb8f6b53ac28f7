"""Rows 1 to 12: connections that break, stall or never come, and servers that cannot just now."""

from __future__ import annotations

import time
from email.utils import formatdate

from tests.faults.answers import MIB, Cut, File, Status, bytes_of, reset_early, silence
from tests.faults.origin import Answer, Exchange, black_hole
from tests.faults.rows.row import PART, Ground, Row, Verdict, delivered, is_right, refused
from tests.faults.rows.tools import Tool

SMALL, LARGE = 2 * MIB, 24 * MIB
ENOUGH_S = 25.0
ONE_ADDRESS = ("hf", "curl")
WHY_ONE = "it knows one address of a file"


def _passing(tool: Tool, ground: Ground, *first: Answer, within_s: float = ENOUGH_S) -> Verdict:
    """The first requests meet a fault, the following ones do not."""
    data = bytes_of("m", SMALL)
    wanted = ground.put("m", data, first=first)
    ended = tool.fetch("m", within_s)
    return delivered(ended, wanted, most=SMALL + PART)


def _broken_once(tool: Tool, ground: Ground, *cuts: File) -> Verdict:
    data = cuts[0].data
    wanted = ground.put("m", data, first=cuts[:-1], then=cuts[-1])
    ended = tool.fetch("m", ENOUGH_S)
    return delivered(ended, wanted, most=len(data) + PART)


def _closed(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    return _broken_once(tool, ground, File(data, cut=Cut(31 * MIB // 2), ending="close"))


def _reset(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    return _broken_once(tool, ground, File(data, cut=Cut(15 * MIB // 2, 3), ending="reset"))


def _closed_always(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", 8 * MIB)
    return _broken_once(tool, ground, File(data, stop_after=MIB, ending="close"))


def _reset_early(tool: Tool, ground: Ground) -> Verdict:
    return _passing(tool, ground, reset_early, reset_early)


def _stalled(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    return _broken_once(tool, ground, File(data, cut=Cut(31 * MIB // 2), ending="hold"))


def _mute(tool: Tool, ground: Ground) -> Verdict:
    return _passing(tool, ground, silence)


def _drip(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", SMALL)
    ground.put("m", data, File(data, piece=100, pause_s=0.25))
    return refused(tool.fetch("m", 20.0, deadline=8.0), "stalled", "deadline", within_s=12.0)


def _drip_and_mirror(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", SMALL)
    drip = File(data, piece=100, pause_s=0.25)
    wanted = ground.put("m", data, drip, mirrors=[File(data)])
    return delivered(tool.fetch("m", ENOUGH_S, deadline=20.0), wanted)


def _deadline(tool: Tool, ground: Ground) -> Verdict:
    """Slow, but not silent: nothing but a deadline can end this."""
    data, other = bytes_of("m", LARGE), bytes_of("good", SMALL)
    ground.put("m", data, File(data, piece=8192, pause_s=0.05))
    ground.put("good", other)
    ended = tool.fetch("m", 9.0, deadline=3.0, beside=["good"])
    if ended.ours and not is_right(tool.file("good"), other):
        return Verdict(False, "another model was lost")
    if ended.code is None:
        return Verdict(False, "knows no deadline")
    return refused(ended, "deadline", within_s=6.0)


def _black_hole(tool: Tool, ground: Ground) -> Verdict:
    with black_hole() as url:
        ground.put("m", bytes_of("m", SMALL), url=url)
        return refused(tool.fetch("m", 30.0), "connect-timeout", within_s=ENOUGH_S)


def _black_hole_and_mirror(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", SMALL)
    with black_hole() as url:
        wanted = ground.put("m", data, url=url, mirrors=[File(data)])
        return delivered(tool.fetch("m", 30.0), wanted)


def _no_such_host(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", bytes_of("m", SMALL), url="https://models.invalid")
    return refused(tool.fetch("m", ENOUGH_S), "network-unreachable", within_s=15.0)


def _no_such_host_and_mirror(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", SMALL)
    wanted = ground.put("m", data, url="https://models.invalid", mirrors=[File(data)])
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _bad_gateway(tool: Tool, ground: Ground) -> Verdict:
    return _passing(tool, ground, Status(502), Status(504))


def _unavailable(tool: Tool, ground: Ground) -> Verdict:
    return _passing(tool, ground, Status(500), Status(503))


def _unavailable_always(tool: Tool, ground: Ground) -> Verdict:
    other = bytes_of("good", SMALL)
    ground.put("m", bytes_of("m", SMALL), Status(503))
    ground.put("good", other)
    ended = tool.fetch("m", 30.0, beside=["good"])
    if ended.ours and not is_right(tool.file("good"), other):
        return Verdict(False, "another model was lost")
    return refused(ended, "server-error", within_s=ENOUGH_S)


def _limited(tool: Tool, ground: Ground, answer: Answer, wait_s: float) -> Verdict:
    data = bytes_of("m", SMALL)
    wanted = ground.put("m", data, first=[answer])
    verdict = delivered(tool.fetch("m", ENOUGH_S), wanted)
    asked = wanted.script.requests
    if len(asked) > 1 and asked[1].at - asked[0].at < wait_s:
        return Verdict(False, "comes back too early")
    return verdict


def _limited_seconds(tool: Tool, ground: Ground) -> Verdict:
    return _limited(tool, ground, Status(429, {"Retry-After": "3"}), 2.9)


def _limited_date(tool: Tool, ground: Ground) -> Verdict:
    def answer(exchange: Exchange) -> None:
        # Both are whole seconds, so up to one of the five is lost.
        now = time.time()
        dates = {
            "Date": formatdate(now, usegmt=True),
            "Retry-After": formatdate(now + 5, usegmt=True),
        }
        Status(429, dates)(exchange)

    return _limited(tool, ground, answer, 3.9)


def _limited_for_a_day(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", bytes_of("m", SMALL), Status(429, {"Retry-After": "86400"}))
    return refused(tool.fetch("m", 20.0), "rate-limited", within_s=15.0)


RESUMES = "A connection that breaks costs at most one part of 8 MiB; the rest is not sent again."
BOUNDED = "Nothing is waited for without a bound."
NEXT = "When an address does not deliver, the next one is tried."
ROWS = (
    Row(1, "closed-mid-body", "connection closed in mid-body", RESUMES, _closed),
    Row(1, "closed-every-mebibyte", "connection closed after every MiB",
        "As long as bytes arrive, tries do not run out.", _closed_always),
    Row(2, "reset-mid-body", "connection reset in mid-body, three times", RESUMES, _reset),
    Row(3, "reset-before-headers", "connection reset before the headers, twice",
        "A request that got no answer is made again.", _reset_early),
    Row(4, "stall-mid-body", "silence in mid-body", RESUMES, _stalled),
    Row(4, "stall-before-headers", "silence before the headers", BOUNDED, _mute),
    Row(5, "drip", "400 bytes a second, without end", BOUNDED, _drip),
    Row(5, "drip-and-mirror", "400 bytes a second; a second address is fine", NEXT,
        _drip_and_mirror, not_for=ONE_ADDRESS, why_not=WHY_ONE),
    Row(6, "deadline", "a body that would take longer than the deadline",
        "A deadline ends its model within one second, and no other.", _deadline),
    Row(7, "connect-black-hole", "connects are never answered", BOUNDED, _black_hole),
    Row(7, "connect-black-hole-and-mirror", "connects are never answered; a second address is fine",
        NEXT, _black_hole_and_mirror, not_for=ONE_ADDRESS, why_not=WHY_ONE),
    Row(8, "name-not-found", "the host's name cannot be resolved", BOUNDED, _no_such_host),
    Row(8, "name-not-found-and-mirror",
        "the host's name cannot be resolved; a second address is fine", NEXT,
        _no_such_host_and_mirror, not_for=ONE_ADDRESS, why_not=WHY_ONE),
    Row(9, "error-502-504", "502, then 504", "A server's passing error is not the end.",
        _bad_gateway),
    Row(9, "error-500-503", "500, then 503", "A server's passing error is not the end.",
        _unavailable),
    Row(10, "unavailable-always", "503 for ever",
        "Tries are bounded, and other models go on.", _unavailable_always),
    Row(11, "limited-seconds", "429 with Retry-After in seconds",
        "A server that asks to wait is waited for.", _limited_seconds),
    Row(12, "limited-date", "429 with Retry-After as a date",
        "A server that asks to wait is waited for.", _limited_date),
    Row(12, "limited-for-a-day", "429 with Retry-After of one day",
        "A wait that the deadline does not allow is not begun.", _limited_for_a_day),
)  # fmt: skip
