"""Bounds of a rate as people write them, and which one holds at a minute of the day."""

from __future__ import annotations

import pytest

from modelset.core.rate import Timetable, parse_timetable


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1000", 1000), ("20M", 20e6), ("20m", 20e6), ("500K", 500e3), ("500KB", 500e3),
        ("1.5G", 1.5e9), ("2GB/s", 2e9), ("1Mi", 2**20), ("4KiB/s", 4096), ("1GiB", 2**30),
        (" 20M ", 20e6), ("off", 0), ("OFF", 0), ("0", 0),
    ],
)  # fmt: skip
def test_one_rate_holds_all_day(text: str, rate: float) -> None:
    table = parse_timetable(text)
    assert {table.rate_at(minute) for minute in range(24 * 60)} == {rate}
    assert table.is_bounded is (rate > 0)


def at(table: Timetable, text: str) -> float:
    """The rate at `HH:MM`."""
    hour, _, minute = text.partition(":")
    return table.rate_at(int(hour) * 60 + int(minute))


def test_a_row_holds_from_its_minute_until_the_next_one_and_the_last_over_midnight() -> None:
    table = parse_timetable("19:00,off 08:00,5M 12:30,1M")
    assert table.is_bounded
    assert [at(table, text) for text in ("08:00", "12:29", "12:30", "18:59")] == [
        5e6, 5e6, 1e6, 1e6,
    ]  # fmt: skip
    assert [at(table, text) for text in ("19:00", "23:59", "00:00", "07:59")] == [0, 0, 0, 0]


def test_the_last_row_of_the_day_is_a_bound_after_midnight_too() -> None:
    table = parse_timetable("6:00,off 22:15,2M")
    assert [at(table, text) for text in ("22:14", "22:15", "00:00", "05:59", "06:00")] == [
        0, 2e6, 2e6, 2e6, 0,
    ]  # fmt: skip


def test_a_single_row_holds_all_day() -> None:
    table = parse_timetable("09:00,3M")
    assert at(table, "08:59") == at(table, "09:00") == 3e6


def test_a_timetable_that_is_always_off_bounds_nothing() -> None:
    assert not parse_timetable("08:00,off 19:00,0").is_bounded
    assert not Timetable().is_bounded
    assert Timetable().rate_at(720) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("fast", "fast is not a rate"),
        ("-5M", "-5M is not a rate"),
        ("5T", "5T is not a rate"),
        ("5M/h", "5M/h is not a rate"),
        ("1e9", "1e9 is not a rate"),
        ("nan", "nan is not a rate"),
        ("999", "999 is less than 1K"),
        ("0.5K", "0.5K is less than 1K"),
        ("08:00", "08:00 is not a rate"),
        ("08:00,", "08:00, is not HH:MM,RATE"),
        ("08:00,fast", "fast is not a rate"),
        ("24:00,5M", "24:00,5M is not HH:MM,RATE"),
        ("08:60,5M", "08:60,5M is not HH:MM,RATE"),
        ("8:0,5M", "8:0,5M is not HH:MM,RATE"),
        ("08:00,5M 19:00", "19:00 is not HH:MM,RATE"),
        ("08:00,5M off", "off is not HH:MM,RATE"),
    ],
)
def test_nonsense_is_refused_in_words_that_repeat_it(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_timetable(text)
    assert words in str(caught.value)
