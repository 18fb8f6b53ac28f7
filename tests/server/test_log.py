"""The events of one job: numbered upward for ever, few however long it takes, none missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from modelset.server.log import Log


def moved(key: str, count: int) -> dict[str, object]:
    return {"event": "moved", "key": key, "bytes": count}


def shown(log: Log, after: int = -1) -> list[tuple[int, str]]:
    return [(entry.number, entry.kind) for entry in log.after(after)]


def test_entries_are_numbered_upward_and_read_from_anywhere() -> None:
    log = Log()
    numbers = [log.add({"event": kind}) for kind in ("job", "started", "note")]
    assert numbers == [1, 2, 3]
    assert log.last == 3
    assert shown(log) == [(1, "job"), (2, "started"), (3, "note")]
    assert shown(log, 2) == [(3, "note")]
    assert shown(log, 3) == shown(log, 10**18) == []


def test_only_the_newest_step_of_each_model_is_kept() -> None:
    log = Log()
    log.add({"event": "started", "key": "a"})
    for count in range(1000):
        log.add(moved("a", count))
        log.add(moved("b", count))
        log.add({"event": "unpacked", "key": "a", "files": count})
    entries = list(log.after(-1))
    assert [entry.kind for entry in entries] == ["started", "moved", "moved", "unpacked"]
    assert [json.loads(entry.text).get("bytes") for entry in entries] == [None, 999, 999, None]
    assert [entry.number for entry in entries] == [1, 2999, 3000, 3001]


def test_a_reader_sees_the_newest_step_whatever_it_saw_before() -> None:
    log = Log()
    seen = log.add(moved("a", 1))
    log.add(moved("a", 2))
    newest = log.add(moved("a", 3))
    assert shown(log, seen) == [(newest, "moved")]


def test_the_end_of_a_model_takes_its_steps_away() -> None:
    log = Log()
    log.add(moved("a", 1))
    log.add({"event": "unpacked", "key": "a"})
    kept = log.add(moved("b", 1))
    end = log.add({"event": "ended", "key": "a"})
    assert shown(log) == [(kept, "moved"), (end, "ended")]


def test_events_of_the_whole_job_are_of_no_model() -> None:
    log = Log()
    log.add({"event": "moved", "bytes": 1})
    log.add(moved("a", 1))
    last = log.add({"event": "moved", "bytes": 2})
    assert shown(log)[-1] == (last, "moved")
    assert len(shown(log)) == 2


def test_after_a_restart_no_number_is_given_again() -> None:
    before = Log()
    before.add({"event": "job"})
    unseen_by_the_disk = [before.add(moved("a", count)) for count in range(500)][-1]
    after = Log([(1, {"event": "job"})])
    assert after.last == 1
    new = after.add({"event": "job"})
    assert new > unseen_by_the_disk
    assert shown(after, unseen_by_the_disk) == [(new, "job")]
    third = Log([(1, {"event": "job"}), (new, {"event": "job"})])
    assert third.add({"event": "job"}) > new + 500_000


def test_nothing_stored_is_a_new_log() -> None:
    log = Log([])
    assert (log.last, log.add({"event": "job"})) == (-1, 1)


def within(seconds: float, work: Callable[[], Awaitable[bool]]) -> bool:
    async def bounded() -> bool:
        async with asyncio.timeout(seconds):
            return await work()

    return asyncio.run(bounded())


def test_a_wait_ends_with_the_next_event() -> None:
    async def work() -> bool:
        log = Log()
        asyncio.get_running_loop().call_later(0.05, log.add, {"event": "job"})
        return await log.wait(-1, 30)

    assert within(5, work)


def test_what_came_while_a_reader_was_busy_is_not_waited_for() -> None:
    async def work() -> bool:
        log = Log()
        seen = log.add({"event": "started"})
        log.add({"event": "ended"})  # while the reader sends what it has read
        return await log.wait(seen, 30)

    assert within(1, work)


def test_an_end_while_a_reader_was_busy_is_not_waited_for() -> None:
    async def work() -> bool:
        log = Log()
        seen = log.add({"event": "started"})
        log.end()
        return await log.wait(seen, 30)

    assert within(1, work)


def test_silence_is_told_from_an_event() -> None:
    async def work() -> bool:
        log = Log()
        return await log.wait(log.add({"event": "job"}), 0.05)

    assert not within(5, work)


def test_all_readers_are_woken() -> None:
    async def work() -> bool:
        log = Log()
        seen = log.add({"event": "job"})
        readers = [asyncio.create_task(log.wait(seen, 30)) for _ in range(50)]
        await asyncio.sleep(0)
        log.wake()
        return all(await asyncio.gather(*readers))

    assert within(5, work)
