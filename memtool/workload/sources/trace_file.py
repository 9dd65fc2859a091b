"""The trace file: Parquet, with one column for each property of an event (docs/traces.md).

A freed object is identified by its age, the number of allocations since its own: this compresses to a third of the
space that numbers of objects take. The encoding of each column was chosen by measurements on recordings of real
programs.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

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
from memtool.workload.sources.recorded import Recorded, words_of
from memtool.workload.sources.source import Ending, Rows
from memtool.workload.sources.stacks import FirstUses, Frames

SCHEMA = "memtool.trace.v1"
_METADATA = b"memtool.trace"
_WHOLE = "whole"
_GROUP_EVENTS = 1 << 20
_READ_EVENTS = 1 << 18
_LARGEST_GROUP = 1 << 30
"""Uncompressed bytes of a row group, which is held in memory. memtool's own row groups take a twentieth of it."""
_LEVEL = 3
_OF_FEW_VALUES = ("kind", "thread", "alignment")
"""Columns that a dictionary makes smaller where their values follow no pattern that returns; tried at the beginning."""
_TRIED_EVENTS = 1 << 16
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
_NOT_COUNTED = 2**64 - 1
_PRIVATE = ("host", "command", "arguments", "begun", "process", "forked_from", "modules")
_Words = NDArray[np.uint64]


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


