"""Runs every row of the fault matrix with modelset and with the others, one tool after another.

Prints the table and the counts, and writes both into docs/reliability.md. `--tools` and `--rows`
run a part of it; the other cells of the page stay as they are.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "shared")]

from tests.faults.project import Project  # noqa: E402
from tests.faults.rows.matrix import ALL, ROWS  # noqa: E402
from tests.faults.rows.row import Row, Verdict, ground  # noqa: E402
from tests.faults.rows.tools import TOOLS, lacking, program  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEAD = ("#", "row", "fault", "what modelset promises")
SHOWN = {"modelset": "modelset", "hf": "`hf download`", "curl": "`curl -C -`", "aria2c": "`aria2c`"}

Cells = dict[str, dict[str, str]]


def cell(row: Row, tool: str, folder: Path, warm: Project) -> str:
    """How a tool does on a row, as it stands in the table."""
    if tool != "modelset" and (not row.rivals or tool in row.not_for):
        return f"n/a: {row.why_not}"
    if why := lacking(row.needs):
        return f"not run: {why}"
    try:
        with ground(folder, warm) as here:
            verdict = row.run(TOOLS[tool](here), here)
    except Exception as error:  # one row that breaks does not cost the others
        verdict = Verdict(False, f"the row broke: {type(error).__name__} {error}"[:80])
    return f"{'✓' if verdict.passed else '✗'} {verdict.words}".replace("|", "/").replace("\n", " ")


def run(tools: Sequence[str], rows: Sequence[Row], jobs: int) -> Cells:
    """The cells, by row and tool; the rows of a tool run side by side, as most of them wait."""
    cells: Cells = {row.name: {} for row in rows}
    with tempfile.TemporaryDirectory(prefix="modelset-faults-") as top:
        warm = Project(Path(top) / "warm")
        warm.env["PYTHONPYCACHEPREFIX"] = str(warm.root / "compiled")
        warm.model("none", "http://127.0.0.1:9/", b"")
        assert warm.run("house:none", "--dry-run").code == 0
        for tool in tools:
            began = time.monotonic()

            def one(row: Row, tool: str = tool) -> None:
                cells[row.name][tool] = cell(row, tool, Path(top) / f"{row.name}-{tool}", warm)
                print(f"{tool:9} {row.number:2} {row.name:32} {cells[row.name][tool]}", flush=True)

            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(one, rows))
            print(f"{tool}: {time.monotonic() - began:.0f} s", flush=True)
    return cells


def versions() -> str:
    """What was compared, in one line."""
    found = []
    for tool, option in (("hf", "version"), ("curl", "--version"), ("aria2c", "--version")):
        done = subprocess.run([program(tool) or tool, option], capture_output=True, text=True)
        words = done.stdout.split()
        number = next((word.strip(",") for word in words if word[:1].isdigit()), "?")
        found.append(f"{'huggingface_hub' if tool == 'hf' else tool} {number}")
    return ", ".join(found)


def known(text: str) -> Cells:
    """The cells that stand in the page."""
    cells: Cells = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if line.startswith("| ") and parts[0].isdigit():
            own = zip(TOOLS, parts[len(HEAD) :], strict=True)
            cells[parts[1].strip("`")] = dict(own)
    return cells


def table(cells: Mapping[str, Mapping[str, str]]) -> str:
    """The counts and the table."""
    lines = [f"Compared: {versions()}.", "", "Rows passed, of those that apply:", ""]
    for tool in TOOLS:
        own = [cells.get(row.name, {}).get(tool, "not run") for row in ALL]
        own = [each for each in own if not each.startswith("n/a")]
        lines.append(f"- {tool}: {sum(each.startswith('✓') for each in own)} of {len(own)}")
    head = (*HEAD, *SHOWN.values())
    lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in ALL:
        own = [cells.get(row.name, {}).get(tool, "not run") for tool in TOOLS]
        words = (str(row.number), row.name, row.fault, row.guarantee, *own)
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines)


def main() -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=3, help="rows side by side (3)")
    parser.add_argument("--dry-run", action="store_true", help="leave the page as it is")
    options = parser.parse_args()
    fresh = run(options.tools, [ROWS[name] for name in options.rows], options.jobs)
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    cells = known(rest)
    for name, own in fresh.items():
        cells[name] = {**cells.get(name, {}), **own}
    made = table(cells)
    print(made)
    if not options.dry_run:
        PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", "utf-8")
    failed = [name for name, own in fresh.items() if "✓" not in own.get("modelset", "✓")]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
