"""Comparisons of the figures of one run or two: which are possible, on what basis, and the reasons why not."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from memtool.groups import facts_of
from memtool.measure.metrics import METRICS, Error, MetricInfo, error_of
from memtool.model import (
    HARNESS,
    Basis,
    Call,
    Cell,
    CellResult,
    Comparison,
    Determinism,
    Metric,
    Place,
    Run,
    Status,
    TraceInfo,
)
from memtool.passes.histogram import STEPS_APART
from memtool.stats import paired
from memtool.stats.over_hosts import by_block, over_hosts
from memtool.stats.proof import NAMED
from memtool.stats.summary import pareto_front

STATUS = "status"
"""Used instead of a metric: whether the cell was measured at all."""
_SINCE_THEN = ("warmups", "iterations")
"""Replays in a timed worker. Earlier versions did not record them, so a run without them counts as equal."""
_OF_A_JOB = ("cpu", "cores", "kernel", "libc", "transparent_huge_pages", "governor", *_SINCE_THEN)
MACHINE_FIELDS: Mapping[str, tuple[str, ...]] = {
    "events": ("architecture", "page_bytes"),
    "code": ("architecture", "page_bytes", "compiler", "libc", "instruction_counter"),
    "job": ("architecture", "page_bytes", *_OF_A_JOB),
}
"""Scope of a metric -> the properties of the machine that must be equal where two runs are compared."""
LIBRARY = ("malloc_build_id", "version")
"""Entries of a cell's proof that must also be equal where a malloc is compared with itself."""
_MAYBE_UNKNOWN = ("governor", "transparent_huge_pages", *_SINCE_THEN)
"""Properties that some kernels do not report; two machines without them count as equal."""
TRACE_FIELDS = ("touch", "memory_limit")
"""Properties of the workload besides its events: whether memory is written to, and how much there is."""


_TIMES = ("time_per_op_ns", "wall_time_ns")
_MEMORY = ("peak_resident_bytes", "tree_peak_resident_bytes")
"""Metrics of memory by which allocators are ranked: for replayed events, and for whole programs."""
_LONGEST_STEP = 10_000.0
"""Nanoseconds: no timer used for measurements is as coarse, whatever a file claims."""
_MOST_PROCESSORS = 8192
_LARGEST_PAGE = 64 << 10
_LEAST_RATIO = 1e-12
"""Smallest base of a ratio; no figure is as small, and the ratio could exceed every number."""


def within(
    run: Run,
    reference: str,
    metrics: Sequence[str],
    heads: Sequence[str] | None = None,
    required: Collection[str] = (),
) -> list[Comparison]:
    """Return comparisons of every allocator of a run with the reference in the same cell otherwise, paired by block.

    Args:
        run: has the reference in at least one cell.
        reference: an allocator's label.
        metrics: names, in the order in which they are shown.
        heads: allocators to compare; by default all others of the run.
        required: metrics that the user named, so that a gate may not leave them out.
    """
    bases = {_place(result.cell): result for result in run.cells if result.cell.allocator == reference}
    infos = {info.name: info for info in run.workloads}
    comparisons: list[Comparison] = []
    for head in run.cells:
        base = bases.get(_place(head.cell))
        is_compared = head.cell.allocator != reference and (heads is None or head.cell.allocator in heads)
        if base is not None and is_compared:
            machine = facts_of(run.machine, head.cell.workload)
            comparisons += _cells(base, head, metrics, None, infos.get(head.cell.workload), required, machine)
    return comparisons


def between(base: Run, head: Run, metrics: Sequence[str], required: Collection[str] = ()) -> list[Comparison]:
    """Return comparisons of every cell of the second run with that of the first, where both have it; unpaired.

    ``required``: as for ``within``.
    """
    bases = {result.cell: result for result in base.cells}
    base_infos = {info.name: info for info in base.workloads}
    head_infos = {info.name: info for info in head.workloads}
    comparisons: list[Comparison] = []
    for result in head.cells:
        if result.cell not in bases:
            continue
        first, second = base_infos.get(result.cell.workload), head_infos.get(result.cell.workload)
        base_machine, head_machine = (facts_of(run.machine, result.cell.workload) for run in (base, head))
        differing = _Differing(base_machine, head_machine, first, second)
        comparisons += _cells(bases[result.cell], result, metrics, differing, second, required, head_machine)
    return comparisons


