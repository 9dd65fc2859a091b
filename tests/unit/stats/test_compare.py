"""What is compared with what, on what basis, and why not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from memtool.measure import metrics
from memtool.measure.metrics import METRICS, MetricInfo
from memtool.model import Basis, Comparison, Run
from memtool.stats import compare
from memtool.stats.past import history
from tests.runs import cell, excluded, figure, run, trace

TIME = "time_per_op_ns"
FOOTPRINT = "peak_footprint_bytes"
TEN = (10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0)


def only(comparisons: list[Comparison]) -> Comparison:
    assert len(comparisons) == 1
    return comparisons[0]


def test_inside_a_run_blocks_are_paired() -> None:
    # A machine that slows down moves both: each block's ratio is 1.10, though the medians are not.
    base = figure(TIME, 10, 20, 30, 40, 50, 60, 70)
    head = figure(TIME, 11, 22, 33, 44, 55, 66, 77)
    result = only(compare.within(run(cell("a", {TIME: base}), cell("b", {TIME: head})), "a", [TIME]))
    assert (result.basis, result.base, result.head, result.samples) == (Basis.PAIRED, "a", "b", 7)
    assert result.effects == pytest.approx([math.log(1.1)] * 7)
    assert (result.change, result.low, result.high) == pytest.approx((0.1, 0.1, 0.1))


def test_a_block_that_lacks_one_side_is_left_out() -> None:
    base = figure(TIME, 10, 10, 10, blocks=(0, 1, 3))
    head = figure(TIME, 11, 12, 13, blocks=(0, 2, 3))
    result = only(compare.within(run(cell("a", {TIME: base}), cell("b", {TIME: head})), "a", [TIME]))
    assert result.effects == pytest.approx([math.log(1.1), math.log(1.3)])
    assert (result.low, result.high) == (None, None)


def test_runs_without_a_block_in_common_are_not_paired() -> None:
    base, head = figure(TIME, 10, blocks=(0,)), figure(TIME, 10, blocks=(1,))
    result = only(compare.within(run(cell("a", {TIME: base}), cell("b", {TIME: head})), "a", [TIME]))
    assert (result.basis, result.why_not) == (Basis.NONE, "no block has both sides")


def test_only_the_same_workload_and_region_are_compared() -> None:
    cells = [
        cell("a", {TIME: figure(TIME, *TEN)}),
        cell("b", {TIME: figure(TIME, *TEN)}, region="hugepages"),
        cell("b", {TIME: figure(TIME, *TEN)}, workload="other"),
    ]
    assert compare.within(run(*cells), "a", [TIME]) == []


def test_what_can_be_0_is_compared_by_difference() -> None:
    name = "minor_faults"
    result = only(
        compare.within(
            run(cell("a", {name: figure(name, *[0.0] * 7)}), cell("b", {name: figure(name, *[3.0] * 7)})),
            "a",
            [name],
        )
    )
    assert not result.is_ratio
    assert (result.effects, result.change, result.low, result.high) == ((3.0,) * 7, 3, 3, 3)


def test_a_ratio_with_a_zero_among_its_samples_becomes_a_difference() -> None:
    name = "allocate_p99_ns"
    base, head = figure(name, 0, 20, 20, 20, 20, 20), figure(name, 20, 20, 20, 20, 20, 20)
    result = only(compare.within(run(cell("a", {name: base}), cell("b", {name: head})), "a", [name]))
    assert not result.is_ratio
    assert result.effects == (20, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "lanes", "processors", "repeats", "within"),
    [
        ("peak_resident_bytes", 1, 2, 12_288, 143_360),
        ("peak_resident_bytes", 4, 2, 12_288, 536_576),
        # Two pages for each processor where that is more than 32.
        ("peak_resident_bytes", 1, 64, 12_288, 536_576),
        ("end_resident_bytes", 4, 64, 12_288, 12_288),
        ("resident_after_drain_1s_bytes", 1, 2, 12_288, 12_288),
        (FOOTPRINT, 1, 2, 0, 0),
        (TIME, 1, 2, 0, 0),
    ],
)
def test_figures_of_resident_memory_have_an_error(
    name: str, lanes: int, processors: int, repeats: int, within: int
) -> None:
    cells = [cell(item, {name: figure(name, *[1e6] * 7)}) for item in ("a", "b")]
    measured = run(*cells, traces=[replace(trace(), lanes=lanes)], machine={"processors": processors})
    result = only(compare.within(measured, "a", [name]))
    assert (result.repeats_within, result.known_within) == (repeats, within)


def test_exact_figures_need_no_interval() -> None:
    base, head = figure(FOOTPRINT, 4096, 4096), figure(FOOTPRINT, 4112, 4112)
    result = only(compare.between(run(cell("t", {FOOTPRINT: base})), run(cell("t", {FOOTPRINT: head})), [FOOTPRINT]))
    assert (result.basis, result.samples) == (Basis.EXACT, 2)
    assert result.change == result.low == result.high == pytest.approx(16 / 4096)


def test_one_repeat_proves_nothing_exact() -> None:
    base, head = figure(FOOTPRINT, 4096, 4096), figure(FOOTPRINT, 4096)
    result = only(compare.between(run(cell("t", {FOOTPRINT: base})), run(cell("t", {FOOTPRINT: head})), [FOOTPRINT]))
    assert result.basis is Basis.UNPAIRED
    assert result.repeats_differ


def test_what_the_kernel_counts_is_never_exact_however_often_it_agrees() -> None:
    name = "minor_faults"
    base = replace(figure(name, 100, 100), determinism=figure(FOOTPRINT, 1, 1).determinism)
    result = only(compare.between(run(cell("t", {name: base})), run(cell("t", {name: base})), [name]))
    assert result.basis is Basis.UNPAIRED


@pytest.mark.parametrize(("lanes", "basis"), [(1, Basis.EXACT), (4, Basis.UNPAIRED)])
def test_where_several_threads_replay_nothing_is_taken_as_exact(lanes: int, basis: Basis) -> None:
    metric = figure(FOOTPRINT, 4096, 4096)
    both = run(cell("t", {FOOTPRINT: metric}), traces=[replace(trace(threads=4), lanes=lanes)])
    assert only(compare.between(both, both, [FOOTPRINT])).basis is basis


def test_two_runs_are_not_paired() -> None:
    base, head = figure(TIME, 10, 11, 12, 13, 14, 15, 16), figure(TIME, 20, 21, 22, 23, 24, 25, 26)
    result = only(compare.between(run(cell("a", {TIME: base})), run(cell("a", {TIME: head})), [TIME]))
    assert (result.basis, result.effects, result.samples) == (Basis.UNPAIRED, (), 7)
    assert result.change == pytest.approx(23 / 13 - 1)
    assert (result.low, result.high) == pytest.approx((20 / 16 - 1, 26 / 10 - 1))


@pytest.mark.parametrize(
    ("field", "value", "metric", "why_not"),
    [
        ("cpu", "Another", TIME, "cpu differs: Example Processor 9000 and Another"),
        ("cpu", "Another", FOOTPRINT, None),
        ("kernel", "6.9.0", "minor_faults", "kernel differs: 6.8.0 and 6.9.0"),
        ("libc", "musl", FOOTPRINT, None),
        ("libc", "musl", TIME, "libc differs: glibc 2.39 and musl"),
        ("page_bytes", 16384, FOOTPRINT, "page_bytes differs: 4096 and 16384"),
        ("architecture", "aarch64", "internal_fragmentation", "architecture differs: x86_64 and aarch64"),
        ("page_bytes", None, FOOTPRINT, "page_bytes differs: 4096 and None"),
    ],
)
def test_what_makes_two_runs_comparable_depends_on_the_metric(
    field: str, value: object, metric: str, why_not: str | None
) -> None:
    mine = cell("a", {metric: figure(metric, *TEN)})
    result = only(compare.between(run(mine), run(mine, machine={field: value}), [metric]))
    assert result.why_not == why_not


def test_a_malloc_of_another_version_is_another_allocator() -> None:
    name = "internal_fragmentation"
    mine = cell("glibc", {name: figure(name, 0.1, 0.1)})
    other = replace(mine, proof={"malloc_build_id": "beef"})
    result = only(compare.between(run(mine), run(other), [name]))
    assert result.why_not == "malloc_build_id differs: None and beef"
    # A strategy on its region does not care which malloc its worker has.
    own = replace(mine, metrics={**mine.metrics, FOOTPRINT: figure(FOOTPRINT, 1, 1)})
    assert only(compare.between(run(own), run(replace(own, proof=other.proof)), [name])).basis is Basis.EXACT


def test_runs_on_different_footings_are_not_compared() -> None:
    own = {"route": "inlined", "free": "sized", "threads": "one", "as_malloc": False}
    as_malloc = {"route": "pointer", "free": "header", "threads": "any", "as_malloc": True}
    before = cell("arena", {FOOTPRINT: figure(FOOTPRINT, 1, 1)})
    plain, footed = (replace(before, proof={"call": call}) for call in (own, as_malloc))
    why = [
        only(compare.between(run(base), run(head), [FOOTPRINT])).why_not
        for base, head in ((plain, footed), (before, footed), (before, plain), (footed, footed))
    ]
    words = "pointer, header free, any threads (as malloc)"
    assert why == [
        f"call differs: inlined, sized free, one thread and {words}",
        f"call differs: not recorded and {words}",
        None,
        None,
    ]


def test_a_malloc_with_a_name_is_compared_though_it_was_built_anew() -> None:
    name = "internal_fragmentation"
    old, new = (
        replace(cell("mine", {name: figure(name, 0.1, 0.1)}), proof={"malloc_build_id": build, "named": f"mine={file}"})
        for build, file in (("aa", "./old/libmine.so"), ("bb", "./new/libmine.so"))
    )
    assert only(compare.between(run(old), run(new), [name])).basis is Basis.EXACT


def test_a_machine_that_neither_run_records_is_not_the_same_machine() -> None:
    mine = run(cell("a", {FOOTPRINT: figure(FOOTPRINT, 1, 1)}), machine={"architecture": None})
    assert only(compare.between(mine, mine, [FOOTPRINT])).why_not == "architecture is not recorded"


def test_other_events_under_the_same_name_are_not_compared() -> None:
    mine = cell("a", {FOOTPRINT: figure(FOOTPRINT, 4096, 4096)})
    result = only(compare.between(run(mine), run(mine, traces=[trace(event_hash="f" * 32)]), [FOOTPRINT]))
    assert (result.basis, result.why_not) == (Basis.NONE, "event_hash differs: 0123456789ab and ffffffffffff")


def test_a_cell_that_fails_now_is_worse_than_any_figure() -> None:
    good, bad = cell("a", {TIME: figure(TIME, *TEN)}), cell("a", failed="killed by SIGSEGV")
    result = only(compare.between(run(good), run(bad), [TIME, FOOTPRINT]))
    assert (result.metric, result.basis, result.why_not) == ("status", Basis.EXACT, "killed by SIGSEGV")


def test_a_base_that_failed_is_nothing_to_compare_with() -> None:
    good, bad = cell("a", {TIME: figure(TIME, *TEN)}), cell("a", failed="killed by SIGSEGV")
    result = only(compare.between(run(bad), run(good), [TIME]))
    assert (result.basis, result.why_not) == (Basis.NONE, "the base was not measured: killed by SIGSEGV")


def test_a_cell_that_the_harness_could_not_measure_is_no_worse() -> None:
    good = cell("a", {TIME: figure(TIME, *TEN)})
    lost = replace(cell("a", failed="counters pass: died"), proof={"harness_fault": True})
    result = only(compare.between(run(good), run(lost), [TIME]))
    assert (result.basis, result.is_required) == (Basis.NONE, True)
    assert result.why_not == "the other side was not measured: counters pass: died"


def test_a_cell_that_is_left_out_now_is_said_to_be() -> None:
    good = cell("a", {TIME: figure(TIME, *TEN)})
    result = only(compare.between(run(good), run(excluded("a", "too small")), [TIME]))
    assert result.why_not == "the other side was left out: too small"


def test_a_metric_that_only_one_run_has_is_said_to_be_missing() -> None:
    first = run(cell("a", {TIME: figure(TIME, *TEN)}))
    second = run(cell("a", {FOOTPRINT: figure(FOOTPRINT, 1, 1)}))
    assert only(compare.between(first, second, [TIME])).why_not == "the other side has none"
    assert compare.between(first, first, [FOOTPRINT]) == []


def test_instruction_counts_are_compared_where_compiler_and_libc_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    info = MetricInfo("instructions_per_op", "", "instructions", scope="code")
    monkeypatch.setitem(metrics.METRICS, info.name, info)
    assert METRICS[info.name] is info
    counted = {"compiler": "gcc 12", "instruction_counter": "callgrind"}
    base = run(cell("a", {info.name: figure(info.name, 100, 100.1, 99.9)}), machine=counted)
    head = run(cell("a", {info.name: figure(info.name, 101, 101.1, 100.9)}), machine=counted)
    result = only(compare.between(base, head, [info.name]))
    assert (result.low, result.high) == pytest.approx((100.9 / 100.1 - 1, 101.1 / 99.9 - 1))
    for field, other, why_not in (
        ("compiler", "gcc 13", "compiler differs: gcc 12 and gcc 13"),
        ("libc", "musl", "libc differs: glibc 2.39 and musl"),
        ("instruction_counter", "perf", "instruction_counter differs: callgrind and perf"),
    ):
        changed: dict[str, Any] = {"machine": {**head.machine, field: other}}
        assert only(compare.between(base, replace(head, **changed), [info.name])).why_not == why_not


def test_places_and_the_front() -> None:
    resident = "peak_resident_bytes"
    cells = [
        cell("fast", {TIME: figure(TIME, *TEN), resident: figure(resident, 300, 300)}),
        cell("small", {TIME: figure(TIME, *[20.0] * 7), resident: figure(resident, 100, 100)}),
        cell("neither", {TIME: figure(TIME, *[30.0] * 7), resident: figure(resident, 200, 200)}),
        cell("failed", failed="SIGSEGV"),
    ]
    result = {place.allocator: (place.rank, place.is_on_front) for place in compare.places(run(*cells))}
    assert result == {"fast": (1, True), "small": (2, True), "neither": (3, False)}


def test_history_is_in_the_order_of_time_and_of_the_same_events() -> None:
    now = run(cell("a", {TIME: figure(TIME, *TEN)}), started="2026-03-01T00:00:00+00:00")
    before = run(cell("a", {TIME: figure(TIME, *[9.0] * 7)}), started="2026-01-01T00:00:00+00:00")
    other = run(cell("a", {TIME: figure(TIME, *TEN)}), traces=[trace(event_hash="f" * 32)])
    result = history([("now", now), ("before", before), ("other", other)], now, [TIME])
    assert [(item.source, item.figure.value) for item in result] == [("before", 9.0), ("now", 10.0)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"touch": "all"}, "touch differs: first and all"),
        ({"memory_limit": 1 << 20}, "memory_limit differs: None and 1048576"),
    ],
)
def test_what_is_measured_besides_the_events_is_compared(changed: dict[str, Any], words: str) -> None:
    runs = [
        run(cell("tlsf", {"time_per_op_ns": figure("time_per_op_ns", 20.0)}), traces=[item])
        for item in (trace(), replace(trace(), **changed))
    ]
    (result,) = compare.between(runs[0], runs[1], ["time_per_op_ns"])
    assert (result.basis, result.why_not) == (Basis.NONE, words)


def test_a_cold_run_is_not_compared_with_a_warm_one_and_an_old_run_is() -> None:
    def replayed(**machine: int) -> Run:
        return run(cell("tlsf", {"time_per_op_ns": figure("time_per_op_ns", 20.0)}), machine=machine)

    (result,) = compare.between(
        replayed(warmups=1, iterations=3), replayed(warmups=0, iterations=1), ["time_per_op_ns"]
    )
    assert result.why_not == "warmups differs: 1 and 0"
    (result,) = compare.between(replayed(), replayed(warmups=1, iterations=3), ["time_per_op_ns"])
    assert result.why_not is None
