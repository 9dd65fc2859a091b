"""A cell's proof: every key of it that run.json has, from what was planned, sampled, found and timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memtool.kinds import results
from memtool.model import AllocatorPlan, Cell, CellResult, TraceInfo
from memtool.passes import PACE, Sample
from memtool.passes.records import plain

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
        **({"call": asdict(plan.call)} if results(trace.kind).has_calls and plan.strategy else {}),
        # Also where the worker died before it could say so.
        **({"interpreted": True} if plan.interpreted else {}),
    }


def _order(cell: Cell, samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return in what order a cell's passes ran, and its place among the cells of each block."""
    passes = list(dict.fromkeys(str(sample.run_pass) for sample in samples if sample.cell == cell))
    places: dict[tuple[str, int], int] = {}
    own = []
    for sample in samples:
        if sample.run_pass is PACE:
            block = (sample.cell.workload, sample.block)
            places[block] = places.get(block, 0) + 1
            if sample.cell == cell:
                own.append(places[block])
    return {"passes": passes, "places": own}


def _value(result: CellResult, metric: str) -> float | None:
    figure = result.metrics.get(metric)
    return figure.value if figure else None


def of_samples(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what the first sample of a cell proved, and how quiet the machine was over all of them."""
    proof: dict[str, Any] = {}
    for sample in samples:
        for key, value in sample.proof.items():
            proof.setdefault(key, value)
    noise = [plain(sample.noise) for sample in samples if sample.noise is not None]
    return proof | {name: sum(reading[name] for reading in noise) for name in (noise[0] if noise else ())}
