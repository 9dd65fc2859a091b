"""What becomes of samples of containers: figures by hand from ticks, units, lines and jumps."""

from __future__ import annotations

from typing import Any

import pytest

from memtool.kinds import results
from memtool.kinds.container.image import GROUPS
from memtool.kinds.container.results import RESULTS, Footprint, Times
from memtool.model import Cell, Status, TraceInfo
from memtool.passes import Clock, Figures, Pass, Sample
from memtool.passes.declaration import CellSamples
from memtool.passes.records import record_from

TRACE = TraceInfo("w", 1, "0" * 32, operations=100, threads=1, peak_live_bytes=10, kind="container")
ZERO = dict.fromkeys(GROUPS, 0)
NOWHERE = {"elements": 0, "lines": 0, "jumps": 0}


def figures_of(run_pass: Pass, *payloads: Figures) -> dict[str, list[tuple[int, float | None]]]:
    own = [
        Sample(Cell("w", "tlsf@std"), block, run_pass, Status.OK, None, payload)
        for block, payload in enumerate(payloads)
    ]
    samples = CellSamples(own=own, null=(), alone=(), trace=TRACE, clock=Clock(0.5, "tsc"))
    summary = RESULTS.measures[run_pass].summarise(samples)
    return {name: list(figure.by_block) for name, figure in summary.figures.items()}


def times(**changed: Any) -> Times:
    sound = {"body_ticks": [900, 800], "epilogue_ticks": [50, 60], "cpu_ns": [500, 300], "ticks": ZERO, "units": ZERO}
    return record_from(Times, sound | changed)


def footprint(**changed: Any) -> Footprint:
    sound = {
        "allocations": 50,
        "asked_bytes": 1200,
        "peak_live_bytes": 900,
        "peak_blocks": 30,
        "peak_footprint_bytes": 4096,
        "peak_resident_bytes": 8192,
        "fresh": NOWHERE,
        "churned": NOWHERE,
    }
    return record_from(Footprint, sound | changed)


def test_times_are_those_of_the_fastest_and_of_what_there_was() -> None:
    sample = times(
        ticks=ZERO | {"push": 300, "churned": 500, "open": 40, "close": 60},
        units=ZERO | {"push": 30, "churned": 1000, "open": 4, "close": 30},
    )
    assert figures_of(Pass.THROUGHPUT, sample) == {
        "time_per_op_ns": [(0, 4.0)],  # 800 ticks of half a nanosecond, 100 operations
        "cpu_ns_per_op": [(0, 4.0)],
        "push_ns": [(0, 5.0)],
        "traverse_churned_ns": [(0, 0.25)],
        "heap_open_ns": [(0, 5.0)],
        "destroy_ns": [(0, 1.0)],
    }


def test_memory_and_locality() -> None:
    sample = footprint(churned={"elements": 20, "lines": 25, "jumps": 18})
    assert figures_of(Pass.FOOTPRINT, sample) == {
        "allocations_per_op": [(0, 0.5)],
        "asked_bytes": [(0, 1200)],
        "peak_live_bytes": [(0, 900)],
        "peak_footprint_bytes": [(0, 4096)],
        "peak_resident_bytes": [(0, 8192)],
        "lines_per_element_churned": [(0, 1.25)],
        "jumps_per_element_churned": [(0, 0.9)],
    }


def test_repeats_differ_where_blocks_lie_elsewhere() -> None:
    differ = RESULTS.measures[Pass.FOOTPRINT].differ
    same = footprint(peak_resident_bytes=1)
    assert not differ([footprint(), same])
    assert differ([footprint(), footprint(churned={"elements": 20, "lines": 25, "jumps": 18})])


def test_no_samples_give_no_figures() -> None:
    assert figures_of(Pass.THROUGHPUT) == figures_of(Pass.FOOTPRINT) == {}


@pytest.mark.parametrize("run_pass", RESULTS.measures)
def test_it_is_on_the_list(run_pass: Pass) -> None:
    assert results("container").measures[run_pass] is RESULTS.measures[run_pass]