class TraceWriter:
    """Writes a trace file in row groups as events arrive; memory for one row group.

    The file appears once it is complete. With ``part_seconds``, events so far are written at this interval to files in
    a folder next to it (``app.parquet.parts``). If this process is killed, the folder can be read as a trace, too.
    """

    def __init__(self, path: Path, *, part_seconds: float | None = None) -> None:
        """Begin a file with the columns that its first row group has. Raises InputError, MemtoolError, OSError."""
        self._pa = require()
        files.refuse_other_than_file(path)
        self._schema: Any = None
        self._path = path
        self._parts = path.with_name(f"{path.name}.parts")
        self._part_seconds = part_seconds
        self._part_begun = time.monotonic()
        self._number = 0
        self._complete = 0
        self._born = 0
        self._held: list[dict[str, NDArray[Any]]] = []
        self._frames: Frames = {}
        self._first_uses = FirstUses()
        self._held_events = 0
        self.events = 0
        self._over = False
        self._writer: Any = None
        self._parts.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def append(self, rows: Rows) -> None:
        """Add the next events, up to the epilogue of a workload. Raises OSError."""
        words, epilogue = words_of(rows.events)
        count = 0 if self._over else len(words) if epilogue is None else epilogue
        self._over = self._over or epilogue is not None
        known = {
            "time": rows.nanoseconds,
            "caller": rows.callers,
            "stack": rows.stacks,
            "resident": rows.resident,
        }
        self._frames = rows.frames or self._frames
        columns = {name: np.array(column[:count]) for name, column in known.items() if column is not None}
        self._held.append({**self._columns(words[:count]), **columns})
        self._held_events += count
        self.events += count
        is_due = self._part_seconds is not None and time.monotonic() - self._part_begun >= self._part_seconds
        if self._held_events >= _GROUP_EVENTS or is_due:
            self._write_group()
        if is_due:
            self._end_part()

    def _columns(self, words: _Words) -> dict[str, NDArray[Any]]:
        kinds = (words[:, 0] & np.uint64(0xFF)).astype(np.uint8)
        is_birth = (kinds == ALLOCATE) | (kinds == ALLOCATE_ZEROED)
        births = np.uint64(self._born) + np.cumsum(is_birth, dtype=np.uint64)
        self._born += int(is_birth.sum())
        objects = words[:, 0] >> np.uint64(OBJECT_SHIFT)
        logs = words[:, 1] >> np.uint64(SIZE_BITS)
        return {
            "kind": kinds,
            "thread": (words[:, 0] >> np.uint64(THREAD_SHIFT)).astype(np.uint16),
            "size": words[:, 1] & np.uint64((1 << SIZE_BITS) - 1),
            "age": np.where(_names_object(kinds), births - objects, objects),
            "alignment": np.where(is_birth | (logs > 0), np.uint64(1) << logs, np.uint64(0)),
        }

    def _write_group(self) -> None:
        if not self._held_events:
            return
        self._settle_schema()
        held, self._held, self._held_events = self._held, [], 0
        columns = []
        for name in self._schema.names:
            whole = np.concatenate([portion["stack" if name == "frames" else name] for portion in held])
            if name == "frames":
                column = self._first_uses.frames(whole, self._frames)
                columns.append(self._pa.array(column, self._schema.field(name).type))
            else:
                columns.append(self._pa.array(whole, mask=whole == _NOT_COUNTED if name == "resident" else None))
        batch = self._pa.record_batch(columns, schema=self._schema)
        self._begin_part(batch)
        self._writer.write_batch(batch, row_group_size=len(batch))

    def _settle_schema(self) -> None:
        if self._schema is None:
            own = {"frames": self._pa.list_(self._pa.uint64())}
            self._schema = self._pa.schema(
                [(name, own[name] if name in own else getattr(self._pa, kind)()) for name, kind in self._types()]
            )

    def _begin_part(self, batch: Any = None) -> None:  # noqa: ANN401
        if self._writer is None:
            self._number += 1
            self._writer = self._open(self._parts / f"{self._number:06}.parquet", batch)

    def _types(self) -> Iterator[tuple[str, str]]:
        """Yield the columns; times and call sites only if some of them are known by now."""
        yield from (
            ("kind", "uint8"),
            ("thread", "uint16"),
            ("size", "uint64"),
            ("age", "uint64"),
            ("alignment", "uint64"),
        )
        first = self._held[0]
        for name, kind in (("time", "int64"), ("caller", "uint64")):
            if name in first and any(portion[name].any() for portion in self._held):
                yield name, kind
        if "stack" in first:
            yield from (("stack", "uint64"), ("frames", "list"))
        if "resident" in first:  # the first block that is large enough to be counted may be freed much later
            yield "resident", "uint64"

    def _open(self, path: Path, batch: Any) -> Any:  # noqa: ANN401
        """Open a file, of which this is the first row group; None: it has none."""
        repeated = [name for name in ("caller", "stack") if name in self._schema.names]
        if batch is not None:
            repeated += [name for name in _OF_FEW_VALUES if self._is_smaller_with_dictionary(batch, name)]
        with files.name_in_utf8(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as name:
            return self._writer_of(name, self._schema, repeated)

    def _is_smaller_with_dictionary(self, batch: Any, name: str) -> bool:  # noqa: ANN401
        tried = batch.select([name]).slice(0, _TRIED_EVENTS)
        sizes = []
        for repeated in ([], [name]):
            buffer = io.BytesIO()
            with self._writer_of(buffer, tried.schema, repeated) as writer:
                writer.write_batch(tried)
            sizes.append(buffer.tell())
        return sizes[1] < sizes[0]

    def _writer_of(self, to: Path | io.BytesIO, schema: Any, repeated: list[str]) -> Any:  # noqa: ANN401
        split = [name for name in schema.names if name not in ("time", "frames", *repeated)]
        encodings = dict.fromkeys(split, "BYTE_STREAM_SPLIT") | {"time": "DELTA_BINARY_PACKED"}
        return self._pa.parquet.ParquetWriter(
            to,
            schema,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=repeated or False,
            column_encoding={name: encodings[name] for name in schema.names if name in encodings},
            write_statistics=False,
        )

    def _end_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._complete = self._number
        self._part_begun = time.monotonic()

    def close(self, metadata: Mapping[str, Any]) -> None:
        """Complete the file; ``metadata``, in JSON, has the entries that docs/traces.md lists. Raises OSError."""
        self._write_group()
        if self._number == 0:
            self._settle_schema()
            self._begin_part()
        written = {"schema": SCHEMA, "kinds": {str(kind): name for kind, name in KINDS.items()}, **metadata}
        encoded = {_METADATA: json.dumps(written).encode()}
        if self._writer is not None and self._number == 1:
            self._writer.add_key_value_metadata(encoded)
            self._end_part()
            (self._parts / "000001.parquet").replace(self._path)
        else:
            self._end_part()
            self._join(encoded)
        self.abandon()

    def _join(self, encoded: Mapping[bytes, bytes]) -> None:
        """Combine the parts into one file."""
        whole = self._parts / _WHOLE
        writer: Any = None
        for part in sorted(self._parts.glob("*.parquet")):
            for batch in _opened(part).iter_batches(_GROUP_EVENTS):
                writer = writer or self._open(whole, batch)
                writer.write_batch(batch, row_group_size=len(batch))
        writer.add_key_value_metadata(encoded)
        writer.close()
        whole.replace(self._path)

    def abandon(self) -> None:
        """Remove everything except a complete file."""
        self._drop_writer()
        shutil.rmtree(self._parts, ignore_errors=True)

    def leave_parts(self) -> Path | None:
        """Give up a file that cannot be completed. Return the folder of its complete parts; None: there are none."""
        self._drop_writer()
        if not self._complete:
            self.abandon()
            return None
        for path in self._parts.iterdir():
            if path.name == _WHOLE or int(path.stem) > self._complete:
                path.unlink()
        return self._parts

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # a full disk may be the reason
                self._writer.close()
            self._writer = None


def _opened(path: Path) -> Any:  # noqa: ANN401
    """Open a file of which a row group at a time is in memory."""
    with files.name_in_utf8(path) as name:
        return require().parquet.ParquetFile(name, pre_buffer=False)


def _head(path: Path) -> Any:  # noqa: ANN401
    with files.name_in_utf8(path) as name:
        return require().parquet.read_metadata(name)


def _names_object(kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which events refer to an existing object, and not to a new one, whose age is 1."""
    is_named: NDArray[np.bool_] = (kinds <= REALLOCATE) | (kinds == WRITE)
    return is_named


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFile(Recorded):
    """A trace file as a source of events."""

    paths: tuple[Path, ...]
    """The file, or the parts of a file that was never completed."""
    metadata: Mapping[str, Any]

    def portions(self, ending: Ending) -> Iterator[Rows]:
        """Yield the content of the file. Raises InputError where it cannot be read or is inconsistent."""
        born = 0
        frames: dict[int, list[int]] = {}
        for path in self.paths:
            with _refusing(path), _opened(path) as file:
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
    is_named = _names_object(kinds.astype(np.uint8))
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
        filled: NDArray[Any] = (column.fill_null(_NOT_COUNTED) if column.null_count else column).to_numpy()
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
    try:
        metadata = json.loads((heads[-1].metadata or {}).get(_METADATA, b"{}"))
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
