"""Series of figures over many runs: which figures belong to a series, and where a series changes.

Runs belong to a series if they replayed the same events in the same way, on machines that are equal in everything that
the metric depends on. Other runs form their own series. In series of sampled figures, ruptures (C. Truong, L. Oudre,
N. Vayatis, "Selective review of offline change point detection methods", Signal Processing 167, 2020) finds the changes
on ranks, so that a disturbed run has no influence. An exact figure has changed if it differs.
"""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

from memtool.bounds import Count, Figure
from memtool.errors import InputError
from memtool.groups import facts_of
from memtool.measure.metrics import METRICS, MetricInfo
from memtool.model import Cell, CellResult, Determinism, Run, Status, TraceInfo
from memtool.stats.compare import LIBRARY, MACHINE_FIELDS, TRACE_FIELDS, in_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_RUNS = 10
"""With fewer runs, even two disjoint halves cannot be distinguished from chance."""
FALSE_ALARMS = 0.01
"""Share of unchanged series in which a change is nevertheless found."""
_LEAST_PART = 2
"""Least number of runs between two changes, because a single run is an outlier."""
_ORDERS = 5_000
_REPLAYED = ("arrivals", "pace", "begins")
"""Properties of a workload that describe how its events were replayed, besides those that comparisons check."""


@dataclass(frozen=True, slots=True)
class Source:
    """One run of the folder."""

    file: str
    """path of run.json"""
    started: str
    memtool: str


@dataclass(frozen=True, slots=True)
class Point:
    """One figure of one run."""

    run: Count
    """index in `runs`, from 0"""
    value: Figure
    low: Figure | None
    high: Figure | None


