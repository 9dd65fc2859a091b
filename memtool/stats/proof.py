"""A cell's proof: every key of it that run.json has, from what was planned, sampled, found and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memtool.measure import histogram
from memtool.model import AllocatorPlan, Cell, CellResult, Pass, Sample, Status, TraceInfo
from memtool.stats.clock import PERCENTILES, Clock, timer_step

NAMED = "named"
"""Name and file of what the user calls by a name, and compares though it was built anew."""


def of_excluded(plan: AllocatorPlan | None) -> dict[str, Any]:
    """Return what is known of an allocator that is not measured; ``plan``: None where there is no such allocator."""
    return {"interpreted": True} if plan is not None and plan.interpreted else {}


def of_cell(
    result: CellResult,
    harness: CellResult,
    plan: AllocatorPlan,
    trace: TraceInfo,
    machine: str,
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """Return what was measured, in what, in which order and beside which harness, with what the cell's samples proved.

    Args:
        result: of the cell, with the proof of its samples.
        harness: the null strategy's in the cell's place.
        plan: of the cell's allocator.
        trace: what was replayed.
        machine: digest of the machine's fingerprint.
        samples: all of the run, in the order in which they were taken.
    """
    return {
        **result.proof,
        "event_hash": trace.event_hash,
        "seed": trace.seed,
        "machine": machine,
        "order": _order(result.cell, samples),
        "harness_ns": _value(harness, "time_per_op_ns"),
        "harness_instructions": _value(harness, "instructions_per_op"),
        "preload": list(plan.preload),
        "environment": dict(plan.environment),
        **({NAMED: f"{plan.spec.title}={plan.spec.written}"} if plan.spec.title else {}),
        "call": asdict(plan.call),
        # Also where the worker died before it could say so.
        **({"interpreted": True} if plan.interpreted else {}),
    }


def _order(cell: Cell, samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return in what order a cell's passes ran, and its place among the throughput samples of each block."""
    passes = list(dict.fromkeys(str(sample.run_pass) for sample in samples if sample.cell == cell))
    places: dict[tuple[str, int], int] = {}
    own = []
    for sample in samples:
        if sample.run_pass is Pass.THROUGHPUT:
            block = (sample.cell.workload, sample.block)
            places[block] = places.get(block, 0) + 1
            if sample.cell == cell:
                own.append(places[block])
    return {"passes": passes, "places": own}


def _value(result: CellResult, metric: str) -> float | None:
    figure = result.metrics.get(metric)
    return figure.value if figure else None


def of_samples(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the samples of a cell proved, and how quiet the machine was over all of them."""
    proof: dict[str, Any] = {}
    for sample in samples:
        for key, value in sample.payload.get("proof", {}).items():
            proof.setdefault(key, value)
        for key in ("region", "system_calls"):
            if key in sample.payload:
                proof.setdefault(key, sample.payload[key])
    noise = [sample.payload["noise"] for sample in samples if "noise" in sample.payload]
    for name in noise[0] if noise else ():
        proof[name] = sum(reading.get(name, 0) for reading in noise)
    checks = [sample.payload["checks"] for sample in samples if "checks" in sample.payload]
    if checks:
        proof["invariants_checked"] = sum(checks)
    return proof | _own_statistics(samples)


def _own_statistics(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the malloc says of itself at each moment, in bytes; nothing where it says nothing."""
    for sample in _of(samples, Pass.HEAP):
        moments = {each["moment"]: each["own"] for each in sample.payload["maps"]}
        moments["after drain"] = sample.payload["own_after_drain"]
        if any(figure is not None for figure in moments.get("peak", {}).values()):
            return {"own_statistics": moments}
    return {}


def of_timer(samples: Sequence[Sample], clock: Clock) -> dict[str, Any]:
    """Return what an empty timed region took in the latency samples of one cell, merged, for its proof.

    ``noise_floor_ns``: percentiles and maximum; ``timer_resolution_ns``: the step of the timer.
    """
    timed = _of(samples, Pass.LATENCY)
    floors = [sample.payload["histograms"]["floor"] for sample in timed]
    merged = histogram.merge(floor["buckets"] for floor in floors)
    if not merged:
        return {}
    maximum = max(floor["maximum"] for floor in floors)
    ticks = {name: histogram.percentile(merged, q, maximum) for name, q in PERCENTILES.items()} | {"max": maximum}
    return {
        "noise_floor_ns": {name: reading * clock.ns_per_tick for name, reading in ticks.items()},
        "timer_resolution_ns": timer_step(timed) * clock.ns_per_tick,
    }


def _of(samples: Sequence[Sample], run_pass: Pass) -> list[Sample]:
    return [sample for sample in samples if sample.run_pass is run_pass and sample.status is Status.OK]
