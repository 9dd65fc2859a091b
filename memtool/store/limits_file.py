"""The JSON of a search for least memory limits, schema memtool.limits.v1: what scripts rely on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from memtool import files
from memtool.errors import InputError
from memtool.model import Cell, Status
from memtool.stats.limits import Events, LeastLimit, LimitRow, Limits
from memtool.store import document, run_file
from memtool.store.descriptions import described

SCHEMA = "memtool.limits.v1"
FILE_NAME = "limits.json"
_Bytes = Annotated[int, Field(ge=0, le=1 << 62)]


class _Record(BaseModel):
    # Later versions of memtool may add keys; what is named here keeps its meaning.
    model_config = ConfigDict(extra="allow", frozen=True, strict=True)


class SeedRecord(_Record):
    """What one seed of a workload gave."""

    seed: int
    event_hash: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    peak_live_bytes: Annotated[_Bytes, Field(description="what no allocator can do without")]


class WorkloadRecord(_Record):
    """What was searched on."""

    name: str
    seeds: Annotated[list[SeedRecord], Field(min_length=1, description="seeds that give other events than one before")]


class LimitRecord(_Record):
    """The least limit of one allocator for the events of one seed."""

    seed: int
    peak_live_bytes: _Bytes
    limit_bytes: Annotated[_Bytes, Field(description="a replay in so much survived; in `step_bytes` less it did not")]


class RowRecord(_Record):
    """What became of the search for one allocator."""

    workload: str
    allocator: str
    region: str
    status: Literal["ok", "failed", "excluded"]
    reason: Annotated[str | None, Field(description="why it has no limits")]
    limits: Annotated[list[LimitRecord], Field(description="where it is ok, one for each seed of the workload")]
    largest_bytes: Annotated[_Bytes | None, Field(description="what every one of the seeds survives")]
    largest_over_peak_live: Annotated[float | None, Field(description="as a multiple of its seed's peak_live_bytes")]


class LimitsRecord(_Record):
    """A whole search."""

    schema_: Literal["memtool.limits.v1"] = Field(alias="schema")
    kind: Literal["limits"]
    memtool: str
    started: str
    command: list[str]
    machine: dict[str, Any]
    step_bytes: Annotated[int, Field(ge=1, description="between one limit that is looked at and the next")]
    workloads: list[WorkloadRecord]
    rows: list[RowRecord]
    notes: list[str]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of limits.json."""
    schema = described(LimitsRecord.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": SCHEMA}


def to_json(limits: Limits) -> dict[str, Any]:
    """Return a search's result as the schema has it: sizes in bytes, a row for each allocator, with those left out."""
    record = LimitsRecord(
        schema="memtool.limits.v1",
        kind="limits",
        memtool=limits.memtool,
        started=limits.started,
        command=list(limits.command),
        machine=dict(limits.machine),
        step_bytes=limits.step_bytes,
        workloads=[
            WorkloadRecord(
                name=events[0].name,
                seeds=[
                    SeedRecord(seed=one.seed, event_hash=one.event_hash, peak_live_bytes=one.peak_live_bytes)
                    for one in events
                ],
            )
            for events in limits.workloads
        ],
        rows=[
            RowRecord(
                workload=row.cell.workload,
                allocator=row.cell.allocator,
                region=row.cell.region,
                status=row.status.value,
                reason=row.reason,
                limits=[LimitRecord(**asdict(limit)) for limit in row.limits],
                largest_bytes=row.largest_bytes,
                largest_over_peak_live=row.largest_over_peak_live,
            )
            for row in limits.rows
        ],
        notes=list(limits.notes),
    )
    return record.model_dump(mode="json", by_alias=True)


def write(directory: Path, limits: Limits) -> Path:
    """Write limits.json into a folder, whole or not at all, and return its path. Raises OSError."""
    return files.write_whole(directory / FILE_NAME, json.dumps(to_json(limits), indent=1, allow_nan=False) + "\n")


def file_of(path: Path) -> Path | None:
    """Return the limits.json that a path names, itself or in a folder without a run; None: it names something else."""
    if not files.is_folder(path):
        return path if path.name == FILE_NAME else None
    has_run = files.is_there(path / run_file.FILE_NAME)
    return path / FILE_NAME if not has_run and files.is_there(path / FILE_NAME) else None


def read(file: Path) -> Limits:
    """Return what a search has stored. Raises InputError with one line."""
    record = document.read(file, LimitsRecord.model_validate, SCHEMA, "a result of memtool bench --find-limit")
    workloads = {
        workload.name: tuple(
            Events(workload.name, one.seed, one.event_hash, one.peak_live_bytes) for one in workload.seeds
        )
        for workload in record.workloads
    }
    rows = tuple(_row(stored) for stored in record.rows)
    for row in rows:
        _refuse_impossible(file, row, workloads)
    if len({row.cell for row in rows}) < len(rows) or len(workloads) < len(record.workloads):
        raise InputError(f"{file}: has a row or a workload twice")
    return Limits(
        memtool=record.memtool,
        workloads=tuple(workloads.values()),
        rows=rows,
        step_bytes=record.step_bytes,
        notes=tuple(record.notes),
        started=record.started,
        command=tuple(record.command),
        machine=record.machine,
    )


def _row(record: RowRecord) -> LimitRow:
    limits = tuple(LeastLimit(limit.seed, limit.peak_live_bytes, limit.limit_bytes) for limit in record.limits)
    return LimitRow(
        Cell(record.workload, record.allocator, record.region), Status(record.status), record.reason, limits
    )


def _refuse_impossible(file: Path, row: LimitRow, workloads: dict[str, tuple[Events, ...]]) -> None:
    """Complain of a row that no search has left."""
    where = f"{file}: {row.cell.workload}/{row.cell.allocator}/{row.cell.region}"
    if row.cell.workload not in workloads:
        raise InputError(f"{where}: workloads: has no '{row.cell.workload}'")
    if row.status is not Status.OK:
        return
    searched = [(one.seed, one.peak_live_bytes) for one in workloads[row.cell.workload]]
    if [(limit.seed, limit.peak_live_bytes) for limit in row.limits] != searched:
        raise InputError(f"{where}: limits: are not of the seeds that the workload has")
    if any(limit.limit_bytes < limit.peak_live_bytes for limit in row.limits):
        raise InputError(f"{where}: limits: one is less than what is alive")
