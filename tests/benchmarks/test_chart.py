import xml.etree.ElementTree as ET

from benchmarks.chart import BAR_WIDTH, bars, number

SVG = "{http://www.w3.org/2000/svg}"


def rects(svg: str) -> list[ET.Element]:
    return ET.fromstring(svg).findall(f"{SVG}rect")


def test_the_longest_bar_fills_the_chart_and_the_others_are_in_proportion() -> None:
    widths = [float(rect.get("width", 0)) for rect in rects(bars("t", "s", [("a", 4), ("b", 1)]))]

    assert widths == [BAR_WIDTH, BAR_WIDTH / 4]


def test_only_our_own_bars_are_coloured() -> None:
    chart = bars("t", "s", [("modelset, TLS", 1), ("curl", 2)])

    assert [rect.get("class") for rect in rects(chart)] == ["own", "bar"]


def test_names_are_written_so_that_the_file_stays_valid() -> None:
    chart = bars('a "b" & <c>', "s", [("<&>", 1)])

    words = [text.text for text in ET.fromstring(chart).findall(f"{SVG}text")]
    assert words == ['a "b" & <c>', "<&>", "1.00 s"]


def test_a_chart_has_colours_for_a_dark_page_and_paints_no_background() -> None:
    chart = bars("t", "s", [("a", 1)])

    assert "prefers-color-scheme: dark" in chart
    assert len(rects(chart)) == 1


def test_a_mark_beyond_every_bar_shortens_the_bars() -> None:
    chart = bars("t", "s", [("a", 1)], mark=("limit", 2))

    assert float(rects(chart)[0].get("width", 0)) == BAR_WIDTH / 2
    words = [text.text for text in ET.fromstring(chart).findall(f"{SVG}text")]
    assert words[-1] == "limit: 2.00 s"


def test_a_chart_of_zeros_is_still_a_chart() -> None:
    assert len(rects(bars("t", "s", [("a", 0.0), ("b", 0.0)]))) == 2


def test_figures_have_about_three_digits() -> None:
    assert [number(value) for value in (0.0456, 3.14159, 31.4159, 314.159)] == [
        "0.05", "3.14", "31.4", "314",
    ]  # fmt: skip
