"""Charts of the speed of allocators, and of its cost in memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from statistics import median

from memtool.kinds.picture import BarsInfo
from memtool.measure.metrics import METRICS
from memtool.model import CellResult, Metric
from memtool.report import look, palette
from memtool.report.charts.record import Axis, Bar, Bars, Line, Lines, Spot, Spots
from memtool.report.paper.canvas import ceiling, metric_of
from memtool.stats.summary import pareto_front
from memtool.units import format_size, unit_for

_FLATTENS = 8
"""Multiple of the median from which a bar makes the axis logarithmic, because it would hide the other bars."""
_MEMORY = ("peak_resident_bytes", "tree_peak_resident_bytes")


def throughput(cells: Sequence[CellResult]) -> Bars | None:
    """Return the times by which allocators are ranked, with intervals, and the harness's own time."""
    name = next((name for name in look.TIMES if any(metric_of(cell, name) for cell in cells)), None)
    if name is None:
        return None
    known = [(cell, metric) for cell in cells if (metric := metric_of(cell, name))]
    times = [metric.value or 0.0 for _, metric in known]
    harness = sorted(own for cell, _ in known if (own := cell.proof.get("harness_ns")))
    is_log = min(times) > 0 and max(times) > _FLATTENS * median(times)
    per_operation = " an operation, gross" if name == "time_per_op_ns" else ""
    return Bars(
        "throughput",
        "Time (shorter is faster)",
        Axis(f"time{per_operation}; whiskers: 95 % interval of the median", is_log, "time"),
        (METRICS[name].meaning,),
        tuple(Bar(look.label(cell), (metric.value,), metric.low, metric.high) for cell, metric in known),
        (("harness", harness[len(harness) // 2]),) if harness else (),
        "No whiskers: fewer than 6 blocks." if all(metric.low is None for _, metric in known) else "",
    )


def against_memory(cells: Sequence[CellResult]) -> Spots | None:
    """Return each allocator by time and peak resident memory, and the Pareto front; interpreted ones are left out."""
    measured = [
        (cell, time, memory)
        for cell in cells
        if (time := look.time_of(cell)) is not None and time.value is not None and not cell.interpreted
        if (memory := next((metric for name in _MEMORY if (metric := metric_of(cell, name))), None)) is not None
    ]
    if len(measured) < 2:
        return None
    highest = ceiling([memory.value or 0.0 for *_, memory in measured])
    unit, unit_name = unit_for(highest)
    inside = [row for row in measured if (row[2].value or 0.0) <= highest]
    above = [
        f"{look.label(cell)} ({format_size(memory.value or 0.0)})"
        for cell, _, memory in measured
        if (memory.value or 0.0) > highest
    ]
    places = [(time.value or 0.0, (memory.value or 0.0) / unit) for _, time, memory in inside]
    front = sorted(place for place, is_on_front in zip(places, pareto_front(places), strict=True) if is_on_front)
    xs = [x for x, _ in places]
    return Spots(
        "speed-memory",
        "Memory against speed (lower left is better; dashed: the Pareto front)",
        Axis("time", min(xs) > 0 and max(xs) > _FLATTENS * min(xs), "time"),
        Axis(f"peak resident memory ({unit_name})"),
        tuple(
            Spot(look.label(cell), x, y, _interval(time), _interval(memory, unit))
            for (cell, time, memory), (x, y) in zip(inside, places, strict=True)
        ),
        tuple(front),
        f"Above the picture: {', '.join(above)}." if above else "",
    )


def _interval(metric: Metric, unit: float = 1.0) -> tuple[float, float] | None:
    return None if metric.low is None or metric.high is None else (metric.low / unit, metric.high / unit)


def declared(cells: Sequence[CellResult], info: BarsInfo) -> Bars | None:
    """Return the bars that a kind of work declares."""
    known = [cell for cell in cells if metric_of(cell, info.parts[0][1])]
    if not known:
        return None
    bars = []
    for cell in known:
        metrics = [metric_of(cell, name) for _, name in info.parts]
        values = tuple(None if metric is None else (metric.value or 0.0) / info.scale for metric in metrics)
        own = _interval(metrics[0], info.scale) if len(metrics) == 1 and metrics[0] is not None else None
        bars.append(Bar(look.label(cell), values, *(own or (None, None))))
    parts = tuple(part for part, _ in info.parts)
    return Bars(info.name, info.title, Axis(info.axis), parts, tuple(bars), colours=_colours(parts))


def _colours(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(colour for colour, _ in palette.PARTS[: len(parts)])


def program(cells: Sequence[CellResult]) -> Bars | None:
    """Return the processor time of a whole program, user and system; nothing for other kinds of work."""
    known = [cell for cell in cells if metric_of(cell, "user_time_ns") and metric_of(cell, "system_time_ns")]
    if not known:
        return None
    return Bars(
        "program",
        "Processor time of the whole program (shorter is better)",
        Axis("time, all processes together", quantity="time"),
        ("user", "system"),
        tuple(
            Bar(look.label(cell), tuple(cell.metrics[name].value for name in ("user_time_ns", "system_time_ns")))
            for cell in known
        ),
        colours=_colours(("user", "system")),
    )


def padding(cells: Sequence[CellResult]) -> Lines | None:
    """Return the mean padding of a block over its alignment; None if fewer than two alignments were measured."""
    from memtool.report.plots.padding import courses

    lines, theory = courses(cells)
    if len(theory) < 2:
        return None
    alignments = sorted(theory)

    def line(name: str, points: Sequence[tuple[int, float]], drawn: str = "allocator") -> Line:
        return Line(name, tuple((alignments.index(x), max(y, 1.0)) for x, y in sorted(points)), drawn)

    return Lines(
        "padding",
        "Padding by alignment",
        Axis("alignment of each block (bytes)", categories=tuple(f"{alignment:,}" for alignment in alignments)),
        Axis("mean padding of a block (bytes)", is_log=True),
        (line("rounded up to the alignment", list(theory.items()), "floor"), *starmap(line, lines.items())),
        note="1 stands for less.",
    )
