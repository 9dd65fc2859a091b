"""run.json, schema memtool.run.v1: what scripts rely on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from memtool import files
from memtool.errors import InputError
from memtool.measure.metrics import METRICS
from memtool.model import Cell, CellResult, Determinism, Mark, Metric, Run, Status, TraceInfo
from memtool.stats.summary import LEAST_SAMPLES
from memtool.store import document

SCHEMA = "memtool.run.v1"
FILE_NAME = "run.json"
_BEYOND = 1e18
"""Nanoseconds of 31 years, and bytes beyond any memory: no figure is larger."""
_SAME = 1e-9
"""Relative difference of a value that was computed from the same samples by another program."""


class _Record(BaseModel):
    # Later versions of memtool may add keys; what is named here keeps its meaning.
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


Figure = Annotated[FiniteFloat, Field(ge=-_BEYOND, le=_BEYOND)]


class MetricRecord(_Record):
    """One figure of one cell; `samples[i]` was taken in `blocks[i]`."""

    unit: Annotated[str, Field(description="ns, B, or 1 for a plain number")]
    determinism: Literal["sampled", "exact"]
    samples: list[Figure]
    blocks: list[Annotated[int, Field(ge=0)]]
    value: Figure | None
    low: Figure | None
    high: Figure | None
    at_floor: bool = False


class CellRecord(_Record):
    """One row of a table."""

    workload: str
    allocator: str
    region: str
    mode: str
    status: Literal["ok", "failed", "excluded"]
    reason: str | None
    fault: Annotated[
        Literal["allocator", "harness"] | None,
        Field(description="whose it is that the cell failed; harness: memtool's own or the machine's"),
    ] = None
    proof: dict[str, Any]
    metrics: dict[str, MetricRecord]
    series: dict[str, str] = {}
    notes: list[str] = []


class MarkRecord(_Record):
    """A named moment: operations done before it, live bytes, and the share of the events that is before it."""

    name: str
    operation: int
    live_bytes: int
    progress: FiniteFloat


class WorkloadRecord(_Record):
    """What was replayed."""

    name: str
    seed: int
    events: Annotated[int, Field(ge=0)]
    event_hash: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    threads: Annotated[int, Field(ge=1)]
    peak_live_bytes: Annotated[int, Field(ge=0)]
    notes: list[str] = []
    marks: list[MarkRecord] = []
    source: str = ""
    workload_name: str = ""
    lanes: Annotated[int, Field(ge=1)] = 1
    touch: str = "none"


class RunRecord(_Record):
    """A whole run."""

    schema_: Literal["memtool.run.v1"] = Field(alias="schema")
    memtool: str
    started: str
    command: list[str]
    machine: dict[str, Any]
    workloads: list[WorkloadRecord]
    cells: list[CellRecord]
    blocks: int = 0
    reference: str | None = None
    notes: list[str] = []


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of run.json."""
    schema = RunRecord.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA}


def to_json(run: Run) -> dict[str, Any]:
    """Return a run as the contract has it. A figure that is not a number is written as null."""
    return {
        "schema": SCHEMA,
        "memtool": run.memtool,
        "started": run.started,
        "command": list(run.command),
        "machine": dict(run.machine),
        "blocks": run.blocks,
        "reference": run.reference,
        "notes": list(run.notes),
        "workloads": [{"events": info.operations, **asdict(info)} for info in run.workloads],
        "cells": [_cell_to_json(cell) for cell in run.cells],
    }


def _cell_to_json(result: CellResult) -> dict[str, Any]:
    return {
        **asdict(result.cell),
        "status": str(result.status),
        "reason": result.reason,
        "proof": dict(result.proof),
        "metrics": {
            name: {
                "unit": metric.unit,
                "determinism": str(metric.determinism),
                "samples": list(metric.samples),
                "blocks": list(metric.blocks),
                "value": _finite(metric.value),
                "low": _finite(metric.low),
                "high": _finite(metric.high),
                "at_floor": metric.at_floor,
            }
            for name, metric in result.metrics.items()
        },
        "series": dict(result.series),
        "notes": list(result.notes),
        "fault": result.fault,
    }


def _finite(figure: float | None) -> float | None:
    return figure if figure is not None and math.isfinite(figure) else None


def write(directory: Path, run: Run) -> Path:
    """Write run.json into a folder, whole or not at all, and return its path."""
    return write_file(directory / FILE_NAME, run)


