"""The picture of a history: each metric of each workload over time, one line for each series, with its changes."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.measure.metrics import METRICS
from memtool.report import look
from memtool.report.compared import history as words
from memtool.report.paper import canvas
from memtool.stats.history import History, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 12
_SCALES = {"B": (2**20, "MiB"), "ns": (1, "ns")}


def draw(history: History, path: Path) -> Path:
    """Draw the series into a file, in the format that its name implies. Raises OSError."""
    with canvas.own_style():
        canvas.save(_figure(history), path)
    return path


def _figure(history: History) -> Figure:
    panels: dict[tuple[str, str], list[Series]] = {}
    for series in history.series:
        panels.setdefault((series.cell.workload, series.metric), []).append(series)
    # Series that change take precedence over those that do not.
    kept = sorted(panels, key=lambda key: not any(series.changes for series in panels[key]))[:_MOST_PANELS]
    drawn = [key for key in panels if key in kept]
    names = words.groups(history)
    labels = {id(series): _label(history, series, names) for series in history.series}
    styles = look.styles_of(labels.values())
    figure, axes = canvas.subplots(len(drawn), 1, 9, 0.8 + 2.4 * len(drawn), is_open=True, sharex=True, squeeze=False)
    moments = [datetime.datetime.fromisoformat(run.started) for run in history.runs]
    for key, panel in zip(drawn, axes[:, 0], strict=True):
        for series in panels[key]:
            _line(panel, series, moments, styles[labels[id(series)]], labels[id(series)])
        _name(panel, *key)
    figure.autofmt_xdate(rotation=0, ha="center")
    figure.suptitle(f"{len(history.runs):,} runs over time")
    left_out = len(panels) - len(drawn)
    canvas.write_below(
        figure,
        "dashed: where a series changes, and by how much; whiskers: 95 % interval of a run's median"
        + (f"\n{left_out} further pictures are left out: --metric and -a choose" if left_out else ""),
    )
    return figure


def _label(history: History, series: Series, names: dict[str, str]) -> str:
    apart = words.difference(history, series)
    return look.name_of(series.cell.allocator, series.cell.region) + (f" ({names[apart]})" if apart else "")


def _line(panel: Axes, series: Series, moments: Sequence[datetime.datetime], style: look.Style, label: str) -> None:
    scale = _SCALES.get(series.unit, (1, ""))[0]
    times: Any = [moments[point.run] for point in series.points]
    values = [point.value / scale for point in series.points]
    panel.plot(times, values, label=label, markersize=4, linewidth=1.2, **style.of_line)
    known = [
        (moments[point.run], point.value / scale, (point.value - point.low) / scale, (point.high - point.value) / scale)
        for point in series.points
        if point.low is not None and point.high is not None and point.low < point.high
    ]
    if known:
        at, middle, below, above = zip(*known, strict=True)
        drawn: Any = at
        panel.errorbar(drawn, middle, yerr=[below, above], fmt="none", ecolor=style.colour, elinewidth=0.7, capsize=2)
    for change in series.changes:
        moment: Any = times[change.at]
        panel.axvline(moment, color=style.colour, linestyle="--", linewidth=1)
        panel.annotate(
            words.amount(series, change),
            (moment, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=style.colour,
        )


def _name(panel: Axes, workload: str, metric: str) -> None:
    unit = _SCALES.get(METRICS[metric].unit, (1, ""))[1]
    panel.set_title(f"{workload} · {metric}", loc="left", fontsize=9)
    panel.set_ylabel(unit)
    panel.grid(visible=True, axis="y", color="0.9")
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
