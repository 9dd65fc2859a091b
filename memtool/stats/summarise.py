"""From the samples of one cell to its metrics. Every formula is in docs/metrics.md."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from memtool.measure import histogram
from memtool.measure.metrics import METRICS, MOST_MARKS
from memtool.model import HARNESS, Cell, CellResult, Determinism, Metric, Mode, Pass, Sample, Status, TraceInfo
from memtool.stats import proof
from memtool.stats.adaptor_reports import sentences
from memtool.stats.clock import PERCENTILES, Clock, timer_step
from memtool.stats.noise import why_noisy
from memtool.stats.summary import median_interval
from memtool.units import format_size

OPERATIONS = ("allocate", "deallocate", "remote_deallocate", "reallocate")
LEAST_LIVE = 64 * 1024
"""Bytes: a ratio over fewer live bytes says nothing of the allocator."""

_BEHIND = 0.01
HARNESS_DOMINATES = 0.5
"""On several threads the harness hands objects over, and what an allocator takes hides behind the waiting: from this
share of the time on, taking the harness off gives no figure."""
_MOST = 10**18
"""Beyond it run.json has no figure: a heap of an exbibyte, an operation of thirty years."""

DRAIN_WAITS = ("0ms", "100ms", "1s", "5s")
_NO_HISTOGRAM: Mapping[str, Any] = {"buckets": (), "maximum": 0}

Figures = dict[str, float | None]


def summarise_cell(
    cell: Cell,
    samples: Sequence[Sample],
    null_samples: Sequence[Sample],
    trace: TraceInfo,
    clock: Clock,
    *,
    exact_expected: bool,
    serial: Sequence[Sample] = (),
) -> CellResult:
    """Return the cell's metrics, with median and interval, from all its samples.

    ``null_samples`` are those of the null strategy in the same region: what the harness costs, block by block.
    ``serial`` are those of the same allocator and events on one thread, of a cell that several replay.
    ``exact_expected`` says that footprints must not differ between repeats; a difference is noted as memtool's own bug.
    """
    null_runs = not any(_is_dead(sample) and sample.run_pass is Pass.COUNTERS for sample in null_samples)
    uncounted = next((sample for sample in samples if _is_dead(sample) and "under" in sample.payload), None)
    excused = uncounted is not None and null_runs
    failed = next(
        (
            sample
            for sample in samples
            if sample.status is Status.FAILED and not (excused and "under" in sample.payload)
        ),
        None,
    )
    sound = [sample for sample in samples if sample.status is Status.OK]
    metrics: dict[str, Metric] = {}
    notes: list[str] = []
    metrics |= _throughput(_of(sound, Pass.THROUGHPUT), _of(null_samples, Pass.THROUGHPUT), trace, clock)
    metrics |= _waits(_of(sound, Pass.THROUGHPUT), trace, clock)
    metrics |= _latencies(_of(sound, Pass.LATENCY), _of(null_samples, Pass.LATENCY), clock)
    metrics |= _frames(_of(sound, Pass.LATENCY), clock)
    footprints = _of(sound, Pass.FOOTPRINT)
    metrics |= _footprints(footprints, trace)
    metrics |= _blowup(footprints, _of(serial, Pass.FOOTPRINT))
    metrics |= _instructions(_of(sound, Pass.COUNTERS), trace)
    metrics |= _system_calls(_of(sound, Pass.CALLS))
    heaps = _of(sound, Pass.HEAP)
    metrics |= _drains(heaps)
    if uncounted is not None and excused:
        notes.append(f"instructions were not counted: {uncounted.reason}")
    if exact_expected:
        notes += _differences(footprints)
    notes += _memory_notes(footprints)
    reported = _reported(footprints)
    notes += sentences(reported)
    noisy = why_noisy(sound, null_samples)
    if noisy:
        notes.append(f"noisy machine: {'; '.join(noisy)}")
    open_loop = _open_loop(_of(sound, Pass.LATENCY), _of(null_samples, Pass.LATENCY), trace, clock)
    if open_loop.get("end_behind_operations"):
        notes.append(_behind(open_loop))
    impossible = next((name for name, metric in metrics.items() if not _is_figure(metric)), None)
    metrics = {name: metric for name, metric in metrics.items() if _is_figure(metric)}
    why_no_fault = _why_no_fault(failed, null_samples) if failed else None
    extra = {"harness_fault": why_no_fault is not None, "adaptors": reported, "open_loop": open_loop, "noisy": noisy}
    return CellResult(
        cell=cell,
        status=Status.FAILED if failed or impossible else Status.OK,
        reason=_why_failed(failed, why_no_fault) if failed else _why_impossible(impossible),
        proof=proof.of_samples(samples) | {name: finding for name, finding in extra.items() if finding},
        metrics={name: metrics[name] for name in METRICS if name in metrics},
        series={},
        notes=tuple(notes),
    )


def _is_dead(sample: Sample) -> bool:
    """Return whether a worker did not come to an answer."""
    return sample.status is Status.FAILED and bool(sample.payload.get("died") or sample.payload.get("timed_out"))


def _why_no_fault(failed: Sample, null_samples: Sequence[Sample]) -> str | None:
    """Return in words that a failure says nothing of the allocator; None: it does."""
    if _is_dead(failed) and any(_is_dead(each) and each.run_pass is failed.run_pass for each in null_samples):
        return "no fault of the allocator: the null strategy fails in this pass too"
    return "no fault of the allocator" if failed.payload.get(HARNESS) else None


def _why_failed(failed: Sample, why_no_fault: str | None) -> str:
    """Return in which sample a cell failed and why."""
    reason = f"{failed.run_pass} pass, block {failed.block}: {failed.reason}"
    return f"{reason} ({why_no_fault})" if why_no_fault else reason


def _why_impossible(name: str | None) -> str | None:
    if name is None:
        return None
    return f"{name} is more than there can be of anything: what the allocator says of itself is not true"


def _is_figure(metric: Metric) -> bool:
    return all(abs(figure) <= _MOST for figure in metric.samples)


def _of(samples: Sequence[Sample], run_pass: Pass) -> list[Sample]:
    return [sample for sample in samples if sample.run_pass is run_pass and sample.status is Status.OK]


def _reported(footprints: Sequence[Sample]) -> dict[str, Any]:
    """Return what the adaptors report of the first footprint sample, by adaptor."""
    text = footprints[0].payload.get("report", "") if footprints else ""
    reported: dict[str, Any] = json.loads(f"{{{text}}}")
    return reported


def _metric(
    name: str, by_block: Iterable[tuple[int, float | None]], determinism: Determinism, at_floor: bool = False
) -> Metric:
    """Return the metric of these (block, figure) pairs; not applicable where a figure is None."""
    known = [(block, figure) for block, figure in by_block if figure is not None and math.isfinite(figure)]
    samples = tuple(float(figure) for _, figure in known)
    blocks = tuple(block for block, _ in known)
    if not samples:
        return Metric(METRICS[name].unit, determinism, (), (), None)
    low, high = median_interval(samples)
    return Metric(METRICS[name].unit, determinism, samples, blocks, median(samples), low, high, at_floor)


def harness_dominates(cell: Cell, trace: TraceInfo, harness: float, gross: float) -> bool:
    """Return whether a time on several threads is mostly the harness's, both in the same unit."""
    return cell.mode != Mode.SERIAL and trace.lanes > 1 and harness > HARNESS_DOMINATES * gross


