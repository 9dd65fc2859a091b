"""How rows were called, in the tables."""

from __future__ import annotations

import csv
from dataclasses import asdict, replace

import pytest

from memtool.model import Call, CellResult
from memtool.report import calls
from memtool.report.tables import render
from memtool.stats import words
from memtool.stats.words import mixture
from tests.runs import cell, figure, run

INLINED = Call("inlined", "sized", "one")
LINKER = Call("linker", "bare", "any")
AS_MALLOC = Call("pointer", "header", "any", as_malloc=True)


def called(name: str, call: Call | None, metric: str = "time_per_op_ns") -> CellResult:
    made = cell(name, {metric: figure(metric, *[10.0] * 6)})
    return made if call is None else replace(made, proof={"call": asdict(call)})


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (INLINED, "inl size 1"),
        (LINKER, "link bare any"),
        (AS_MALLOC, "ptr head any"),
        (Call("pointer", "sized", "any"), "ptr size any"),
    ],
)
def test_codes(call: Call, code: str) -> None:
    assert calls.code(call) == code


def test_a_legend_explains_the_codes_that_are_there_and_that_ranks_mix_them() -> None:
    assert calls.legend([called("pool", INLINED), called("glibc", LINKER)]) == [
        "call: how operations are called (inl = inlined into the loop, link = through the dynamic linker), what a free "
        "receives (size = pointer and size, bare = only the pointer), and how many threads may call at a time.",
        "The rows are called in different ways, which affects their times, counts and ranks; `--as malloc` "
        "calls all rows in the same way.",
    ]


def test_rows_that_are_called_alike_are_not_said_to_differ() -> None:
    assert len(calls.legend([called("pool", INLINED), called("slab", INLINED)])) == 1


def test_the_footing_of_a_malloc_is_said() -> None:
    bare = replace(AS_MALLOC, free="bare")
    assert mixture([called("arena", AS_MALLOC), called("glibc", bare)]) == [
        "Every row, including the harness, is called as a malloc is called."
    ]


def test_the_caption_of_a_picture_names_who_was_called_how() -> None:
    cells = [called("pool", INLINED), called("glibc", LINKER), called("slab", INLINED), called("old", None)]
    assert calls.caption(cells, 200) == (
        "called inlined into the loop, size at the free, one thread: pool, slab\n"
        "called through the dynamic linker, bare pointer at the free, any thread: glibc"
    )
    assert max(map(len, calls.caption(cells, 40).splitlines())) <= 40
    assert calls.caption(cells[::2], 200) == ""
    assert calls.caption([called("pool", AS_MALLOC)], 200) == words.AS_MALLOC


def test_latencies_alone_are_captioned_too_and_memory_alone_is_not() -> None:
    for metric, lines in (("allocate_p50_ns", 2), ("peak_resident_bytes", 0)):
        cells = [called("pool", INLINED, metric), called("glibc", LINKER, metric)]
        assert len(calls.caption(cells, 200).splitlines()) == lines


def test_runs_that_did_not_record_it_have_no_column() -> None:
    text = render(run(called("pool", None)), "table")
    assert "call" not in text


@pytest.mark.parametrize("metric", ["time_per_op_ns", "instructions_per_op"])
def test_every_row_of_the_speed_table_and_of_the_csv_says_it(metric: str) -> None:
    mixed = run(called("pool", INLINED, metric), called("glibc", LINKER, metric))
    rows = {line.split()[-3:][0]: line for line in render(mixed, "table").splitlines() if line.endswith((" 1", " any"))}
    assert rows["inl"].endswith("inl size 1")
    assert rows["link"].endswith("link bare any")
    result = {row["allocator"]: row["call"] for row in csv.DictReader(render(mixed, "csv").splitlines())}
    assert result == {"pool": "inl size 1", "glibc": "link bare any"}


def test_what_measures_no_time_says_nothing_of_calls() -> None:
    assert calls.legend([called("pool", INLINED, "peak_footprint_bytes")]) == []
