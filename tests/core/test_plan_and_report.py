"""The decision of a download, and what a run amounts to."""

from __future__ import annotations

import json

import pytest

from modelset.core.errors import KINDS, ModelSetError, exit_code_of
from modelset.core.plan import SPARE_BYTES, make_plan, refuse_if_full, starting_order
from modelset.core.report import (
    check_exit_code,
    download_exit_code,
    envelope,
    group_by_category,
    report_data,
)
from modelset.core.types import (
    Category,
    Failure,
    LeftOut,
    Model,
    Outcome,
    Presence,
    Report,
    Status,
    Tier,
)


def model(name: str, category: str = "x") -> Model:
    return Model(f"a:{name}", category, "optional", "url", {})


def status(
    name: str, tier: Tier = "optional", presence: Presence = "missing", want: int = 0
) -> Status:
    return Status(model(name), tier, presence, 0, want)


def outcome(tier: Tier, code: str = "") -> Outcome:
    failure = Failure(code, "words", "hint") if code else None
    return Outcome(model("m"), tier, "failed" if code else "ready", failure)


def test_critical_models_come_first_then_the_largest_then_the_name() -> None:
    rows = [
        status("small", want=1),
        status("large", want=9),
        status("here", presence="present", want=99),
        status("must", "critical", want=2),
        status("asked", "available", want=50),
        status("also", want=9),
    ]
    plan = make_plan(rows)
    assert [row.model.name for row in plan.fetch] == ["must", "also", "large", "small", "asked"]
    assert [row.model.name for row in plan.ready] == ["here"]
    assert make_plan(reversed(rows)).fetch == plan.fetch


def test_one_worker_goes_through_the_small_ones_while_the_others_bring_the_largest() -> None:
    rows = [status(name, "critical", want=want) for want, name in enumerate("abcde")]
    rows += [status(name, want=want) for want, name in enumerate("fghi")]
    plan = make_plan(rows).fetch

    def order(workers: int) -> str:
        return "".join(row.model.name for row in starting_order(plan, workers))

    assert order(3) == "edabc" + "ihfg"
    assert order(1) == "abcde" + "fghi"
    assert order(9) == "edcba" + "ihgf"


@pytest.mark.parametrize("presence", ["partial", "missing", "corrupt", "unpinned"])
def test_everything_that_is_not_present_is_fetched(presence: Presence) -> None:
    assert len(make_plan([status("a", presence=presence)]).fetch) == 1


def test_a_volume_that_cannot_hold_it_is_refused_with_both_figures() -> None:
    need, room = {"/data": 5_000_000_000}, {"/data": 4_000_000_000}
    with pytest.raises(ModelSetError) as caught:
        refuse_if_full(need, room)
    failure = caught.value.failure
    assert failure.code == "disk-full"
    assert "/data: 5.00 GB needed, 4.00 GB free" in failure.message
    assert "--only critical" in failure.hint


def test_a_little_room_is_always_left() -> None:
    refuse_if_full({"/": 10}, {"/": 10 + SPARE_BYTES})
    with pytest.raises(ModelSetError):
        refuse_if_full({"/": 10}, {"/": 9 + SPARE_BYTES})


def test_nothing_to_come_fits_on_a_full_disk() -> None:
    refuse_if_full({"/": 0}, {"/": 0})


