"""Charts of memory: over the run, after it, its parts at the peak of live bytes, and the inside of each heap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from statistics import median
from string import ascii_lowercase

from memtool.model import CellResult, TraceInfo
from memtool.report import look, palette
from memtool.report.charts.record import Axis, Bar, Bars, Line, Lines, Moment, Strip, Strips
from memtool.report.charts.thin import thinned
from memtool.report.paper import marks
from memtool.report.paper.canvas import metric_of
from memtool.report.plots import fragmentation, heap_maps, memory
from memtool.store import series
from memtool.units import format_size, unit_for

_LEVELS = 12
_TITLES = {"peak": "when live bytes peak", "end": "at the end, before everything is freed"}
Histories = Mapping[str, series.History]


def over_time(cells: Sequence[CellResult], histories: Histories, info: TraceInfo, most: int) -> Iterator[Lines]:
    """Yield footprint and resident memory over the operations, with live bytes beneath them and named moments."""
    known = [cell for cell in cells if histories[look.label(cell)].footprint]
    if not known:
        return
    side_by_side = memory.are_side_by_side(known)
    live = None if side_by_side else memory.live_of(histories[look.label(known[0])])
    for name, title, column in (
        ("footprint", "Footprint over time (strategies; a malloc has none)", "footprint_bytes"),
        ("resident", "Resident memory over time", "resident_bytes"),
    ):
        courses = memory.courses_of(known, histories, column)
        if not courses:
            continue
        end, above = _end({course.label: course.most for course in courses}, info.peak_live_bytes)
        unit, unit_name = unit_for(end or max(course.most for course in courses))
        lines = [_line(course, unit, most) for course in courses]
        apart = "Threads ran side by side, so each has live bytes of its own, which are not drawn."
        area = [] if live is None else [_line(live, unit, most, "area")]
        limit = () if info.memory_limit is None else (("memory limit", info.memory_limit / unit),)
        yield Lines(
            name,
            title,
            Axis("operations (thousands)"),
            Axis(unit_name, end=None if end is None else end / unit),
            (*area, *lines),
            tuple(marks.over_operations(info.marks)),
            limit,
            " ".join(filter(None, (apart if side_by_side else "", above))),
        )


def _end(most: Mapping[str, float], least: float = 0.0) -> tuple[float | None, str]:
    """Return the end of an axis for these largest values, and a remark that names the cells beyond it.

    A strategy that never frees would squeeze all others into one line: it leaves the chart and is named with its
    figure.
    """
    usual = max(1.5 * median(most.values()), 1.3 * least)
    inside = [value for value in most.values() if value <= 1.6 * usual]
    above = [f"{label} ({format_size(value)})" for label, value in most.items() if value > 1.6 * usual]
    return (1.05 * max(inside, default=usual), f"Leaves the chart: {', '.join(above)}.") if above else (None, "")


def _line(course: memory.Course, unit: int, most: int, drawn: str = "allocator") -> Line:
    points = [(x, value / unit) for x, value in zip(course.clock, course.values, strict=True)]
    if course.peak is not None:
        points = sorted([*points, (course.peak[0], course.peak[1] / unit)])
    return Line(course.label, thinned(points, most), drawn)


def after_the_drain(cells: Sequence[CellResult]) -> Lines | None:
    """Return the memory that stays resident once everything was freed, over the time since then."""
    drained = memory.after_the_drain(cells)
    if not drained:
        return None
    end, above = _end({label: max(values) for label, values in drained.items()})
    unit, name = unit_for(end or max(value for values in drained.values() for value in values))
    return Lines(
        "after-the-drain",
        "Resident memory once everything was freed",
        Axis("time since", categories=("0", "0.1 s", "1 s", "5 s")),
        Axis(name, end=None if end is None else end / unit),
        tuple(
            Line(label, tuple((at, value / unit) for at, value in enumerate(values)))
            for label, values in drained.items()
        ),
        note=above,
    )


def inside(cells: Sequence[CellResult], histories: Histories, info: TraceInfo, most: int) -> Iterator[Lines]:
    """Yield free bytes, largest free block and holes over the operations, for the cells that know them."""
    known = [(look.label(cell), histories[look.label(cell)]) for cell in cells]
    for number, panel in enumerate(fragmentation.PANELS):
        lines = []
        for label, history in known:
            course = panel.figures(history) if history.footprint else ()
            if any(value is not None for value in course):
                points = [((at or 0) / 1000, y) for at, y in zip(history.footprint["clock"], course, strict=True)]
                lines.append(Line(label, thinned(points, most)))
        if lines:
            missing = [
                label for label, history in known if history.footprint if label not in {ln.label for ln in lines}
            ]
            yield Lines(
                f"inside-{number}",
                f"Inside of the heap: {panel.title}",
                Axis("operations (thousands)"),
                Axis(panel.unit),
                tuple(lines),
                tuple(marks.over_operations(info.marks)),
                note=f"n/a: {', '.join(missing)} (not said by the allocator)." if missing else "",
            )


def waterfall(cells: Sequence[CellResult]) -> Bars | None:
    """Return the parts of a footprint at the peak of live bytes; only a malloc itself knows the rest of its memory."""
    known = [
        cell for cell in cells if metric_of(cell, "rounding_bytes") and metric_of(cell, "resident_at_peak_live_bytes")
    ]
    if not known:
        return None
    totals = {
        look.label(cell): max(
            cell.metrics["resident_at_peak_live_bytes"].value or 0.0,
            sum(metric.value or 0.0 for _, name, *_ in memory.PARTS if (metric := metric_of(cell, name))),
        )
        for cell in known
    }
    end, above = _end(totals)
    unit, name = unit_for(end or max(totals.values()))
    bars = []
    for cell in known:
        metrics = [metric_of(cell, metric) for _, metric, *_ in memory.PARTS]
        values = [None if metric is None else (metric.value or 0.0) / unit for metric in metrics]
        rest = None
        if metric_of(cell, "free_bytes") is None:
            resident = (cell.metrics["resident_at_peak_live_bytes"].value or 0.0) / unit
            rest = max(0.0, resident - sum(value for value in values if value is not None))
        bars.append(Bar(look.label(cell), (*values, rest)))
    return Bars(
        "waterfall",
        "Where memory is when live bytes peak",
        Axis(name, end=None if end is None else end / unit),
        (*(part for part, *_ in memory.PARTS), "not said by the malloc"),
        tuple(bars),
        note=above,
        colours=(*(colour for _, _, colour, _ in memory.PARTS), palette.NOT_SAID),
    )


def heaps(cells: Sequence[CellResult], histories: Histories, columns: int) -> Strips | None:
    """Return the contents of the address ranges, at each mapped moment, in the order of the run.

    The longest strip has ``columns`` columns.
    """
    moments = heap_maps.by_moment(cells, histories)
    if not moments:
        return None
    ordered = sorted(moments, key=lambda moment: (moment == "end", float(moments[moment][0][1]["clock"] or 0)))
    return Strips(
        "heaps",
        "Heaps: who holds which addresses",
        tuple(heap_maps.LEGEND),
        columns,
        tuple(_moment(_TITLES.get(name, f"at the mark '{name}'"), moments[name], columns) for name in ordered),
        "From left to right the addresses, from bottom to top of each heap the shares of what lies there.",
    )


def _moment(title: str, panels: Sequence[heap_maps.Panel], columns: int) -> Moment:
    lengths = [heap_maps.length_of(heap_map) for _, heap_map in panels]
    limit = heap_maps.cut_at(lengths)
    unit, name = unit_for(limit)
    cut = [
        f"{label} (the first {limit / unit:.3g} of {length / unit:.3g} {name}, "
        f"{heap_maps.used_before(heap_map, limit):.0%} of what is used)"
        for (label, heap_map), length in zip(panels, lengths, strict=True)
        if length > limit
    ]
    strips = tuple(
        Strip(label, tuple(_levels(heap_map, max(1, round(columns * length / limit)), columns)))
        for (label, heap_map), length in zip(panels, lengths, strict=True)
    )
    return Moment(title, strips, name, limit / unit, f"Cut: {', '.join(cut)}." if cut else "")


def _levels(heap_map: Mapping[str, object], columns: int, most: int) -> Iterator[str]:
    """Yield for each level, from the bottom, the class at that share of each of the first ``most`` columns."""
    index = heap_maps.classes(heap_maps.shares(heap_map, columns), _LEVELS)
    for level in index[:, :most].tolist():
        yield "".join(f"{ascii_lowercase[held]}{sum(1 for _ in run)}" for held, run in groupby(level))