def _throughput(
    samples: Sequence[Sample], null_samples: Sequence[Sample], trace: TraceInfo, clock: Clock
) -> dict[str, Metric]:
    if not samples:
        return {}

    def per_operation(sample: Sample) -> float:
        return float(min(sample.payload["body_ticks"])) * clock.ns_per_tick / max(trace.operations, 1)

    null = {sample.block: per_operation(sample) for sample in null_samples}
    gross = [(sample.block, per_operation(sample)) for sample in samples]
    net = [(block, figure - null[block] if block in null else None) for block, figure in gross]
    if harness_dominates(samples[0].cell, trace, median(null.values()) if null else 0.0, median(f for _, f in gross)):
        net = []
    metrics = {
        "time_per_op_ns": _metric("time_per_op_ns", gross, Determinism.SAMPLED),
        "net_time_per_op_ns": _metric("net_time_per_op_ns", net, Determinism.SAMPLED),
    }
    # Of all replays together: what other threads do need not keep step with one.
    cpu = [(sample.block, used) for sample in samples if any(used := sample.payload.get("cpu_ns", ()))]
    if cpu:
        pairs = [(block, sum(used) / (len(used) * max(trace.operations, 1))) for block, used in cpu]
        metrics["cpu_ns_per_op"] = _metric("cpu_ns_per_op", pairs, Determinism.SAMPLED)
    return metrics


