"""The trace file: what is written comes back, in bounded portions, and damage is said in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from memtool.errors import InputError, MemtoolError
from memtool.model import Mode
from memtool.workload.sources import trace_file, trace_writer
from memtool.workload.sources.generated import generated
from memtool.workload.sources.source import Ending, Rows
from memtool.workload.sources.trace_file import TraceFile
from memtool.workload.sources.trace_writer import TraceWriter
from memtool.workload.trace import load_trace, make_trace, open_source
from tests.events import ALLOCATE, DEALLOCATE, Event, encode, in_words, workload_of

pa: Any = pytest.importorskip("pyarrow")
pq: Any = pytest.importorskip("pyarrow.parquet")
EVENTS = ((1, 0, 100, 4), (1, 1, 64, 6), (3, 0, 200, 0), (2, 2, 0, 4), (0, 1, 0, 0), (0, 2, 0, 0))
"""Kind, object, size, log2 of the alignment."""


def allocate(thing: int, size: int) -> Event:
    return ALLOCATE, thing, size, 4


def free(thing: int) -> Event:
    return DEALLOCATE, thing, 0, 0


def written(path: Path, *events: tuple[int, int, int, int], **metadata: object) -> Path:
    with TraceWriter(path) as writer:
        writer.append(Rows(encode(*events)))
        writer.close(metadata)
    return path


def read(path: Path) -> bytes:
    return b"".join(bytes(portion) for portion in trace_file.load(path).events(Ending()))


def test_the_columns_of_a_trace(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "a.parquet") as writer:
        never = 2**64 - 1
        resident = np.array([never, never, never, never, 4096, never], np.uint64)
        times, callers = np.arange(6, dtype=np.int64) * 10, np.full(6, 2**63, np.uint64)
        writer.append(Rows(encode(*EVENTS), times, callers, resident))
        writer.close({"source": "by hand", "threads": 1})
    table = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert table == {
        "kind": [1, 1, 3, 2, 0, 0],
        "thread": [0] * 6,
        "size": [100, 64, 200, 0, 0, 0],
        "age": [1, 1, 2, 1, 2, 1],
        "alignment": [16, 64, 0, 16, 0, 0],
        "time": [0, 10, 20, 30, 40, 50],
        "caller": [2**63] * 6,
        "resident": [None, None, None, None, 4096, None],
    }
    metadata = json.loads(pq.read_metadata(tmp_path / "a.parquet").metadata[b"memtool.trace"])
    assert (metadata["schema"], metadata["source"], metadata["threads"]) == ("memtool.trace.v1", "by hand", 1)
    assert metadata["kinds"]["3"] == "reallocate"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.parquet"]


def test_a_call_stack_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_writer, "_GROUP_EVENTS", 4)
    monkeypatch.setattr(trace_file, "_READ_EVENTS", 2)
    frames = {7: (0x10, 0x20), 9: (0x10, 0x30, 0x40)}
    stacks = np.array([7, 7, 9, 11, 0, 0], np.uint64)  # nobody knows what 11 stands for
    with TraceWriter(tmp_path / "a.parquet") as writer:
        writer.append(Rows(encode(*EVENTS[:3]), stacks=stacks[:3], frames=frames))
        writer.append(Rows(encode(*EVENTS[3:]), stacks=stacks[3:], frames=frames))
        writer.append(Rows(encode(allocate(3, 8)), stacks=np.array([9], np.uint64), frames=frames))
        writer.close({})
    table = pq.read_table(tmp_path / "a.parquet").to_pydict()
    assert table["stack"] == [7, 7, 9, 11, 0, 0, 9]
    assert table["frames"] == [[0x10, 0x20], None, [0x10, 0x30, 0x40], None, None, None, None]
    portions = list(trace_file.load(tmp_path / "a.parquet").portions(Ending()))
    assert [int(stack) for rows in portions if rows.stacks is not None for stack in rows.stacks] == table["stack"]
    assert portions[-1].frames == {7: [0x10, 0x20], 9: [0x10, 0x30, 0x40]}


def test_a_column_in_which_nothing_is_known_is_left_out(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "a.parquet") as writer:
        writer.append(Rows(encode(*EVENTS), np.zeros(6, np.int64), np.zeros(6, np.uint64), None))
        writer.close({})
    assert pq.read_schema(tmp_path / "a.parquet").names == ["kind", "thread", "size", "age", "alignment"]


def test_what_was_resident_is_kept_though_nothing_was_counted_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_writer, "_GROUP_EVENTS", 1)
    with TraceWriter(tmp_path / "a.parquet") as writer:
        writer.append(Rows(encode(allocate(0, 8)), None, None, np.full(1, 2**64 - 1, np.uint64)))
        writer.append(Rows(encode(free(0)), None, None, np.full(1, 4096, np.uint64)))
        writer.close({})
    assert pq.read_table(tmp_path / "a.parquet")["resident"].to_pylist() == [None, 4096]


def test_each_column_has_the_encoding_that_was_measured_as_the_smallest(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "a.parquet") as writer:
        writer.append(Rows(encode(*EVENTS), np.arange(6), np.ones(6, np.uint64)))
        writer.close({})
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    encodings = {column.path_in_schema: column.encodings for column in columns}
    assert {column.compression for column in columns} == {"ZSTD"}
    for name in ("kind", "thread", "size", "age", "alignment"):
        assert "BYTE_STREAM_SPLIT" in encodings[name]
        assert not any("DICTIONARY" in encoding for encoding in encodings[name])
    assert "DELTA_BINARY_PACKED" in encodings["time"]


def test_what_is_left_alive_is_freed_by_an_epilogue_in_the_order_of_birth(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", allocate(0, 8), allocate(1, 8), allocate(2, 8), free(1))
    words = np.frombuffer(read(path), "<u8")[::2]
    assert in_words((int(word & 0xFF), int(word >> 24), 0, 0) for word in words) == "A0 A1 A2 F1 | F0 F2"


WORKLOADS = {
    "resizes and frames": {
        "frames": {"count": 50, "objects_per_frame": 10},
        "objects": [
            {"size": {"uniform": [1, 5000]}, "alignment": 64, "resize": {"factor": 2, "times": 1, "share": "50%"}}
        ],
    },
    "marks": {"allocations": 3000, "pattern": {"fifo": {"live": 30, "size": 100}}, "marks": {"half": "50%"}},
}


@pytest.mark.parametrize("content", WORKLOADS.values(), ids=WORKLOADS)
def test_a_workload_in_a_trace_file_is_the_same_workload(tmp_path: Path, content: dict[str, object]) -> None:
    source = generated(workload_of(content), 7)
    with TraceWriter(tmp_path / "a.parquet") as writer:
        for rows in source.portions(Ending()):
            writer.append(rows)
        writer.close({"marks": source.marks})
    with make_trace(source, "w.yaml") as made, load_trace(str(tmp_path / "a.parquet")) as again:
        assert (again.info.operations, again.info.total_bytes) == (made.info.operations, made.info.total_bytes)
        assert again.info.peak_live_bytes == made.info.peak_live_bytes
        assert again.info.marks == made.info.marks
        assert again.info.epilogue_operations == made.info.epilogue_operations


def test_a_trace_of_threads_is_replayed_on_threads(tmp_path: Path) -> None:
    source = generated(workload_of({"threads": 3, "allocations": 3000, "pattern": {"fifo": {"live": 9, "size": 8}}}), 7)
    with TraceWriter(tmp_path / "a.parquet") as writer:
        for rows in source.portions(Ending()):
            writer.append(rows)
        writer.close({"threads": 3})
    with load_trace(str(tmp_path / "a.parquet"), mode=Mode.PARALLEL) as trace:
        assert (trace.info.threads, trace.info.lanes) == (3, 3)


def test_portions_are_bounded_on_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_writer, "_GROUP_EVENTS", 100)
    monkeypatch.setattr(trace_file, "_READ_EVENTS", 40)
    with TraceWriter(tmp_path / "a.parquet") as writer:
        for index in range(100):
            writer.append(Rows(encode(allocate(2 * index, 8), allocate(2 * index + 1, 8), free(2 * index))))
        writer.close({})
    groups = pq.read_metadata(tmp_path / "a.parquet")
    assert [groups.row_group(index).num_rows for index in range(groups.num_row_groups)] == [102, 102, 96]
    portions = [len(rows.events) // 16 for rows in trace_file.load(tmp_path / "a.parquet").portions(Ending())]
    assert sum(portions) == 300
    assert max(portions) <= 40


def test_what_a_killed_recording_leaves_is_a_trace(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "a.parquet", part_seconds=0)
    writer.append(Rows(encode(allocate(0, 8), allocate(1, 8))))
    writer.append(Rows(encode(free(0), allocate(2, 8))))
    # Nothing more is done: the process is killed.
    source = trace_file.load(tmp_path / "a.parquet.parts")
    assert source.notes == ("the recording was cut short: what is there is what it had written",)
    with load_trace(str(tmp_path / "a.parquet.parts")) as trace:
        assert (trace.info.allocations, trace.info.operations) == (3, 4)
    writer.close({"threads": 1})
    assert list(tmp_path.iterdir()) == [tmp_path / "a.parquet"]
    assert pq.read_table(tmp_path / "a.parquet")["age"].to_pylist() == [1, 1, 2, 1]
    assert trace_file.load(tmp_path / "a.parquet").metadata["threads"] == 1


def test_files_of_different_traces_are_no_parts_of_one(tmp_path: Path) -> None:
    for name, times in (("a", None), ("b", np.array([1], np.int64))):
        with TraceWriter(tmp_path / f"{name}.parquet") as writer:
            writer.append(Rows(encode(allocate(0, 8)), times))
            writer.close({"threads": 1})
    with pytest.raises(InputError) as problem:
        trace_file.load(tmp_path)
    words = "is not a trace: its files have different columns, so they are not parts of one trace"
    assert str(problem.value) == f"{tmp_path}: {words}"


def test_parts_are_completed_at_an_interval_and_before_they_have_a_quarter_of_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, room = 0, 1 << 40
    monkeypatch.setattr("memtool.workload.sources.trace_writer.time.monotonic", lambda: now)
    monkeypatch.setattr("memtool.workload.sources.trace_writer.shutil.disk_usage", lambda _: SimpleNamespace(free=room))
    monkeypatch.setattr(trace_writer, "_GROUP_EVENTS", 4)
    completed: dict[int, int] = {}
    with TraceWriter(tmp_path / "a.parquet", part_seconds=10.0) as writer:
        for now in range(40):
            room = 1 << 40 if now < 30 else 4
            writer.append(Rows(encode(allocate(now, 8))))
            files = sorted((tmp_path / "a.parquet.parts").glob("*.parquet"))
            readable = [path for path in files if path.read_bytes()[-4:] == b"PAR1"]
            completed.setdefault(len(readable), now)
        writer.close({})
    # At first after each ten seconds, then with each group of four events.
    assert list(completed.values()) == [0, 10, 20, 30, 34, 38]
    whole = written(tmp_path / "b.parquet", *(allocate(number, 8) for number in range(40)))
    assert read(tmp_path / "a.parquet") == read(whole)


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> None:
        with TraceWriter(tmp_path / "a.parquet") as writer:
            writer.append(Rows(encode(allocate(0, 8))))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(tmp_path.iterdir()) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def bent(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)


def freed_before(path: Path) -> None:
    table = pq.read_table(path)
    ages = table["age"].to_numpy().copy()
    ages[-1] = 2**63
    pq.write_table(table.set_column(3, "age", [ages]), path)


def without_sizes(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["size"]), path)


def of_words(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "kind", [["malloc"] * len(table)]), path)


def of_many_threads(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "thread", [[1 << 20] * len(table)]), path)


def of_nothing(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.set_column(2, "size", [pa.array([None] * len(table), pa.int64())]), path)


@pytest.mark.parametrize("damage", [cut, bent, freed_before, without_sizes, of_words, of_many_threads, of_nothing])
def test_damage_is_said_in_one_line(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = written(tmp_path / "a.parquet", *EVENTS)
    damage(path)
    with pytest.raises(InputError) as problem:
        read(path)
    assert str(problem.value).startswith(f"{path}: ")
    assert "\n" not in str(problem.value)


def test_a_row_group_that_would_fill_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "_LARGEST_GROUP", 1 << 20)
    path = tmp_path / "bomb.parquet"
    zeros = pa.array(np.zeros(100_000, np.uint64))
    columns = ("kind", "thread", "size", "age", "alignment")
    pq.write_table(pa.table(dict.fromkeys(columns, zeros)), path, use_dictionary=False, compression="zstd")
    assert path.stat().st_size < 1 << 14
    with pytest.raises(InputError) as problem:
        trace_file.load(path)
    assert str(problem.value).startswith(f"{path}: has a row group of 3.8")
    assert str(problem.value).endswith(", and 1.00 MiB is the most")


def test_an_object_that_is_freed_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", allocate(0, 8), free(0), allocate(1, 8), free(0))
    with pytest.raises(InputError) as problem:
        load_trace(str(path))
    assert str(problem.value) == f"{path}: object 0 is freed or resized while it is not alive"


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.parquet", *EVENTS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MemtoolError) as problem:
        open_source(path)
    assert str(problem.value) == "trace files need pyarrow, which is not installed: pip install 'memtool-bench[traces]'"


def test_a_file_is_known_as_a_trace_by_its_content(tmp_path: Path) -> None:
    assert isinstance(open_source(written(tmp_path / "odd.name", *EVENTS)), TraceFile)


def test_the_queries_of_the_page_answer_what_they_are_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak is after the resize, with blocks of 300, 64 and 8 bytes; 200 objects of 8 bytes lived for two."""
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    short = [event for i in range(2, 202) for event in (allocate(i, 8), *([free(i - 1)] if i > 2 else []))]
    end = [allocate(202, 8), free(201), (3, 0, 300, 0), free(0), free(1)]
    written(tmp_path / "app.parquet", allocate(0, 100), allocate(1, 64), *short, *end)
    page = (Path(__file__).parents[3] / "docs/traces.md").read_text(encoding="utf-8")
    sizes, lifetimes, at_peak = (duckdb.sql(query) for query in re.findall(r"```sql\n(.*?);\n```", page, re.DOTALL))
    assert sizes.limit(1).fetchall() == [(8, 201, 1608)]
    assert lifetimes.fetchall() == [(8, 200, 2.0)]
    assert at_peak.fetchall() == [(300, 1, 300), (64, 1, 64), (8, 1, 8)]
