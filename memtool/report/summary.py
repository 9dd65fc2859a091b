"""The summary before the tables, in plain sentences: who is fastest, by how much, how reliably, and at what cost.

The sentences follow the ranks of the tables (stats/paired.py) and claim no more: allocators that paired blocks do not
distinguish share a place, and nobody is ranked with fewer blocks than an interval needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from memtool import groups
from memtool.model import HARNESS, CellResult, Metric, Run, Status, TraceInfo
from memtool.report import look, sheets
from memtool.stats import paired
from memtool.stats.compare import error_on
from memtool.stats.over_hosts import by_block
from memtool.stats.summary import LEAST_SAMPLES
from memtool.units import format_ns, format_size

_MEMORY = (
    ("peak_resident_bytes", "resident memory"),
    ("tree_peak_resident_bytes", "resident memory"),
    ("peak_footprint_bytes", "footprint"),
)
"""Metrics for the trade-off with speed: the first one for which any allocator of the workload has a figure is used."""
_MOST_NAMED = 3
_ABOUT = 1.1
"""Figures further apart than this ratio are never called about the same, whatever their error."""


def sentences(run: Run, info: TraceInfo) -> list[str]:
    """Return the result of a workload in two to four sentences; none where nothing can be said."""
    cells = [cell for cell in run.cells if cell.cell.workload == info.name]
    measured = look.ordered([cell for cell in cells if cell.status is Status.OK and not cell.interpreted])
    first = _first(measured)
    said = [*_of_time(measured, first), *_of_memory(run, info, measured, first[0] if len(first) == 1 else None)]
    return [*said, *_of_footing(measured, first), *_left_out(cells), *_noise(measured)] if said else []


def overall(run: Run) -> list[str]:
    """Return how many workloads of a run each allocator is fastest on, alone or with others; empty for one workload."""
    firsts = [
        [look.label(cell) for cell in _first(look.ordered(_ranked(run, info)))]
        for info in run.workloads
        if len(_ranked(run, info)) > 1
    ]
    firsts = [names for names in firsts if names]
    if not firsts and len(run.workloads) > 1:
        return [_unranked(cells)] if (cells := [cell for info in run.workloads for cell in _ranked(run, info)]) else []
    if len(firsts) < 2:
        return []
    alone: dict[str, int] = {}
    for names in firsts:
        if len(names) == 1:
            alone[names[0]] = alone.get(names[0], 0) + 1
    shared = sum(len(names) > 1 for names in firsts)
    counted = sorted(alone.items(), key=lambda item: -item[1])
    parts = [f"{name} on {count}" for name, count in counted[:_MOST_NAMED]]
    more = f", others on {sum(count for _, count in counted[_MOST_NAMED:])}" if len(counted) > _MOST_NAMED else ""
    of_none = f"; on {shared} the first and the next are indistinguishable" if shared else ""
    if not parts:
        return [f"Of {len(firsts)} workloads that rank allocators none has a single fastest one."]
    return [f"Of {len(firsts)} workloads that rank allocators, the fastest is {', '.join(parts)}{more}{of_none}."]


def standings(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Return (workload, rank, allocator, time, its interval) of all timed cells, in the order of the tables."""
    rows = []
    for info in run.workloads:
        cells = look.ordered([cell for cell in run.cells if cell.cell.workload == info.name and _time(cell)])
        ranks = sheets.ranking(cells)
        for index, cell in enumerate(cells):
            metric = look.time_of(cell)
            assert metric is not None
            low, high = metric.low, metric.high
            interval = "" if low is None or high is None else f"{format_ns(low)} to {format_ns(high)}"
            rank = ranks.get(index, "")
            rows.append((info.name, rank, sheets.label_of(cell), format_ns(metric.value or 0.0), interval))
    return rows


def _ranked(run: Run, info: TraceInfo) -> list[CellResult]:
    return [
        cell
        for cell in run.cells
        if cell.cell.workload == info.name and cell.status is Status.OK and not cell.interpreted and _time(cell)
    ]


def _first(cells: Sequence[CellResult]) -> list[CellResult]:
    """Return the cells of the first rank by time, in the order of the tables; none where nothing is ranked."""
    return [cells[index] for index, rank in sheets.ranking(cells).items() if rank == "1"]


def _time(cell: CellResult) -> Metric | None:
    metric = look.time_of(cell)
    return metric if metric is not None and metric.value is not None else None


def _of_time(cells: Sequence[CellResult], first: Sequence[CellResult]) -> Iterator[str]:
    timed = [cell for cell in cells if _time(cell)]
    if not timed:
        return
    if len(timed) == 1:
        yield f"{look.label(timed[0])} takes {_written(timed[0])}; nothing was measured beside it."
        return
    if not first:
        yield _unranked(timed)
        return
    others = [cell for cell in timed if cell not in first]
    if len(first) == 1:
        winner = first[0]
        against = _against(winner, others[0]) if others else ""
        yield f"{look.label(winner)} is fastest: {_written(winner)}{against}."
        return
    names = _named([look.label(cell) for cell in first])
    following = f"; {look.label(others[0])} follows, at {_written(others[0])}" if others else ""
    # Each is compared only with the best of its rank, so the sentence says no more than that.
    best = look.label(first[0])
    yield f"{names} share the first rank; the pairs show no difference from {best}: {_written(first[0])}{following}."


