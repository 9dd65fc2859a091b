"""The trace file: Parquet, with one column for each property of an event (docs/traces.md).

A freed object is identified by its age, the number of allocations since its own: this compresses to a third of the
space that numbers of objects take. The encoding of each column was chosen by measurements on recordings of real
programs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memtool import files
from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    DEALLOCATE,
    OBJECT_SHIFT,
    REALLOCATE,
    SIZE_BITS,
    THREAD_SHIFT,
)
from memtool.errors import InputError, MemtoolError
from memtool.host.symbols import Module
from memtool.units import format_size
from memtool.workload.importers.importer import name_of
from memtool.workload.sources.recorded import Recorded
from memtool.workload.sources.source import Ending, Rows

SCHEMA = "memtool.trace.v1"
METADATA = b"memtool.trace"
_READ_EVENTS = 1 << 18
_LARGEST_GROUP = 1 << 30
"""Uncompressed bytes of a row group, which is held in memory. memtool's own row groups take a twentieth of it."""
WRITE = 13
KINDS = {
    DEALLOCATE: "free",
    ALLOCATE: "allocate",
    ALLOCATE_ZEROED: "allocate zeroed",
    REALLOCATE: "reallocate",
    4: "scope begins",
    5: "scope ends",
    6: "scope has ended",
    7: "mark",
    WRITE: "write",
    16: "thread starts",
    17: "thread is joined",
}
"""Meanings of the numbers in the column ``kind``, as in a canonical event (engine/events/events.hpp)."""
_COLUMNS = {"kind": "uint8", "thread": "uint16", "size": "uint64", "age": "uint64", "alignment": "uint64"}
"""The columns that every trace has, and their types."""
NOT_COUNTED = 2**64 - 1
_PRIVATE = ("host", "command", "arguments", "begun", "process", "forked_from", "modules")
Words = NDArray[np.uint64]


def require() -> Any:  # noqa: ANN401  # pyarrow has no types
    """Return pyarrow with its Parquet modules. Raises MemtoolError, with instructions, where pyarrow is missing."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise MemtoolError(
            "trace files need pyarrow, which is not installed: pip install 'memtool-bench[traces]'"
        ) from None
    return pa


def anonymous(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without the machine, its folders, and the program's arguments."""
    program = metadata.get("program")
    return {
        **{key: value for key, value in metadata.items() if key not in _PRIVATE},
        "program": None if program is None else Path(program).name,
    }


def opened(path: Path) -> Any:  # noqa: ANN401
    """Open a file of which a row group at a time is in memory."""
    with files.name_in_utf8(path) as name:
        return require().parquet.ParquetFile(name, pre_buffer=False)


def _head(path: Path) -> Any:  # noqa: ANN401
    with files.name_in_utf8(path) as name:
        return require().parquet.read_metadata(name)