def _waits(samples: Sequence[Sample], trace: TraceInfo, clock: Clock) -> dict[str, Metric]:
    """Return what threads waited for each other's objects, in the replay whose time counts; in parallel only."""
    parallel = [sample for sample in samples if sample.cell.mode == Mode.PARALLEL and "wait_ticks" in sample.payload]
    if not parallel:
        return {}

    def waited(sample: Sample) -> float:
        ticks = sample.payload["body_ticks"]
        fastest = min(range(len(ticks)), key=ticks.__getitem__)
        return float(sample.payload["wait_ticks"][fastest]) * clock.ns_per_tick / max(trace.operations, 1)

    pairs = [(sample.block, waited(sample)) for sample in parallel]
    return {"wait_ns": _metric("wait_ns", pairs, Determinism.SAMPLED)}


def _latencies(samples: Sequence[Sample], null_samples: Sequence[Sample], clock: Clock) -> dict[str, Metric]:
    """Return the percentiles of each kind of operation, less the median of the same sample's noise floor.

    Under arrivals it is also held against the null strategy's, which has queues and interruptions of its own. Not
    applicable where a sample is too short to have read its floor.
    """
    if not samples:
        return {}
    if not all(sample.payload["histograms"]["floor"]["buckets"] for sample in samples):
        happened = [
            kind
            for kind in OPERATIONS
            if any(sample.payload["histograms"].get(kind, _NO_HISTOGRAM)["buckets"] for sample in samples)
        ]
        names = [f"{kind}_{share}_ns" for kind in happened for share in (*PERCENTILES, "max")]
        return {name: _metric(name, (), Determinism.SAMPLED) for name in names}
    ns = clock.ns_per_tick
    step = timer_step(samples)
    readings_of_floor = _readings(samples, "floor")
    floor_medians = readings_of_floor["p50"]
    null = null_samples if all("open_loop" in sample.payload for sample in samples) else ()
    metrics: dict[str, Metric] = {}
    for kind in OPERATIONS:
        of_null = _readings(null, kind)
        for name, raw in _readings(samples, kind).items():
            metric = f"{kind}_{name}_ns"
            pairs = _less_floor(samples, raw, floor_medians, ns)
            at_floor = _is_at_floor(raw, readings_of_floor[name], step)
            if name in of_null:
                at_floor |= _is_at_floor(raw, of_null[name], step)
            metrics[metric] = _metric(metric, pairs, Determinism.SAMPLED, at_floor=at_floor)
    touches = _readings(samples, "first_touch")
    for name, metric in (("p50", "first_touch_ns"), ("p99", "first_touch_p99_ns")):
        if touches:
            pairs = _less_floor(samples, touches[name], floor_medians, ns)
            at_floor = _is_at_floor(touches[name], readings_of_floor[name], step)
            metrics[metric] = _metric(metric, pairs, Determinism.SAMPLED, at_floor=at_floor)
    return metrics


def _frames(samples: Sequence[Sample], clock: Clock) -> dict[str, Metric]:
    """Return what a frame's operations take together; the worker has taken the floor off each of them."""
    readings = _readings(samples, "frame")
    return {
        name: _metric(
            name,
            [(sample.block, ticks * clock.ns_per_tick) for sample, ticks in zip(samples, raw, strict=True)],
            Determinism.SAMPLED,
        )
        for share, raw in readings.items()
        if (name := f"frame_{share}_ns") in METRICS
    }


def _readings(samples: Sequence[Sample], kind: str) -> dict[str, list[float]]:
    """Return each percentile and the maximum of a kind, in ticks, one a sample; empty where a sample has none of it."""
    found = [sample.payload["histograms"].get(kind, _NO_HISTOGRAM) for sample in samples]
    if not found or not all(each["buckets"] for each in found):
        return {}
    merged = [(histogram.merge([each["buckets"]]), float(each["maximum"])) for each in found]
    readings = {
        name: [histogram.percentile(buckets, q, maximum) for buckets, maximum in merged]
        for name, q in PERCENTILES.items()
    }
    return readings | {"max": [maximum for _, maximum in merged]}