def in_words(call: Call | None) -> str:
    """Return a short description of how operations are called: ``inlined, sized free, one thread``."""
    if call is None:
        return "not recorded"
    words = f"{call.route}, {call.free} free, {call.threads} thread{'s' if call.threads == 'any' else ''}"
    return words + (" (as malloc)" if call.as_malloc else "")


def _place(cell: Cell) -> tuple[str, str, str]:
    return cell.workload, cell.region, cell.mode


class _Differing:
    """The differences between two runs, by a metric's scope."""

    def __init__(
        self,
        base: Mapping[str, Any],
        head: Mapping[str, Any],
        base_trace: TraceInfo | None,
        head_trace: TraceInfo | None,
    ) -> None:
        self._base, self._head = base, head
        traces = (base_trace, head_trace)
        self._events = tuple(trace.event_hash[:12] if trace else None for trace in traces)
        self._traces = tuple({name: getattr(trace, name, None) for name in TRACE_FIELDS} for trace in traces)

    @property
    def is_of_other_events(self) -> bool:
        """Return whether the runs replayed different events, or do not record which."""
        return self._events[0] != self._events[1] or None in self._events

    def is_uncounted(self, info: MetricInfo) -> bool:
        """Return whether the second machine cannot count what the metric counts."""
        return info.scope == "code" and self._head.get("instruction_counter") == "none"

    def field(self, info: MetricInfo, base: CellResult, head: CellResult) -> str | None:
        """Return the first field that differs, with both values; None: the figures are comparable."""
        if None in self._events:
            return "event_hash is not recorded"
        if self.is_of_other_events:
            return f"event_hash differs: {self._events[0]} and {self._events[1]}"
        for name in TRACE_FIELDS:
            if self._traces[0][name] != self._traces[1][name]:
                return f"{name} differs: {self._traces[0][name]} and {self._traces[1][name]}"
        calls = base.call, head.call
        # A run that predates the recording of calls is not comparable with any other.
        if calls[0] != calls[1] and (None not in calls or any(call is not None and call.as_malloc for call in calls)):
            return f"call differs: {in_words(calls[0])} and {in_words(calls[1])}"
        # The C library chooses its memcpy by the processor, but valgrind presents the same processor everywhere.
        is_by_processor = info.scope == "code" and self._head.get("instruction_counter") == "perf"
        for name in (*MACHINE_FIELDS[info.scope], *(("cpu",) if is_by_processor else ())):
            first, second = self._base.get(name), self._head.get(name)
            if first is None and second is None and name not in _MAYBE_UNKNOWN:
                return f"{name} is not recorded"
            if first != second and (name not in _SINCE_THEN or None not in (first, second)):
                return f"{name} differs: {first} and {second}"
        if any(side.value_of("peak_footprint_bytes") is not None for side in (base, head)):
            return None
        if NAMED in base.proof and NAMED in head.proof:
            return None
        # An allocator without a region is some malloc, whose version matters.
        for name in LIBRARY:
            first, second = base.proof.get(name), head.proof.get(name)
            if info.scope != "job" and first != second:
                return f"{name} differs: {first} and {second}"
        return None


def _cells(
    base: CellResult,
    head: CellResult,
    metrics: Sequence[str],
    differing: _Differing | None,
    trace: TraceInfo | None,
    required: Collection[str],
    machine: Mapping[str, Any],
) -> Iterator[Comparison]:
    """Yield the comparisons of two cells; ``differing`` compares the runs, and is None if both cells are of one run."""
    names: dict[str, Any] = {name: getattr(head.cell, name) for name in ("workload", "region", "mode")}
    names |= {"base": base.cell.allocator, "head": head.cell.allocator}
    if base.status is not Status.OK or head.status is not Status.OK:
        yield _status(names, base, head, is_one_run=differing is None)
        return
    none = partial(Comparison, **names, basis=Basis.NONE, is_ratio=False)
    for name in metrics:
        first, second = base.metrics.get(name), head.metrics.get(name)
        if first is None or second is None or first.value is None or second.value is None:
            is_absent = [value is None or value.value is None for value in (first, second)]
            # Inside a run, a metric that an allocator does not have is not applicable; a previous run had it.
            if all(is_absent) or (differing is None and name not in required):
                continue
            side = "base" if is_absent[0] else "other side"
            yield none(
                metric=name,
                is_required=(name in required or not is_absent[0])
                and not (differing is not None and differing.is_uncounted(METRICS[name])),
                why_not=f"the {side} has none",
            )
            continue
        info = METRICS[name]
        why_not = differing.field(info, base, head) if differing is not None else None
        if why_not is not None:
            yield none(
                metric=name,
                base_value=first.value,
                head_value=second.value,
                is_required=differing is not None and differing.is_of_other_events,
                why_not=why_not,
            )
            continue
        lanes = trace.lanes if trace is not None else 1
        error = error_on(name, lanes, machine)
        yield _figures(
            names
            | {
                "resolution": STEPS_APART * max(_step(base), _step(head)),
                "known_within": error.within,
                "repeats_within": error.repeats,
            },
            name,
            first,
            second,
            is_one_run=differing is None,
            is_exact=_is_exact(info, lanes),
        )


