"""A cell's proof: all its entries in run.json, from the plan, the samples and the timing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from memtool.kinds import results
from memtool.model import AllocatorPlan, Cell, CellResult, TraceInfo
from memtool.passes import PACE, Sample
from memtool.passes.records import plain

NAMED = "named"
"""Name and file of an allocator that the user gave a name, so that a rebuilt one is compared under it."""


def of_excluded(plan: AllocatorPlan | None) -> dict[str, Any]:
    """Return the known facts about an allocator that is not measured; ``plan`` is None where it does not exist."""
    return {"interpreted": True} if plan is not None and plan.interpreted else {}


def of_cell(
    result: CellResult,
    harness: CellResult,
    plan: AllocatorPlan,
    trace: TraceInfo,
    machine: str,
    samples: Sequence[Sample],
) -> dict[str, Any]:
    """Return how a cell was measured, its order and its harness, together with the proof of its samples.

    Args:
        result: of the cell, with the proof of its samples.
        harness: of the null strategy in place of the cell's allocator.
        plan: of the cell's allocator.
        trace: the replayed events.
        machine: digest of the machine's fingerprint.
        samples: all samples of the run, in the order in which they were taken.
    """
    return {
        **result.proof,
        "event_hash": trace.event_hash,
        "seed": trace.seed,
        "machine": machine,
        "order": _order(result.cell, samples),
        "harness_ns": harness.value_of("time_per_op_ns"),
        "harness_instructions": harness.value_of("instructions_per_op"),
        "preload": list(plan.preload),
        "environment": dict(plan.environment),
        **({NAMED: f"{plan.spec.title}={plan.spec.written}"} if plan.spec.title else {}),
        **({"call": asdict(plan.call)} if results(trace.kind).has_calls and plan.strategy else {}),
        # Recorded even if the worker died before it could report it.
        **({"interpreted": True} if plan.interpreted else {}),
    }


def _order(cell: Cell, samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return the order of a cell's passes, and its position among the cells of each block."""
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


def of_samples(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the proof of a cell's first sample, and how quiet the machine was over all of them."""
    proof: dict[str, Any] = {}
    for sample in samples:
        for key, value in sample.proof.items():
            proof.setdefault(key, value)
    noise = [plain(sample.noise) for sample in samples if sample.noise is not None]
    return proof | {name: sum(reading[name] for reading in noise) for name in (noise[0] if noise else ())}