def names_object(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which events refer to an existing object, and not to a new one, whose age is 1."""
    is_named: NDArray[np.bool_] = (kinds <= REALLOCATE) | (kinds == WRITE)
    return is_named


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFile(Recorded):
    """A trace file as a source of events."""

    paths: tuple[Path, ...]
    """The file, or the parts of a file that was never completed."""

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield the content of the file. Raises InputError where it cannot be read or is inconsistent."""
        born = 0
        frames: dict[int, list[int]] = {}
        for path in self.paths:
            with _refusing(path), opened(path) as file:
                for batch in file.iter_batches(_READ_EVENTS):
                    rows, born = _rows(path, batch, born)
                    if rows.stacks is not None:
                        frames |= _frames(batch, rows.stacks)
                    yield replace(rows, frames=frames)


def _rows(path: Path, batch: Any, born: int) -> tuple[Rows, int]:  # noqa: ANN401
    """Return the events in a batch of columns, and the number of objects so far."""
    names = batch.schema.names
    if any(batch.column(name).null_count for name in _COLUMNS):
        raise InputError(f"{path}: is damaged: an event without one of {', '.join(_COLUMNS)}")
    kinds, threads, sizes, ages, alignments = (
        batch.column(name).to_numpy(zero_copy_only=False).astype(np.uint64) for name in _COLUMNS
    )
    if (threads >> np.uint64(16)).any():
        raise InputError(f"{path}: is damaged: more than 65,536 threads")
    is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
    births = np.uint64(born) + np.cumsum(is_birth, dtype=np.uint64)
    is_named = names_object(kinds.astype(np.uint8))
    if (ages[is_named] - np.uint64(1) >= births[is_named]).any() or (ages[is_birth] != 1).any():
        raise InputError(f"{path}: is damaged: an object has an impossible age")
    if (sizes >> np.uint64(SIZE_BITS)).any() or not np.isin(kinds, list(KINDS)).all():
        raise InputError(f"{path}: is damaged: a size of 2^58 bytes or more, or an unknown kind of event")
    objects = np.where(is_named, births - ages, ages)
    _, exponents = np.frexp(alignments.astype(np.float64))
    logs = np.maximum(exponents - 1, 0).astype(np.uint64)
    words = np.empty((len(kinds), 2), dtype="<u8")
    words[:, 0] = kinds | threads << np.uint64(THREAD_SHIFT) | objects << np.uint64(OBJECT_SHIFT)
    words[:, 1] = sizes | logs << np.uint64(SIZE_BITS)

    def optional(name: str, kind: type) -> NDArray[Any] | None:
        if name not in names:
            return None
        column = batch.column(name)
        filled: NDArray[Any] = (column.fill_null(NOT_COUNTED) if column.null_count else column).to_numpy()
        return filled.astype(kind)

    rows = Rows(
        words.data.cast("B"),
        optional("time", np.int64),
        optional("caller", np.uint64),
        optional("resident", np.uint64),
        optional("stack", np.uint64),
    )
    return rows, born + int(is_birth.sum())


def _frames(batch: Any, stacks: NDArray[np.uint64]) -> dict[int, list[int]]:  # noqa: ANN401
    """Return the call stacks that appear first in this batch of columns."""
    if "frames" not in batch.schema.names:
        return {}
    column = batch.column("frames")
    places = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    return {
        int(stacks[place]): [int(address) for address in frames]
        for place, frames in zip(places.tolist(), column.drop_null().to_pylist(), strict=True)
    }


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn pyarrow's errors about a file into an InputError."""
    try:
        yield
    except (require().ArrowException, OSError, KeyError, ValueError, OverflowError) as problem:
        first = str(problem).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as a trace file: {first}") from None


def _refuse_foreign(path: Path, head: Any) -> None:  # noqa: ANN401
    """Raise InputError for columns that no trace has, or for row groups that would not fit into memory."""
    types = require().types
    schema = head.schema.to_arrow_schema()
    for name in _COLUMNS:
        if name not in schema.names:
            raise InputError(f"{path}: is not a trace file: it has no column {name}")
        if not types.is_integer(schema.field(name).type):
            raise InputError(f"{path}: is not a trace file: its column {name} does not hold whole numbers")
    largest = max((head.row_group(index).total_byte_size for index in range(head.num_row_groups)), default=0)
    if largest > _LARGEST_GROUP:
        raise InputError(
            f"{path}: has a row group of {format_size(largest)}, and {format_size(_LARGEST_GROUP)} is the most"
        )


def load(path: Path) -> TraceFile:
    """Return the trace in a file, or in the folder of parts of an incomplete one. Raises InputError."""
    paths = tuple(sorted(path.glob("*.parquet"))) if path.is_dir() else (path,)
    with _refusing(path):
        heads = [_head(part) for part in paths]
    for head in heads:
        _refuse_foreign(path, head)
    if any(head.schema.names != heads[0].schema.names for head in heads):
        raise InputError(
            f"{path}: is not a trace: its files have different columns, so they are not parts of one trace"
        )
    complete = sum(METADATA in (head.metadata or {}) for head in heads)
    if complete > 1:
        raise InputError(f"{path}: is a folder of {complete} traces, not of one trace's parts: name one of them")
    try:
        metadata = json.loads((heads[-1].metadata or {}).get(METADATA, b"{}"))
        return TraceFile(
            name=metadata.get("name") or name_of(path, "trace"),
            threads=int(metadata.get("threads", 1)),
            has_threads=int(metadata.get("threads", 2)) > 1,
            marks=tuple(metadata.get("marks", ())),
            notes=() if metadata else ("the recording was cut short: what is there is what it had written",),
            modules=tuple(Module(*module) for module in metadata.get("modules", ())),
            paths=paths,
            metadata=metadata,
            expected_events=sum(head.num_rows for head in heads),
        )
    except (ValueError, TypeError, AttributeError):
        raise InputError(f"{path}: is damaged: its metadata says nothing that can be read") from None