def _step(cell: CellResult) -> float:
    """Return the resolution of the timer with which a cell was measured, in ns; 0 where it is unknown."""
    resolution = cell.proof.get("timer_resolution_ns", 0.0)
    return min(float(resolution), _LONGEST_STEP) if isinstance(resolution, int | float) else 0.0


def error_on(metric: str, lanes: int, machine: Mapping[str, Any]) -> Error:
    """Return the error of a metric's figures on a machine."""
    processors, page = machine.get("processors") or machine.get("cores"), machine.get("page_bytes")
    # A file may claim anything, but no machine has as many processors, and no kernel as large pages.
    return error_of(
        metric,
        threads=min(max(lanes, 1), _MOST_PROCESSORS),
        processors=processors if isinstance(processors, int) and 0 < processors <= _MOST_PROCESSORS else 1,
        page_bytes=page if isinstance(page, int) and 0 < page <= _LARGEST_PAGE else 4096,
    )


def _is_exact(info: MetricInfo, lanes: int) -> bool:
    """Return whether a figure comes from the accounts of a single thread, so that it can be exact if repeats agree.

    Repeats of figures that the kernel counts, or of parallel threads, may agree by chance and then differ the next
    time. ``lanes``: threads that replay; in serial mode one does, however many the workload has.
    """
    return info.scope in ("events", "code") and lanes == 1


def _status(names: Mapping[str, Any], base: CellResult, head: CellResult, *, is_one_run: bool) -> Comparison:
    """Return that a cell which used to be measured no longer can be, or why two cells cannot be compared."""
    if base.status is Status.OK and head.fault is not None and head.fault != HARNESS:
        return Comparison(
            **names,
            metric=STATUS,
            basis=Basis.EXACT,
            is_ratio=False,
            base_value=0.0,
            head_value=1.0,
            change=1.0,
            low=1.0,
            high=1.0,
            samples=1,
            why_not=head.reason,
        )
    side, lacking = ("base", base) if base.status is not Status.OK else ("other side", head)
    fate = "left out" if lacking.status is Status.EXCLUDED else "not measured"
    return Comparison(
        **names,
        metric=STATUS,
        basis=Basis.NONE,
        is_ratio=False,
        # If neither can be measured, nothing is lost. If a stored run left the cell out, it has no baseline.
        is_required=base.status is not Status.EXCLUDED or (not is_one_run and head.status is Status.OK),
        why_not=f"the {side} was {fate}: {lacking.reason}",
        fault=HARNESS if lacking.fault == HARNESS else None,
    )


def _figures(
    names: Mapping[str, Any], name: str, base: Metric, head: Metric, *, is_one_run: bool, is_exact: bool
) -> Comparison:
    assert base.value is not None
    assert head.value is not None
    least = min(*base.samples, *head.samples, base.value, head.value)
    at_floor = base.at_floor or head.at_floor
    is_ratio = not METRICS[name].by_difference and least > _LEAST_RATIO and not at_floor
    common: dict[str, Any] = {
        **names,
        "metric": name,
        "is_ratio": is_ratio,
        "base_value": base.value,
        "head_value": head.value,
        "at_floor": at_floor,
    }
    if is_exact and base.determinism is Determinism.EXACT and head.determinism is Determinism.EXACT:
        change = _effect(base.value, head.value, is_ratio=is_ratio)
        exact = _as_change(change, is_ratio=is_ratio)
        count = min(len(base.samples), len(head.samples))
        return Comparison(**common, basis=Basis.EXACT, change=exact, low=exact, high=exact, samples=count)
    if is_one_run:
        pairs = _pairs(base, head)
        effects = tuple(_effect(first, second, is_ratio=is_ratio) for first, second in pairs.values())
        if not effects:
            return Comparison(**{**common, "basis": Basis.NONE, "why_not": "no block has both sides"})
        common |= _over_hosts(effects, tuple(host for _, host in pairs), is_ratio=is_ratio)
        return _measured(common, Basis.PAIRED, median(effects), paired.interval(effects), effects, len(effects))
    if is_exact and Determinism.EXACT in (base.determinism, head.determinism):
        common["repeats_differ"] = True
    return _unpaired(common, name, base, head)


