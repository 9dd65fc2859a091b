"""Graphs from the workload file to run.json and tables, on collectors and allocators: exact figures of one run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from memtool.cli import run
from memtool.host.counters import Counter, why_not
from memtool.model import CellResult, Run, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from memtool.store import series
from memtool.store.run_file import read

# 30,000 objects of 48 bytes, 64 with a header, none of which lives; a ring of 4,000 that does.
YOUNG = """\
name: young
graph:
  young: {objects: 30k, survivors: 0%, live: 4000, payload: 48}
"""
CYCLE = """\
name: cycle
graph:
  script:
    - make: {name: a, references: 1, payload: 16}
    - make: {name: b, references: 1, payload: 16}
    - link: {from: a, to: b}
    - link: {from: b, to: a}
    - drop: a
    - drop: b
    - control: collect
"""
ROWS = (
    "mark-sweep:heap=1MiB,semispace:heap=1MiB,generational:heap=1MiB,nursery=256KiB,mark-compact:heap=1MiB,"
    "incremental:heap=1MiB,reference-counting:heap=1MiB,reference-counting:heap=1MiB,cycles=trial-deletion,"
    "deferred-counting:heap=1MiB,mark-sweep:heap=128KiB,glibc,tlsf,bump,stack,null"
)
RING = 4000 * 8 + 8 + 8
"""Bytes of the ring: its references, a word, and a header."""
LIVE = 4001 * 64 + RING
"""With the object that the last root holds."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def stored(folder: Path) -> Run:
    for name, text in (("young", YOUNG), ("cycle", CYCLE)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    options = BenchOptions(
        workloads=(str(folder / "young.yaml"), str(folder / "cycle.yaml")),
        allocators=ROWS,
        blocks=2,
        counters="none",
        output=folder / "run",
        draw_plots=False,
    )
    return bench(options, lambda *_: None).run


@pytest.fixture(scope="module")
def cells(stored: Run) -> Mapping[tuple[str, str], CellResult]:
    return {(cell.cell.workload, cell.cell.allocator): cell for cell in stored.cells}


def value(cell: CellResult, name: str) -> float | None:
    return cell.metrics[name].value


def test_who_cannot_play_is_left_out(cells: Mapping[tuple[str, str], CellResult]) -> None:
    left_out = {name for (workload, name), cell in cells.items() if workload == "young" and cell.status != Status.OK}
    assert left_out == {"mark-sweep:heap=128KiB", "stack", "null"}


def test_a_heap_below_what_lives_is_out_of_memory_with_both(cells: Mapping[tuple[str, str], CellResult]) -> None:
    cell = cells["young", "mark-sweep:heap=128KiB"]
    assert cell.status is Status.FAILED
    # Before a root is given another object, both are there.
    assert str(cell.reason).endswith(f"a heap of 131072 bytes, of which {LIVE + 64} are reachable at most")


def test_marking_collects_when_what_is_free_is_used(cells: Mapping[tuple[str, str], CellResult]) -> None:
    cell = cells["young", "mark-sweep:heap=1MiB"]
    # The ring takes 8 blocks of 4 KiB; what is left holds cells of 64 bytes. The survivors of the ring stay.
    cells_in_all = ((1 << 20) - 8 * 4096) // 64
    collections = (34_000 - cells_in_all) // (cells_in_all - 4001) + 1
    assert value(cell, "collections") == pytest.approx(collections, abs=1)
    assert value(cell, "marked_bytes") == (value(cell, "collections") or 0) * LIVE


def test_a_collector_that_copies_moves_what_lives_each_time(cells: Mapping[tuple[str, str], CellResult]) -> None:
    cell = cells["young", "semispace:heap=1MiB"]
    free = (1 << 19) - LIVE
    assert value(cell, "collections") == pytest.approx((34_000 * 64 + RING - (1 << 19)) / free + 1, abs=1)
    assert value(cell, "copied_bytes") == (value(cell, "collections") or 0) * LIVE


def test_what_dies_young_is_not_promoted(cells: Mapping[tuple[str, str], CellResult]) -> None:
    cell = cells["young", "generational:heap=1MiB,nursery=256KiB"]
    # The ring and its objects are; then at most the one that is held when the nursery is full.
    assert value(cell, "minor_collections") == pytest.approx(34_000 * 64 / (256 << 10), abs=1)
    assert (value(cell, "promoted_bytes") or 0) <= 4000 * 64 + RING + 64 * (value(cell, "minor_collections") or 0)
    assert value(cell, "collections") == 0


def test_exact_figures_are_the_same_in_every_repeat(cells: Mapping[tuple[str, str], CellResult]) -> None:
    for name in ("mark-sweep:heap=1MiB", "semispace:heap=1MiB", "mark-compact:heap=1MiB"):
        assert cells["young", name].metrics["marked_bytes"].determinism == "exact"


def test_a_cycle_leaks_under_counts_alone(cells: Mapping[tuple[str, str], CellResult]) -> None:
    leaked = {name: value(cell, "leaked_bytes") for (workload, name), cell in cells.items() if workload == "cycle"
              and "leaked_bytes" in cell.metrics}  # fmt: skip
    # A reference, two words, and a header of two: 48 bytes with the rounding.
    assert {name: bytes for name, bytes in leaked.items() if bytes} == {
        "reference-counting:heap=1MiB": 2 * 48,
        "deferred-counting:heap=1MiB": 2 * 48,
    }


def test_allocators_have_no_figures_of_collections(cells: Mapping[tuple[str, str], CellResult]) -> None:
    for name in ("glibc", "tlsf", "bump"):
        cell = cells["young", name]
        assert "collections" not in cell.metrics
        assert value(cell, "pauses") == 0
    assert value(cells["young", "bump"], "peak_footprint_bytes") == 34_000 * 56 + 4000 * 8 + 8


def test_an_increment_looks_at_the_clock_after_little_work(cells: Mapping[tuple[str, str], CellResult]) -> None:
    # 64 references and objects, of which the last may be an object with 64 more; the ring has 4,000 references.
    assert 64 <= (value(cells["young", "incremental:heap=1MiB"], "increment_work") or 0) <= 63 + 65
    assert value(cells["young", "mark-sweep:heap=1MiB"], "increment_work") is None


def test_garbage_pauses_has_64_mib_to_mark_at_once_or_in_increments(tmp_path: Path) -> None:
    options = BenchOptions(
        workloads=("chapter/garbage-pauses",),
        allocators="mark-sweep:heap=1.5x,incremental:heap=1.5x",
        passes=(Pass.FOOTPRINT,),
        blocks=1,
        counters="none",
        output=tmp_path / "run",
        draw_plots=False,
    )
    whole, parts = bench(options, lambda *_: None).run.cells
    assert (value(whole, "marked_bytes") or 0) >= (value(whole, "collections") or 1) * (64 << 20)
    assert (value(parts, "collections") or 0) > 0
    # No increment goes further without a look at the clock; the table alone has 575,000 references.
    assert (value(parts, "increment_work") or 0) <= 63 + 65


def controlled(folder: Path, begin: str, objects: int, row: str) -> CellResult:
    """Return a row of a script that makes objects of 64 bytes with a header, each in the place of the last one."""
    steps = [f"control: {begin}", *("make: {name: a, payload: 48}" for _ in range(objects)), "control: enable"]
    text = "name: controlled\ngraph:\n  script:\n" + "".join(f"    - {step}\n" for step in steps)
    (folder / "controlled.yaml").write_text(text, encoding="utf-8")
    options = BenchOptions(
        workloads=(str(folder / "controlled.yaml"),),
        allocators=row,
        passes=(Pass.FOOTPRINT,),
        blocks=1,
        counters="none",
        output=folder / "run",
        draw_plots=False,
    )
    (cell,) = bench(options, lambda *_: None).run.cells
    return cell


def test_a_phase_without_collections_has_none_while_there_is_memory(tmp_path: Path) -> None:
    # 128 cells of 64 bytes in 8 KiB: the trigger asks for a collection each 4 KiB, and 120 objects fit.
    (tmp_path / "off").mkdir()
    (tmp_path / "on").mkdir()
    row = "mark-sweep:heap=8KiB,trigger=4KiB"
    assert value(controlled(tmp_path / "off", "disable", 120, row), "collections") == 0
    assert value(controlled(tmp_path / "on", "enable", 120, row), "collections") == 1


def test_a_collection_is_forced_where_memory_is_out_in_such_a_phase(tmp_path: Path) -> None:
    # The 129th finds the heap full, and each 127 that come after it: what is in the root stays.
    cell = controlled(tmp_path, "disable", 300, "mark-sweep:heap=8KiB")
    assert (value(cell, "collections"), value(cell, "forced_collections")) == (2, 2)


def test_one_collects_when_it_is_told_to(tmp_path: Path) -> None:
    cell = controlled(tmp_path, "collect", 10, "mark-sweep:heap=8KiB")
    assert (value(cell, "collections"), value(cell, "forced_collections")) == (1, 0)


@pytest.mark.skipif(bool(why_not(Counter.CALLGRIND)), reason=str(why_not(Counter.CALLGRIND)))
def test_a_free_block_is_found_in_a_large_heap_as_in_a_small_one(tmp_path: Path) -> None:
    # What lives ends up between free blocks. When each new block was searched for from before it, the long list took
    # twice the instructions an operation.
    for name, length, rounds in (("short", 1000, 100), ("long", 20_000, 5)):
        text = f"name: {name}\ngraph:\n  lists: {{length: {length}, rounds: {rounds}, payload: 1000}}\n"
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    options = BenchOptions(
        workloads=(str(tmp_path / "short.yaml"), str(tmp_path / "long.yaml")),
        allocators="mark-sweep:heap=1.5x",
        passes=(Pass.COUNTERS,),
        blocks=1,
        counters="callgrind",
        output=tmp_path / "run",
        draw_plots=False,
    )
    short, long = (value(cell, "instructions_per_op") for cell in bench(options, lambda *_: None).run.cells)
    assert long == pytest.approx(short, rel=0.1)


def test_a_list_of_two_million_takes_no_stack(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("name: deep\ngraph:\n  lists: {length: 2M}\n", encoding="utf-8")
    tracing = ("mark-sweep:", "semispace:heap=4x,", "generational:", "mark-compact:", "immix:", "incremental:")
    rows = [*(f"{name}trigger=20MiB" for name in tracing), "reference-counting", "deferred-counting", "boehm"]
    words = f"bench {tmp_path}/deep.yaml -a {','.join(rows)} --passes footprint --blocks 1 --no-plots -o {tmp_path}/run"
    # A bit for each node.
    command = ["bash", "-c", f"ulimit -s 256 && exec {sys.executable} -m memtool {words}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for cell in read(tmp_path / "run").cells:
        assert cell.status is Status.OK or "is not installed" in str(cell.reason)
        if "trigger" in cell.cell.allocator:
            assert (value(cell, "marked_bytes") or 0) + (value(cell, "copied_bytes") or 0) > 20 << 20


def test_heaps_are_mapped_by_what_their_objects_have_outlived(stored: Run, folder: Path) -> None:
    live = {}
    for cell in stored.cells:
        if cell.cell.workload == "young" and cell.series:
            for heap_map in series.read(folder / "run", cell).heap_maps:
                buckets = {name: sum(values) for name, values in heap_map["buckets"].items()}
                live[cell.cell.allocator, heap_map["moment"]] = buckets
    # The ring and what is in it has seen several collections; the object of the last root is new, and the others that
    # were made since are dead. Nothing that was dead before has been left.
    assert live["semispace:heap=1MiB", "end"]["used_more"] == LIVE - 64
    assert live["semispace:heap=1MiB", "end"]["used"] == LIVE
    assert live["semispace:heap=1MiB", "end"]["dead"] % 64 == 0
    assert live["semispace:heap=1MiB", "end"]["dead_kept"] <= 64
    assert "dead" not in live["tlsf", "end"]
    assert live["tlsf", "end"]["used"] >= 4001 * 56 + 4000 * 8 + 8
    assert ("glibc", "end") not in live


def test_heap_maps_are_drawn_where_there_is_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "young.yaml").write_text(YOUNG, encoding="utf-8")
    words = f"bench {tmp_path}/young.yaml -a mark-sweep:heap=1MiB,tlsf --passes heap --blocks 1 -o {tmp_path}/run"
    assert run(words.split()) == 0
    assert {path.name for path in (tmp_path / "run/plots").iterdir()} == {"young-heap-peak.png", "young-heap-end.png"}


def test_tables(stored: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from memtool.store.run_file import write_file

    write_file(tmp_path / "run.json", stored)
    assert run(["show", str(tmp_path / "run.json")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("young: young, 68,001 operations (34,001 objects of 1.85 MiB), reachable at most 250 KiB\n")
    assert "inl gc 1" in text
    assert "gc = there is no free: a collector finds dead objects" in text
    assert "An explicit allocator gets an object as soon as nothing leads to it." in text
