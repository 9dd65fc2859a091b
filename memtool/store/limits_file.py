"""limits.json, schema memtool.limits.v1: the result of a search for the least memory limits, for scripts to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from memtool import files
from memtool.errors import InputError
from memtool.model import Status
from memtool.stats.limits import LimitRow, Limits
from memtool.store import document, run_file
from memtool.store.descriptions import described

SCHEMA = "memtool.limits.v1"
FILE_NAME = "limits.json"
_STORED = document.form(Limits)
_CELL = ("workload", "allocator", "region")
"""Fields of a cell that stand at the level of its limits; there is no mode, because a search replays on one thread."""
_COMPUTED: dict[str, dict[str, Any]] = {
    "largest_bytes": {
        "anyOf": [{"minimum": 0, "type": "integer"}, {"type": "null"}],
        "description": "least memory limit that is sufficient for every seed, bytes",
    },
    "largest_over_peak_live": {
        "anyOf": [{"type": "number"}, {"type": "null"}],
        "description": "`largest_bytes` as a multiple of the peak_live_bytes of its seed",
    },
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of limits.json: that of the records, adapted where the file differs."""
    schema = document.json_schema(Limits, "serialization")
    row, cell = schema["$defs"]["LimitRow"], schema["$defs"].pop("Cell")
    del row["properties"]["cell"]
    row["properties"] = {name: cell["properties"][name] for name in _CELL} | row["properties"] | _COMPUTED
    row["required"] = list(row["properties"])
    schema["properties"] = {"schema": {"const": SCHEMA}, "kind": {"const": "limits"}, **schema["properties"]}
    schema["required"] = list(schema["properties"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described(schema), "title": SCHEMA}


def to_json(limits: Limits) -> dict[str, Any]:
    """Return a search's result in the form of the schema: sizes in bytes, a row per allocator, even if left out."""
    content = _STORED.dump_python(limits, mode="json")
    content["rows"] = [
        {name: stored["cell"][name] for name in _CELL}
        | {name: part for name, part in stored.items() if name != "cell"}
        | {name: getattr(row, name) for name in _COMPUTED}
        for stored, row in zip(content["rows"], limits.rows, strict=True)
    ]
    return {"schema": SCHEMA, "kind": "limits", **content}


def _from_json(content: dict[str, Any]) -> Limits:
    """Return the search that a file's content describes. Raises ValidationError."""
    rows = content.get("rows")
    nested = [_with_cell(row) for row in rows] if isinstance(rows, list) else rows
    return _STORED.validate_json(json.dumps({**content, "rows": nested}))


def _with_cell(row: object) -> object:
    return {**row, "cell": {name: row[name] for name in _CELL if name in row}} if isinstance(row, dict) else row


def write(directory: Path, limits: Limits) -> Path:
    """Write limits.json into a folder atomically and return its path. Raises OSError."""
    return files.write_whole(directory / FILE_NAME, json.dumps(to_json(limits), indent=1, allow_nan=False) + "\n")


def file_of(path: Path) -> Path | None:
    """Return the limits.json at a path, or in a folder that holds no run; None where the path names neither."""
    if not files.is_folder(path):
        return path if path.name == FILE_NAME else None
    has_run = files.is_there(path / run_file.FILE_NAME)
    return path / FILE_NAME if not has_run and files.is_there(path / FILE_NAME) else None


def read(file: Path) -> Limits:
    """Return a stored search. Raises InputError with one line."""
    limits = document.read(file, _from_json, SCHEMA, "a result of memtool bench --find-limit", {"cell": ""})
    peaks = {
        searched.name: [(events.seed, events.peak_live_bytes) for events in searched.seeds]
        for searched in limits.workloads
    }
    for row in limits.rows:
        _refuse_impossible(file, row, peaks)
    if len({row.cell for row in limits.rows}) < len(limits.rows) or len(peaks) < len(limits.workloads):
        raise InputError(f"{file}: has a row or a workload twice")
    return limits


def _refuse_impossible(file: Path, row: LimitRow, peaks: dict[str, list[tuple[int, int]]]) -> None:
    """Raise for a row that no search can have produced; ``peaks`` holds (seed, peak live bytes) of each workload."""
    where = f"{file}: {row.cell.workload}/{row.cell.allocator}/{row.cell.region}"
    if row.cell.workload not in peaks:
        raise InputError(f"{where}: workloads: has no '{row.cell.workload}'")
    if row.status is not Status.OK:
        return
    if [(limit.seed, limit.peak_live_bytes) for limit in row.limits] != peaks[row.cell.workload]:
        raise InputError(f"{where}: limits: are not of the seeds that the workload has")
    if any(limit.limit_bytes < limit.peak_live_bytes for limit in row.limits):
        raise InputError(f"{where}: limits: one is less than what is alive")