def _pairs(base: Metric, head: Metric) -> dict[tuple[int, str], tuple[float, float]]:
    """Return the samples of blocks that both sides have on the same host, in the order of blocks."""
    first, second = by_block(base), by_block(head)
    return {block: (first[block], second[block]) for block in sorted(first.keys() & second.keys())}


def _over_hosts(effects: tuple[float, ...], hosts: tuple[str, ...], *, is_ratio: bool) -> dict[str, Any]:
    """Return the interval for other hosts of the kind; nothing if a single, unnamed machine took all pairs."""
    if not any(hosts):
        return {}
    over = over_hosts(effects, hosts)
    low, high = (None if bound is None else _as_change(bound, is_ratio=is_ratio) for bound in (over.low, over.high))
    return {"hosts": hosts, "hosts_low": low, "hosts_high": high}


def _unpaired(common: dict[str, Any], name: str, base: Metric, head: Metric) -> Comparison:
    is_ratio = bool(common["is_ratio"])
    first, second = (
        [math.log(sample) for sample in side.samples] if is_ratio else list(side.samples) for side in (base, head)
    )
    bounds = paired.difference_of_medians(first, second)
    if bounds is None and METRICS[name].scope == "code":
        # Counts vary little, so comparing every repeat with every repeat is sufficient.
        bounds = min(second) - max(first), max(second) - min(first)
    change = median(second) - median(first)
    return _measured(common, Basis.UNPAIRED, change, bounds, (), min(len(first), len(second)))


def _measured(
    common: dict[str, Any],
    basis: Basis,
    change: float,
    bounds: tuple[float, float] | None,
    effects: tuple[float, ...],
    samples: int,
) -> Comparison:
    is_ratio = bool(common["is_ratio"])
    low, high = (_as_change(bound, is_ratio=is_ratio) for bound in bounds) if bounds is not None else (None, None)
    return Comparison(
        **common,
        basis=basis,
        effects=effects,
        change=_as_change(change, is_ratio=is_ratio),
        low=low,
        high=high,
        samples=samples,
    )


def _effect(base: float, head: float, *, is_ratio: bool) -> float:
    return math.log(head / base) if is_ratio else head - base


def _as_change(effect: float, *, is_ratio: bool) -> float:
    return math.expm1(effect) if is_ratio else effect


def in_terms_of_change(amount: float, comparison: Comparison) -> float:
    """Return an amount in the metric's unit on the scale of the change: a share of the base's figure, or unchanged."""
    return amount / abs(comparison.base_value) if comparison.is_ratio and comparison.base_value else amount


def places(run: Run) -> list[Place]:
    """Return the ranks of each allocator of a run by time and by resident memory, for each workload."""
    groups: dict[tuple[str, str, str], list[CellResult]] = {}
    for result in run.cells:
        if result.status is Status.OK and any(result.value_of(name) is not None for name in _TIMES):
            groups.setdefault(_place(result.cell), []).append(result)
    standings: list[Place] = []
    for (workload, region, _), cells in groups.items():
        if len(cells) > 1:
            standings += _group_places(workload, region, cells)
    return standings


def _group_places(workload: str, region: str, cells: Sequence[CellResult]) -> Iterator[Place]:
    metric = next(name for name in _TIMES if name in cells[0].metrics)
    times = [result.metrics[metric] for result in cells]
    by_time = paired.ranks([by_block(metric) for metric in times])
    memory = [next(filter(None, (result.value_of(name) for name in _MEMORY)), None) for result in cells]
    known = [index for index, resident in enumerate(memory) if resident is not None]
    front = pareto_front([(times[index].value or 0.0, memory[index] or 0.0) for index in known])
    on_front = {index for index, is_on_front in zip(known, front, strict=True) if is_on_front}
    for index, (result, time) in enumerate(zip(cells, times, strict=True)):
        yield Place(
            workload,
            region,
            result.cell.allocator,
            by_time[index],
            index in on_front,
            time.value or 0.0,
            time.low,
            time.high,
            memory[index],
            metric,
        )
