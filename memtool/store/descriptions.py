"""Descriptions, for the JSON Schemas, of keys that stored documents share or that need no docstring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_DESCRIPTIONS = {
    "schema": "schema of this document, with its version",
    "kind": "kind of document",
    "memtool": "version of memtool that wrote the document",
    "started": "time at which the run began; ISO 8601, with UTC offset",
    "command": "command that was run: its arguments, or its name alone",
    "machine": "properties and settings of the machine, one key each",
    "workloads": "workloads that were replayed, in the order of the command line",
    "cells": "one entry for each combination of workload, allocator, region and mode",
    "rows": "one entry for each combination of workload, allocator and region",
    "blocks": "number of samples requested for each cell",
    "reference": "allocator that the ratios in tables refer to; null: none",
    "notes": "further remarks for the reader, one sentence each",
    "workload": "name of the workload",
    "allocator": "allocator with its parameters and adaptors, as columns of tables name it",
    "region": "region that supplies the strategy's memory, as `memtool list regions` names it",
    "mode": "how the threads were replayed: serial, lockstep or parallel",
    "status": "outcome of the measurement",
    "reason": "one sentence that explains the status or the verdict; null: no explanation is needed",
    "proof": "evidence of what ran: the library that served malloc, its build id and version, and how it was called",
    "metrics": "name of each metric (docs/metrics.md) -> its value and samples",
    "metric": "name of the metric (docs/metrics.md)",
    "unit": "ns, B, or 1 for a plain number",
    "name": "name",
    "seed": "seed from which the events were generated",
    "determinism": "exact: repeated samples are identical; sampled: they vary",
    "samples": "one sample for each measured block, in the order of `blocks`",
    "value": "median of the samples; null: not applicable",
    "low": "lower end of the 95 % confidence interval; null: too few samples",
    "high": "upper end of the 95 % confidence interval; null: too few samples",
    "live_bytes": "bytes requested and not yet freed at that moment",
    "event_hash": "128-bit hash of all events, in hexadecimal; equal hashes mean equal events",
    "operations": "number of allocations, frees, resizes and ends of scopes, without the epilogue",
    "events": "number of allocations, frees, resizes and ends of scopes, without the epilogue",
    "epilogue_operations": "number of frees after the last operation, one for each object that is still live",
    "allocations": "number of blocks requested",
    "reallocations": "number of resizes",
    "slots": "number of entries in the table of objects that a replay keeps",
    "peak_live_bytes": "most bytes live at once: a lower bound for the memory that any allocator needs",
    "peak_live_objects": "most objects live at once",
    "total_bytes": "sum of the sizes of all requests, bytes",
    "smallest_size": "the smallest request, bytes",
    "largest_size": "the largest request, bytes",
    "largest_alignment": "the largest alignment that is requested, bytes",
    "scopes": "number of scopes that begin and end",
    "first_not_lifo": "first operation that frees or resizes an object other than the youngest; null: none does",
    "touch": "how much of each new block is written: none, first, pages or all",
    "pace": "speed and duration in seconds of a replay at the recorded pace; null: a replay at full speed",
    "memory_limit": "capacity of the region, bytes; null: no limit",
    "verdict": "verdict of the whole comparison or of one figure",
    "alpha": "bound on the probability that any of the tests gives a false verdict",
    "margin": "allowed deterioration, as a ratio, of metrics without a limit of their own",
    "comparisons": "one entry for each metric of each cell",
    "ranking": "position of each allocator in time and memory",
    "history": "the same metrics in earlier runs",
    "direction": "which direction is better: lower, higher, or neither",
    "basis": "data behind the difference: exact figures, pairs of one run, or the samples of two runs",
    "scale": "whether `change` is a ratio or a difference",
    "base_value": "value of the base, in the metric's unit",
    "head_value": "value of the head, in the metric's unit",
    "source": "file that holds the run",
    "rank": "rank by time; allocators that paired blocks cannot distinguish share a rank",
    "pareto": "whether no other allocator is better in both time and memory",
    "peak_resident_bytes": "median of the peak of resident memory, bytes; null: not measured",
    "wall_time_ns": "wall time of a whole program, ns; null: not measured",
}


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Add a description to every property of a schema that has none but whose key is known here, in place."""
    for key, part in _properties(schema):
        if "description" not in part and key in _DESCRIPTIONS:
            part["description"] = _DESCRIPTIONS[key]
    return schema


def _properties(part: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for member in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _properties(member)
    if isinstance(part, dict) and isinstance(part.get("properties"), dict):
        yield from ((key, member) for key, member in part["properties"].items() if isinstance(member, dict))