def _less_floor(
    samples: Sequence[Sample], raw: Sequence[float], floor_medians: Sequence[float], ns: float
) -> list[tuple[int, float | None]]:
    return [
        (sample.block, max(0.0, ticks - base) * ns)
        for sample, ticks, base in zip(samples, raw, floor_medians, strict=True)
    ]


def _open_loop(
    samples: Sequence[Sample], null_samples: Sequence[Sample], trace: TraceInfo, clock: Clock
) -> dict[str, Any]:
    """Return how the replays kept up with the arrivals, and what the null strategy shows; empty for a closed loop.

    Behind is a cell whose replays, in the middle, take longer than their schedule by more than a hundredth of it.
    """
    found = [sample.payload for sample in samples if "open_loop" in sample.payload]
    if not found or trace.arrivals is None:
        return {}
    ns = clock.ns_per_tick
    rate = trace.arrivals["rate_per_s"]
    whole = median(each["open_loop"]["schedule_ticks"] for each in found) * ns
    took = median(ticks for each in found for ticks in each["body_ticks"]) * ns
    null = [ticks for each in null_samples if "open_loop" in each.payload for ticks in each.payload["body_ticks"]]
    null_took = median(null) * ns if null else 0.0
    return {
        "offered_per_s": rate,
        "achieved_per_s": round(trace.operations / took * 1e9),
        "latest_start_ns": max(each["open_loop"]["latest_ticks"] for each in found) * ns,
        "end_behind_ns": max(each["open_loop"]["end_behind_ticks"] for each in found) * ns,
        "end_behind_operations": round((took - whole) * rate / 1e9) if took > (1 + _BEHIND) * whole else 0,
        **({"null_achieved_per_s": round(trace.operations / null_took * 1e9)} if null_took else {}),
        **({"null_behind": True} if null_took > (1 + _BEHIND) * whole else {}),
        **({"null_ns": of_null} if (of_null := _of_null(null_samples, clock)) else {}),
    }


def _of_null(samples: Sequence[Sample], clock: Clock) -> dict[str, dict[str, float]]:
    """Return the null strategy's latencies under the arrivals, by kind: medians, as an allocator's."""
    shares = (*PERCENTILES, "max")
    found = _latencies(samples, (), clock)
    return {
        kind: {share: value for share in shares if (value := found[f"{kind}_{share}_ns"].value) is not None}
        for kind in ("allocate", "deallocate", "reallocate")
        if f"{kind}_p50_ns" in found
    }


def _behind(found: Mapping[str, Any]) -> str:
    if found.get("null_behind"):
        return (
            f"arrivals too fast for this machine: the null strategy, which allocates nothing, did "
            f"{found['null_achieved_per_s']:,} of {found['offered_per_s']:,} operations a second; so latencies are "
            "those of a queue that grows with the length of the run, whatever the allocator does"
        )
    return (
        f"did not keep up with its arrivals: {found['achieved_per_s']:,} of {found['offered_per_s']:,} operations a "
        f"second; at the end {found['end_behind_operations']:,} were due and not begun, so its latencies are those of "
        "a queue that grows with the length of the run"
    )


def _is_at_floor(raw: Sequence[float], floor: Sequence[float], step: float) -> bool:
    """Return whether a percentile is above the floor's by a step of the timer at most, or by less than it spreads."""
    above = median(raw) - median(floor)
    return histogram.is_within_a_step(above, step) or above < max(floor) - min(floor)


def _ratio(part: float | None, whole: float | None, least: float = 1) -> float | None:
    return part / whole if part is not None and whole is not None and whole >= least else None


def _unaccounted(row: Mapping[str, int | None]) -> float | None:
    """Return what of a footprint is neither granted, free nor metadata; None where there is no footprint."""
    footprint = row["footprint_bytes"]
    if footprint is None:
        return None
    return footprint - sum(row[name] or 0 for name in ("granted_bytes", "free_bytes", "metadata_bytes"))


