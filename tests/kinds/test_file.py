"""Files from YAML to figures that are known by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from memtool.kinds.file import place
from memtool.model import CellResult, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench

ALL = (Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT)


def measured(folder: Path, file: str, passes: tuple[Pass, ...] = ALL) -> Mapping[str, CellResult]:
    (folder / "w.yaml").write_text(f"name: w\nfile: {{folder: ., {file}}}\n", encoding="utf-8")
    users = folder / "file"
    users.write_bytes(b"kept")
    options = BenchOptions(
        workloads=(str(folder / "w.yaml"),), passes=passes, blocks=2, output=folder / "run", draw_plots=False
    )
    cells = bench(options, lambda *_: None).run.cells
    assert sorted(entry.name for entry in folder.iterdir()) == ["file", "run", "w.yaml"]
    assert users.read_bytes() == b"kept"
    return {cell.cell.allocator: cell for cell in cells}


def value(cell: CellResult, name: str) -> float:
    figure = cell.metrics[name].value
    assert figure is not None, name
    return figure


def test_a_warm_file_is_read_from_memory(tmp_path: Path) -> None:
    file = "pattern: random-read, size: 1MiB, accesses: 512, ways: [pread, mmap-random, mmap-populate]"
    cells = measured(tmp_path, file)
    assert sorted(cells) == ["mmap-populate", "mmap-random", "pread"]
    for cell in cells.values():
        assert (cell.status, cell.proof["blocks_checked"]) == (Status.OK, 512)
        assert value(cell, "cached_before_share") == value(cell, "cached_after_share") == 1
        assert value(cell, "major_faults") == 0
        assert value(cell, "access_p50_ns") <= value(cell, "access_p99_ns") <= value(cell, "access_max_ns")
        assert {"time_per_op_ns", "cpu_ns_per_op", "bytes_per_ns"} <= set(cell.metrics)
    assert value(cells["mmap-populate"], "mapped_resident_bytes") == 1 << 20
    assert cells["pread"].metrics["mapped_resident_bytes"].value is None


def test_what_is_written_is_made_durable_and_timed_apart(tmp_path: Path) -> None:
    file = "pattern: append, size: 64KiB, sync: fdatasync, every: 5, ways: [pwrite, mmap-shared, pwritev2-dsync]"
    cells = measured(tmp_path, file)
    # Sixteen blocks: three syncs, and one block after the last of them that is dirty still.
    for way in ("pwrite", "mmap-shared"):
        assert cells[way].proof["blocks_checked"] == 16
        assert value(cells[way], "sync_p50_ns") > 0
        if cells[way].metrics["dirty_bytes"].value is not None:
            assert value(cells[way], "dirty_bytes") >= 4096
    assert cells["pwritev2-dsync"].reason == "is durable by itself (RWF_DSYNC)"


def test_a_cold_file_is_read_from_its_device(tmp_path: Path) -> None:
    if (reason := place.ground(str(tmp_path)).no_dropping) is not None:
        pytest.skip(reason)
    file = "pattern: scan, size: 1MiB, cache: cold, ways: [pread, mmap-shared]"
    cells = measured(tmp_path, file, (Pass.CHECK, Pass.FOOTPRINT))
    for cell in cells.values():
        assert value(cell, "cached_before_share") == 0
        assert value(cell, "cached_after_share") == 1
        assert value(cell, "device_read_bytes") >= 1 << 20
    assert value(cells["mmap-shared"], "major_faults") >= 1


def test_a_limited_cache_holds_no_more_than_its_limit(tmp_path: Path) -> None:
    reason = place.groups().refusal or place.ground(str(tmp_path)).no_dropping
    if reason is not None:
        pytest.skip(reason)
    file = "pattern: random-read, size: 32MiB, accesses: 200, cache: limited, limit: 8MiB, ways: [pread, mmap-random]"
    cells = measured(tmp_path, file, (Pass.CHECK, Pass.FOOTPRINT))
    for cell in cells.values():
        assert 0 < value(cell, "cached_before_share") <= 0.25
        assert value(cell, "cached_after_share") <= 0.25


def test_a_device_is_mapped(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(
        "name: w\nfile: {pattern: scan, size: 64KiB, device: /dev/zero, ways: [read, mmap-shared]}\n", encoding="utf-8"
    )
    options = BenchOptions(
        workloads=(str(tmp_path / "w.yaml"),), passes=ALL, blocks=2, output=tmp_path / "run", draw_plots=False
    )
    cells = {cell.cell.allocator: cell for cell in bench(options, lambda *_: None).run.cells}
    assert [cells[way].proof["blocks_checked"] for way in ("read", "mmap-shared")] == [16, 16]
    assert value(cells["mmap-shared"], "mapped_resident_bytes") == 64 << 10
    assert cells["read"].metrics["cached_before_share"].value is None
