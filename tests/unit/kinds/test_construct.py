"""Workloads of objects: what a file says, which rows there are, and what workers find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memtool.errors import InputErrors
from memtool.kinds.construct.fitting import called, why_not
from memtool.kinds.construct.keys import Workload
from memtool.kinds.construct.results import RESULTS, Audited, Checked, Parts
from memtool.kinds.construct.types import TYPES
from memtool.kinds.construct.words import heading, remarks
from memtool.kinds.work import json_schema, kind_of, load_trace, work
from memtool.model import AllocatorPlan, AllocatorSpec, Call, Cell, CellResult, Mode, Status, TraceInfo
from memtool.passes import Clock, Pass, Sample
from memtool.passes.declaration import CellSamples
from memtool.workload.language.loader import load

PARTICLES = "name: particles\nconstruct:\n  type: particle\n  objects: 64\n  rounds: 3\n"


def trace_of(folder: Path, text: str = PARTICLES) -> TraceInfo:
    path = folder / "w.yaml"
    path.write_text(text, encoding="utf-8")
    assert kind_of(path) == "construct"
    with load_trace(str(path), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        assert trace.image_bytes == 57
        return trace.info


def plan(name: str, way: str, **changed: Any) -> AllocatorPlan:
    return AllocatorPlan(AllocatorSpec(name, way=way), name, "", **changed)


def test_a_file_becomes_numbers(tmp_path: Path) -> None:
    info = trace_of(tmp_path)
    assert (info.operations, info.allocations, info.peak_live_bytes, info.total_bytes) == (192, 192, 3072, 9216)
    assert (info.largest_size, info.largest_alignment, info.first_not_lifo, info.first_not_fifo) == (48, 16, None, 64)
    assert len(info.facts["ways"]) == 14
    assert heading(info).splitlines()[0] == (
        "particles: 64 objects of particle (48 B: two vectors of three doubles, set by a constructor), made, used and "
        "ended in the reverse order, 3 times over"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("construct:\n  typ: page\n", "2:3: construct.typ: unknown key; did you mean 'type'?"),
        ("construct:\n  objects: 8\n", "2:3: construct.type: is missing"),
        ("construct: {type: pages}\n", "1:19: construct.type: must be one of trivial-16, trivial-64, particle, text,"),
        ("construct: {type: page, objects: 0}\n", "1:34: construct.objects: must be > 0, is 0"),
        (
            "construct: {type: page, objects: 20M}\n",
            "1:34: construct.objects: must be at most 16,777,216, is 20,000,000",
        ),
        (
            "construct: {type: page, objects: 10M, rounds: 1k}\n",
            "1:47: construct.rounds: must make at most 2,147,483,648 objects in all, makes 10,000,000,000",
        ),
        (
            "construct: {type: page, objects: 10, array: 3}\n",
            "1:45: construct.array: must divide the number of objects, 10, is 3",
        ),
        (
            "construct: {type: page, objects: 16, ways: [new, news]}\n",
            "1:50: construct.ways[1]: must be one of in-place, stack-buffer, memory, placement, new,",
        ),
        (
            "construct: {type: page, order: up}\n",
            "1:32: construct.order: must be 'reverse', 'same' or 'random', is 'up'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text + "name: a\n", encoding="utf-8")
    with pytest.raises(InputErrors) as refused:
        load(path, Workload)
    assert str(refused.value).startswith(f"{path}:{words}")


def test_every_key_is_described() -> None:
    schema = work("construct").json_schema()
    keys = schema["$defs"]["Construct"]["properties"] | schema["properties"]
    assert [name for name, key in keys.items() if "description" not in key] == []
    assert "construct" in str(json_schema())


@pytest.mark.parametrize(
    ("asked", "row", "reason"),
    [
        ("", plan("tlsf", "placement"), None),
        ("", plan("arena", "dropped", free_order="reset"), None),
        ("", plan("tlsf", "dropped"), "takes back block by block; what is dropped whole is an arena or a stack"),
        ("", plan("malloc", "forgotten", uses_region=False), "takes back block by block; what is dropped whole"),
        (
            "  type: text\n",
            plan("arena", "forgotten", free_order="reset"),
            "would lose what the type's destructor gives",
        ),
        ("", plan("stack", "new", free_order="lifo"), None),
        (
            "  order: random\n",
            plan("stack", "new", free_order="lifo"),
            "takes back only the youngest block; operation 64",
        ),
        ("  order: random\n", plan("stack", "dropped", free_order="lifo"), None),
        ("", plan("null", "placement", is_control=True), None),
        ("  type: text\n", plan("null", "memory", is_control=True), None),
        ("  type: text\n", plan("null", "placement", is_control=True), "hands out the same block again and again"),
        ("", plan("null", "make-shared", is_control=True), "hands out the same block again and again"),
        ("", plan("ring", "new", free_order="fifo"), "takes back only the oldest block and resizes only the youngest;"),
        ("", plan("stack", "reset", free_order="lifo"), "takes back only in order (lifo), and reset ends in another"),
        ("", plan("stack", "shared-ptr", free_order="lifo"), "takes back only in order (lifo), and shared-ptr ends in"),
        ("", AllocatorPlan(AllocatorSpec("", way="stack-buffer"), "", ""), None),
        (
            "  objects: 16k\n",
            AllocatorPlan(AllocatorSpec("", way="stack-buffer"), "", ""),
            "has a buffer of 256 KiB on the stack; 750 KiB are needed: ask for fewer objects",
        ),
        (
            "memory_limit: 1KiB\n",
            AllocatorPlan(AllocatorSpec("", way="in-place"), "", ""),
            "needs 3.00 KiB, more than the",
        ),
    ],
)
def test_what_a_row_cannot_serve_is_said(tmp_path: Path, asked: str, row: AllocatorPlan, reason: str | None) -> None:
    head, body = PARTICLES.split("  objects: 64\n")
    text = head + asked + "  objects: 64\n" + body if asked[:1] == " " else asked + PARTICLES
    lines = {line.split(":")[0]: line for line in text.splitlines()}  # the last of a key counts
    lines |= {line.split(":")[0]: line for line in asked.splitlines()}
    said = why_not(row, trace_of(tmp_path, "\n".join(lines.values()) + "\n"))
    assert said is reason if reason is None else str(said).startswith(reason)


def test_only_the_loops_of_placement_are_inlined() -> None:
    inlined = Call("inlined", "sized", "one")
    assert called(plan("pool", "placement", call=inlined)) == inlined
    assert called(plan("pool", "dropped", call=inlined)) == inlined
    assert called(plan("pool", "new", call=inlined)) == Call("pointer", "sized", "one")
    assert called(plan("pool", "placement", call=Call("inlined", "sized", "one", as_malloc=True))).route == "pointer"


CELL = Cell("particles", "tlsf@placement")


def summaries(trace: TraceInfo, run_pass: Pass, *figures: Any) -> dict[str, Any]:
    samples = [Sample(CELL, block, run_pass, Status.OK, None, counted) for block, counted in enumerate(figures)]
    summary = RESULTS.measures[run_pass].summarise(CellSamples(samples, (), (), trace, Clock(0.5, "counter")))
    return {name: [value for _, value in figure.by_block] for name, figure in summary.figures.items()}


def test_ticks_become_the_time_of_an_object(tmp_path: Path) -> None:
    # Of 192 objects; a tick is half a nanosecond.
    whole = summaries(trace_of(tmp_path), Pass.LATENCY, Parts(3840, 384, 1920, 1, 1152, 768, 192, 96))
    assert whole == {
        "make_ns": [10.0],
        "use_ns": [1.0],
        "end_ns": [5.0],
        "allocate_step_ns": [3.0],
        "construct_step_ns": [2.0],
        "destroy_step_ns": [0.5],
        "deallocate_step_ns": [0.25],
    }
    without = summaries(trace_of(tmp_path), Pass.LATENCY, Parts(3840, 384, 1920, 0, 0, 0, 0, 0))
    assert sorted(without) == ["end_ns", "make_ns", "use_ns"]


def test_books_become_figures_of_an_object(tmp_path: Path) -> None:
    figures = summaries(trace_of(tmp_path), Pass.FOOTPRINT, Audited(64, 64, 128, 4096, 8192, 0))
    assert figures == {
        "constructions_per_object": [1.0],
        "destructions_per_object": [1.0],
        "blocks_per_object": [2.0],
        "asked_per_object_bytes": [64.0],
        "peak_footprint_bytes": [8192],
    }
    assert summaries(trace_of(tmp_path), Pass.CHECK, Checked(64, 64, 64, 3072, None, 3)) == {}


def test_what_the_rows_are_is_said_below_them(tmp_path: Path) -> None:
    cells = [
        CellResult(Cell("particles", label), status, None, {}, {})
        for label, status in (("pool@new", Status.OK), ("in-place", Status.OK), ("pool@reset", Status.EXCLUDED))
    ]
    (legend,) = remarks(cells, trace_of(tmp_path))
    assert [line.partition(":")[0] for line in legend.splitlines()] == ["in-place", "new"]


def test_types_have_the_order_of_the_kernel() -> None:
    header = (Path(__file__).parents[3] / "memtool/kinds/construct/types.hpp").read_text(encoding="utf-8")
    assert f"kTypes = {len(TYPES)};" in header
    assert [(member.size, member.alignment) for member in TYPES.values()] == [
        (16, 8), (64, 8), (48, 8), (32, 8), (24, 8), (64, 64), (4096, 4096), (4096, 8),
    ]  # fmt: skip