def _internal(row: Mapping[str, int | None]) -> float | None:
    live, granted = row.get("live_bytes"), row.get("granted_bytes")
    share = _ratio(live, granted, LEAST_LIVE) if live is not None and live >= LEAST_LIVE else None
    return 1 - share if share is not None else None


def _external(row: Mapping[str, int | None]) -> float | None:
    share = _ratio(row["largest_free"], row["free_bytes"])
    return 1 - share if share is not None else None


def _over_the_run(payload: Mapping[str, Any]) -> Figures:
    """Return fragmentation over the checkpoints of a sample, and at the marks."""
    columns = ("live_bytes", "granted_bytes", "free_bytes", "largest_free")
    series = payload.get("series") or dict.fromkeys(columns, ())
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*(series[name] for name in columns), strict=True)]
    rows.append(payload["at_peak_live"])
    marks = list(payload.get("at_marks", {}).values())
    figures: Figures = {}
    for name, of in (("internal_fragmentation", _internal), ("external_fragmentation", _external)):
        course = [figure for row in (*rows, *marks) if (figure := of(row)) is not None]
        # Evenly over the run: marks and the peak are not.
        even = [figure for row in rows[:-1] if (figure := of(row)) is not None]
        figures[f"{name}_max"] = max(course, default=None)
        figures[f"{name}_mean"] = math.fsum(even) / len(even) if even else None
        figures |= {f"{name}_mark_{number}": of(row) for number, row in enumerate(marks[:MOST_MARKS], 1)}
    return figures


def _of_limit(footprint: int | None, trace: TraceInfo) -> Figures:
    """Return how much of the workload's limit was used; nothing where it has none."""
    if trace.memory_limit is None:
        return {}
    return {"limit_used_share": footprint / trace.memory_limit if footprint is not None else None}


def _footprint_figures(payload: Mapping[str, Any], trace: TraceInfo) -> Figures:
    """Return one footprint sample's metrics; None where the strategy has no such thing."""
    peak = payload["at_peak_live"]
    live = payload["peak_live_bytes"]
    footprint = payload["peak_footprint_bytes"] if peak["footprint_bytes"] is not None else None
    at_peak_live = payload["footprint_at_peak_live_bytes"] if footprint is not None else None
    granted = payload["granted_at_peak_live_bytes"]
    live_share = _ratio(live, granted, LEAST_LIVE)
    enough = live >= LEAST_LIVE
    mean_over = payload["ratio_allocations"]
    return {
        "peak_live_bytes": live,
        "peak_granted_bytes": payload["peak_granted_bytes"],
        "peak_footprint_bytes": footprint,
        **_of_limit(footprint, trace),
        "peak_resident_bytes": payload["peak_resident_bytes"],
        "end_resident_bytes": payload["end_resident_bytes"],
        "internal_fragmentation": 1 - live_share if live_share is not None and enough else None,
        "external_fragmentation": _external(peak),
        **_over_the_run(payload),
        "footprint_mean_ratio": payload["ratio_sum"] / mean_over if mean_over and footprint is not None else None,
        "footprint_at_peak_live_ratio": _ratio(at_peak_live, live, LEAST_LIVE),
        "footprint_at_peak_ratio": _ratio(footprint, payload["live_at_peak_footprint_bytes"], LEAST_LIVE),
        "footprint_peak_ratio": _ratio(footprint, live, LEAST_LIVE),
        "load_ratio": _ratio(footprint, live, LEAST_LIVE),
        "packing_ratio": _ratio(footprint, trace.packing_bytes, LEAST_LIVE) if enough else None,
        "rounding_bytes": granted - live,
        "free_bytes": peak["free_bytes"],
        "metadata_bytes": peak["metadata_bytes"],
        "unaccounted_bytes": _unaccounted(peak),
        "resident_at_peak_live_bytes": payload["resident_at_peak_live_bytes"],
        "huge_resident_bytes": payload.get("huge_resident_bytes"),
        "holes_ratio": _ratio(peak["free_blocks"], peak["used_blocks"]),
        "resident_after_drain_0ms_bytes": payload["drained_resident_bytes"],
        "unaccounted_after_drain_bytes": _unaccounted(payload["drained"]),
        "minor_faults": payload["minor_faults"],
        "major_faults": payload["major_faults"],
    }


