"""The report as text, compared letter by letter with files that were read by people."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from memtool.model import CellResult, Metric, Run
from memtool.report.tables import render
from memtool.store.run_file import to_json
from tests.unit.report.fake_run import LONG_NAME, WORKLOAD, fake_run

GOLDEN = Path(__file__).parents[2] / "golden"


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith(start)]


@pytest.mark.parametrize(
    ("style", "reference", "golden"),
    [
        ("table", None, "bench-table.txt"),
        ("markdown", "glibc", "bench-markdown.md"),
        ("csv", None, "bench.csv"),
    ],
)
def test_golden(style: str, reference: str | None, golden: str) -> None:
    assert render(fake_run(reference), style) + "\n" == (GOLDEN / golden).read_text(encoding="utf-8")


def test_json_is_the_result_file() -> None:
    assert json.loads(render(fake_run(), "json")) == json.loads(json.dumps(to_json(fake_run())))


def test_rows_are_ordered_by_time_and_ranks_tie_where_intervals_overlap() -> None:
    table = render(fake_run(), "table").split("Speed, in ns\n")[1].split("\n\n")[0]
    ranked = [line.split()[:2] for line in table.splitlines()[3:]]
    assert ranked == [
        ["1", LONG_NAME],
        ["2", "mimalloc"],
        ["2", "tcmalloc"],
        ["2", "slab"],
        ["5", "jemalloc"],
        ["buddy", "(failed)"],
        ["6", "tlsf:subdivisions=16"],
        ["7", "glibc"],
        ["8", "first-fit"],
    ]


def test_what_python_measured_is_marked_everywhere_and_ranked_nowhere() -> None:
    run = fake_run()
    cells = tuple(
        replace(cell, proof={**cell.proof, "interpreted": True}) if cell.cell.allocator == "slab" else cell
        for cell in run.cells
    )
    marked = replace(run, cells=cells)
    text = render(marked, "table")
    ranked = {line.split()[1]: line.split()[0] for line in text.split("\n\n")[1].splitlines()[4:]}
    assert {name: ranked[name] for name in ("mimalloc", "tcmalloc", "jemalloc")} == {
        "mimalloc": "2",
        "tcmalloc": "2",
        "jemalloc": "4",
    }
    assert len(lines_of(text, "slab (interpreted)")) == 4
    assert not re.search(r"slab(?! \(interpreted\))", text)
    assert "(interpreted): written in Python." in text
    rows = list(csv.DictReader(render(marked, "csv").splitlines()))
    assert {row["allocator"] for row in rows if row["interpreted"] == "yes"} == {"slab"}


def test_a_reference_adds_ratios_and_is_1_itself() -> None:
    text = render(fake_run("glibc"), "markdown")
    rows = {
        cells[1]: cells[4] for line in text.splitlines() if len(cells := [c.strip() for c in line.split("|")[1:]]) > 12
    }
    assert rows["allocator"] == "/ glibc"
    assert rows["glibc"] == "1.000"
    assert rows["mimalloc"] == "0.535"  # 11.5 / 21.5
    assert rows["first-fit"] == "3.977"  # 85.5 / 21.5


def test_a_reference_that_was_not_measured_has_no_ratios() -> None:
    text = render(fake_run("pool"), "markdown")
    rows = [
        cells
        for line in text.splitlines()
        if (cells := [each.strip() for each in line.split("|")])[1:3] == ["2", "mimalloc"]
    ]
    assert [cells[5] for cells in rows] == ["n/a"]


def test_no_cell_is_passed_over() -> None:
    for style in ("table", "markdown"):
        text = render(fake_run(), style)
        assert all(cell.cell.allocator in text for cell in fake_run().cells)
        assert "buddy: latency pass, block 2: the worker was killed by SIGSEGV" in text
        assert "pool: serves requests of up to 64 B; the workload asks for up to 16.0 KiB" in text


def test_csv_rounds_nothing_and_has_a_line_for_each_figure() -> None:
    rows = list(csv.DictReader(render(fake_run(), "csv").splitlines()))
    # 8 cells with all figures, one that failed with 2, one left out: a line with its reason.
    assert len(rows) == 8 * 38 + 2 + 1
    assert (rows[-1]["allocator"], rows[-1]["status"], rows[-1]["metric"]) == ("pool", "excluded", "")
    assert {row["workload"] for row in rows} == {WORKLOAD}
    found = {row["metric"]: row for row in rows if row["allocator"] == "glibc"}
    assert found["time_per_op_ns"]["value"] == "21.5"
    assert (found["time_per_op_ns"]["low"], found["time_per_op_ns"]["high"]) == ("20.75", "22.25")
    assert found["peak_footprint_bytes"]["value"] == ""


def test_notes_of_cells_and_workloads_are_in_the_report() -> None:
    run = fake_run()
    noted = replace(
        run,
        workloads=(replace(run.workloads[0], notes=("3 sizes were rounded",)),),
        cells=(replace(run.cells[0], notes=("differs between repeats",)), *run.cells[1:]),
    )
    text = render(noted, "table")
    assert "Note: 3 sizes were rounded" in text
    assert "glibc: differs between repeats" in text


def test_a_noisy_machine_is_marked_and_explained_once() -> None:
    run = fake_run()
    note = "noisy machine: the host took 2.5% of the processors (limit 1%)"
    cells = tuple(
        replace(cell, proof={**cell.proof, "noisy": ["so"]}, notes=(note,))
        if cell.cell.allocator in ("glibc", "slab")
        else cell
        for cell in run.cells
    )
    text = render(replace(run, cells=cells), "table")
    assert len(lines_of(text, "glibc, slab: noisy machine: ")) == 1
    assert len(re.findall(r" !21\.50 | !12\.50 ", text)) == 2
    assert text.count("!") == 3  # and what the mark means
    assert "!" not in render(run, "table")


def test_a_region_other_than_the_usual_is_named() -> None:
    run = fake_run()
    moved = replace(run.cells[7], cell=replace(run.cells[7].cell, region="hugepages"))
    text = render(replace(run, cells=(*run.cells[:7], moved)), "table")
    assert len(lines_of(text, "tlsf:subdivisions=16 on hugepages")) == 3


def only(run: Run, *metrics: str) -> Run:
    def cut(cell: CellResult) -> CellResult:
        kept: dict[str, Metric] = {name: metric for name, metric in cell.metrics.items() if name in metrics}
        return replace(cell, metrics=kept)

    return replace(run, cells=tuple(cut(cell) for cell in run.cells))


def test_a_table_without_any_figure_is_left_out() -> None:
    speed = render(only(fake_run(), "time_per_op_ns"), "table")
    assert "Speed, in ns" in speed
    assert "Memory, in MiB" not in speed
    memory = render(only(fake_run(), "peak_resident_bytes"), "table")
    assert "Speed, in ns" not in memory
    assert "Memory, in MiB" in memory


def test_fewer_than_six_blocks_have_no_interval() -> None:
    rows = lines_of(render(fake_run(), "table"), "buddy (failed)")
    assert "needs 6 blocks" in rows[0]


def test_a_run_in_which_nothing_was_measured_still_says_why() -> None:
    run = replace(fake_run(), cells=fake_run().cells[-1:])
    text = render(run, "table")
    assert "Speed" not in text
    assert "Left out:\n  pool: serves requests of up to 64 B" in text
