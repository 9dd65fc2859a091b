"""Whole programs in tables and pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from memtool.measure.metrics import METRICS
from memtool.model import CellResult, Place, Run
from memtool.programs.program import Program
from memtool.report import programs, sheets, tables
from memtool.report.plots.pictures import draw_all
from memtool.stats import compare
from tests.runs import cell, figure, run

MIB = 1 << 20
SORT = Program(name="sort", command="sort < words", prepare="sync", warmup=2, expects_same_output=True)
UNIQ = Program(name="uniq", command="uniq words")


def measured(program: Program, allocator: str, wall: float, cpu: float, peak: int, processes: int = 1) -> CellResult:
    """Return a cell of seven blocks: ``wall`` and ``cpu`` in ms, ``peak`` in MiB."""
    steps = [1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.0]
    figures: dict[str, list[float]] = {
        "wall_time_ns": [wall * step * 1e6 for step in steps],
        "cpu_time_ns": [cpu * step * 1e6 for step in steps],
        "user_time_ns": [cpu * 0.75e6] * 7,
        "system_time_ns": [cpu * 0.25e6] * 7,
        "tree_peak_resident_bytes": [peak * step * MIB for step in steps],
        "largest_process_resident_bytes": [peak * 0.5 * MIB] * 7,
        "tree_processes": [processes] * 7,
        "tree_minor_faults": [18_000] * 7,
        "tree_voluntary_switches": [4] * 7,
        "exit_status": [0] * 7,
    }
    assert set(figures) <= set(METRICS)
    return cell(allocator, {name: figure(name, *samples) for name, samples in figures.items()}, program.name)


def whole_run(processes: int = 1) -> Run:
    cells = [
        measured(SORT, "glibc", 250, 200, 70, processes),
        measured(SORT, "jemalloc", 125, 180, 84),
        measured(UNIQ, "glibc", 12.5, 10, 2),
    ]
    return replace(run(*cells, traces=[SORT.info, UNIQ.info]), reference="glibc")


def lines_of(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_tables_of_a_program() -> None:
    text = tables.render(whole_run(), "table")
    assert text.startswith(
        "sort: the whole program, one run a sample (by /bin/sh): sort < words\n"
        "before each run sync; 2 runs of each allocator before, not measured; "
        "output expected to be the same under every allocator\n"
    )
    assert "\nuniq: the whole program, one run a sample: uniq words\n" in text
    rows = lines_of(text)
    assert ["1", "jemalloc", "125.0", "122.5", "to", "127.5", "0.500", "180.0", "135.0", "45.00"] in rows
    assert ["2", "glibc", "250.0", "245.0", "to", "255.0", "1.000", "200.0", "150.0", "50.00"] in rows
    assert ["jemalloc", "84.00", "82.32", "to", "85.68", "1.200", "42.00", "1", "18,000", "4", "0"] in rows
    assert "Wall time of each program, in ms" in text
    assert ["glibc", "250.00", "12.50"] in rows
    assert ["jemalloc", "125.00", "-"] in rows
    # What is said of replays has nothing to do here.
    for word in ("operations", "event hash", "harness", "call"):
        assert word not in text


def test_the_peak_of_several_processes_says_how_surely_it_is_known() -> None:
    words = "Peak of several processes: the most that looks at the whole tree saw"
    assert words not in tables.render(whole_run(), "table")
    assert tables.render(whole_run(processes=3), "table").count(words) == 1


def test_one_program_has_no_table_of_several() -> None:
    alone = replace(whole_run(), workloads=(SORT.info,))
    assert programs.table(alone) == ([], [])


def test_a_run_of_a_program_has_one_picture(tmp_path: Path) -> None:
    drawn = draw_all(tmp_path, whole_run())
    assert [path.name for path in drawn] == ["sort-program.png", "uniq-program.png"]


def test_allocators_are_ranked_by_the_wall_time_of_a_program() -> None:
    assert sheets.ranking(whole_run().cells[:2]) == {0: "2", 1: "1"}
    places = compare.places(whole_run())
    assert [(place.allocator, place.rank, place.time, place.resident) for place in places] == [
        ("glibc", 2, 250e6, 70 * MIB),
        ("jemalloc", 1, 125e6, 84 * MIB),
    ]
    assert {place.metric for place in places} == {"wall_time_ns"}
    assert Place.__dataclass_fields__["metric"].default == "time_per_op_ns"