def _memory_notes(samples: Sequence[Sample]) -> list[str]:
    """Return what a reader of the memory figures must know to read them rightly."""
    notes = []
    huge = max((sample.payload.get("huge_resident_bytes", 0) for sample in samples), default=0)
    if huge and samples[0].cell.region != "hugepages":
        notes.append(
            f"{format_size(huge)} of its resident memory at the peak are transparent huge pages, so resident memory "
            "comes in steps of a huge page whatever the workload needs"
        )
    return notes


def _footprints(samples: Sequence[Sample], trace: TraceInfo) -> dict[str, Metric]:
    if not samples:
        return {}
    figures = [(sample.block, _footprint_figures(sample.payload, trace)) for sample in samples]
    metrics = {}
    for name in figures[0][1]:
        pairs = [(block, found[name]) for block, found in figures]
        metrics[name] = _metric(name, pairs, _determinism(name, pairs))
    return metrics


def _blowup(samples: Sequence[Sample], serial: Sequence[Sample]) -> dict[str, Metric]:
    """Return the peak of memory over that of one thread: of the footprint where that is counted, else of resident."""
    if not samples or not serial:
        return {}
    alone = serial[0].payload
    on_region = alone["at_peak_live"]["footprint_bytes"] is not None
    peak = "peak_footprint_bytes" if on_region else "peak_resident_bytes"
    pairs = [(sample.block, _ratio(sample.payload[peak], alone[peak], LEAST_LIVE)) for sample in samples]
    return {"blowup_ratio": _metric("blowup_ratio", pairs, Determinism.SAMPLED)}


def _instructions(samples: Sequence[Sample], trace: TraceInfo) -> dict[str, Metric]:
    if not samples or trace.operations == 0:
        return {}
    name = "instructions_per_op"
    pairs = [(sample.block, sample.payload["instructions"] / trace.operations) for sample in samples]
    return {name: _metric(name, pairs, _determinism(name, pairs))}


def _system_calls(samples: Sequence[Sample]) -> dict[str, Metric]:
    if not samples:
        return {}
    pairs = [(sample.block, float(sum(sample.payload["system_calls"].values()))) for sample in samples]
    return {"system_calls": _metric("system_calls", pairs, _determinism("system_calls", pairs))}


def _determinism(name: str, pairs: Sequence[tuple[int, float | None]]) -> Determinism:
    """Exact is what repeats have shown to be the same; it is never assumed, nor of what the kernel counts."""
    figures = [figure for _, figure in pairs if figure is not None]
    same = METRICS[name].scope != "job" and len(figures) > 1 and len(set(figures)) == 1
    return Determinism.EXACT if same else Determinism.SAMPLED


def _drains(samples: Sequence[Sample]) -> dict[str, Metric]:
    """Return what is resident a while after the drain. At once is the footprint pass's, which is taken more often."""
    # What is read later compares with what the same process had at once: two processes differ by more than idling does.
    names = ["resident_before_idle_bytes", *(f"resident_after_drain_{wait}_bytes" for wait in DRAIN_WAITS[1:])]
    return {
        name: _metric(
            name,
            [(sample.block, sample.payload["after_drain_resident_bytes"][index]) for sample in samples],
            Determinism.SAMPLED,
        )
        for index, name in enumerate(names)
        if samples
    }


def _differences(samples: Sequence[Sample]) -> list[str]:
    must_repeat: Sequence[tuple[str, Callable[[Mapping[str, Any]], object]]] = (
        ("peak granted bytes", lambda payload: payload["peak_granted_bytes"]),
        ("peak footprint", lambda payload: payload["peak_footprint_bytes"]),
        ("mean of footprint / live", lambda payload: payload["ratio_sum"]),
        ("figures at the peak", lambda payload: sorted(_without_resident(payload["at_peak_live"]).items())),
    )
    return [
        f"{what} differs between repeats of a strategy that is deterministic: a defect of memtool, please report it"
        for what, figure in must_repeat
        if len({str(figure(sample.payload)) for sample in samples}) > 1
    ]


def _without_resident(row: Mapping[str, int | None]) -> dict[str, int | None]:
    return {name: figure for name, figure in row.items() if name != "resident_bytes"}