@dataclass(frozen=True, slots=True)
class Change:
    """A change in a series."""

    at: Count
    """index in `points` of the first figure after the change"""
    before: Figure
    """median of the figures from the previous change, or the first run, to this one"""
    after: Figure
    """median of the figures from this change to the next, or to the newest run"""
    change: Figure | None
    """after / before - 1; null where before is 0"""
    runs_before: Count
    """number of runs in the median `before`"""
    runs_after: Count
    """number of runs in the median `after`"""
    word: str
    """better, worse, or empty where neither direction is better"""
    differs: tuple[str, ...]
    """other properties that differ between the runs before and after the change"""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one cell over comparable runs."""

    cell: Cell
    """cell of the metric"""
    metric: str
    unit: str
    is_exact: bool
    """whether every run reports that its repeats agree; such a figure has changed if it differs"""
    conditions: Mapping[str, str]
    """properties that all runs share and on which the figure depends"""
    points: tuple[Point, ...]
    """one for each run, the oldest first"""
    changes: tuple[Change, ...]
    """the oldest first"""


@dataclass(frozen=True, slots=True)
class History:
    """All series of a folder."""

    directory: str
    """the folder, as it was given"""
    runs: tuple[Source, ...]
    """the oldest first"""
    series: tuple[Series, ...]
    """one for each cell, metric and conditions"""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Collected:
    """A series under construction."""

    points: list[Point] = field(default_factory=list)
    circumstances: list[dict[str, str]] = field(default_factory=list)
    """For each point, properties that may change without ending the series."""
    determinism: set[Determinism] = field(default_factory=set)


def of_runs(directory: str, stored: Sequence[tuple[str, Run]], metrics: Sequence[str]) -> History:
    """Return the series of these metrics in (file, run) pairs, with their changes.

    Raises InputError with one line: a run does not record its start, or no run has any of the metrics.
    """
    notes: list[str] = []
    runs = _in_time(stored, notes)
    collected: dict[tuple[Cell, str, tuple[tuple[str, str], ...]], _Collected] = {}
    for place, (file, run) in enumerate(runs):
        infos = {info.name: info for info in run.workloads}
        for result in run.cells:
            if result.status is Status.FAILED:
                notes.append(f"{file}: {result.cell.workload} · {result.cell.allocator} failed: {result.reason}")
            for name in metrics:
                metric = result.metrics.get(name)
                if metric is None or metric.value is None:
                    continue
                conditions = _conditions(METRICS[name], run, result, infos[result.cell.workload])
                series = collected.setdefault((result.cell, name, tuple(conditions.items())), _Collected())
                series.points.append(Point(place, metric.value, metric.low, metric.high))
                series.circumstances.append(_circumstances(run, result))
                series.determinism.add(metric.determinism)
    if not collected:
        raise InputError(f"{directory}: no run in it has {' or '.join(metrics)}", field="metrics")
    return History(
        directory,
        tuple(Source(file, run.started, run.memtool) for file, run in runs),
        tuple(_series(cell, name, dict(conditions), of) for (cell, name, conditions), of in collected.items()),
        tuple(notes),
    )


def _in_time(stored: Sequence[tuple[str, Run]], notes: list[str]) -> list[tuple[str, Run]]:
    """Return the runs in order of time, each once."""
    kept: dict[datetime.datetime, list[tuple[str, Run]]] = {}
    for file, run in stored:
        try:
            moment = datetime.datetime.fromisoformat(run.started)
        except ValueError:
            raise InputError(f"{file}: started: is not an ISO 8601 time: {run.started}") from None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
        at_once = kept.setdefault(moment, [])
        twin = next((other for other, known in at_once if known == run), None)
        if twin is None:
            at_once.append((file, run))
        else:
            notes.append(f"{file}: is the same run as {twin}, and counts once")
    return [pair for moment in sorted(kept) for pair in kept[moment]]


def _conditions(info: MetricInfo, run: Run, result: CellResult, trace: TraceInfo) -> dict[str, str]:
    """Return the properties on which a figure depends, by name; a change of any of them begins a new series."""
    named: dict[str, Any] = {"event_hash": trace.event_hash[:12]}
    named |= {name: getattr(trace, name) for name in (*TRACE_FIELDS, *_REPLAYED)}
    named["call"] = in_words(result.call)
    fields, machine = MACHINE_FIELDS[info.scope], facts_of(run.machine, trace.name)
    # As in comparisons: the C library chooses its memcpy by the processor.
    by_processor = info.scope == "code" and machine.get("instruction_counter") == "perf"
    named |= {name: machine.get(name) for name in (*fields, *(("cpu",) if by_processor else ()))}
    return {name: _text(value) for name, value in named.items() if value is not None}


def _circumstances(run: Run, result: CellResult) -> dict[str, str]:
    """Return properties that may explain why a figure has changed."""
    named = {"memtool": run.memtool, **{name: result.proof.get(name) for name in ("version", *LIBRARY)}}
    named["compiler"] = facts_of(run.machine, result.cell.workload).get("compiler")
    return {name: _text(value) for name, value in named.items() if value is not None}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _series(cell: Cell, name: str, conditions: Mapping[str, str], of: _Collected) -> Series:
    values = [point.value for point in of.points]
    is_exact = of.determinism == {Determinism.EXACT}
    places = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    if not is_exact:
        places = sampled_changes(values)
    changes = tuple(_changes(name, values, places, of.circumstances))
    return Series(cell, name, METRICS[name].unit, is_exact, conditions, tuple(of.points), changes)


def _changes(
    name: str, values: Sequence[float], places: Sequence[int], circumstances: Sequence[Mapping[str, str]]
) -> Iterator[Change]:
    for start, at, end in zip([0, *places], places, [*places[1:], len(values)], strict=False):
        before, after = median(values[start:at]), median(values[at:end])
        is_better = (after < before) if METRICS[name].direction == "lower" else (after > before)
        yield Change(
            at=at,
            before=before,
            after=after,
            change=after / before - 1 if before else None,
            runs_before=at - start,
            runs_after=end - at,
            word="" if METRICS[name].direction == "neither" else "better" if is_better else "worse",
            differs=tuple(_differing(circumstances[at - 1], circumstances[at])),
        )


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[str]:
    for name in dict.fromkeys([*before, *after]):
        first, second = (side.get(name, "none")[:20] for side in (before, after))
        if before.get(name) != after.get(name):
            yield f"{name} {first} -> {second}"


def sampled_changes(values: Sequence[float]) -> list[int]:
    """Return the indices of the first figures after changes; none for fewer than ``LEAST_RUNS`` figures.

    Ranks decide whether there is a change, and the figures themselves where it is, because ranks have no gap at a step.
    """
    places = [0, *_told_by_ranks(values), len(values)]
    for index in range(1, len(places) - 1):
        places[index] = _placed(values, places[index - 1], places[index + 1])
    return places[1:-1]


def _told_by_ranks(values: Sequence[float]) -> list[int]:
    """Return the changes that reduce the variance of ranks more than chance does.

    The bound is the reduction by the best change in all but ``FALSE_ALARMS`` of the permutations of as many figures.
    The part between two changes is ranked and searched again, because a large step would otherwise hide a small one.
    """
    if len(values) < LEAST_RUNS or min(values) == max(values):
        return []
    from ruptures import KernelCPD
    from scipy.stats import rankdata

    ranks = rankdata(values)
    signal = ((ranks - ranks.mean()) / ranks.std()).reshape(-1, 1)
    breakpoints = KernelCPD(kernel="linear", min_size=_LEAST_PART).fit(signal).predict(pen=_penalty(len(values)))
    if len(breakpoints) == 1:
        return []
    places = [0, *map(int, breakpoints)]
    within = (start + place for start, end in itertools.pairwise(places) for place in _told_by_ranks(values[start:end]))
    return sorted([*places[1:-1], *within])


def _placed(values: Sequence[float], start: int, end: int) -> int:
    """Return the index of the single change in a stretch, with the least distance to the medians of both sides."""
    import numpy
    from ruptures import Dynp

    breakpoints = Dynp(model="l1", min_size=_LEAST_PART, jump=1).fit(numpy.array(values[start:end])).predict(n_bkps=1)
    return start + int(breakpoints[0])


@cache
def _penalty(count: int) -> float:
    """Return the required reduction by a change, in variances of the ranks, in a series of this many figures."""
    import numpy

    generator = numpy.random.default_rng(count)
    orders = generator.permuted(numpy.tile(numpy.arange(1.0, count + 1), (_ORDERS, 1)), axis=1)
    return float(numpy.quantile(_largest_savings(orders), 1 - FALSE_ALARMS, method="higher")) * (1 + 1e-9)


def _largest_savings(orders: NDArray[Any]) -> NDArray[Any]:
    """Return for each row the reduction by the best single change: between-group sum of squares over the variance."""
    import numpy

    count = orders.shape[1]
    centred = orders - orders.mean(axis=1, keepdims=True)
    left = numpy.arange(1, count)
    savings = numpy.cumsum(centred, axis=1)[:, :-1] ** 2 * count / (left * (count - left))
    best: NDArray[Any] = savings[:, _LEAST_PART - 1 : count - _LEAST_PART].max(axis=1)
    largest: NDArray[Any] = best / orders.var(axis=1)
    return largest