def _unranked(timed: Sequence[CellResult]) -> str:
    blocks = max(len(metric.samples) for cell in timed if (metric := _time(cell)) is not None)
    return f"No allocator is ranked: ranks need {LEAST_SAMPLES} blocks or more, and this run has {blocks}."


def _written(cell: CellResult) -> str:
    metric = _time(cell)
    assert metric is not None
    assert metric.value is not None
    per_operation = " an operation" if "time_per_op_ns" in cell.metrics else ""
    return f"{format_ns(metric.value)}{per_operation}"


def _against(cell: CellResult, other: CellResult) -> str:
    """Compare the time of a cell with that of the next: the median over the pairs, and its interval if there is one."""
    own, base = _time(cell), _time(other)
    assert own is not None
    assert base is not None
    samples = by_block(base)
    effects = [
        math.log(sample / samples[block])
        for block, sample in by_block(own).items()
        if sample > 0 and samples.get(block, 0) > 0
    ]
    if not effects:
        return f"; {look.label(other)} is next"
    bounds = paired.interval(effects)
    within = "" if bounds is None else f" (95 % {math.exp(bounds[0]):.2f} to {math.exp(bounds[1]):.2f})"
    return f", {math.exp(median(effects)):.2f} times that of {look.label(other)}, the next{within}"


def _of_memory(run: Run, info: TraceInfo, cells: Sequence[CellResult], winner: CellResult | None) -> Iterator[str]:
    """Yield who has the lowest peak, and the peak of the fastest; indistinguishable figures are grouped."""
    for name, words in _MEMORY:
        known = [(cell, value) for cell in cells if (value := cell.value_of(name)) is not None and value > 0]
        if not known:
            continue
        least = min(value for _, value in known)
        within = error_on(name, info.lanes, groups.facts_of(run.machine, info.name)).within
        lowest = [cell for cell, value in known if value - least <= within]
        size = f"{_spread([value for _, value in known if value - least <= within])} of {words}"
        own = None if winner is None else winner.value_of(name)
        if len(known) == 1:
            yield f"{'It' if len(cells) == 1 else look.label(known[0][0])} peaks at {size}."
        elif len(lowest) == len(known):
            yield f"All peak at {size}, equal within its error."
        elif winner in lowest:
            others = [look.label(cell) for cell in lowest if cell is not winner]
            yield f"It also peaks lowest, at {size}{', with ' + _named(others) if others else ''}."
        elif own is None:
            names = _named([look.label(cell) for cell in lowest])
            yield f"{names} peak{'s' if len(lowest) == 1 else ''} lowest, at {size}."
        else:
            names = _named([look.label(cell) for cell in lowest])
            yield (
                f"But it peaks at {format_size(own)} of {words}, {own / least:.2f} times the {format_size(least)} of "
                f"{names}{_slower(lowest, winner)}{_alike(lowest)}."
            )
        return


def _spread(alike: Sequence[float]) -> str:
    """Return one size for figures that are about the same, or else their range."""
    least, most = min(alike), max(alike)
    if most > _ABOUT * least:
        return f"{format_size(least)} to {format_size(most)}"
    return f"{'about ' if len(alike) > 1 else ''}{format_size(least)}"


def _alike(lowest: Sequence[CellResult]) -> str:
    return ", which are equal within its error" if len(lowest) > 1 else ""


def _slower(lowest: Sequence[CellResult], winner: CellResult | None) -> str:
    if len(lowest) != 1 or winner is None:
        return ""
    own, base = _time(lowest[0]), _time(winner)
    if own is None or base is None or not base.value or own.value is None:
        return ""
    return f", which takes {own.value / base.value:.2f} times as long"


def _of_footing(cells: Sequence[CellResult], first: Sequence[CellResult]) -> Iterator[str]:
    """Yield a remark if the first and the next were called in different ways, because their times include the call."""
    following = next((cell for cell in cells if first and cell not in first and _time(cell)), None)
    calls = {cell.call for cell in (*first, *([following] if following else [])) if cell.call is not None}
    if len(calls) > 1:
        yield "They are called in different ways, which affects their times (column call)."


def _left_out(cells: Sequence[CellResult]) -> Iterator[str]:
    groups = (
        ("Left out", [cell for cell in cells if cell.status is Status.EXCLUDED]),
        ("failed", [cell for cell in cells if cell.fault not in (None, HARNESS)]),
        ("not measured, through no fault of its own", [cell for cell in cells if cell.fault == HARNESS]),
    )
    parts = [f"{words}: {_named([look.label(cell) for cell in group])}" for words, group in groups if group]
    if parts:
        said = "; ".join(parts)
        yield f"{said[0].upper()}{said[1:]} (reasons below)."


def _noise(cells: Sequence[CellResult]) -> Iterator[str]:
    if any(cell.proof.get("noisy") and _time(cell) for cell in cells):
        yield "The machine was noisy: do not trust small differences."


def _named(names: Sequence[str]) -> str:
    """Return names as a list in a sentence; of many, the first few."""
    if len(names) > _MOST_NAMED + 1:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
