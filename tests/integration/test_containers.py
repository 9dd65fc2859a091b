"""Containers from the workload file to run.json, tables and the gate: exact figures of one run are known by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from memtool.cli import run
from memtool.model import CellResult, Run, Status
from memtool.options import BenchOptions
from memtool.run import bench

# 800 nodes of 24 bytes, then 1,200 that come as others go.
LISTS = """\
name: lists
container:
  type: list
  containers: 4
  ways: [std, std-each, pmr, control]
  script: [push: 200, traverse: 2, churn: 300, traverse: 2]
"""
ASKED = (800 + 1200) * 24
OPERATIONS = 800 + 4 + 2400 + 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("containers")
    (folder / "lists.yaml").write_text(LISTS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def stored(folder: Path) -> Run:
    options = BenchOptions(
        workloads=(str(folder / "lists.yaml"),),
        allocators="bump,segregated-pool,tlsf+redzone,glibc",
        blocks=2,
        counters="none",
        output=folder / "run",
        draw_plots=False,
    )
    return bench(options, lambda *_: None).run


@pytest.fixture(scope="module")
def cells(stored: Run) -> Mapping[str, CellResult]:
    return {cell.cell.allocator: cell for cell in stored.cells}


def test_every_allocator_has_a_row_in_every_way_that_it_can_serve(cells: Mapping[str, CellResult]) -> None:
    measured = [name for name, cell in cells.items() if cell.status is Status.OK]
    of_heaps = [
        f"{heap}@{way}" for heap in ("bump", "segregated-pool", "tlsf+redzone") for way in ("std", "std-each", "pmr")
    ]
    assert sorted(measured) == sorted(["control", "glibc@pmr", "glibc@std", *of_heaps])
    assert cells["glibc@std-each"].reason == (
        "takes memory from the system, where all heaps are one: it has the way std"
    )


def value(cell: CellResult, name: str) -> float | None:
    return cell.metrics[name].value


@pytest.mark.parametrize("way", ["std", "std-each", "pmr"])
def test_a_monotonic_heap_takes_all_that_was_ever_asked_for(cells: Mapping[str, CellResult], way: str) -> None:
    cell = cells[f"bump@{way}"]
    assert value(cell, "asked_bytes") == ASKED
    assert value(cell, "peak_footprint_bytes") == ASKED
    assert value(cell, "allocations_per_op") == 2000 / OPERATIONS
    assert cell.metrics["peak_footprint_bytes"].determinism == "exact"


def test_what_containers_ask_for_is_the_same_for_all(cells: Mapping[str, CellResult]) -> None:
    measured = [cell for cell in cells.values() if cell.status is Status.OK]
    assert {value(cell, "asked_bytes") for cell in measured} == {ASKED}
    # An element may be away while another container is served.
    assert {value(cell, "peak_live_bytes") for cell in measured} == {800 * 24}


def test_a_heap_each_keeps_nodes_together(cells: Mapping[str, CellResult]) -> None:
    shared, own = cells["segregated-pool@std"], cells["segregated-pool@std-each"]
    for cell in (shared, own):
        # Nodes of 32 bytes side by side: two in a line.
        assert value(cell, "lines_per_element") == 0.5
        assert value(cell, "jumps_per_element") == 0.0
    assert (value(shared, "jumps_per_element_churned") or 0) > 0.6
    assert (value(own, "jumps_per_element_churned") or 1) < 0.3


def test_every_figure_of_the_script_is_there(cells: Mapping[str, CellResult]) -> None:
    assert {name for name in cells["tlsf+redzone@pmr"].metrics if name.endswith("_ns")} == {
        "push_ns",
        "traverse_ns",
        "churn_ns",
        "traverse_churned_ns",
        "heap_open_ns",
        "destroy_ns",
    } | {"time_per_op_ns"}


def test_tables(stored: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(folder / "run")]) == 0
    output = capsys.readouterr().out
    assert output.startswith(
        "lists: 4 containers (std::list), 3,208 operations (2,000 allocations), peak 18.8 KiB\n"
        f"seed 42, event hash {stored.workloads[0].event_hash}; push 200, traverse 2, churn 300, traverse 2\n"
    )
    assert "Ways: std: a standard allocator over the heap; pmr: a std::pmr::polymorphic_allocator;" in output
    assert "Each operation of a heap is called through a pointer." in output


def test_a_gate_holds_what_is_exact(stored: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = ["check", str(folder / "lists.yaml"), "--metric", "peak_footprint_bytes", "--blocks", "2", "--no-plots"]
    gate += ["--passes", "footprint", "-o", str(folder / "check")]
    worse = [*gate, "--against", "bump@std", "--candidate", "segregated-pool@std", "--format", "json"]
    assert run(worse) == 3
    (judged,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert judged["base_value"] == ASKED


def test_what_a_memory_limit_does_not_hold_fails_its_cell_alone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "limited.yaml"
    path.write_text(LISTS.replace("container:", "memory_limit: 32KiB\ncontainer:", 1), encoding="utf-8")
    options = BenchOptions(
        workloads=(str(path),), allocators="bump@std,bump@std-each", blocks=1, output=tmp_path / "out", draw_plots=False
    )
    cells = bench(options, lambda *_: None).run.cells
    reasons = {cell.cell.allocator: cell.reason for cell in cells if cell.status is Status.FAILED}
    assert reasons == dict.fromkeys(("bump@std", "bump@std-each"), "check pass, block 0: out of memory in step 3 of 4")
