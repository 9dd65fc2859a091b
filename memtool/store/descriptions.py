"""What the keys mean that several stored documents have, or that a name alone explains: for their JSON Schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_DESCRIPTIONS = {
    "schema": "which document this is, and the version of its form",
    "kind": "what the document is of",
    "memtool": "version of memtool that wrote it",
    "started": "when it began; ISO 8601, with offset",
    "command": "what was run: the arguments, or the name of the command",
    "machine": "the machine and how it was set up, a fact a key",
    "workloads": "what was replayed, in the order of the command",
    "cells": "one for each workload, allocator, region and mode",
    "rows": "one for each workload, allocator and region",
    "blocks": "samples that each cell was to have",
    "reference": "the allocator that tables show ratios to; null: none",
    "notes": "what a reader has to know besides, a sentence each",
    "workload": "name of the workload",
    "allocator": "name of the column: allocator, parameters and adaptors",
    "region": "memory under the strategy, as `memtool list regions` names it",
    "mode": "how threads were replayed: serial, lockstep or parallel",
    "status": "what became of it",
    "reason": "in a sentence, why the status or the verdict is what it is; null: nothing to say",
    "proof": "what really ran: the library that owned malloc, its build id and version, how it was called",
    "metrics": "name of a metric (docs/metrics.md) -> its figure",
    "metric": "name of the metric (docs/metrics.md)",
    "unit": "ns, B, or 1 for a plain number",
    "name": "its name",
    "seed": "seed that its events were drawn with",
    "determinism": "exact: repeats agree to the last bit; sampled: they scatter",
    "samples": "one for each block that was measured, in the order of `blocks`",
    "value": "median of the samples; null: not applicable",
    "low": "lower end of the 95 % interval; null: too few samples",
    "high": "upper end of the 95 % interval; null: too few samples",
    "live_bytes": "bytes that were asked for and not freed yet, at that moment",
    "event_hash": "of all events, 128 bits in hexadecimal digits: the same events have the same",
    "operations": "allocations, frees, resizes, and ends of scopes, without the epilogue",
    "events": "allocations, frees, resizes, and ends of scopes, without the epilogue",
    "epilogue_operations": "frees after the last operation, of what is still alive",
    "allocations": "how many blocks are asked for",
    "reallocations": "how many times a block is resized",
    "slots": "entries of the table of objects that a replay keeps",
    "peak_live_bytes": "the most bytes alive at once: the load, the least memory that can serve it",
    "peak_live_objects": "the most objects alive at once",
    "total_bytes": "all bytes ever asked for",
    "smallest_size": "the smallest request, bytes",
    "largest_size": "the largest request, bytes",
    "largest_alignment": "the largest alignment that is asked for, bytes",
    "scopes": "how many scopes begin and end",
    "first_not_lifo": "of the first operation on another object than the youngest: a free or a resize; null: none",
    "touch": "what is written to each block: none, first, pages or all",
    "pace": "speed and seconds of a replay at the recorded pace; null: as fast as it goes",
    "memory_limit": "capacity of the region, bytes; null: none was set",
    "verdict": "what the comparison comes to",
    "alpha": "probability of a false verdict that all tests together keep to",
    "margin": "how much worse is allowed where a metric has no limit of its own; a ratio",
    "comparisons": "one for each figure of each cell",
    "ranking": "where each allocator stands in time and memory",
    "history": "the same figures of earlier runs",
    "direction": "which way is better: lower, higher, or neither",
    "basis": "what the difference stands on: exact figures, pairs of one run, or samples of two",
    "scale": "whether `change` is a ratio or a difference",
    "base_value": "the figure that is compared with, in the metric's unit",
    "head_value": "the figure that is compared, in the metric's unit",
    "source": "the file that it is from",
    "rank": "place in time; those that pairs of blocks do not tell apart share one",
    "pareto": "whether none is better in time and in memory",
    "peak_resident_bytes": "median of the peak of resident memory, bytes; null: not measured",
    "wall_time_ns": "wall time of a whole program, ns; null: no program was measured",
}


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Give every property of a schema that has no description the one of its key, in place."""
    for key, part in _properties(schema):
        if "description" not in part and key in _DESCRIPTIONS:
            part["description"] = _DESCRIPTIONS[key]
    return schema


def _properties(part: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for member in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _properties(member)
    if isinstance(part, dict) and isinstance(part.get("properties"), dict):
        yield from ((key, member) for key, member in part["properties"].items() if isinstance(member, dict))
