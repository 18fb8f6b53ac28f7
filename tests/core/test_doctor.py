"""What facts mean: which are fine, which are faults, and the code that a run ends with."""

from __future__ import annotations

import pytest

from modelset.core.doctor import (
    Finding,
    Requirement,
    Volume,
    exit_code,
    judge_clock,
    judge_libraries,
    judge_mirrors,
    judge_open_files,
    judge_torch,
    judge_volume,
    requirements_of,
)
from modelset.core.mirrors import Mirror
from modelset.core.values import replace

GOOD = Volume(
    "/data",
    1,
    50 * 10**9,
    is_writable=True,
    symlinks=True,
    hard_links=True,
    locks=True,
    is_case_sensitive=True,
    skew_s=0.01,
)


def levels(findings: list[Finding]) -> list[str]:
    return [one.level for one in findings]


def test_the_code_is_the_one_that_all_faults_share() -> None:
    warned = Finding("A", "warn", "w")
    full = Finding("A", "bad", "w", "", "disk-full")

    assert exit_code([warned, Finding("A", "ok", "w"), Finding("A", "note", "w")]) == 0
    assert exit_code([warned, full]) == 7
    assert exit_code([full, full]) == 7
    assert exit_code([full, Finding("A", "bad", "w", "", "lock-invalid")]) == 4
    assert exit_code([Finding("A", "bad", "w")]) == 4


def test_a_good_volume_is_one_row() -> None:
    assert levels(judge_volume("models", GOOD, 10**9)) == ["ok"]


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"symlinks": False}, "note", "symbolic links"),
        ({"hard_links": False}, "note", "hard links"),
        ({"locks": False}, "warn", "file locks"),
        ({"is_case_sensitive": False}, "note", "case"),
        ({"skew_s": 3600.0}, "warn", "3600 s"),
        ({"skew_s": -3600.0}, "warn", "3600 s"),
    ],
)
def test_each_lack_is_a_row_of_its_own(change: dict[str, object], level: str, words: str) -> None:
    found = judge_volume("models", replace(GOOD, **change), 0)

    assert levels(found) == ["ok", level]
    assert words in found[1].words


def test_what_could_not_be_tried_is_no_fault() -> None:
    unknown = replace(GOOD, symlinks=None, hard_links=None, locks=None, is_case_sensitive=None)

    assert levels(judge_volume("models", unknown, 0)) == ["ok"]


def test_space_is_measured_by_what_is_still_to_come() -> None:
    little = replace(GOOD, free_bytes=10**9)

    assert levels(judge_volume("models", little, 0)) == ["warn"]
    (full,) = judge_volume("models", little, 3 * 10**9)
    assert (full.level, full.code) == ("bad", "disk-full")
    assert "3.00 GB" in full.words
    assert full.mend


def test_a_volume_that_cannot_be_written_is_a_fault() -> None:
    (found,) = judge_volume("models", replace(GOOD, is_writable=False), 0)

    assert (found.level, found.code) == ("bad", "store-not-writable")


@pytest.mark.parametrize(("year", "level"), [(1970, "bad"), (2026, "ok"), (2099, "bad")])
def test_certificates_need_a_year_that_can_be_true(year: int, level: str) -> None:
    found = judge_clock(year)

    assert found.level == level
    assert bool(found.mend) == (level == "bad")


@pytest.mark.parametrize(
    ("limit", "level"), [(None, "ok"), (20000, "ok"), (512, "ok"), (256, "warn"), (0, "warn")]
)
def test_files_that_may_be_open(limit: int | None, level: str) -> None:
    assert judge_open_files(limit).level == level


def test_requirements_are_read_from_lines() -> None:
    lines = [
        "# comment",
        "",
        "torch==2.13.0",
        "  faster-whisper>=1.1,<2",
        "mlx-whisper>=0.4; platform_system == 'Darwin'",
        "uvicorn[standard] >=0.1  # why",
        "numba",
        "-r other.txt",
    ]

    assert requirements_of(lines) == [
        Requirement("torch", "==2.13.0"),
        Requirement("faster-whisper", ">=1.1,<2"),
        Requirement("mlx-whisper", ">=0.4", if_here=True),
        Requirement("uvicorn", ">=0.1"),
        Requirement("numba", ""),
    ]


def test_libraries_that_are_well_are_one_row_and_each_other_has_its_own() -> None:
    wanted = [
        Requirement("a", ">=1,<2"),
        Requirement("b", ""),
        Requirement("c", ">=3"),
        Requirement("d", ">=1"),
        Requirement("e", ">=1", if_here=True),
    ]
    versions = {"a": "1.5", "b": "0.1", "c": "2.9"}

    found = judge_libraries(wanted, versions, topic="T", missing="bad", mend="mend it")

    assert [(one.level, one.words) for one in found] == [
        ("ok", "a 1.5, b 0.1"),
        ("warn", "c 2.9 does not fit >=3"),
        ("bad", "d is missing"),
    ]


@pytest.mark.parametrize(
    ("versions", "has_cuda", "count"),
    [
        ({}, True, 0),
        ({"torch": "2.13.0"}, True, 0),
        ({"torch": "2.13.0+cpu"}, False, 0),
        ({"torch": "2.13.0+cpu"}, True, 1),
        ({"torch": "2.13.0+cpu", "torchaudio": "2.11.0+cpu"}, False, 0),
        ({"torch": "2.13.0+cpu", "torchaudio": "2.11.0"}, False, 1),
        ({"torch": "2.13.0+cu130", "torchaudio": "2.11.0+cpu", "torchvision": "1+cpu"}, True, 2),
        ({"torchaudio": "2.11.0+cpu"}, True, 0),
    ],
)
def test_builds_for_two_devices_do_not_go_together(
    versions: dict[str, str], has_cuda: bool, count: int
) -> None:
    found = judge_torch(versions, has_cuda=has_cuda)

    assert levels(found) == ["warn"] * count
    assert all(one.mend for one in found)


def test_mirrors_that_can_never_work_are_faults() -> None:
    mirrors = {
        "https://a.example/": (
            Mirror("https://b.example/"),
            Mirror("http://c.example/"),
            Mirror("http://d.example/", allow_http=True),
            Mirror("http://e.example/", allow_http=True, credentials=True),
            Mirror("http://127.0.0.1:8000/", credentials=True),
        )
    }
    shown = {url: url for row in mirrors.values() for url in (one.url for one in row)}

    found = judge_mirrors(mirrors, shown)

    assert levels(found) == ["ok", "bad", "ok", "warn", "ok"]
    assert found[1].code == "address-refused"
