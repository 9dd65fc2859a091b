"""Percentiles of each kind of operation, above the noise floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from memtool.model import CellResult, Metric
from memtool.report import look
from memtool.report.look import Style
from memtool.report.paper import canvas
from memtool.report.paper.canvas import metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PERCENTILES = (
    ("p50", "50"),
    ("p90", "90"),
    ("p99", "99"),
    ("p999", "99.9"),
    ("p9999", "99.99"),
    ("max", "max"),
)


def draw(cells: Sequence[CellResult], styles: Mapping[str, Style]) -> Figure | None:
    """Draw percentiles of each kind of operation on a log axis, with the noise floor beneath them."""
    kinds = [
        kind
        for kind in ("allocate", "deallocate", "reallocate")
        if any(metric_of(cell, f"{kind}_p50_ns") for cell in cells)
    ]
    known = [cell for cell in cells if any(metric_of(cell, f"{kind}_p50_ns") for kind in kinds)]
    if not known:
        return None
    from matplotlib.lines import Line2D

    width, height = 2.5 + 4 * len(kinds), canvas.tall_enough(5.4, len(known))
    figure, (panels,) = canvas.subplots(1, len(kinds), width, height, is_open=True, sharey=True, squeeze=False)
    positions = range(len(PERCENTILES))
    bottom = least_visible(known)
    for axes, kind in zip(panels, kinds, strict=True):
        for cell in known:
            style = styles[look.label(cell)]
            metrics = [metric_of(cell, f"{kind}_{name}_ns") for name, _ in PERCENTILES]
            points = [
                (position, max(metric.value or 0.0, bottom), metric.at_floor)
                for position, metric in zip(positions, metrics, strict=True)
                if metric is not None
            ]
            axes.plot(
                [x for x, _, _ in points],
                [y for _, y, _ in points],
                color=style.colour,
                linestyle=style.line,
                linewidth=1.3,
            )
            _whiskers(axes, metrics, bottom, style.colour)
            for hollow in (False, True):
                chosen = [(x, y) for x, y, at_floor in points if at_floor is hollow]
                if chosen:
                    axes.plot(
                        [x for x, _ in chosen],
                        [y for _, y in chosen],
                        linestyle="none",
                        marker=style.marker,
                        markersize=5,
                        color=style.colour,
                        markerfacecolor="white" if hollow else style.colour,
                    )
        floor = [max(figure_, bottom) for figure_ in floor_of(known, kind)]
        if floor:
            axes.fill_between(
                list(positions)[: len(floor)],
                bottom * 0.8,
                floor,
                color="0.85",
                zorder=0,
                label="null strategy,\nsame arrivals" if under_arrivals(known) else "noise floor",
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(canvas.times)
        axes.set_xticks(list(positions), [name for _, name in PERCENTILES])
        axes.set_xlabel("percentile of operations (%)")
        axes.set_title(kind, fontsize=9)
        axes.grid(axis="y", which="major", color="0.9")
    medians = (metric for cell in known for kind in kinds if (metric := metric_of(cell, f"{kind}_p50_ns")))
    panels[0].set_ylabel(f"latency less the floor's median; {canvas.whiskers(medians)}")
    handles, names = panels[0].get_legend_handles_labels()
    lines = [Line2D([], [], markersize=5, **styles[look.label(cell)].of_line) for cell in known]
    figure.legend(
        [*lines, *handles], [*map(look.label, known), *names], loc="outside right center", frameon=False, fontsize=8
    )
    figure.suptitle(
        f"Latency (hollow: indistinguishable from the noise floor; "
        f"{bottom:.2g} ns, half the timer's step, stands for less)"
    )
    return figure


def _whiskers(axes: Axes, metrics: Sequence[Metric | None], bottom: float, colour: str) -> None:
    """Draw the 95 % interval of each percentile that has one."""
    for position, metric in enumerate(metrics):
        if metric is not None and metric.low is not None and metric.high is not None:
            low, high = max(metric.low, bottom), max(metric.high, bottom)
            axes.vlines(position, low, high, color=colour, linewidth=0.8, alpha=0.7)


def under_arrivals(cells: Sequence[CellResult]) -> list[dict[str, dict[str, float]]]:
    """Return the null strategy's latencies under the same arrivals; nothing for a closed loop."""
    return [of_null for cell in cells if (of_null := cell.proof.get("open_loop", {}).get("null_ns"))]


def floor_of(cells: Sequence[CellResult], kind: str) -> list[float]:
    """Return the noise floor's percentiles above its own median, as the median over the cells.

    Under arrivals these are the null strategy's.
    """
    null = [of_null[kind] for of_null in under_arrivals(cells) if kind in of_null]
    if null:
        return [null[0][name] for name, _ in PERCENTILES]
    floors = [cell.proof["noise_floor_ns"] for cell in cells if cell.proof.get("noise_floor_ns")]
    if not floors:
        return []
    names = [name for name, _ in PERCENTILES if name in floors[0]]
    above = [[floor[name] - floor["p50"] for name in names] for floor in floors]
    return [sorted(column)[len(column) // 2] for column in zip(*above, strict=True)]


def least_visible(cells: Sequence[CellResult]) -> float:
    """Return half the timer's resolution in ns: smaller times are drawn at this value."""
    steps = [step for cell in cells if (step := cell.proof.get("timer_resolution_ns"))]
    return max(min(steps, default=1.0) / 2, 0.1)