def write_file(path: Path, run: Run) -> Path:
    """Write a run into a file of any name, whole or not at all, and return its path."""
    return files.write_whole(path, json.dumps(to_json(run), indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Run:
    """Return the run of a file or of a folder with one. Raises InputError with one line."""
    file = path / FILE_NAME if files.is_folder(path) else path
    record = document.read(file, RunRecord, SCHEMA, "a result of memtool bench")
    _refuse_impossible(file, record)
    return _from_record(record)


def read_all(folder: Path) -> list[tuple[str, Run]]:
    """Return every run under a folder with its file. Raises InputError where there is none, or one is damaged."""
    places = [*folder.glob(f"*/{FILE_NAME}"), *folder.glob("*.json"), *folder.glob(FILE_NAME)]
    if not places:
        raise InputError(f"{folder}: no run in it", field="history")
    return [(str(file), read(file)) for file in dict.fromkeys(places)]


def _refuse_impossible(file: Path, record: RunRecord) -> None:
    """Complain of a run that memtool cannot have written: nothing in it is to be believed, least of all by a gate."""
    workloads = [each.name for each in record.workloads]
    twice = next((name for name in workloads if workloads.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{file}: workloads: '{twice}' is there twice")
    seen: set[Cell] = set()
    for each in record.cells:
        cell = Cell(each.workload, each.allocator, each.region, each.mode)
        where = f"{file}: {cell.workload}/{cell.allocator}/{cell.region}/{cell.mode}"
        if cell in seen:
            raise InputError(f"{where}: is there twice")
        seen.add(cell)
        if cell.workload not in workloads:
            raise InputError(f"{where}: workloads: has no '{cell.workload}', so nothing says what was replayed")
        if each.status == "excluded" and each.metrics:
            raise InputError(f"{where}: was left out, and has figures")
        if each.fault not in (None, _cell_from_record(each).fault):
            raise InputError(f"{where}: fault: says {each.fault}, and status and proof do not")
        for name, metric in each.metrics.items():
            if (why := _why_impossible(name, metric)) is not None:
                raise InputError(f"{where}: {name}: {why}")


def _why_impossible(name: str, metric: MetricRecord) -> str | None:
    """Return what of a metric's figures contradicts itself or what the metric means; None: nothing does."""
    samples, value = metric.samples, metric.value
    if len(samples) != len(metric.blocks):
        return f"{len(samples)} samples in {len(metric.blocks)} blocks"
    if len(set(metric.blocks)) != len(metric.blocks):
        return "more than one sample in a block"
    if (value is None) != (not samples):
        return "samples without a value" if samples else "a value without samples"
    if metric.determinism == "exact" and len(set(samples)) > 1:
        return f"is exact, and its samples differ: {min(samples):g} and {max(samples):g}"
    if value is not None and not math.isclose(value, median(samples), rel_tol=_SAME):
        return f"the value is {value:g}, the median of its samples {median(samples):g}"
    return _why_no_interval(metric) or _why_not_of_its_kind(name, metric)


def _why_no_interval(metric: MetricRecord) -> str | None:
    low, high, value = metric.low, metric.high, metric.value
    if low is None and high is None:
        return None
    if low is None or high is None or value is None or len(metric.samples) < LEAST_SAMPLES:
        return f"an interval of {len(metric.samples)} samples; it takes {LEAST_SAMPLES}"
    if not low <= value <= high:
        return f"the value is {value:g}, and its interval from {low:g} to {high:g}"
    return None


def _why_not_of_its_kind(name: str, metric: MetricRecord) -> str | None:
    """Return what a figure of this name cannot be; later versions of memtool may have other names."""
    info = METRICS.get(name)
    if info is None:
        return None
    if metric.unit != info.unit:
        return f"is in '{metric.unit}', must be in '{info.unit}'"
    if metric.at_floor and info.unit != "ns":
        return "is no time, and cannot be at the timer's floor"
    least, most = min(metric.samples, default=0), max(metric.samples, default=0)
    if least < 0 and not info.may_be_negative:
        return f"is {least:g} {info.written_unit}".rstrip() + ", and cannot be negative"
    if most > 1 and info.is_share:
        return f"is {most:g}, and is a part of a whole"
    return None


def _from_record(record: RunRecord) -> Run:
    infos = dict.fromkeys(TraceInfo.__dataclass_fields__)
    workloads = []
    for each in record.workloads:
        extra = each.model_extra or {}
        known = {name: extra[name] for name in infos if name in extra}
        known |= {name: getattr(each, name) for name in _KEPT}
        known["operations"] = each.events
        known["notes"] = tuple(each.notes)
        known["marks"] = tuple(Mark(mark.name, mark.operation, mark.live_bytes, mark.progress) for mark in each.marks)
        workloads.append(TraceInfo(**{**_BARE, **known}))
    return Run(
        memtool=record.memtool,
        started=record.started,
        command=tuple(record.command),
        machine=record.machine,
        workloads=tuple(workloads),
        cells=tuple(_cell_from_record(each) for each in record.cells),
        blocks=record.blocks,
        reference=record.reference,
        notes=tuple(record.notes),
    )


_KEPT = ("name", "seed", "event_hash", "threads", "peak_live_bytes", "source", "workload_name", "lanes", "touch")
# What a file that has only the contract's keys leaves open.
_BARE: dict[str, Any] = {
    "epilogue_operations": 0,
    "allocations": 0,
    "reallocations": 0,
    "slots": 0,
    "peak_live_objects": 0,
    "total_bytes": 0,
    "smallest_size": 0,
    "largest_size": 0,
    "largest_alignment": 16,
    "scopes": 0,
    "first_not_lifo": None,
    "first_not_fifo": None,
}


def _cell_from_record(record: CellRecord) -> CellResult:
    return CellResult(
        cell=Cell(record.workload, record.allocator, record.region, record.mode),
        status=Status(record.status),
        reason=record.reason,
        proof=record.proof,
        metrics={
            name: Metric(
                each.unit,
                Determinism(each.determinism),
                tuple(each.samples),
                tuple(each.blocks),
                each.value,
                each.low,
                each.high,
                each.at_floor,
            )
            for name, each in record.metrics.items()
        },
        series=record.series,
        notes=tuple(record.notes),
    )
