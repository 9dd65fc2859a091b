"""run.json, schema memtool.run.v1, on which scripts rely."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from statistics import median
from typing import Any

from memtool import __version__, files
from memtool.errors import InputError
from memtool.kinds import KINDS
from memtool.measure.metrics import METRICS
from memtool.model import HARNESS, Cell, Determinism, Metric, Run, Status
from memtool.stats.summary import LEAST_SAMPLES
from memtool.store import document
from memtool.store.descriptions import described
from memtool.store.proof_form import why_no_proof, why_no_trace

SCHEMA = "memtool.run.v1"
FILE_NAME = "run.json"
_SAME = 1e-9
"""Tolerated relative difference of a value that another program computed from the same samples."""


_STORED = document.form(Run)
_CELL = tuple(part.name for part in fields(Cell))
"""Fields of a cell that stand at the level of its figures, not in a mapping of their own."""
_FAULT = {
    "anyOf": [{"enum": ["allocator", HARNESS], "type": "string"}, {"type": "null"}],
    "default": None,
    "description": "who caused the failure of the cell; harness: memtool itself or the machine",
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of run.json: that of the records, adapted where the file differs."""
    schema = document.json_schema(Run)
    records = schema["$defs"]
    cell, info = records["CellResult"], records["TraceInfo"]
    cell["properties"] = {**records.pop("Cell")["properties"], **cell["properties"], "fault": _FAULT}
    del cell["properties"]["cell"]
    cell["required"] = [*_CELL, *(name for name in cell["required"] if name != "cell")]
    info["properties"]["events"] = info["properties"]["operations"]
    info["required"] = ["events" if name == "operations" else name for name in info["required"]]
    schema["properties"] = {"schema": {"const": SCHEMA}, **schema["properties"]}
    schema["required"] = ["schema", *schema["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described(schema), "title": SCHEMA}


def to_json(run: Run) -> dict[str, Any]:
    """Return a run in the form of the schema. A figure that is not a number is written as null."""
    content = _STORED.dump_python(run, mode="json")
    for info in content["workloads"]:
        info["events"] = info["operations"]
    content["cells"] = [
        {**cell.pop("cell"), **cell, "fault": result.fault, "metrics": _finite(cell["metrics"])}
        for cell, result in zip(content["cells"], run.cells, strict=True)
    ]
    return {"schema": SCHEMA, **content}


def _finite(metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for metric in metrics.values():
        if not metric["hosts"]:
            del metric["hosts"]
        for name in ("value", "low", "high"):
            if metric[name] is not None and not math.isfinite(metric[name]):
                metric[name] = None
    return metrics


def _from_json(content: dict[str, Any]) -> tuple[Run, list[str | None]]:
    """Return the run that a file's content describes, and the fault it states for each cell. Raises ValidationError."""
    workloads, cells = content.get("workloads"), content.get("cells")
    nested = {
        "workloads": [_renamed(info) for info in workloads] if isinstance(workloads, list) else workloads,
        "cells": [_with_cell(cell) for cell in cells] if isinstance(cells, list) else cells,
    }
    run = _STORED.validate_json(json.dumps({**content, **{name: part for name, part in nested.items() if part}}))
    return run, [cell.get("fault") for cell in content["cells"]]


def _renamed(info: object) -> object:
    return {**info, "operations": info.get("events")} if isinstance(info, dict) else info


def _with_cell(cell: object) -> object:
    if not isinstance(cell, dict):
        return cell
    return {**cell, "cell": {name: cell[name] for name in _CELL if name in cell}}


def write(directory: Path, run: Run) -> Path:
    """Write run.json into a folder atomically and return its path."""
    return write_file(directory / FILE_NAME, run)


def write_file(path: Path, run: Run) -> Path:
    """Write a run to a file of any name atomically and return its path."""
    return files.write_whole(path, json.dumps(to_json(run), indent=1, allow_nan=False) + "\n")


def read(path: Path) -> Run:
    """Return the run in a file, or in the run.json of a folder. Raises InputError with one line."""
    file = path / FILE_NAME if files.is_folder(path) else path
    run, faults = document.read(
        file, _from_json, SCHEMA, "a result of memtool bench", {"cell": "", "operations": "events"}
    )
    _refuse_impossible(file, run, faults)
    return run


def read_all(folder: Path, field: str | None = "history") -> list[tuple[str, Run]]:
    """Return every run under a folder with its file. Raises InputError where there is none or one is damaged."""
    places = [*folder.glob(f"*/{FILE_NAME}"), *folder.glob("*.json"), *folder.glob(FILE_NAME)]
    if not places:
        raise InputError(f"{folder}: no run in it", field=field)
    return [(str(file), read(file)) for file in dict.fromkeys(places)]


def _refuse_impossible(file: Path, run: Run, faults: Sequence[str | None]) -> None:
    """Raise for a run that memtool cannot have written: no part of it can be trusted, least of all by a gate."""
    workloads = [info.name for info in run.workloads]
    twice = next((name for name in workloads if workloads.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{file}: workloads: '{twice}' is there twice")
    for info in run.workloads:
        if info.kind not in KINDS:
            raise InputError(f"{file}: {info.name}: kind: memtool {__version__} knows no '{info.kind}'")
        if (why := why_no_trace(info)) is not None:
            raise InputError(f"{file}: {info.name}: {why}")
    seen: set[Cell] = set()
    for result, fault in zip(run.cells, faults, strict=True):
        cell = result.cell
        where = f"{file}: {'/'.join(asdict(cell).values())}"
        if (why := why_no_proof(result.proof)) is not None:
            raise InputError(f"{where}: proof: {why}")
        if cell in seen:
            raise InputError(f"{where}: is there twice")
        seen.add(cell)
        if cell.workload not in workloads:
            raise InputError(f"{where}: workloads: has no '{cell.workload}', so nothing says what was replayed")
        if result.status is Status.EXCLUDED and result.metrics:
            raise InputError(f"{where}: was left out, and has figures")
        if fault not in (None, result.fault):
            raise InputError(f"{where}: fault: says {fault}, and status and proof do not")
        for name, metric in result.metrics.items():
            if (why := _why_impossible(name, metric)) is not None:
                raise InputError(f"{where}: {name}: {why}")


def _why_impossible(name: str, metric: Metric) -> str | None:
    """Return why a metric's figures contradict each other or the metric's definition; None: they do not."""
    samples, value = metric.samples, metric.value
    if len(samples) != len(metric.blocks):
        return f"{len(samples)} samples in {len(metric.blocks)} blocks"
    if metric.hosts and len(metric.hosts) != len(samples):
        return f"{len(samples)} samples on {len(metric.hosts)} hosts"
    if len(set(metric.blocks)) != len(metric.blocks):
        return "more than one sample in a block"
    if (value is None) != (not samples):
        return "samples without a value" if samples else "a value without samples"
    if metric.determinism is Determinism.EXACT and len(set(samples)) > 1:
        return f"is exact, and its samples differ: {min(samples):g} and {max(samples):g}"
    if value is not None and not math.isclose(value, median(samples), rel_tol=_SAME):
        return f"the value is {value:g}, the median of its samples {median(samples):g}"
    return _why_no_interval(metric) or _why_not_of_its_kind(name, metric)


def _why_no_interval(metric: Metric) -> str | None:
    low, high, value = metric.low, metric.high, metric.value
    if low is None and high is None:
        return None
    if low is None or high is None or value is None or len(metric.samples) < LEAST_SAMPLES:
        return f"an interval of {len(metric.samples)} samples; it takes {LEAST_SAMPLES}"
    if not low <= value <= high:
        return f"the value is {value:g}, and its interval from {low:g} to {high:g}"
    return None


def _why_not_of_its_kind(name: str, metric: Metric) -> str | None:
    """Return why a metric of this name cannot have such a figure; None for names that only later versions know."""
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
