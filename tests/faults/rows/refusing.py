"""Rows 13 to 23: servers that refuse, answer something else than was asked, or lie."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field

from tests.faults.answers import (
    MIB,
    PIECE,
    Chunked,
    Compressed,
    Cut,
    File,
    Status,
    bytes_of,
    page,
    redirect,
)
from tests.faults.origin import Answer, Exchange, Origin
from tests.faults.rows.connection import ENOUGH_S, NEXT, ONE_ADDRESS, WHY_ONE
from tests.faults.rows.row import (
    PART,
    Ground,
    Row,
    Verdict,
    Wanted,
    delivered,
    is_right,
    refused,
    right_or_refused,
)
from tests.faults.rows.tools import Ended, Tool

SMALL, LARGE = 6 * MIB, 24 * MIB
DATA, OTHER = bytes_of("m", SMALL), bytes_of("other", SMALL)
TOKEN = "hf_RowsCanaryRowsCanaryRowsCanary4"


def _token_expired(tool: Tool, ground: Ground) -> Verdict:
    """The first of two files comes, the second meets an expired token; so another model."""
    tool.token = TOKEN
    good = bytes_of("good", MIB)
    ground.put("m", DATA)
    second = ground.put("m", OTHER, Status(401), file="second.bin")
    ground.put("good", good)
    ended = tool.fetch("m", ENOUGH_S, beside=["good"])
    if ended.code == 0:
        return Verdict(False, "says ok")
    if not ended.ours:
        return Verdict(ended.code is not None, f"fails ({ended.said})" if ended.code else "hangs")
    if (ended.code, ended.failure) != (6, "token-refused"):
        return Verdict(False, f"exit {ended.code} {ended.failure}")
    if not is_right(tool.file("good"), good) or len(second.script.requests) > 2:
        return Verdict(False, "another model was lost, or the refusal was not believed")
    return Verdict(True, "token-refused, exit 6")


def _gated(tool: Tool, ground: Ground) -> Verdict:
    tool.token = TOKEN
    words = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."}
    ground.put("m", DATA, Status(403, words))
    ended = tool.fetch("m", ENOUGH_S)
    return refused(ended, "access-denied", "licence-not-accepted", within_s=10.0)


@dataclass(slots=True)
class _Signing:
    """Sends clients to an address that expires after some bytes; then a fresh one is needed."""

    store: Origin
    data: bytes = field(repr=False)
    _cuts: list[Cut] = field(default_factory=list)

    def __call__(self, exchange: Exchange) -> None:
        redirect(self.address())(exchange)

    def address(self) -> str:
        """The signed address; a fresh one if the last has expired."""
        if not self._cuts or self._cuts[-1].spent:
            self._cuts.append(Cut(10 * MIB))
            self.store.serve(f"/signed/{len(self._cuts)}", self._signed(self._cuts[-1]))
        return f"{self.store.url}/signed/{len(self._cuts)}?Signature=x"

    def _signed(self, cut: Cut) -> Answer:
        file = File(self.data, cut=cut, ending="close")

        def answer(exchange: Exchange) -> None:
            (Status(403, text="Request has expired") if cut.spent else file)(exchange)

        return answer


def _signature_expired(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    store = ground.another()
    signing = _Signing(store, data)
    wanted = ground.put("m", data, signing)
    wanted.script.elsewhere = signing.address  # the Hub itself signs when it is asked by HEAD
    verdict = delivered(tool.fetch("m", ENOUGH_S), wanted)
    sent = sum(request.sent for request in store.requests)
    if verdict.passed and sent > LARGE + 2 * PART:
        return Verdict(False, f"sends {sent / LARGE:.1f} x its bytes")
    return verdict


def _shard_missing(tool: Tool, ground: Ground) -> Verdict:
    """What came before the failure is not fetched again once the file is there."""
    data = bytes_of("m", LARGE)
    first = ground.put("m", data, file="1.bin")
    missing = ground.put("m", OTHER, Status(404), file="2.bin")
    before = tool.fetch("m", ENOUGH_S)
    verdict = refused(Ended(before.code, before.seconds, None, before.output, before.failure,
                            before.ours), "not-found")  # fmt: skip
    if not verdict.passed:
        return verdict
    if before.ours and tool.complete("m"):
        return Verdict(False, "a model that lacks a file looks complete")
    missing.script.change(File(OTHER))
    return delivered(tool.fetch("m", ENOUGH_S), first, most=LARGE + 2 * PART)


def _stop_at_five(tool: Tool, wanted: Wanted) -> None:
    """Fetch until five MiB were sent and wait in the file, then stop as Ctrl-C does."""
    tool.broken_off("m", lambda: wanted.sent >= 5 * MIB, signal.SIGINT)


def _range_not_satisfiable(tool: Tool, ground: Ground) -> Verdict:
    def answer(exchange: Exchange) -> None:
        unwilling = exchange.request.range_start > 0
        (Status(416, {"Content-Range": "bytes */0"}) if unwilling else File(DATA))(exchange)

    wanted = ground.put("m", DATA, answer, first=[File(DATA, stop_at=5 * MIB)])
    _stop_at_five(tool, wanted)
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _range_ignored_on_resume(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put(
        "m", DATA, File(DATA, ranges=False), first=[File(DATA, stop_at=5 * MIB)]
    )  # fmt: skip
    _stop_at_five(tool, wanted)
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _range_ignored(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    broken = File(data, ranges=False, cut=Cut(LARGE // 2), ending="close")
    wanted = ground.put("m", data, broken)
    return delivered(tool.fetch("m", ENOUGH_S), wanted, most=2 * LARGE)


def _wrong_range(tool: Tool, ground: Ground) -> Verdict:
    """Twice what continues a file comes from 1,000 bytes before, in a later call and in the same
    one: some tools continue in the one case only.
    """
    data = bytes_of("m", LARGE)
    cut, left = Cut(LARGE // 2), [1, 2]
    again = False

    def answer(exchange: Exchange) -> None:
        start = exchange.request.range_start
        if not again:
            File(data, stop_at=LARGE // 2)(exchange)
        elif start == 0:
            File(data, cut=cut, ending="close")(exchange)
        elif not left:
            File(data)(exchange)
        else:
            left.pop()
            last = exchange.request.headers["range"].partition("-")[2]
            end = (int(last) + 1 if last else LARGE) - 1000
            span = f"bytes {start - 1000}-{end - 1}/{LARGE}"
            exchange.head(206, {"Content-Range": span, "Content-Length": str(end - start + 1000)})
            exchange.body(data[start - 1000 : end])

    wanted = ground.put("m", data, answer)
    tool.broken_off("m", lambda: wanted.sent >= LARGE // 2, signal.SIGINT)
    again = True
    verdict = right_or_refused(tool.fetch("m", ENOUGH_S), wanted)
    return verdict if len(left) < 2 else Verdict(False, "the fault was not met")


def _changed(tool: Tool, ground: Ground, old: File, size: int, *, between_runs: bool) -> Verdict:
    now = bytes_of("now", size)
    wanted = ground.put("m", old.data, File(now, etag='"two"'), first=[old])
    if between_runs:
        _stop_at_five(tool, wanted)
    ended = tool.fetch("m", ENOUGH_S)
    if ended.ours:
        return refused(ended, "object-changed", "digest-mismatch")
    if ended.code is None:
        return Verdict(False, "hangs")
    if ended.code == 0 and is_right(ended.file, now):
        return Verdict(True, "takes the new file")
    return right_or_refused(ended, wanted)


def _changed_within_a_run(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    old = File(data, cut=Cut(12 * MIB), ending="close")
    return _changed(tool, ground, old, LARGE, between_runs=False)


def _changed_between_runs(tool: Tool, ground: Ground) -> Verdict:
    return _changed(tool, ground, File(DATA, stop_at=5 * MIB), SMALL, between_runs=True)


def _garbage(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", DATA, File(OTHER))
    ended = tool.fetch("m", ENOUGH_S)
    verdict = refused(ended, "digest-mismatch")
    if ended.ours and not any("quarantine" in path.name for path in tool.folder.rglob("*")):
        return Verdict(False, "the wrong bytes are not set aside")
    return verdict


def _garbage_and_mirror(tool: Tool, ground: Ground) -> Verdict:
    data = bytes_of("m", LARGE)
    wanted = ground.put("m", data, File(bytes_of("other", LARGE)), mirrors=[File(data)])
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _answers(tool: Tool, ground: Ground, answer: Answer) -> Verdict:
    wanted = ground.put("m", DATA, answer)
    return right_or_refused(tool.fetch("m", ENOUGH_S), wanted)


def _length_too_small(tool: Tool, ground: Ground) -> Verdict:
    return _answers(tool, ground, File(DATA, ranges=False, length=str(SMALL - 1000)))


def _length_too_large(tool: Tool, ground: Ground) -> Verdict:
    wrong = File(DATA, ranges=False, length=str(SMALL + 1000), ending="close")
    return _answers(tool, ground, wrong)


def _length_missing(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", DATA, File(DATA, ranges=False, length=None, ending="close"))
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _chunks(tool: Tool, ground: Ground) -> Verdict:
    wanted = ground.put("m", DATA, Chunked(DATA))
    return delivered(tool.fetch("m", ENOUGH_S), wanted)


def _compressed(tool: Tool, ground: Ground) -> Verdict:
    return _answers(tool, ground, Compressed(DATA))


def _endless(tool: Tool, ground: Ground) -> Verdict:
    def answer(exchange: Exchange) -> None:
        exchange.head(200, {"Connection": "close", "Content-Type": "application/octet-stream"})
        exchange.keep = False
        while True:
            exchange.body(bytes(PIECE))
            exchange.pause(0.004)  # so that no rival fills the disk

    wanted = ground.put("m", DATA, answer)
    ended = tool.fetch("m", 10.0)
    verdict = refused(ended, "size-mismatch")
    # What lies in the system's hands between the two is not the tool's fault.
    most = SMALL + 2 * MIB
    if verdict.passed and max(request.sent for request in wanted.script.requests) > most:
        return Verdict(False, "takes more than the file has")
    return verdict


def _portal(tool: Tool, ground: Ground) -> Verdict:
    ground.put("m", DATA, page())
    return refused(tool.fetch("m", ENOUGH_S), "html-page")


RESTART = "A server that cannot resume costs a new start, and never a wrong file."
NEVER_MIXED = "Bytes of two versions never make one file."
REJECT = "A wrong answer is never taken for the file."
ROWS = (
    Row(13, "token-expired", "401 for the second of two files, the token has expired",
        "A refused token is said once and clearly; models that need none go on.", _token_expired),
    Row(14, "gated", "403, the model is gated", "A refusal is believed at once, and named.",
        _gated),
    Row(14, "signature-expired", "403, because a signed address has expired in mid-body",
        "An expired address is asked for anew, and the file goes on from where it was.",
        _signature_expired),
    Row(15, "shard-missing", "404 for one file of several; later it is there",
        "A model that lacks a file never looks complete, and its other files stay.",
        _shard_missing),
    Row(16, "range-not-satisfiable", "416 on resume", RESTART, _range_not_satisfiable),
    Row(17, "range-ignored-on-resume", "200 with the whole file on resume", RESTART,
        _range_ignored_on_resume),
    Row(17, "range-ignored", "no ranges at all, and the first connection is closed", RESTART,
        _range_ignored),
    Row(18, "wrong-range", "another range than the one that was asked for, 1,000 bytes off",
        REJECT, _wrong_range),
    Row(19, "changed-within-a-run", "the file is replaced between two connections of one run",
        NEVER_MIXED, _changed_within_a_run),
    Row(19, "changed-between-runs", "the file is replaced between two runs", NEVER_MIXED,
        _changed_between_runs),
    Row(20, "garbage", "other bytes, of the right number",
        "Only bytes with the pinned digest get the file's name; others wait in quarantine.",
        _garbage),
    Row(20, "garbage-and-mirror", "other bytes, of the right number; a second address is fine",
        NEXT, _garbage_and_mirror, not_for=ONE_ADDRESS, why_not=WHY_ONE),
    Row(21, "length-too-small", "Content-Length is 1,000 too small", REJECT, _length_too_small),
    Row(21, "length-too-large", "Content-Length is 1,000 too large", REJECT, _length_too_large),
    Row(21, "length-missing", "no Content-Length, the end is the end of the connection",
        "A length is welcome, not needed.", _length_missing),
    Row(21, "chunks", "a chunked body", "A length is welcome, not needed.", _chunks),
    Row(21, "compressed", "a body in gzip that nobody asked for", REJECT, _compressed),
    Row(22, "endless", "a body that never ends", "No more is taken than the file has.", _endless),
    Row(23, "portal", "the sign-in page of a network, with status 200", REJECT, _portal),
)  # fmt: skip
