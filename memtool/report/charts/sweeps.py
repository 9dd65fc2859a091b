"""Charts of a workload that was measured with several numbers of threads, or at several rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memtool import groups
from memtool.model import Run, TraceInfo
from memtool.report import rates, scaling
from memtool.report.charts.record import Axis, Line, Lines


def over_threads(run: Run, infos: Sequence[TraceInfo]) -> Lines | None:
    """Return throughput by number of threads, including the harness; None where no cell has two numbers."""
    curves = scaling.lines(run, infos)
    if not any(len(curve.points) > 1 for curve in curves):
        return None
    lacking = [f"{curve.name} (on {', '.join(map(str, curve.lacks))})" for curve in curves if curve.lacks]
    counts = sorted({info.threads for info in infos})
    processors = int(groups.facts_of(run.machine, infos[0].name).get("cores", 0))
    more = [info.threads for info in infos if info.threads > processors > 0]
    notes = [
        f"Not measured: {', '.join(lacking)}." if lacking else "",
        f"More threads than the {processors} processors from {min(more)} on." if more else "",
    ]
    return Lines(
        "scaling",
        "Throughput by number of threads",
        Axis("threads", categories=tuple(map(str, counts))),
        Axis("million operations a second, all threads together"),
        tuple(
            Line(
                curve.name,
                tuple((counts.index(point[0]), point[1]) for point in curve.points),
                "floor" if curve.name == scaling.HARNESS else "allocator",
            )
            for curve in curves
        ),
        note=" ".join(filter(None, notes)),
    )


def over_rates(run: Run, infos: Sequence[TraceInfo]) -> Iterator[Lines]:
    """Yield three percentiles of each kind of operation over the rate of arrivals."""
    offered = [rates.rate_of(info) for info in infos]
    fast = [rates.written_rate(rate) for rate in rates.too_fast(run, infos)]
    for kind in rates.KINDS:
        for share, title in rates.SHARES:
            curves = rates.lines(run, infos, kind, share)
            if not curves:
                continue
            yield Lines(
                f"latency-by-rate-{kind}-{share}",
                f"Latency of {kind} by rate of arrivals, {title}",
                Axis("operations a second", categories=tuple(rates.written_rate(rate) for rate in offered)),
                Axis("latency from the intended start", is_log=True, quantity="time"),
                tuple(
                    Line(
                        curve.name,
                        tuple((offered.index(point.rate), max(point.value, 1.0)) for point in curve.points),
                        "floor" if curve.name == rates.HARNESS else "allocator",
                        tuple(place for place, point in enumerate(curve.points) if point.is_late),
                    )
                    for curve in curves
                ),
                note="Hollow: did not keep up with its arrivals."
                + (f" At {', '.join(fast)} not even the null strategy kept up." if fast else ""),
            )
