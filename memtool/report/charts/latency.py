"""Charts of latency: by percentile, by the size of requests, and over the run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from memtool.model import CellResult
from memtool.report import look
from memtool.report.charts.record import Axis, Heat, Line, Lines
from memtool.report.paper.canvas import metric_of
from memtool.report.plots import latency, percentiles

_OPERATIONS = ("allocate", "deallocate", "reallocate")
_SLICES = 100


def by_percentile(cells: Sequence[CellResult]) -> Iterator[Lines]:
    """Yield the percentiles of each kind of operation, with the noise floor beneath them."""
    for kind in _OPERATIONS:
        known = [cell for cell in cells if metric_of(cell, f"{kind}_p50_ns")]
        if not known:
            continue
        bottom = percentiles.least_visible(known)
        lines = [_line(cell, kind, bottom) for cell in known]
        floor = percentiles.floor_of(known, kind)
        name = "null strategy, same arrivals" if percentiles.under_arrivals(known) else "noise floor"
        of_floor = Line(name, tuple((at, max(value, bottom)) for at, value in enumerate(floor)), "floor")
        yield Lines(
            f"latency-{kind}",
            f"Latency of {kind} by percentile",
            Axis("percentile of operations (%)", categories=tuple(name for _, name in percentiles.PERCENTILES)),
            Axis("latency less the floor's median", is_log=True, quantity="time"),
            (*([of_floor] if floor else []), *lines),
            note=f"Hollow: indistinguishable from the noise floor. {bottom:.2g} ns, half the timer's step, stands for "
            "less.",
        )


def _line(cell: CellResult, kind: str, bottom: float) -> Line:
    metrics = [metric_of(cell, f"{kind}_{name}_ns") for name, _ in percentiles.PERCENTILES]
    known = [(at, metric) for at, metric in enumerate(metrics) if metric is not None]
    return Line(
        look.label(cell),
        tuple((at, max(metric.value or 0.0, bottom)) for at, metric in known),
        hollow=tuple(place for place, (_, metric) in enumerate(known) if metric.at_floor),
    )


def by_size(cells: latency.Labelled) -> Iterator[Heat]:
    """Yield the percentiles of each class of sizes, minus the floor's median."""
    known = [(label, cell, history) for label, cell, history in cells if any(history.latency_by_size.values())]
    if not known:
        return
    sizes = latency.classes([history for _, _, history in known])
    for kind in latency.KINDS:
        if not any(history.latency_by_size.get(kind) for _, _, history in known):
            continue
        for q, name in latency.SHARES:
            hollow = tuple(
                (row, column)
                for row, (_, cell, history) in enumerate(known)
                for column, size in enumerate(sizes)
                if latency.is_at_floor(cell, history, kind, size, q, name)
            )
            yield Heat(
                f"latency-by-size-{kind}-{name}",
                f"Latency of {kind} by size, {name}",
                Axis(
                    "bytes asked for, up to",
                    categories=tuple(latency.ends_at(size).replace("\n", " ") for size in sizes),
                ),
                Axis("", categories=tuple(label for label, _, _ in known)),
                tuple(
                    tuple(latency.figure_of(cell, history, kind, size, q) for size in sizes)
                    for _, cell, history in known
                ),
                Axis("latency less the floor's median", is_log=True, quantity="time"),
                hollow,
                note="~ indistinguishable from the noise floor. Blank: no such operation. No unit: ns.",
            )


def over_time(cells: latency.Labelled) -> Iterator[Heat]:
    """Yield the times of slow operations: the longest operation in each stretch of the run."""
    known = [(label, history.latency_over_time) for label, _, history in cells if history.latency_over_time]
    for kind in latency.KINDS if known else ():
        rows = [longest_of(course[kind]["maximum_ns"], _SLICES) for _, course in known if kind in course]
        columns = max((len(row) for row in rows), default=0)
        if not any(value is not None for row in rows for value in row):
            continue
        yield Heat(
            f"latency-over-time-{kind}",
            f"The longest {kind} over the run",
            Axis(
                "events of the run, up to",
                categories=tuple(f"{100 * (at + 1) / columns:.4g} %" for at in range(columns)),
            ),
            Axis("", categories=tuple(label for label, course in known if kind in course)),
            tuple(rows),
            Axis("longest of a stretch, median of the samples, the floor's median included", True, "time"),
        )


def longest_of(slices: Sequence[float | None], most: int) -> tuple[float | None, ...]:
    """Return the longest operation in each of at most ``most`` stretches of the slices; None: no operation there."""
    count = min(most, len(slices))
    edges = [len(slices) * number // count for number in range(count + 1)] if count else [0]
    stretches = [
        [value for value in slices[begin:end] if value is not None] for begin, end in itertools.pairwise(edges)
    ]
    return tuple(max(stretch, default=None) for stretch in stretches)
