"""The results page: what every case says, and whether each target is met."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.chart import bars, number
from benchmarks.measure import Runs

MIB = 1024 * 1024
OWN = "modelset"


@dataclass(frozen=True, slots=True)
class Target:
    """One figure that has to be shown; `met` is None when it could not be measured."""

    words: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart, and the name of its file."""

    name: str
    title: str
    unit: str
    rows: Sequence[tuple[str, float]]
    mark: tuple[str, float] | None = None

    def svg(self) -> str:
        """The chart as SVG."""
        return bars(self.title, self.unit, self.rows, self.mark)


@dataclass(slots=True)
class Section:
    """What one case has to say."""

    title: str
    words: str
    lines: list[str] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def at_least(self, words: str, wanted: float, value: float | None, unit: str = " x") -> None:
        """A target from below."""
        met = None if value is None else value >= wanted
        self._add(words, f"at least {wanted:g}{unit}", value, unit, met)

    def at_most(self, words: str, wanted: float, value: float | None, unit: str = " x") -> None:
        """A target from above."""
        met = None if value is None else value <= wanted
        self._add(words, f"at most {wanted:g}{unit}", value, unit, met)

    def _add(
        self, words: str, wanted: str, value: float | None, unit: str, met: bool | None
    ) -> None:
        measured = "not measured" if value is None else f"{number(value)}{unit}"
        self.targets.append(Target(words, wanted, measured, met))

    def table(self, found: Mapping[str, Runs], own: str = OWN) -> None:
        """The table of measured runs, and where the rivals do better."""
        self.lines += ["", *runs_table(found, own), "", losses(found, own)]

    def chart(
        self,
        name: str,
        found: Mapping[str, Runs],
        kinds: Iterable[str] = ("wall", "cpu", "memory"),
        mark: tuple[str, float] | None = None,
    ) -> None:
        """A chart of each kind; `mark` is a line in that of the wall time."""
        measured = [runs for runs in found.values() if runs.took]
        for kind in kinds if measured else ():
            title, unit, value = _CHARTS[kind]
            rows = [(runs.name, value(runs)) for runs in measured]
            line = mark if kind == "wall" else None
            full = f"{self.title}: {title}"
            self.plots.append(Plot(f"{name}-{kind}.svg", full, unit, rows, line))


_CHARTS: dict[str, tuple[str, str, Callable[[Runs], float]]] = {
    "wall": ("wall time, median", "s", lambda runs: runs.wall),
    "cpu": ("processor time for each GiB, median", "s", lambda runs: runs.cpu_per_gib),
    "memory": ("peak memory of the largest process", "MiB", lambda runs: runs.peak / MIB),
}


def runs_table(found: Mapping[str, Runs], own: str = OWN) -> list[str]:
    """A line for each tool, with its time beside ours."""
    head = "| tool | wall, median | fastest | rate | CPU s per GiB | peak memory | digest | wall |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---|---:|"]
    base = found.get(own)
    for runs in found.values():
        if not runs.took:
            lines.append(f"| {runs.name} | not measured: {runs.trouble} |||||||")
            continue
        cells = [
            runs.name,
            f"{runs.wall:.2f} s",
            f"{runs.fastest:.2f} s",
            f"{number(runs.rate / 1e6)} MB/s",
            f"{runs.cpu_per_gib:.2f}",
            f"{runs.peak / MIB:.0f} MiB",
            "checked" if runs.verifies else "no",
            f"{runs.wall / base.wall:.2f} x" if base and base.took else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    stopped = [runs for runs in found.values() if runs.took and runs.trouble]
    return lines + [f"\n{runs.name} failed in a later round: {runs.trouble}" for runs in stopped]


def losses(found: Mapping[str, Runs], own: str = OWN) -> str:
    """Who does better than we do, and at what."""
    base = found.get(own)
    if base is None or not base.took:
        return f"{own} was not measured: {base.trouble if base else 'left out'}."
    words = []
    for runs in found.values():
        if runs is base or not runs.took or runs.name.startswith(OWN):
            continue
        less = [
            f"{value / mine:.2f} of {what}"
            for what, value, mine in (
                ("its time", runs.wall, base.wall),
                ("its processor time", runs.cpu_per_gib, base.cpu_per_gib),
                ("its memory", runs.peak, base.peak),
            )
            if value < mine
        ]
        if less:
            note = "" if runs.verifies else ", without checking a digest"
            words.append(f"{runs.name} needs {', '.join(less)}{note}")
    if not words:
        return f"Where {own} loses: nowhere here."
    return f"Where {own} loses: " + "; ".join(words) + "."


def ratio(found: Mapping[str, Runs], one: str, other: str = OWN) -> float | None:
    """How many times the wall time of `other` fits into that of `one`; None without both."""
    if not (found[one].took and found[other].took):
        return None
    return found[one].wall / found[other].wall


def targets_table(sections: Iterable[Section]) -> list[str]:
    """A line for each target of all cases."""
    marks = {True: "met", False: "**missed**", None: "**not measured**"}
    lines = ["| must show | target | measured | |", "|---|---|---|---|"]
    for section in sections:
        for target in section.targets:
            cells = (target.words, target.wanted, target.measured, marks[target.met])
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def write_page(page: Path, head: Sequence[str], sections: Sequence[Section]) -> None:
    """The page and its charts, in `plots/` beside it."""
    folder = page.parent / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# Downloads beside other tools", "", *head, "", "## Targets", ""]
    lines += targets_table(sections)
    for section in sections:
        lines += ["", f"## {section.title}", "", section.words, *section.lines]
        for plot in section.plots:
            (folder / plot.name).write_text(plot.svg(), encoding="utf-8")
            lines += ["", f"![{plot.title}](plots/{plot.name})"]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
