"""The report as text, compared letter by letter with files that were read by people."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from memtool.measure.metrics import METRICS
from memtool.model import CellResult, Metric, Run, Status
from memtool.report.tables import render
from memtool.store.run_file import to_json
from tests.runs import cell, figure, run, trace
from tests.unit.report.fake_run import LONG_NAME, WORKLOAD, fake_run


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith(start)]


@pytest.mark.parametrize(
    ("style", "reference", "name"),
    [
        ("table", None, "bench-table.txt"),
        ("markdown", "glibc", "bench-markdown.md"),
        ("csv", None, "bench.csv"),
    ],
)
def test_golden(style: str, reference: str | None, name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, render(fake_run(reference), style))


def test_json_is_the_result_file() -> None:
    assert json.loads(render(fake_run(), "json")) == json.loads(json.dumps(to_json(fake_run())))


def test_rows_are_ordered_by_time_and_ranks_count_from_the_fastest() -> None:
    table = render(fake_run(), "table").split("Speed, in ns\n")[1].split("\n\n")[0]
    ranked = [line.split()[:2] for line in table.splitlines()[2:]]
    assert ranked == [
        ["1", LONG_NAME],
        ["2", "mimalloc"],
        ["3", "tcmalloc"],
        ["4", "slab"],
        ["5", "jemalloc"],
        ["6", "tlsf:subdivisions=16"],
        ["7", "glibc"],
        ["8", "first-fit"],
        ["buddy", "(failed)"],
    ]


def test_what_python_measured_is_marked_everywhere_and_ranked_nowhere() -> None:
    run = fake_run()
    cells = tuple(
        replace(cell, proof={**cell.proof, "interpreted": True}) if cell.cell.allocator == "slab" else cell
        for cell in run.cells
    )
    marked = replace(run, cells=cells)
    text = render(marked, "table")
    speed = text.partition("Speed, in ns\n")[2].split("\n\n")[0]
    ranked = {line.split()[1]: line.split()[0] for line in speed.splitlines()[3:]}
    assert {name: ranked[name] for name in ("mimalloc", "tcmalloc", "jemalloc")} == {
        "mimalloc": "2",
        "tcmalloc": "3",
        "jemalloc": "4",
    }
    assert len(lines_of(text, "slab (interpreted)")) == 5
    assert not re.search(r"slab(?! \(interpreted\))", text)
    assert "(interpreted): written in Python." in text
    rows = list(csv.DictReader(render(marked, "csv").splitlines()))
    assert {row["allocator"] for row in rows if row["interpreted"] == "yes"} == {"slab"}


def test_a_reference_adds_ratios_and_is_1_itself() -> None:
    text = render(fake_run("glibc"), "markdown")
    rows = {
        cells[1]: cells[4]
        for line in text.split("**Latency")[0].splitlines()
        if len(cells := [c.strip() for c in line.split("|")[1:]]) > 5
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
        if (cells := [part.strip() for part in line.split("|")])[1:3] == ["2", "mimalloc"]
    ]
    assert [cells[5] for cells in rows] == ["n/a"]


def table_of(text: str, title: str) -> list[list[str]]:
    """Return the rows of a table in text, by its title: name of the allocator, then the figures."""
    lines = text.split(f"{title}\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("-")) + 1
    return [line.replace(" (failed)", "").split() for line in lines[first:]]


def test_a_reference_adds_a_ratio_to_every_table() -> None:
    text = render(fake_run("glibc"), "table")
    titles = {
        "Latency of operations, in ns": 4,
        "Memory, in MiB": 3,
        "Where memory is when live bytes peak, in MiB": 7,
        "Fragmentation, and footprint F over live bytes L": 2,
    }
    for title, place in titles.items():
        ratios = {row[0]: row[place] for row in table_of(text, title)}
        assert ratios["glibc"] == "1.000", title
        assert ratios["buddy"] == "n/a", title
    latency = {row[0]: row[4] for row in table_of(text, "Latency of operations, in ns")}
    assert (latency["slab"], latency["first-fit"]) == ("0.317", "3.500")  # 19 and 210 of 60


@pytest.mark.parametrize("reference", [None, "glibc"])
def test_every_table_has_the_same_order_of_rows(reference: str | None) -> None:
    text = render(fake_run(reference), "table")
    titles = ("Latency of operations, in ns", "Memory, in MiB", "Where memory is when live bytes peak, in MiB")
    order = [LONG_NAME, "mimalloc", "tcmalloc", "slab", "jemalloc", "tlsf:subdivisions=16", "glibc", "first-fit"]
    for title in titles:
        assert [row[0] for row in table_of(text, title)] == [*order, "buddy"], title


@pytest.mark.parametrize("width", [80, 100, 132])
def test_tables_and_lines_fit_the_terminal(width: int) -> None:
    text = render(fake_run("glibc"), "table", width)
    assert max(len(line) for line in text.splitlines()) <= width
    whole = render(fake_run("glibc"), "table")
    assert sorted(set(re.findall(r"\d+\.\d+", text))) == sorted(set(re.findall(r"\d+\.\d+", whole)))


def test_what_does_not_fit_is_continued_below_with_the_names_again() -> None:
    text = render(fake_run(), "table", 80)
    first = table_of(text, "Latency of operations, in ns")
    second = table_of(text, "Latency of operations, in ns (continued)")
    assert [row[0] for row in first] == [row[0] for row in second]
    glibc = [next(row for row in part if row[0] == "glibc") for part in (first, second)]
    assert glibc[0][1:] == ["12.5", "60.0", "60.0", "~48.0", "µs", "9.0", "41.0", "41.0"]
    assert glibc[1][1:] == ["~31.0", "µs"]


def test_a_long_name_is_broken_at_its_signs() -> None:
    lines = render(fake_run(), "table", 80).splitlines()
    rows = range(lines.index("Speed, in ns"), len(lines))
    place = next(index for index in rows if "segregated-pool:spacing=3," in lines[index])
    assert "chunk=1048576" in lines[place + 1]


def test_a_column_that_is_n_a_for_all_is_named_once_and_not_shown() -> None:
    run = fake_run()
    text = render(replace(run, cells=(run.cells[0], run.cells[1])), "table")
    assert "holes" not in text.partition("Load (")[0]
    assert (
        "Not shown, n/a for all: footprint, + free, + metadata, + unac- counted, unaccounted, drained, external "
        "fragm., holes, mean F/L, F/L at max L, F/L at max F, max F/ max L, max F/ packed (memtool sees only the "
        "resident memory of a system allocator, not its heap)."
    ) in text


def test_one_giant_does_not_flatten_the_rest() -> None:
    run = fake_run()
    sizes = {"a": 30_720.0, "b": 31_744.0, "c": 32_768.0, "giant": 23_068_672.0}
    cells = tuple(
        replace(
            run.cells[0],
            cell=replace(run.cells[0].cell, allocator=name),
            metrics={"peak_resident_bytes": figure("peak_resident_bytes", size)},
            proof={},
        )
        for name, size in sizes.items()
    )
    rows = table_of(render(replace(run, cells=cells), "table"), "Memory, in KiB")
    assert rows == [["a", "30.00"], ["b", "31.00"], ["c", "32.00"], ["giant", "22.0", "MiB"]]


def test_a_ratio_is_to_the_reference_on_the_same_region_and_else_says_why_not() -> None:
    run = fake_run("glibc")
    moved = tuple(replace(cell, cell=replace(cell.cell, region="hugepages")) for cell in run.cells[5:7])
    slower = replace(moved[0], metrics={**moved[0].metrics, "time_per_op_ns": run.cells[6].metrics["time_per_op_ns"]})
    text = render(replace(run, cells=(run.cells[0], slower, moved[1])), "table")
    assert [row[-5] for row in table_of(text, "Speed, in ns")] == ["1.000", "n/a", "n/a"]
    assert "glibc was not measured on hugepages, so nothing there has a ratio to it" in text
    both = render(replace(run, reference="slab", cells=(run.cells[5], slower, moved[1])), "table")
    assert [row[-5] for row in table_of(both, "Speed, in ns")] == ["1.000", "1.000", "1.000"]
    assert "not measured" not in both


def test_tables_fit_150_columns_but_for_the_longest_names() -> None:
    run = fake_run("glibc")
    short = replace(run, cells=tuple(cell for cell in run.cells if len(cell.cell.allocator) < 20))
    tables = render(short, "table").partition("Load (")[0].splitlines()
    assert max(len(line) for line in tables) <= 150


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
    result = {row["metric"]: row for row in rows if row["allocator"] == "glibc"}
    assert result["time_per_op_ns"]["value"] == "21.5"
    assert (result["time_per_op_ns"]["low"], result["time_per_op_ns"]["high"]) == ("20.75", "22.25")
    assert result["peak_footprint_bytes"]["value"] == ""


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
    assert "!" not in render(only(replace(run, cells=cells), *LATENCIES), "table")


def test_a_region_other_than_the_usual_is_named() -> None:
    run = fake_run()
    moved = replace(run.cells[7], cell=replace(run.cells[7].cell, region="hugepages"))
    text = render(replace(run, cells=(*run.cells[:7], moved)), "table")
    assert len(lines_of(text, "tlsf:subdivisions=16 on hugepages")) == 4


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
    assert "n/a" not in speed.replace("(failed)", "")
    assert "footprint" not in memory


LATENCIES = tuple(name for name in METRICS if name.startswith(("allocate", "deallocate")))


def test_latencies_stand_in_a_table_of_their_own_without_any_throughput() -> None:
    text = render(only(fake_run(), *LATENCIES), "table")
    assert "Speed" not in text
    rows = {row[0]: row[1:] for row in table_of(text, "Latency of operations, in ns")}
    assert rows["glibc"] == ["12.5", "60.0", "60.0", "~48.0", "µs", "9.0", "41.0", "41.0", "~31.0", "µs"]
    assert set(rows) == {cell.cell.allocator for cell in fake_run().cells if cell.status is Status.OK}


def test_reallocations_and_first_touches_have_a_table_where_there_are_any() -> None:
    run = fake_run()
    assert "reallocations" not in render(run, "table")
    glibc = run.cells[0]
    further = {
        name: figure(name, 12.0 + place, at_floor=place == 0)
        for place, name in enumerate(
            (
                *(f"reallocate_{share}_ns" for share in ("p50", "p99", "p999", "max")),
                "first_touch_ns",
                "first_touch_p99_ns",
            )
        )
    }
    changed = replace(glibc, metrics={**glibc.metrics, **further})
    text = render(replace(run, cells=(changed,)), "table")
    title = "Latency of reallocations, and of the first touch of a fresh block, in ns"
    assert table_of(text, title) == [["glibc", "~12.0", "13.0", "14.0", "15.0", "16.0", "17.0"]]


def test_the_check_pass_alone_says_what_it_found() -> None:
    run = fake_run()
    checked = [replace(cell, metrics={}, proof={"invariants_checked": 1_500}) for cell in run.cells[:2]]
    assert "Checked: 2 allocators, every block and 3,000 times the whole heap; all sound." in render(
        replace(run, cells=tuple(checked)), "table"
    )
    broken = replace(checked[1], status=Status.FAILED, reason="check pass, block 0: two live blocks overlap", proof={})
    text = render(replace(run, cells=(checked[0], broken)), "table")
    assert "Checked: 2 allocators, every block and 1,500 times the whole heap; 1 NOT sound: jemalloc (failed)." in text
    spent = replace(
        broken, reason="check pass, block 0: out of memory at event 7, for a request of 16 bytes: 8 bytes live"
    )
    text = render(replace(run, cells=(checked[0], spent)), "table")
    assert "1,500 times the whole heap; 1 out of memory: jemalloc (failed)." in text
    assert "NOT sound" not in text
    assert "Checked" not in render(run, "table")


def test_what_the_harness_failed_is_no_failure_of_the_allocator() -> None:
    run = fake_run()
    lost = replace(
        run.cells[1],
        status=Status.FAILED,
        reason="check pass, block 0: no memory (no fault of the allocator)",
        proof={"harness_fault": True},
    )
    lines = render(replace(run, cells=(run.cells[0], lost)), "table").splitlines()
    assert "  jemalloc: check pass, block 0: no memory (no fault of the allocator)" in lines
    assert "Not measured, through no fault of the allocator:" in lines
    assert any(line.startswith("jemalloc (not measured)") for line in lines)
    assert not [line for line in lines if "(failed)" in line or "NOT sound" in line or line.startswith("Failed")]


def test_each_not_applicable_has_its_own_reason() -> None:
    run = fake_run()
    text = render(run, "table")
    reasons = next(line for line in text.splitlines() if line.startswith("n/a: "))
    assert reasons == (
        "n/a: what had failed was measured no further; memtool sees only the resident memory of a system "
        "allocator, not its heap."
    )
    small = replace(
        run.cells[5], metrics={**run.cells[5].metrics, "internal_fragmentation": figure("internal_fragmentation")}
    )
    unpacked = {**run.cells[5].metrics, "packing_ratio": figure("packing_ratio")}
    info = replace(run.workloads[0], packing_bytes=None)
    assert "Not shown, n/a for all: internal fragm. (ratios need 64 KiB alive)." in render(
        replace(run, cells=(small,)), "table"
    )
    text = render(replace(run, cells=(replace(run.cells[5], metrics=unpacked),), workloads=(info,)), "table")
    assert "Not shown, n/a for all: max F/ packed (the workload was not packed offline)." in text
    unread = {**run.cells[5].metrics, "allocate_p50_ns": figure("allocate_p50_ns")}
    text = render(replace(run, cells=(replace(run.cells[5], metrics=unread),)), "table")
    assert "n/a for all: alloc p50 (too few operations for a reading of the noise floor" in text


def test_without_any_n_a_no_reason_is_given() -> None:
    run = fake_run()
    slab = replace(run, cells=(run.cells[5],))
    assert "n/a" not in render(slab, "table")


def test_small_heaps_are_in_kib() -> None:
    metrics = {"peak_resident_bytes": figure("peak_resident_bytes", 12_288.0)}
    run = fake_run()
    small = replace(run.cells[0], metrics=metrics, proof={})
    text = render(replace(run, cells=(small,)), "table")
    assert table_of(text, "Memory, in KiB") == [["glibc", "12.00"]]
    one_is_large = replace(
        small,
        cell=replace(small.cell, allocator="arena"),
        metrics={"peak_resident_bytes": figure("peak_resident_bytes", 3 * 2.0**20)},
    )
    text = render(replace(run, cells=(small, one_is_large)), "table")
    assert table_of(text, "Memory, in MiB") == [["glibc", "12.0", "KiB"], ["arena", "3.00"]]


def test_side_by_side_memory_is_not_compared_byte_by_byte() -> None:
    run = fake_run()
    cells = tuple(replace(cell, cell=replace(cell.cell, mode="parallel")) for cell in run.cells[:2])
    assert "each has live bytes of its own" in render(replace(run, cells=cells), "table")
    assert "each has live bytes of its own" not in render(run, "table")


def test_under_arrivals_the_null_strategy_is_the_floor() -> None:
    run = fake_run()
    null = {"allocate": {"p50": 40.0, "p99": 6_500.0}}
    cell = replace(run.cells[0], proof={**run.cells[0].proof, "open_loop": {"null_ns": null}})
    text = render(replace(run, cells=(cell,)), "table")
    assert "Under the same arrivals the null strategy shows: allocate p50 40.0 ns, p99 6.50 µs." in text


def test_without_six_blocks_nothing_is_ranked() -> None:
    run = fake_run()
    few = only(run, "time_per_op_ns")
    cells = tuple(
        replace(cell, metrics={name: replace(metric, low=None, high=None) for name, metric in cell.metrics.items()})
        for cell in few.cells
    )
    text = render(replace(few, cells=cells), "table")
    assert "rank" not in text.split("Speed, in ns")[1].split("---")[0]
    assert [" needs 6 blocks" in line for line in text.split("Speed, in ns\n")[1].splitlines()[2:11]] == [True] * 9


def test_fewer_than_six_blocks_have_no_interval() -> None:
    rows = lines_of(render(fake_run(), "table"), "buddy (failed)")
    assert "needs 6 blocks" in rows[0]


def test_a_run_in_which_nothing_was_measured_still_says_why() -> None:
    run = replace(fake_run(), cells=fake_run().cells[-1:])
    text = render(run, "table")
    assert "Speed" not in text
    assert "Left out:\n  pool: serves requests of up to 64 B" in text


def test_small_resident_memory_has_its_error_in_words() -> None:
    name = "peak_resident_bytes"

    def text(kib: int, lanes: int = 1) -> str:
        measured = run(
            cell("glibc", {name: figure(name, *[kib * 1024.0] * 7)}),
            traces=[replace(trace(), lanes=lanes)],
        )
        return render(measured, "markdown")

    assert (
        "Resident memory is known within 12.0 KiB, and a peak inside an operation may be 128 KiB higher than it says"
        in text(80)
    )
    assert "may be 512 KiB higher" in text(80, lanes=4)
    # Twenty times 140 KiB.
    assert "known within" in text(2799)
    assert "known within" not in text(2800)
