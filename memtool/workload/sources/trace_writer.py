"""Writes trace files, in parts that remain if what writes them is killed."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from memtool import files
from memtool.engine.generate.binding import (
    ALLOCATE,
    ALLOCATE_ZEROED,
    OBJECT_SHIFT,
    SIZE_BITS,
    THREAD_SHIFT,
)
from memtool.workload.sources.recorded import words_of
from memtool.workload.sources.source import Rows
from memtool.workload.sources.stacks import FirstUses, Frames
from memtool.workload.sources.trace_file import (
    KINDS,
    METADATA,
    NOT_COUNTED,
    SCHEMA,
    Words,
    names_object,
    opened,
    require,
)

_SHARE_OF_ROOM = 4
"""A part is completed before it has this share (1 in ...) of what is free on its disk."""
_WHOLE = "whole"
_GROUP_EVENTS = 1 << 20
_LEVEL = 3
_OF_FEW_VALUES = ("kind", "thread", "alignment")
"""Columns that a dictionary makes smaller where their values follow no pattern that returns; tried at the beginning."""
_TRIED_EVENTS = 1 << 16


class TraceWriter:
    """Writes a trace file in row groups as events arrive; memory for one row group.

    The file appears once it is complete. With ``part_seconds``, events so far are written at this interval to files in
    a folder next to it (``app.parquet.parts``), and more often where the disk may fill before. If this process is
    killed, the folder can be read as a trace, too.
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
        self.is_whole = False
        """Whether the file, or else its parts together, have all events and the metadata."""
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
            if is_due or self._may_fill_the_disk():
                self._end_part()

    def _columns(self, words: Words) -> dict[str, NDArray[Any]]:
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
            "age": np.where(names_object(kinds), births - objects, objects),
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
                columns.append(self._pa.array(whole, mask=whole == NOT_COUNTED if name == "resident" else None))
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
            self._writer = self._open(self._part_of(self._number), batch)

    def _part_of(self, number: int) -> Path:
        return self._parts / f"{number:06}.parquet"

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
        first_rows = batch.select([name]).slice(0, _TRIED_EVENTS)
        sizes = []
        for repeated in ([], [name]):
            buffer = io.BytesIO()
            with self._writer_of(buffer, first_rows.schema, repeated) as writer:
                writer.write_batch(first_rows)
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

    def _may_fill_the_disk(self) -> bool:
        if self._part_seconds is None:
            return False
        return self._part_of(self._number).stat().st_size > shutil.disk_usage(self._parts).free // _SHARE_OF_ROOM

    def _end_part(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            self._complete = self._number
        self._part_begun = time.monotonic()

    def close(self, metadata: Mapping[str, Any]) -> None:
        """Complete the file; ``metadata``, in JSON, has the entries that docs/traces.md lists. Raises OSError."""
        self._write_group()
        self._settle_schema()
        self._begin_part()  # where the last one has just ended, an empty one has the metadata
        written = {"schema": SCHEMA, "kinds": {str(kind): name for kind, name in KINDS.items()}, **metadata}
        encoded = {METADATA: json.dumps(written).encode()}
        self._writer.add_key_value_metadata(encoded)
        self._end_part()
        self.is_whole = True
        if self._number == 1:
            self._part_of(1).replace(self._path)
        else:
            self._join(encoded)
        self.abandon()

    def _join(self, encoded: Mapping[bytes, bytes]) -> None:
        """Combine the parts into one file."""
        whole = self._parts / _WHOLE
        writer: Any = None
        for part in sorted(self._parts.glob("*.parquet")):
            for batch in opened(part).iter_batches(_GROUP_EVENTS):
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
