"""Draws what the queries of the dashboard return, in its order: numbers, a table, and lines."""

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "ipvs-estoff-guard"

COLUMNS = 6
Points = list[tuple[float, float]]


class Query(NamedTuple):
    """A query of the dashboard: the panel that it is in, and its legend or column there."""

    panel: str
    kind: str  # of the panel: stat, table, timeseries
    unit: str
    legend: str
    expr: str


Shown = tuple[Query, dict[str, Points]]


def draw(shown: Sequence[Shown], path: Path, seconds: float, kernel: str) -> None:
    """Draw the panels as they were at the end of a run of this length."""
    panels = [list(found) for _, found in groupby(shown, key=lambda one: one[0].panel)]
    kinds = {kind: [p for p in panels if p[0][0].kind == kind] for kind in ("stat", "table")}
    lines = [panel for panel in panels if panel[0][0].kind == "timeseries"]
    rows = math.ceil(len(lines) / 2)
    figure = Figure(figsize=(12, 3 + 2.4 * rows), layout="constrained")
    figure.suptitle(
        f"The panels of the dashboard, {seconds:.0f} s of one host, kernel {kernel}, emulated"
    )
    grid = figure.add_gridspec(2 + rows, COLUMNS, height_ratios=[0.5, 0.7, *[1.6] * rows])
    for column, panel in enumerate(kinds["stat"]):
        _number(figure.add_subplot(grid[0, column]), panel)
    for panel in kinds["table"]:
        _table(figure.add_subplot(grid[1, :]), panel)
    for number, panel in enumerate(lines):
        row, half = divmod(number, 2)
        _lines(figure.add_subplot(grid[2 + row, 3 * half : 3 * half + 3]), panel)
    figure.savefig(path, metadata={"Date": None})


def _last(series: dict[str, Points]) -> str:
    values = [points[-1][1] for points in series.values()]
    return ", ".join(f"{value:.4g}" for value in values) or "no data"


def _number(axes: Axes, panel: list[Shown]) -> None:
    axes.set_title(panel[0][0].panel, fontsize=10)
    axes.text(0.5, 0.4, _last(panel[0][1]), ha="center", va="center", fontsize=20)
    axes.set_axis_off()


def _table(axes: Axes, panel: list[Shown]) -> None:
    axes.set_title(panel[0][0].panel, fontsize=10)
    axes.set_axis_off()
    table = axes.table(
        [[_last(series) for _, series in panel]],
        colLabels=[query.legend for query, _ in panel],
        loc="center",
    )
    table.auto_set_font_size(False)
    table.set_fontsize(7)


def _lines(axes: Axes, panel: list[Shown]) -> None:
    axes.set_title(f"{panel[0][0].panel} ({panel[0][0].unit})", fontsize=10)
    for query, series in panel:
        for labels, points in series.items():
            plain = query.legend if "{{" not in query.legend else labels
            axes.plot(*zip(*points, strict=True), label=plain, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.set_xlabel("seconds before the end", fontsize=7)
    axes.legend(fontsize=7, loc="upper left")
