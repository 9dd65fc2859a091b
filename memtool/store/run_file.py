"""run.json, schema memtool.run.v1: what scripts rely on."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from memtool import files
from memtool.errors import InputError
from memtool.measure.metrics import METRICS
from memtool.model import Cell, CellResult, Determinism, Mark, Metric, Run, Status, TraceInfo

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
    blocks: list[int]
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
    events: int
    event_hash: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    threads: int
    peak_live_bytes: int
    notes: list[str] = []
    marks: list[MarkRecord] = []


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
    try:
        data = json.loads(files.read_text(file))
    except (json.JSONDecodeError, UnicodeDecodeError) as problem:
        raise InputError(f"{file}: is not JSON, or not all of it: {problem}") from None
    except RecursionError:
        raise InputError(f"{file}: is nested too deeply for a result of memtool bench") from None
    except ValueError:  # of Python, for an integer of some thousand digits
        raise InputError(f"{file}: has a number with too many digits") from None
    name = data.get("schema") if isinstance(data, dict) else None
    if name != SCHEMA:
        later = isinstance(name, str) and name.startswith("memtool.run.")
        what = f"is of schema {name}, which needs a later memtool" if later else "is not a result of memtool bench"
        raise InputError(f"{file}: {what}")
    try:
        record = RunRecord.model_validate(data)
    except ValidationError as problems:
        first = problems.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file}: {where}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
    _refuse_impossible(file, record)
    return _from_record(record)


def _refuse_impossible(file: Path, record: RunRecord) -> None:
    """Complain of samples that are not one a block, which nothing could be paired by, and of figures that are none."""
    seen: set[Cell] = set()
    for each in record.cells:
        cell = Cell(each.workload, each.allocator, each.region, each.mode)
        where = f"{file}: {cell.workload}/{cell.allocator}/{cell.region}/{cell.mode}"
        if cell in seen:
            raise InputError(f"{where}: is there twice")
        seen.add(cell)
        for name, metric in each.metrics.items():
            if len(metric.samples) != len(metric.blocks):
                raise InputError(f"{where}: {name}: {len(metric.samples)} samples in {len(metric.blocks)} blocks")
            if len(set(metric.blocks)) != len(metric.blocks):
                raise InputError(f"{where}: {name}: more than one sample in a block")
            if (metric.value is None) != (not metric.samples):
                found = "samples without a value" if metric.samples else "a value without samples"
                raise InputError(f"{where}: {name}: {found}")
            info = METRICS.get(name)
            if info is not None and info.unit == "ns" and not info.by_difference and min(metric.samples, default=0) < 0:
                raise InputError(f"{where}: {name}: a time of {min(metric.samples):g} ns")
            if metric.value is not None and not math.isclose(metric.value, median(metric.samples), rel_tol=_SAME):
                raise InputError(
                    f"{where}: {name}: the value is {metric.value:g}, the median of its samples "
                    f"{median(metric.samples):g}"
                )


def _from_record(record: RunRecord) -> Run:
    infos = dict.fromkeys(TraceInfo.__dataclass_fields__)
    workloads = []
    for each in record.workloads:
        extra = each.model_extra or {}
        known = {name: extra[name] for name in infos if name in extra}
        known |= {name: getattr(each, name) for name in ("name", "seed", "event_hash", "threads", "peak_live_bytes")}
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


# What a file that has only the contract's keys leaves open.
_BARE: dict[str, Any] = {
    "source": "",
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
    "touch": "none",
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
