"""Latency by rate of arrivals, of a workload that was measured at several rates, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtool.model import CellResult, Run, Status, TraceInfo
from memtool.report import look
from memtool.units import format_ns, format_rate

HARNESS = "harness (null)"
"""The null strategy under the same arrivals: it shows queueing, and interruptions by the machine."""
KINDS = ("allocate", "deallocate")
SHARES = (("p50", "p50"), ("p99", "p99"), ("p999", "p99.9"))
LATE = "*"
_LEFT_OUT = "-"
_SWEPT = ":rate="


@dataclass(frozen=True, slots=True)
class Point:
    """One allocator at one rate."""

    rate: float
    """Intended rate of operations, per second."""
    value: float
    """Latency in ns, from the intended start."""
    is_late: bool
    """Whether it did not keep up, in which case the latency grows with the length of the run."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table and one line of the picture."""

    name: str
    points: tuple[Point, ...]
    """In ascending order of the rate; empty where it was left out or failed."""


def swept(run: Run) -> dict[str, list[TraceInfo]]:
    """Return the workloads of a run that have several rates, each with its traces in ascending order of the rate."""
    workloads: dict[str, list[TraceInfo]] = {}
    for info in run.workloads:
        if _SWEPT in info.name and info.arrivals is not None:
            workloads.setdefault(without_rate(info.name), []).append(info)
    return {name: sorted(infos, key=rate_of) for name, infos in workloads.items() if len(infos) > 1}


def without_rate(name: str) -> str:
    """Return a workload's name without its rate: ``w:threads=2`` of ``w:rate=700:threads=2``."""
    own, _, rest = name.partition(_SWEPT)
    _, colon, further = rest.partition(":")
    return own + colon + further


def rate_of(info: TraceInfo) -> float:
    """Return the rate of a workload with arrivals, in operations per second."""
    assert info.arrivals is not None
    return float(info.arrivals["rate_per_s"])


def lines(run: Run, infos: Sequence[TraceInfo], kind: str, share: str) -> list[Line]:
    """Return the null strategy, then the allocators in the order of the tables at the lowest rate."""
    rates = {info.name: rate_of(info) for info in infos}
    cells = [cell for cell in run.cells if cell.cell.workload in rates and cell.status is Status.OK]
    null: dict[float, Point] = {}
    curves: dict[str, list[Point]] = {}
    for cell in look.ordered(sorted(cells, key=lambda result: rates[result.cell.workload])):
        rate, kept = rates[cell.cell.workload], cell.proof.get("open_loop", {})
        metric = cell.metrics.get(f"{kind}_{share}_ns")
        if metric is not None and metric.value is not None:
            late = bool(kept.get("end_behind_operations"))
            curves.setdefault(look.label(cell), []).append(Point(rate, metric.value, late))
        of_null = kept.get("null_ns", {}).get(kind, {}).get(share)
        if of_null is not None:
            null[rate] = Point(rate, of_null, bool(kept.get("null_behind")))
    named = {HARNESS: list(null.values()), **curves}
    return [Line(name, tuple(sorted(points, key=lambda point: point.rate))) for name, points in named.items() if points]


def too_fast(run: Run, infos: Sequence[TraceInfo]) -> list[float]:
    """Return the rates at which even the null strategy did not keep up, so that no allocator is to blame."""
    names = {info.name: rate_of(info) for info in infos}
    return sorted({names[cell.cell.workload] for cell in run.cells if cell.cell.workload in names and _outruns(cell)})


def _outruns(cell: CellResult) -> bool:
    return bool(cell.proof.get("open_loop", {}).get("null_behind"))


def table(run: Run, infos: Sequence[TraceInfo], kind: str) -> tuple[list[str], list[list[str]]]:
    """Return (headings, rows): latencies of one kind of operation by rate, with three percentiles of each allocator."""
    rates = [rate_of(info) for info in infos]
    by_share = [(title, lines(run, infos, kind, share)) for share, title in SHARES]
    rows = []
    for name in dict.fromkeys(line.name for _, curves in by_share for line in curves):
        for title, curves in by_share:
            points = {point.rate: point for line in curves if line.name == name for point in line.points}
            rows.append([name, title, *(_written(points.get(rate)) for rate in rates)])
    return ["allocator", "percentile", *(written_rate(rate) for rate in rates)], rows


def _written(point: Point | None) -> str:
    return _LEFT_OUT if point is None else format_ns(point.value) + (LATE if point.is_late else "")


def written_rate(rate: float) -> str:
    """Return a rate in the form of workload files: ``2M/s``."""
    return format_rate(round(rate))


def explanation(run: Run, infos: Sequence[TraceInfo]) -> str:
    """Return the text below the table."""
    said = (
        f"{LATE} did not keep up with its arrivals: its latency is that of a queue that grows with the run. "
        f"{HARNESS} allocates nothing: what it shows is queueing and the machine's."
    )
    fast = too_fast(run, infos)
    if not fast:
        return said
    rates = ", ".join(map(written_rate, fast))
    return f"{said} At {rates} even that did not keep up: too fast for this machine, and no allocator's fault."