@pytest.mark.parametrize(
    ("rows", "strict", "code"),
    [
        ([], False, 0),
        ([], True, 0),
        ([("critical", "present"), ("optional", "present")], True, 0),
        ([("critical", "present"), ("optional", "missing")], False, 0),
        ([("critical", "present"), ("optional", "missing")], True, 3),
        ([("critical", "present"), ("optional", "skipped")], True, 0),
        ([("critical", "present"), ("optional", "corrupt")], False, 0),
        ([("critical", "present"), ("optional", "corrupt")], True, 8),
        ([("critical", "missing")], False, 4),
        ([("critical", "partial")], True, 4),
        ([("critical", "unpinned")], False, 4),
        ([("critical", "corrupt")], False, 8),
        ([("critical", "corrupt"), ("critical", "missing")], False, 4),
        ([("critical", "corrupt"), ("optional", "missing")], True, 8),
        ([("available", "missing")], False, 0),
    ],
)
def test_the_exit_code_of_a_check(
    rows: list[tuple[Tier, Presence]], strict: bool, code: int
) -> None:
    statuses = [status(f"m{at}", *row) for at, row in enumerate(rows)]
    assert check_exit_code(statuses, strict=strict) == code


@pytest.mark.parametrize("code", KINDS)
def test_one_shared_reason_gives_its_own_exit_code(code: str) -> None:
    rows = [outcome("critical"), outcome("critical", code), outcome("critical", code)]
    assert download_exit_code(rows) == KINDS[code].exit_code == exit_code_of(rows[1].failure)  # type: ignore[arg-type]


def test_reasons_of_one_exit_code_are_one_reason() -> None:
    rows = [outcome("critical", "stalled"), outcome("critical", "server-error")]
    assert download_exit_code(rows) == 5


def test_different_reasons_are_critical_failed() -> None:
    rows = [outcome("critical", "stalled"), outcome("critical", "disk-full")]
    assert download_exit_code(rows) == 4


def test_optional_failures_are_warnings() -> None:
    rows = [outcome("critical"), outcome("optional", "digest-mismatch")]
    assert download_exit_code(rows) == 0
    assert download_exit_code([]) == 0


def test_the_exit_codes_of_the_design() -> None:
    expected = {
        "unexpected": 1, "usage": 2, "config-invalid": 2, "store-not-writable": 4,
        "network-unreachable": 5, "token-missing": 6, "licence-not-accepted": 6, "disk-full": 7,
        "digest-mismatch": 8, "lock-stale": 9, "deadline": 12, "address-refused": 13,
        "stopped": 130, "terminated": 143,
    }  # fmt: skip
    assert {code: KINDS[code].exit_code for code in expected} == expected
    assert {kind.exit_code for kind in KINDS.values()} == {1, 2, 4, 5, 6, 7, 8, 9, 12, 13, 130, 143}


def test_categories_keep_the_catalogs_order_and_strange_ones_come_last() -> None:
    known = {
        "b": Category("b", "B Models"),
        "a": Category("a", "A Models"),
        "c": Category("c", "C"),
    }
    rows = [model("1", "a"), model("2", "z"), model("3", "b"), model("4", "a")]
    grouped = group_by_category(rows, known)
    assert [(category.title, numbers) for category, numbers in grouped] == [
        ("B Models", [2]),
        ("A Models", [0, 3]),
        ("z", [1]),
    ]


def test_a_report_becomes_one_document_of_plain_values() -> None:
    report = Report(
        statuses=(status("a", want=5),),
        outcomes=(outcome("critical", "stalled"), outcome("optional")),
        left_out=(LeftOut(model("b"), "needs Apple Silicon"),),
        available=(model("c"),),
        total_bytes=7,
        exit_code=5,
        notes=("n",),
    )
    document = envelope("download", 5, report_data(report))
    assert json.loads(json.dumps(document)) == document
    assert list(document) == ["schema_version", "command", "exit_code", "data"]
    assert list(document["data"]) == [
        "models", "outcomes", "left_out", "available", "total_bytes", "notes"
    ]  # fmt: skip
    assert document["data"]["outcomes"][0]["failure"] == {
        "code": "stalled", "message": "words", "hint": "hint"
    }  # fmt: skip
    assert document["data"]["outcomes"][1]["failure"] is None
    assert document["data"]["models"][0]["bytes_want"] == 5
    assert document["data"]["left_out"] == [{"key": "a:b", "why": "needs Apple Silicon"}]
