from pathlib import Path

from benchmarks.measure import GIB, Runs, Took
from benchmarks.page import Section, losses, ratio, runs_table, write_page

MIB = 1024 * 1024


def found() -> dict[str, Runs]:
    two = [Took(2.0, 3.0, 40 * MIB), Took(4.0, 5.0, 50 * MIB)]
    return {
        "modelset": Runs("modelset", GIB, True, two),
        "curl": Runs("curl", GIB, False, [Took(1.5, 9.0, 90 * MIB)]),
        "pooch": Runs("pooch", GIB, True, trouble="pooch is not installed"),
    }


def test_a_row_shows_medians_the_fastest_run_and_the_ratio_to_ours() -> None:
    own, curl = runs_table(found())[2:4]

    assert own == "| modelset | 3.00 s | 2.00 s | 358 MB/s | 4.00 | 50 MiB | checked | 1.00 x |"
    assert curl == "| curl | 1.50 s | 1.50 s | 716 MB/s | 9.00 | 90 MiB | no | 0.50 x |"


def test_a_tool_that_could_not_run_is_shown_with_the_reason() -> None:
    assert "not measured: pooch is not installed" in runs_table(found())[4]


def test_a_tool_that_failed_later_keeps_its_row_and_the_failure_is_told() -> None:
    runs = found()
    runs["curl"].trouble = "curl ended with 7: refused"

    table = runs_table(runs)

    assert table[3].startswith("| curl | 1.50 s")
    assert "curl failed in a later round: curl ended with 7: refused" in table[-1]


def test_what_a_rival_does_better_is_said_and_nothing_else() -> None:
    assert losses(found()) == (
        "Where modelset loses: curl needs 0.50 of its time, without checking a digest."
    )


def test_a_rival_that_is_worse_at_everything_is_no_loss() -> None:
    runs = found()
    runs["curl"].took = [Took(9.0, 9.0, 90 * MIB)]

    assert losses(runs) == "Where modelset loses: nowhere here."


def test_a_ratio_needs_both_tools() -> None:
    assert ratio(found(), "curl") == 0.5
    assert ratio(found(), "pooch") is None


def test_a_target_is_met_missed_or_not_measured() -> None:
    section = Section("1. Case", "words")
    section.at_least("fast", 8, 8.0)
    section.at_least("faster", 8, 7.9)
    section.at_most("small", 100, 100.5, " MB")
    section.at_most("unknown", 1, None)

    assert [target.met for target in section.targets] == [True, False, False, None]
    assert section.targets[2].measured == "100 MB"
    assert section.targets[3].measured == "not measured"


def test_the_page_holds_the_targets_every_table_and_every_chart(tmp_path: Path) -> None:
    section = Section("1. Case", "What was done.")
    section.table(found())
    section.chart("case", found(), mark=("limit", 1.0))
    section.at_least("fast", 8, 7.0)

    write_page(tmp_path / "results.md", ["How it was measured."], [section])

    page = (tmp_path / "results.md").read_text()
    assert "How it was measured." in page
    assert "| fast | at least 8 x | 7.00 x | **missed** |" in page
    assert "| curl | 1.50 s" in page
    charts = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert charts == ["case-cpu.svg", "case-memory.svg", "case-wall.svg"]
    assert all(f"(plots/{name})" in page for name in charts)
    assert "limit: 1.00 s" in (tmp_path / "plots" / "case-wall.svg").read_text()
    assert "limit" not in (tmp_path / "plots" / "case-cpu.svg").read_text()
